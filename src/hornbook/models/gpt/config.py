"""The numbers of a GPT-2-like transformer: LayerNorm, learned positions, GELU, biases, dropout.

Radford et al. 2019, "Language models are unsupervised multitask learners".
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from hornbook.config.model import ModelConfig


class GPTConfig(ModelConfig):
    """A GPT-2-like transformer."""

    arch: Literal["gpt"] = "gpt"

    width: PositiveInt = 256
    """Width D of the residual stream; the feed-forward is four times as wide."""

    num_layers: PositiveInt = 4
    """Blocks of attention and feed-forward."""

    num_heads: PositiveInt = 4
    """Attention heads; they divide the width."""

    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of activations dropped in training, after the embedding, attention and feed-forward."""

    bias: bool = True
    """Biases in linear layers and norms, as GPT-2 has."""

    tied: bool = True
    """Use the token embedding as the output head."""

    norm_eps: PositiveFloat = 1e-5
    """Added to the variance before its root."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "GPTConfig":
        if self.width % self.num_heads:
            raise ValueError(f"model.num_heads = {self.num_heads} does not divide model.width = {self.width}")
        return self

    def parameters(self) -> dict[str, int]:
        D, N = self.width, self.num_layers
        norm = 2 * D if self.bias else D
        return {
            "embedding": self.vocab_size * D,
            "positions": self.context * D,
            "attention": N * (4 * D * D + (4 * D if self.bias else 0)),
            "feed-forward": N * (8 * D * D + (5 * D if self.bias else 0)),
            "norms": (2 * N + 1) * norm,
            "head": 0 if self.tied else self.vocab_size * D,
        }

    def matmul_parameters(self) -> int:
        return 12 * self.num_layers * self.width**2 + self.vocab_size * self.width

    def training_flops_per_token(self) -> int:
        return 6 * self.matmul_parameters() + 6 * self.num_layers * self.width * self.context

    def state_bytes_per_token(self, value_bytes: int) -> int:
        return 2 * self.num_layers * self.width * value_bytes

    def activation_bytes_per_token(self, value_bytes: int, *, scores: bool) -> int:
        # A norm keeps what it read, a product what it read, GELU what it read; dropout keeps its mask. Attention with
        # dropout keeps its weights whichever way it is computed, and besides them the mask and what was dropped.
        D, dropout = self.width, self.dropout > 0
        weights = self.num_heads * self.context * (3 if dropout else 1 if scores else 0)
        weight_bytes = value_bytes if scores else 4  # torch's own way of dropping weights keeps them in float32
        products = 6 * D + 8 * D + (2 * D if dropout else 0)
        layer = 4 * 2 * D + value_bytes * products + weight_bytes * weights
        return self.num_layers * layer + 4 * D + value_bytes * D * (2 if dropout else 1)
