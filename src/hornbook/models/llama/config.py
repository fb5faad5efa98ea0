"""The numbers of a Llama-like transformer: RMSNorm, rotary positions, grouped queries, gated feed-forward.

Touvron et al. 2023, arXiv:2302.13971; grouped queries: Ainslie et al. 2023, arXiv:2305.13245. No biases anywhere.
"""

from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from hornbook.config.model import ModelConfig


class LlamaConfig(ModelConfig):
    """A Llama-like transformer."""

    arch: Literal["llama"] = "llama"

    width: PositiveInt = 256
    """Width D of the residual stream."""

    num_layers: PositiveInt = 4
    """Blocks of attention and feed-forward."""

    num_heads: PositiveInt = 4
    """Query heads; the head width is width / num_heads and must be even."""

    num_kv_heads: NonNegativeInt = 0
    """Key and value heads, a divisor of num_heads; 0 takes num_heads."""

    feedforward_width: NonNegativeInt = 0
    """Inner width of the feed-forward; 0 takes 8/3 of the width (swiglu) or 4 times it (relu2), up to 32s."""

    activation: Literal["swiglu", "relu2"] = "swiglu"
    """swiglu (Shazeer 2020, arXiv:2002.05202) or squared ReLU (So et al. 2021, arXiv:2109.08668)."""

    qk_norm: bool = False
    """Normalise queries and keys by head before rotating them (Henry et al. 2020, arXiv:2010.04245)."""

    tied: bool = True
    """Use the token embedding as the output head."""

    residual_init: Literal["scaled", "zero"] = "scaled"
    """Start of the two projections that write to the residual stream: scaled by 1/sqrt(2 num_layers), or zero."""

    rope_base: PositiveFloat = 10_000.0
    """Base of the rotary angles (Su et al. 2021, arXiv:2104.09864)."""

    norm_eps: PositiveFloat = 1e-5
    """Added to the mean square before its root."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "LlamaConfig":
        if self.width % self.num_heads or (self.width // self.num_heads) % 2:
            raise ValueError(
                f"model.width = {self.width} over model.num_heads = {self.num_heads} gives no even head width"
            )
        if self.num_heads % self.kv_heads:
            raise ValueError(
                f"model.num_kv_heads = {self.kv_heads} does not divide model.num_heads = {self.num_heads}"
            )
        return self

    @property
    def head_width(self) -> int:
        """Width K of one head."""
        return self.width // self.num_heads

    @property
    def kv_heads(self) -> int:
        """Key and value heads G."""
        return self.num_kv_heads or self.num_heads

    @property
    def inner_width(self) -> int:
        """Inner width F of the feed-forward."""
        if self.feedforward_width:
            return self.feedforward_width
        exact = self.width * 8 / 3 if self.activation == "swiglu" else self.width * 4
        return -(-int(exact + 0.5) // 32) * 32

    def parameters(self) -> dict[str, int]:
        norms = self.num_layers * (2 * self.width + (2 * self.head_width if self.qk_norm else 0)) + self.width
        return {
            "embedding": self.vocab_size * self.width,
            "attention": self.num_layers * self._attention_matrices(),
            "feed-forward": self.num_layers * self._feedforward_matrices(),
            "norms": norms,
            "head": 0 if self.tied else self.vocab_size * self.width,
        }

    def matmul_parameters(self) -> int:
        layer = self._attention_matrices() + self._feedforward_matrices()
        return self.num_layers * layer + self.vocab_size * self.width

    def training_flops_per_token(self) -> int:
        return 6 * self.matmul_parameters() + 6 * self.num_layers * self.width * self.context

    def state_bytes_per_token(self, value_bytes: int) -> int:
        return 2 * self.num_layers * self.kv_heads * self.head_width * value_bytes

    def activation_bytes_per_token(self, value_bytes: int, *, scores: bool) -> int:
        # A norm keeps what it read, in float32; a product what it read; relu2 and swiglu their insides.
        D, kv = self.width, self.kv_heads * self.head_width
        norms = 2 * D + (D + kv if self.qk_norm else 0)
        products = 4 * D + 2 * kv + (4 if self.activation == "swiglu" else 2) * self.inner_width
        weights = self.num_heads * self.context if scores else 0
        layer = 4 * norms + value_bytes * (products + weights)
        return self.num_layers * layer + 4 * D + value_bytes * D

    def _attention_matrices(self) -> int:
        return 2 * self.width * self.width + 2 * self.width * self.kv_heads * self.head_width

    def _feedforward_matrices(self) -> int:
        return (3 if self.activation == "swiglu" else 2) * self.width * self.inner_width


SIZES = {
    "nano": LlamaConfig(
        vocab_size=50_304,
        context=1_024,
        width=768,
        num_layers=12,
        num_heads=12,
        num_kv_heads=4,
        feedforward_width=2_048,
    ),
    "mini": LlamaConfig(
        vocab_size=50_304,
        context=1_024,
        width=1_024,
        num_layers=24,
        num_heads=16,
        num_kv_heads=4,
        feedforward_width=2_816,
    ),
}
"""The sizes by name: nano and mini are Forge-1's, 114,150,144 and 322,094,080 parameters with this vocabulary."""
