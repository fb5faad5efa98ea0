"""The numbers of a recurrent network: a stack of plain, GRU or LSTM cells between embedding and head.

Elman 1990, "Finding structure in time"; Cho et al. 2014, arXiv:1406.1078 (GRU); Hochreiter and Schmidhuber 1997, "Long
short-term memory", with the forget gate of Gers et al. 2000.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from hornbook.config.model import ModelConfig

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
"""Matrices of a cell's width that each of its inputs, the token and the memory, is multiplied by."""

MEMORIES = {"rnn": 1, "gru": 1, "lstm": 2}
"""Vectors a cell carries from token to token."""

KEPT = {"rnn": (0, 1), "gru": (1, 6), "lstm": (7, 8)}
"""Vectors of its width that torch's kernels keep of a token for the backward pass, besides what the cell read: in
float32, and in the format of the matrix products. An LSTM's are oneDNN's workspace."""


PRODUCT_SPEEDS = {"rnn": 0.45, "gru": 0.5, "lstm": 1.0}
"""Steps wait for each other and their products are small. Measured at width 256 on one core of an AMD EPYC in bf16:
65, 71 and 166 of the 208 GFLOP/s that large products reach; an LSTM's run in oneDNN."""


class RNNConfig(ModelConfig):
    """A recurrent network. Its memory is as large after a million tokens as after one."""

    arch: Literal["rnn"] = "rnn"

    cell: Literal["rnn", "gru", "lstm"] = "gru"
    """rnn (tanh), gru or lstm."""

    width: PositiveInt = 256
    """Width D of what a cell remembers and of what the head reads."""

    num_layers: PositiveInt = 2
    """Cells on top of each other, each reading what the one below has written."""

    embedding_width: NonNegativeInt = 0
    """Width of a token's vector; 0 takes the width."""

    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of activations dropped in training, after the embedding and after every cell; never within the memory."""

    tied: bool = True
    """Use the token embedding as the output head."""

    @model_validator(mode="after")
    def _a_tied_head_reads_the_width(self) -> "RNNConfig":
        if self.tied and self.input_width != self.width:
            raise ValueError(
                f"model.tied needs model.embedding_width = {self.input_width} to be model.width = {self.width}; "
                "set model.tied=false, or leave the embedding's width out"
            )
        return self

    @property
    def input_width(self) -> int:
        """Width of a token's vector."""
        return self.embedding_width or self.width

    @property
    def position_limit(self) -> int | None:
        return None

    def parameters(self) -> dict[str, int]:
        return {
            "embedding": self.vocab_size * self.input_width,
            "recurrence": self._matrices(),
            "biases": 2 * self.num_layers * GATES[self.cell] * self.width,
            "head": 0 if self.tied else self.vocab_size * self.width,
        }

    def matmul_parameters(self) -> int:
        return self._matrices() + self.vocab_size * self.width

    def training_flops_per_token(self) -> int:
        return 6 * self.matmul_parameters()

    @property
    def product_speed(self) -> float:
        return PRODUCT_SPEEDS[self.cell]

    def state_bytes_per_token(self, value_bytes: int) -> int:
        return 0

    def state_bytes_per_row(self, value_bytes: int) -> int:
        return self.num_layers * MEMORIES[self.cell] * self.width * value_bytes

    def activation_bytes_per_token(self, value_bytes: int, *, scores: bool) -> int:
        # A cell keeps what it read and KEPT; the head what it reads. A dropout keeps its mask as numbers; a GRU writes
        # float32 whatever its products are.
        D, N, E = self.width, self.num_layers, self.input_width
        wide, narrow = KEPT[self.cell]
        read = value_bytes * (E + (N - 1) * D)
        cells = N * D * (4 * wide + value_bytes * narrow)
        masks = 4 * E + N * D * (4 if self.cell == "gru" else value_bytes) if self.dropout else 0
        return read + cells + value_bytes * MEMORIES[self.cell] * D + masks

    def _matrices(self) -> int:
        """Count the weights of all cells but their biases; the first reads embeddings."""
        inputs = self.input_width + (self.num_layers - 1) * self.width
        return GATES[self.cell] * self.width * (inputs + self.num_layers * self.width)
