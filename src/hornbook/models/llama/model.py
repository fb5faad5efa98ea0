"""A Llama-like transformer: tokens in, logits out.

    x = embedding(tokens)
    for each block:  x = x + attention(norm(x));  x = x + feed_forward(norm(x))
    logits = head(norm(x))

Touvron et al. 2023, arXiv:2302.13971. Nothing here is biased, and only attention looks at other positions.
"""

import torch
from torch import Tensor, nn

from hornbook.models.contract import LanguageModel
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn import initialise
from hornbook.nn.attention import CausalAttention, check_length, document_mask, document_positions
from hornbook.nn.feedforward import ReLU2, SwiGLU
from hornbook.nn.norms import RMSNorm
from hornbook.nn.precision import compute_dtype
from hornbook.nn.rope import Rotary, rotate
from hornbook.nn.state import DecodeState, KeyValue

Rotation = tuple[Tensor, Tensor]


class Llama(LanguageModel):
    """The whole model.

    Args:
        config: its numbers.
        generator: where the starting weights are drawn from; a CPU generator.
    """

    def __init__(self, config: LlamaConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config: LlamaConfig = config
        self.embedding = initialise.embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.width, eps=config.norm_eps)
        self.head = None if config.tied else initialise.linear(config.width, config.vocab_size)
        self.rotary = Rotary(config.head_width, config.context, base=config.rope_base)
        self._initialise(generator)

    def hidden(self, tokens: Tensor, state: DecodeState | None = None, documents: Tensor | None = None) -> Tensor:
        past, T = state.length if state else 0, tokens.shape[1]
        check_length(past, T, self.config.context)

        x = self.embedding(tokens)  # (B, T, D)
        dtype = compute_dtype(x)
        positions = slice(past, past + T) if documents is None else document_positions(documents)
        rotation = self.rotary(positions, dtype=dtype)
        mask = None if documents is None else document_mask(documents, dtype)

        for layer, block in enumerate(self.blocks):
            x = block(x, rotation, mask, state.layers[layer] if state else None)  # (B, T, D)
        if state:
            state.length += T
        return self.norm(x)  # type: ignore[no-any-return]

    def head_weight(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight

    def init_state(self, rows: int, tokens: int, *, dtype: torch.dtype | None = None) -> DecodeState:
        shape = (rows, self.config.kv_heads, tokens, self.config.head_width)
        device, dtype = self.embedding.weight.device, dtype or torch.float32
        return DecodeState([KeyValue.empty(shape, device=device, dtype=dtype) for _ in self.blocks])

    def _initialise(self, generator: torch.Generator) -> None:
        """Fill every matrix; norms already start at one."""
        width, rule, num_layers = self.config.width, self.config.residual_init, self.config.num_layers
        if self.head is None:
            std = initialise.tied_embedding_std(width, residual_rule=rule)
        else:
            std = initialise.UNTIED_EMBEDDING_STD
            initialise.normal(self.head.weight, std=initialise.GPT2_STD, generator=generator)
        initialise.normal(self.embedding.weight, std=std, generator=generator)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                initialise.fan_in(module.weight, generator=generator)
        for block in self.blocks:
            assert isinstance(block, Block)
            for output in (block.attention.output, block.feed_forward.down):
                initialise.residual(output.weight, rule=rule, num_layers=num_layers)


class Block(nn.Module):
    """Attention, then feed-forward, each added to what it read."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, eps=config.norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = RMSNorm(config.width, eps=config.norm_eps)
        self.feed_forward = FEED_FORWARD[config.activation](config.width, config.inner_width)

    def forward(self, x: Tensor, rotation: Rotation, mask: Tensor | None, state: KeyValue | None) -> Tensor:
        """(B, T, D) -> (B, T, D); `state` is advanced in place."""
        x = x + self.attention(self.attention_norm(x), rotation, mask, state)
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x


class Attention(nn.Module):
    """Rotary attention in which groups of query heads share a key and a value head."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        kv_width = config.kv_heads * config.head_width
        self.head_width = config.head_width
        self.query = initialise.linear(config.width, config.width)
        self.key = initialise.linear(config.width, kv_width)
        self.value = initialise.linear(config.width, kv_width)
        self.output = initialise.linear(config.width, config.width)
        self.query_norm = RMSNorm(config.head_width, eps=config.norm_eps) if config.qk_norm else nn.Identity()
        self.key_norm = RMSNorm(config.head_width, eps=config.norm_eps) if config.qk_norm else nn.Identity()
        self.attend = CausalAttention()

    def forward(self, x: Tensor, rotation: Rotation, mask: Tensor | None, state: KeyValue | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        B, T, D = x.shape
        q = self.query(x).view(B, T, -1, self.head_width)  # (B, T, H, K)
        k = self.key(x).view(B, T, -1, self.head_width)  # (B, T, G, K)
        v = self.value(x).view(B, T, -1, self.head_width)  # (B, T, G, K)
        q = rotate(self.query_norm(q), rotation).transpose(1, 2)  # (B, H, T, K)
        k = rotate(self.key_norm(k), rotation).transpose(1, 2)  # (B, G, T, K)
        y = self.attend(q, k, v.transpose(1, 2), mask=mask, state=state)  # (B, H, T, K)
        return self.output(y.transpose(1, 2).reshape(B, T, D))  # type: ignore[no-any-return]


FEED_FORWARD: dict[str, type[SwiGLU] | type[ReLU2]] = {"swiglu": SwiGLU, "relu2": ReLU2}
"""The feed-forwards by the name of their activation."""
