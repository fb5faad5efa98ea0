"""The numbers of a grug: bytes, a causal CNN front end, attention, and a second stream over groups of bytes.

A rebuilding of GrugV3 / ByteLM, causal at every position. Its blocks are those of Vaswani et al. 2017,
arXiv:1706.03762, with GELU and with the norms before or behind.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from hornbook.config.model import ModelConfig

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class GrugConfig(ModelConfig):
    """A byte model: embedding, optional convolutions, attention over bytes, optionally attention over groups."""

    arch: Literal["grug"] = "grug"

    embedding_width: NonNegativeInt = 0
    """Width of a token's vector; 0 takes the width."""

    cnn_channels: tuple[PositiveInt, ...] = ()
    """Output channels of each convolution of the front end; empty leaves the front end out."""

    cnn_kernels: tuple[PositiveInt, ...] = ()
    """Tokens each of these convolutions sees, its own included and none later; as many numbers as cnn_channels."""

    cnn_activation: Literal["gelu", "relu"] = "gelu"
    """What follows each convolution."""

    cnn_norm: bool = True
    """LayerNorm behind each activation; the convolutions then have no biases."""

    cnn_dropout: Share = 0.0
    """Share of activations dropped in training behind each convolution."""

    width: PositiveInt = 256
    """Width D of the byte stream. Where the front end ends in another width, a matrix leads from one to the other."""

    num_layers: PositiveInt = 4
    """Blocks of attention and feed-forward over the bytes."""

    num_heads: PositiveInt = 4
    """Attention heads; they divide the width, and group_width."""

    positions: Literal["learned", "sinusoidal"] = "sinusoidal"
    """What is added to say where a byte stands; sinusoidal has no parameters."""

    norm: Literal["pre", "post"] = "pre"
    """Norms before attention and feed-forward, or behind what they are added to (then warm up)."""

    feed_forward: Literal["gelu", "curved"] = "gelu"
    """gelu, or one whose activations are scaled by 1 / (1 + curvature * energy), the energy their half mean square."""

    feed_forward_multiple: PositiveInt = 4
    """Inner width of the feed-forward, in widths."""

    curvature: float = -1.2
    """Of the curved feed-forward: below 0 strong activations are strengthened, above 0 held back."""

    dropout: Share = 0.0
    """Share of activations dropped in training, in attention and after attention and feed-forward."""

    embedding_dropout: Share = 0.0
    """Share dropped in training where positions were added."""

    output_dropout: Share = 0.0
    """Share dropped in training before the head."""

    streams: Literal["one", "two"] = "one"
    """two adds a stream over groups of bytes: each byte also reads the last group that is complete."""

    group_size: PositiveInt = 4
    """Two streams: bytes in a group."""

    group_width: NonNegativeInt = 0
    """Two streams: width of the group stream; 0 takes the width."""

    num_group_layers: PositiveInt = 4
    """Two streams: blocks over the groups."""

    norm_eps: PositiveFloat = 1e-5
    """Added to the variance before its root."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "GrugConfig":
        if len(self.cnn_channels) != len(self.cnn_kernels):
            raise ValueError(
                f"model.cnn_channels has {len(self.cnn_channels)} numbers and model.cnn_kernels "
                f"{len(self.cnn_kernels)}; give one of each for every convolution"
            )
        for name, width in {"width": self.width, "group_width": self.groups_width or self.width}.items():
            if width % self.num_heads:
                raise ValueError(f"model.num_heads = {self.num_heads} does not divide model.{name} = {width}")
        return self

    @property
    def input_width(self) -> int:
        """Width of a token's vector."""
        return self.embedding_width or self.width

    @property
    def front_width(self) -> int:
        """Width of what comes out of the front end, or of the embedding without one."""
        return self.cnn_channels[-1] if self.cnn_channels else self.input_width

    @property
    def groups_width(self) -> int:
        """Width of the group stream, 0 without one."""
        return (self.group_width or self.width) if self.streams == "two" else 0

    @property
    def most_groups(self) -> int:
        """Positions of the group stream: its start and every group of a full context; 0 without one."""
        return 1 + self.context // self.group_size if self.streams == "two" else 0

    def parameters(self) -> dict[str, int]:
        D, A, N, M = self.width, self.groups_width, self.num_layers, self._group_layers
        learned = self.positions == "learned"
        inputs, outputs = self._convolution_widths()
        convolutions = sum(
            i * o * kernel + (2 * o if self.cnn_norm else o)
            for i, o, kernel in zip(inputs, outputs, self.cnn_kernels, strict=True)
        )
        feedforward_biases = (self.feed_forward_multiple + 1) * (N * D + M * A)
        return {
            "embedding": self.vocab_size * self.input_width,
            "front end": convolutions,
            "projection": self._projection() + (D if self._projection() else 0),
            "groups": self.group_size * self.front_width * A + 2 * A,
            "positions": self.context * D + self.most_groups * A if learned else 0,
            "attention": 4 * (N * D * D + M * A * A) + 4 * (N * D + M * A),
            "feed-forward": 2 * self.feed_forward_multiple * (N * D * D + M * A * A) + feedforward_biases,
            "norms": 4 * (N * D + M * A) + 2 * (D + A),
            "head": self.vocab_size * (D + A),
        }

    def matmul_parameters(self) -> int:
        # A group's matrices multiply once in group_size tokens.
        D, A, layer = self.width, self.groups_width, 4 + 2 * self.feed_forward_multiple
        groups = self.group_size * self.front_width * A + layer * self._group_layers * A * A
        return (
            sum(self._convolution_matrices())
            + self._projection()
            + layer * self.num_layers * D * D
            + groups // self.group_size
            + self.vocab_size * (D + A)
        )

    def training_flops_per_token(self) -> int:
        groups = self._group_layers * self.groups_width * self.most_groups // self.group_size
        return 6 * (self.matmul_parameters() + self.num_layers * self.width * self.context + groups)

    def state_bytes_per_token(self, value_bytes: int) -> int:
        groups = -(-self._group_layers * self.groups_width // self.group_size)
        return 2 * value_bytes * (self.num_layers * self.width + groups)

    def state_bytes_per_row(self, value_bytes: int) -> int:
        inputs, _ = self._convolution_widths()
        tails = sum((kernel - 1) * i for kernel, i in zip(self.cnn_kernels, inputs, strict=True))
        A, waiting = self.groups_width, (self.group_size - 1) * self.front_width if self.groups_width else 0
        return value_bytes * (tails + waiting + A + 2 * self._group_layers * A)

    def activation_bytes_per_token(self, value_bytes: int, *, scores: bool) -> int:
        # As in gpt. The front end keeps what its convolutions, activations and norms read; of the group stream,
        # whose blocks run once a group, everything is divided by the size of one.
        D, A, size = self.width, self.groups_width, self.group_size
        total = self._front_bytes(value_bytes)
        total += value_bytes * self.front_width if self._projection() else 0
        total += 4 * D if self.embedding_dropout else 0
        total += self.num_layers * self._block_bytes(D, self.context, value_bytes, scores=scores)
        if A:
            groups = self._group_layers * self._block_bytes(A, self.most_groups, value_bytes, scores=scores)
            groups += 4 * A if self.embedding_dropout else 0
            total += groups // size + value_bytes * self.front_width
        return total + (D + A) * (4 + value_bytes * (2 if self.output_dropout else 1))

    def _front_bytes(self, value_bytes: int) -> int:
        """Bytes the front end keeps of a token; the padding before the first is left out."""
        inputs, outputs = self._convolution_widths()
        # The norm reads what relu gives, and relu keeps it as well: in float32 that is one tensor.
        shared = self.cnn_activation == "relu" and value_bytes == 4
        norms = 4 if self.cnn_norm and not shared else 0
        dropped = value_bytes if self.cnn_dropout else 0
        return sum(inputs) * value_bytes + sum(outputs) * (value_bytes + norms + dropped)

    def _block_bytes(self, width: int, length: int, value_bytes: int, *, scores: bool) -> int:
        """Bytes a block of `width` keeps of one of `length` tokens."""
        dropout = self.dropout > 0
        weights = self.num_heads * length * (3 if dropout else 1 if scores else 0)
        weight_bytes = value_bytes if scores else 4  # torch's own way of dropping weights keeps them in float32
        products = 6 * width + 2 * self.feed_forward_multiple * width + (2 * width if dropout else 0)
        return 4 * 2 * width + value_bytes * products + weight_bytes * weights

    @property
    def _group_layers(self) -> int:
        return self.num_group_layers if self.streams == "two" else 0

    def _projection(self) -> int:
        """Count the weights between the front end and the byte stream, which need none where the widths agree."""
        return 0 if self.front_width == self.width else self.front_width * self.width

    def _convolution_widths(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """List the channels every convolution reads, and those it writes."""
        return (self.input_width, *self.cnn_channels)[: len(self.cnn_channels)], self.cnn_channels

    def _convolution_matrices(self) -> list[int]:
        inputs, outputs = self._convolution_widths()
        return [i * o * kernel for i, o, kernel in zip(inputs, outputs, self.cnn_kernels, strict=True)]
