"""A GPT-2-like transformer: learned positions, LayerNorm, GELU, dropout.

    x = dropout(embedding(tokens) + positions)
    for each block:  x = x + attention(norm(x));  x = x + feed_forward(norm(x))
    logits = head(norm(x))

Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.models.contract import LanguageModel
from hornbook.models.gpt.config import GPTConfig
from hornbook.nn import initialise
from hornbook.nn.attention import CausalAttention, check_length, document_mask, document_positions
from hornbook.nn.embedding import LearnedPositions
from hornbook.nn.feedforward import GELU
from hornbook.nn.norms import LayerNorm
from hornbook.nn.precision import compute_dtype
from hornbook.nn.state import DecodeState, KeyValue


class GPT(LanguageModel):
    """The whole model.

    Args:
        config: its numbers.
        generator: where the starting weights are drawn from; a CPU generator.
    """

    def __init__(self, config: GPTConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config: GPTConfig = config
        self.embedding = initialise.embedding(config.vocab_size, config.width)
        self.positions = LearnedPositions(config.context, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = LayerNorm(config.width, eps=config.norm_eps, bias=config.bias)
        self.head = None if config.tied else initialise.linear(config.width, config.vocab_size)
        self._initialise(generator)

    def hidden(self, tokens: Tensor, state: DecodeState | None = None, documents: Tensor | None = None) -> Tensor:
        past, T = state.length if state else 0, tokens.shape[1]
        check_length(past, T, self.config.context)

        # (T, D), or (B, T, D)
        placed = self.positions(slice(past, past + T) if documents is None else document_positions(documents))
        x = F.dropout(self.embedding(tokens) + placed, self.config.dropout, self.training)  # (B, T, D)
        mask = None if documents is None else document_mask(documents, compute_dtype(x))

        for layer, block in enumerate(self.blocks):
            x = block(x, mask, state.layers[layer] if state else None)  # (B, T, D)
        if state:
            state.length += T
        return self.norm(x)  # type: ignore[no-any-return]

    def head_weight(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight

    def init_state(self, rows: int, tokens: int, *, dtype: torch.dtype | None = None) -> DecodeState:
        shape = (rows, self.config.num_heads, tokens, self.config.width // self.config.num_heads)
        device, dtype = self.embedding.weight.device, dtype or torch.float32
        return DecodeState([KeyValue.empty(shape, device=device, dtype=dtype) for _ in self.blocks])

    def _initialise(self, generator: torch.Generator) -> None:
        """Fill every matrix with GPT-2's rule and every bias with zero; norms already start at one."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Embedding | LearnedPositions):
                initialise.normal(layer.weight, std=initialise.GPT2_STD, generator=generator)
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
        for block in self.blocks:
            assert isinstance(block, Block)
            for output in (block.attention.output, block.feed_forward.down):
                initialise.residual(output.weight, rule="scaled", num_layers=self.config.num_layers)


class Block(nn.Module):
    """Attention, then feed-forward, each added to what it read."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.attention_norm = LayerNorm(config.width, eps=config.norm_eps, bias=config.bias)
        self.attention = Attention(config)
        self.feed_forward_norm = LayerNorm(config.width, eps=config.norm_eps, bias=config.bias)
        self.feed_forward = GELU(config.width, 4 * config.width, bias=config.bias)

    def forward(self, x: Tensor, mask: Tensor | None, state: KeyValue | None) -> Tensor:
        """(B, T, D) -> (B, T, D); `state` is advanced in place."""
        x = x + F.dropout(self.attention(self.attention_norm(x), mask, state), self.dropout, self.training)
        x = x + F.dropout(self.feed_forward(self.feed_forward_norm(x)), self.dropout, self.training)
        return x


class Attention(nn.Module):
    """Multi-head attention; positions are already in what it reads."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.head_width = config.width // config.num_heads
        self.query = initialise.linear(config.width, config.width, bias=config.bias)
        self.key = initialise.linear(config.width, config.width, bias=config.bias)
        self.value = initialise.linear(config.width, config.width, bias=config.bias)
        self.output = initialise.linear(config.width, config.width, bias=config.bias)
        self.attend = CausalAttention(dropout=config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None, state: KeyValue | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        B, T, D = x.shape
        q, k, v = (
            project(x).view(B, T, -1, self.head_width).transpose(1, 2)  # (B, H, T, K)
            for project in (self.query, self.key, self.value)
        )
        y = self.attend(q, k, v, mask=mask, state=state)  # (B, H, T, K)
        return self.output(y.transpose(1, 2).reshape(B, T, D))  # type: ignore[no-any-return]
