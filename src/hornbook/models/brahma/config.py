"""The numbers of Brahma: a hybrid of gated delta rules and attention, alternating by a pattern of letters.

Gated delta rule: Yang et al. 2024, arXiv:2412.06464; strengths up to 2: Grazzi et al. 2024, arXiv:2411.12537.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from hornbook.config.model import ModelConfig

FLOAT_BYTES = 4


class BrahmaConfig(ModelConfig):
    """A hybrid of gated delta rules, whose memory does not grow, and softmax attention."""

    arch: Literal["brahma"] = "brahma"

    width: PositiveInt = 256
    """Width D of the residual stream."""

    num_layers: PositiveInt = 4
    """Blocks of a mixer and a feed-forward."""

    num_heads: PositiveInt = 4
    """Heads of every mixer; the head width is width / num_heads and must be even."""

    pattern: Annotated[str, Field(pattern="^[DA]+$")] = "DADA"
    """The mixer of each block, D for a gated delta rule and A for attention, repeated to num_layers."""

    feedforward_width: NonNegativeInt = 0
    """Inner width of the feed-forward; 0 takes 8/3 of the width, up to 32s."""

    conv_width: Annotated[int, Field(ge=2)] = 4
    """Tokens that the short convolution of queries, keys and values looks at, its own included."""

    chunk_size: PositiveInt = 32
    """Most tokens the delta rule computes at once; changes the speed, not the result."""

    rope_base: PositiveFloat = 10_000.0
    """Base of the rotary angles inside A (Su et al. 2021, arXiv:2104.09864)."""

    norm_eps: PositiveFloat = 1e-6
    """Added to a mean square, or to the square of a key's length, before its root."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "BrahmaConfig":
        if self.width % self.num_heads or (self.width // self.num_heads) % 2:
            raise ValueError(
                f"model.width = {self.width} over model.num_heads = {self.num_heads} gives no even head width"
            )
        return self

    @property
    def head_width(self) -> int:
        """Width K of one head."""
        return self.width // self.num_heads

    @property
    def inner_width(self) -> int:
        """Inner width F of the feed-forward."""
        return self.feedforward_width or -(-int(self.width * 8 / 3 + 0.5) // 32) * 32

    @property
    def mixers(self) -> str:
        """The letter of every block, first to last."""
        return (self.pattern * self.num_layers)[: self.num_layers]

    def parameters(self) -> dict[str, int]:
        D, H, N = self.width, self.num_heads, self.num_layers
        delta, attention = self._mixer_counts()
        return {
            "embedding": self.vocab_size * D,
            "delta rule": delta * self._delta_matrices(),
            "decay and strength": delta * 3 * H,
            "attention": attention * 4 * D * D,
            "short convolutions": N * 3 * D * self.conv_width,
            "feed-forward": N * 3 * D * self.inner_width,
            "norms": N * 2 * D + delta * self.head_width + attention * 2 * self.head_width + D,
        }

    def matmul_parameters(self) -> int:
        parts = self.parameters()
        return sum(parts[name] for name in ("embedding", "delta rule", "attention", "feed-forward"))

    def training_flops_per_token(self) -> int:
        # A chunk of C tokens: key by key, query by key, the solve of two right-hand sides and the read of what was
        # written, C each and half of it masked; key by memory, query by memory and the new memory, 2 K each.
        delta, attention = self._mixer_counts()
        rule = self.width * (5 * min(self.chunk_size, self.context) + 6 * self.head_width)
        mixing = 6 * attention * self.width * self.context + 3 * delta * rule
        return 6 * self.matmul_parameters() + mixing

    @property
    def position_limit(self) -> int | None:
        return self.context if "A" in self.mixers else None

    def state_bytes_per_token(self, value_bytes: int) -> int:
        return 2 * self._mixer_counts()[1] * self.width * value_bytes

    def state_bytes_per_row(self, value_bytes: int) -> int:
        tails = self.num_layers * (self.conv_width - 1) * 3 * self.width * value_bytes
        return tails + self._mixer_counts()[0] * self.width * self.head_width * FLOAT_BYTES

    def activation_bytes_per_token(self, value_bytes: int, *, scores: bool) -> int:
        # What norms, silu and the rule keep is float32; a convolution and a product keep what they read.
        D, H, T = self.width, self.num_heads, self.context
        delta, attention = self._mixer_counts()
        both = 4 * 2 * D + value_bytes * (6 * D + 4 * self.inner_width)
        # Queries, keys and values lie side by side. In float32 the norms keep all three, and "matmul" a copy of the
        # values; in a narrow format the norms keep wide copies, and "sdpa" all three for the sake of the values.
        wide = value_bytes == FLOAT_BYTES
        beside = (D if scores else 0) if wide else (0 if scores else 2 * D)
        attended = 4 * 2 * D + value_bytes * (3 * D + beside + (H * T if scores else 0))
        # Three matrices of C x C a head and chunk, and one memory of K x K.
        N = -(-T // self.chunk_size)
        C = -(-T // N)
        chunks = N * C * (5 * D + H * (3 * C + 2)) + (N + 1) * D * self.head_width
        ruled = 4 * (6 * D + 8 * H + chunks // T)
        return self.num_layers * both + attention * attended + delta * ruled + 4 * D + value_bytes * D

    def _mixer_counts(self) -> tuple[int, int]:
        """Count the blocks of each kind, D and A."""
        return self.mixers.count("D"), self.mixers.count("A")

    def _delta_matrices(self) -> int:
        return 4 * self.width * self.width + 2 * self.num_heads * self.width


SIZES = {
    "1m": BrahmaConfig(vocab_size=512, context=256, width=128, num_layers=4, num_heads=4, feedforward_width=448),
    "water": BrahmaConfig(vocab_size=12_000, context=256, width=192, num_layers=6, num_heads=6),
    "125m": BrahmaConfig(vocab_size=50_257, context=1_024, width=768, num_layers=12, num_heads=12),
}
"""The sizes by name: 1,025,368, 4,981,782 and 123,773,784 parameters with these vocabularies."""
