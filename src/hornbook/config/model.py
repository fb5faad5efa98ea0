"""What every architecture's config shares: its size, its parameter arithmetic, its cost a token."""

from abc import abstractmethod
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt


class Section(BaseModel):
    """A frozen group of settings; unknown names are errors; field docstrings are its documentation."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        allow_inf_nan=False,  # a saved config is JSON, which has neither
    )


class ModelConfig(Section):
    """An architecture's numbers. Sizes are instances, never subclasses.

    Subclasses add `arch: Literal["name"] = "name"` and answer the questions below by arithmetic; a law
    checks the arithmetic against the parameters of the built model.
    """

    arch: str
    vocab_size: NonNegativeInt = 0
    """Number of tokens the model knows; 0 takes it from the tokenizer."""

    context: PositiveInt = 256
    """Length T of a training row; also the most tokens the model looks at, unless its memory has no limit (rnn)."""

    @abstractmethod
    def parameters(self) -> dict[str, int]:
        """Count the parameters by part, in reading order ("embedding", "attention", ...)."""

    def num_parameters(self) -> int:
        """Count all parameters; tied weights count once."""
        return sum(self.parameters().values())

    @abstractmethod
    def matmul_parameters(self) -> int:
        """Count the parameters that multiply every token: all but lookups, norms and biases, with the head."""

    @abstractmethod
    def training_flops_per_token(self) -> int:
        """Floating-point operations a trained token costs: forward and backward.

        6 N for the matrices plus 6 L D T for attention counted causally (half of 12 L D T; Kaplan et al.
        2020, arXiv:2001.08361, table 1, with the causal half left out).
        """

    @property
    def product_speed(self) -> float:
        """Speed of this architecture's products, as a share of those of a transformer of the same size."""
        return 1.0

    @abstractmethod
    def state_bytes_per_token(self, value_bytes: int) -> int:
        """Bytes of decoding state one more token of one row adds, with `value_bytes` a number."""

    def state_bytes_per_row(self, value_bytes: int) -> int:
        """Bytes of decoding state a row holds whatever its length: recurrences and convolutions have some."""
        return 0

    @property
    def position_limit(self) -> int | None:
        """Most tokens one decoding state takes: the context, or none where nothing in the model counts positions."""
        return self.context

    @abstractmethod
    def activation_bytes_per_token(self, value_bytes: int, *, scores: bool) -> int:
        """Bytes kept for the backward pass of one token, without logits.

        Args:
            value_bytes: of a number in matrix products; what norms keep is float32 whatever it is.
            scores: whether attention keeps its weights, as precision.attention = matmul does.
        """

    def with_vocabulary(self, vocab_size: int) -> "ModelConfig":
        """Return this config with the tokenizer's vocabulary size filled in."""
        update: dict[str, Any] = {"vocab_size": vocab_size}
        return self.model_copy(update=update)
