"""Brahma: gated delta rules and softmax attention in turn; tokens in, logits out.

    x = embedding(tokens)
    for each block:  x = x + mixer(norm(x));  x = x + feed_forward(norm(x))
    logits = head(norm(x))

A mixer is a gated delta rule (D; Yang et al. 2024, arXiv:2412.06464, here without an output gate) or attention (A).
Both pass queries, keys and values through a short causal convolution. Positions are told by the convolutions, the
decay and, in A only, by rotation. Nothing is biased but strength and decay, and the head is the embedding.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.models.brahma.config import BrahmaConfig
from hornbook.models.contract import LanguageModel
from hornbook.nn import initialise
from hornbook.nn.attention import CausalAttention, check_length, document_mask, document_positions
from hornbook.nn.convolution import ShortConvolution
from hornbook.nn.feedforward import SwiGLU
from hornbook.nn.norms import RMSNorm, unit_length
from hornbook.nn.precision import compute_dtype
from hornbook.nn.recurrence import Delta, GatedDeltaRule
from hornbook.nn.rope import Rotary, rotate
from hornbook.nn.state import ConvTail, DecodeState, Joined, KeyValue, Recurrent

EMBEDDING_STD = 0.05
"""Of the table that is also the head; wider than 400, 1/sqrt(width), so that no first logit is larger than 1."""

TAP_STD = 0.1
"""Noise around the identity that the convolutions of D start as."""


@dataclass(frozen=True)
class Places:
    """Where the tokens of a call stand, prepared once for all mixers.

    Args:
        documents: (B, T), which document each belongs to; none if a row is one.
        reach: (B, T), how many tokens of its document are before each; none if all are.
        rotation: of queries and keys, for attention.
        mask: of attention's scores, (B, 1, T, T); none means plainly causal.
    """

    documents: Tensor | None
    reach: Tensor | None
    rotation: tuple[Tensor, Tensor] | None = None
    mask: Tensor | None = None


class Brahma(LanguageModel):
    """The whole model.

    Args:
        config: its numbers.
        generator: where the starting weights are drawn from; a CPU generator.
    """

    def __init__(self, config: BrahmaConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config: BrahmaConfig = config
        self.embedding = initialise.embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config, letter) for letter in config.mixers)
        self.norm = RMSNorm(config.width, eps=config.norm_eps)
        self.rotary = (
            Rotary(config.head_width, config.context, base=config.rope_base) if "A" in config.mixers else None
        )
        self._initialise(generator)

    def hidden(self, tokens: Tensor, state: DecodeState | None = None, documents: Tensor | None = None) -> Tensor:
        x = self.embedding(tokens)  # (B, T, D)
        places = self._places(tokens.shape[1], state, documents, compute_dtype(x))
        for layer, block in enumerate(self.blocks):
            x = block(x, places, state.layers[layer] if state else None)  # (B, T, D)
        if state:
            state.length += tokens.shape[1]
        return self.norm(x)  # type: ignore[no-any-return]

    def head_weight(self) -> Tensor:
        return self.embedding.weight

    def init_state(self, rows: int, tokens: int, *, dtype: torch.dtype | None = None) -> DecodeState:
        """Return an empty state; the memory of D is float32 whatever `dtype` is, since every token adds to it."""
        config, device, dtype = self.config, self.embedding.weight.device, dtype or torch.float32
        heads = (rows, config.num_heads)

        def layer(letter: str) -> Joined:
            tail = ConvTail.empty((rows, config.conv_width - 1, 3 * config.width), device=device, dtype=dtype)
            if letter == "A":
                keys = KeyValue.empty((*heads, tokens, config.head_width), device=device, dtype=dtype)
                return Joined(conv=tail, keys=keys)
            shape = (*heads, config.head_width, config.head_width)
            return Joined(conv=tail, memory=Recurrent.empty(shape, device=device, dtype=torch.float32))

        return DecodeState([layer(letter) for letter in config.mixers])

    def _places(self, T: int, state: DecodeState | None, documents: Tensor | None, dtype: torch.dtype) -> Places:
        """Prepare what the mixers need of the positions of T tokens after those of `state`."""
        reach = None if documents is None else document_positions(documents)  # (B, T)
        if self.rotary is None:
            return Places(documents, reach)
        past = state.length if state else 0
        check_length(past, T, self.config.context)
        rotation = self.rotary(slice(past, past + T) if reach is None else reach, dtype=dtype)
        return Places(documents, reach, rotation, None if documents is None else document_mask(documents, dtype))

    def _initialise(self, generator: torch.Generator) -> None:
        """Fill every matrix and convolution; norms, decay and strength already start where they should."""
        width, num_layers = self.config.width, self.config.num_layers
        initialise.normal(self.embedding.weight, std=min(EMBEDDING_STD, width**-0.5), generator=generator)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                initialise.fan_in(module.weight, generator=generator)
        for block in self.blocks:
            assert isinstance(block, Block)
            tap_std = TAP_STD if isinstance(block.mixer, DeltaMixer) else 0.0
            initialise.near_identity(block.mixer.convolution.weight, std=tap_std, generator=generator)
            for output in (block.mixer.output, block.feed_forward.down):
                initialise.residual(output.weight, rule="scaled", num_layers=num_layers)


class Block(nn.Module):
    """A mixer, then feed-forward, each added to what it read."""

    def __init__(self, config: BrahmaConfig, letter: str) -> None:
        super().__init__()
        self.mixer_norm = RMSNorm(config.width, eps=config.norm_eps)
        self.mixer: DeltaMixer | AttentionMixer = MIXERS[letter](config)
        self.feed_forward_norm = RMSNorm(config.width, eps=config.norm_eps)
        self.feed_forward = SwiGLU(config.width, config.inner_width)

    def forward(self, x: Tensor, places: Places, state: Joined | None) -> Tensor:
        """(B, T, D) -> (B, T, D); `state` is advanced in place."""
        x = x + self.mixer(self.mixer_norm(x), places, state)
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x


class Mixer(nn.Module):
    """What both mixers have: projections to queries, keys and values, a short convolution over them, an output."""

    def __init__(self, config: BrahmaConfig) -> None:
        super().__init__()
        self.head_width = config.head_width
        self.query = initialise.linear(config.width, config.width)
        self.key = initialise.linear(config.width, config.width)
        self.value = initialise.linear(config.width, config.width)
        self.convolution = ShortConvolution(3 * config.width, config.conv_width)
        self.output = initialise.linear(config.width, config.width)

    def project(self, x: Tensor, places: Places, state: Joined | None) -> Tensor:
        """Return queries, keys and values side by side: (B, T, D) -> (B, T, 3 D)."""
        # Three matrices, so that the optimizer sees three; one product, so that the convolution makes one pass.
        weight = torch.cat([self.query.weight, self.key.weight, self.value.weight])
        tail = state["conv"] if state else None
        assert tail is None or isinstance(tail, ConvTail)
        convolved: Tensor = self.convolution(F.linear(x, weight), reach=places.reach, state=tail)
        return convolved


class DeltaMixer(Mixer):
    """D, the gated delta rule: reads, corrects and fades a memory of K x K numbers a head."""

    def __init__(self, config: BrahmaConfig) -> None:
        super().__init__(config)
        H = config.num_heads
        self.eps = config.norm_eps
        self.gates = initialise.linear(config.width, 2 * H)  # strength, then decay, a row a head
        self.rule = GatedDeltaRule(chunk_size=config.chunk_size)
        self.norm = RMSNorm(config.head_width, eps=config.norm_eps)
        # Strengths from 0.5 to 1.8: some heads turn what they hold over from the first step on.
        self.strength_bias = nn.Parameter(torch.linspace(-1.0, 2.0, H))
        # Log decay -exp(rate) softplus(a + bias): time constants from 1,000 to 10 tokens.
        self.decay_rate = nn.Parameter(torch.zeros(H))
        self.decay_bias = nn.Parameter(torch.logspace(-3.0, -1.0, H).expm1().log())

    def forward(self, x: Tensor, places: Places, state: Joined | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        B, T, D = x.shape
        mixed = F.silu(self.project(x, places, state))  # (B, T, 3 D)
        delta = self._cut(mixed, self.gates(x))
        held = state["memory"] if state else None
        assert held is None or isinstance(held, Recurrent)
        seen, memory = self.rule(delta, held and held.memory, documents=places.documents, narrow=x.dtype)
        if held:
            held.memory = memory
        seen = self.norm(seen.transpose(1, 2))  # (B, T, H, K)
        return self.output(seen.reshape(B, T, D))  # type: ignore[no-any-return]

    def _cut(self, mixed: Tensor, gates: Tensor) -> Delta:
        """Cut what was projected into heads, (B, H, T, K): queries and keys of length 1, strengths, log decays."""
        B, T, _ = mixed.shape
        query, key, value = mixed.view(B, T, 3, -1, self.head_width).unbind(2)  # (B, T, H, K)
        strength, decay = gates.to(mixed.dtype).mT.chunk(2, dim=1)  # (B, H, T)
        return Delta(
            unit_length(query, eps=self.eps).transpose(1, 2),
            unit_length(key, eps=self.eps).transpose(1, 2),
            value.transpose(1, 2),
            log_decay=-self.decay_rate.exp()[:, None] * F.softplus(decay + self.decay_bias[:, None]),
            strength=2 * torch.sigmoid(strength + self.strength_bias[:, None]),
        )


class AttentionMixer(Mixer):
    """A: attention whose queries and keys are convolved, normalised and rotated."""

    def __init__(self, config: BrahmaConfig) -> None:
        super().__init__(config)
        self.query_norm = RMSNorm(config.head_width, eps=config.norm_eps)
        self.key_norm = RMSNorm(config.head_width, eps=config.norm_eps)
        self.attend = CausalAttention()

    def forward(self, x: Tensor, places: Places, state: Joined | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        B, T, D = x.shape
        mixed = self.project(x, places, state).to(x.dtype).view(B, T, 3, -1, self.head_width)  # (B, T, 3, H, K)
        q, k, v = mixed.unbind(2)  # (B, T, H, K)
        assert places.rotation is not None, "attention needs the rotation of its positions"
        q = rotate(self.query_norm(q), places.rotation).transpose(1, 2)  # (B, H, T, K)
        k = rotate(self.key_norm(k), places.rotation).transpose(1, 2)  # (B, H, T, K)
        held = state["keys"] if state else None
        assert held is None or isinstance(held, KeyValue)
        y = self.attend(q, k, v.transpose(1, 2), mask=places.mask, state=held)  # (B, H, T, K)
        return self.output(y.transpose(1, 2).reshape(B, T, D))  # type: ignore[no-any-return]


MIXERS: dict[str, type[DeltaMixer] | type[AttentionMixer]] = {"D": DeltaMixer, "A": AttentionMixer}
"""The mixers by their letter in a pattern."""
