"""The layers of a grug: the front end of convolutions, and the block of attention and feed-forward."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.models.grug.config import GrugConfig
from hornbook.nn import initialise
from hornbook.nn.attention import CausalAttention
from hornbook.nn.convolution_full import CausalConvolution
from hornbook.nn.feedforward import GELU, CurvedGELU
from hornbook.nn.norms import LayerNorm
from hornbook.nn.precision import compute_dtype
from hornbook.nn.state import ConvTail, Joined, KeyValue

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}


class FrontEnd(nn.Module):
    """Convolutions one behind the other: (B, T, E) -> (B, T, X), X the channels of the last."""

    def __init__(self, config: GrugConfig) -> None:
        super().__init__()
        self.widths = (config.input_width, *config.cnn_channels)
        self.kernels = config.cnn_kernels
        self.layers = nn.ModuleList(
            FrontLayer(config, inputs, outputs, kernel)
            for inputs, outputs, kernel in zip(self.widths, self.widths[1:], self.kernels, strict=False)
        )

    def forward(self, x: Tensor, reach: Tensor | None, state: Joined | None) -> Tensor:
        """`reach` is that of `CausalConvolution`, `state` what `init_state` makes."""
        for number, layer in enumerate(self.layers):
            x = layer(x, reach, state[str(number)] if state else None)
        return x

    def init_state(self, rows: int, *, device: torch.device, dtype: torch.dtype) -> Joined:
        """Return the memory of every convolution, by its number."""
        shapes = [(rows, kernel - 1, inputs) for kernel, inputs in zip(self.kernels, self.widths, strict=False)]
        tails = [ConvTail.empty(shape, device=device, dtype=dtype) for shape in shapes]
        return Joined(**{str(number): tail for number, tail in enumerate(tails)})


class FrontLayer(nn.Module):
    """A convolution, an activation, a norm, dropout."""

    def __init__(self, config: GrugConfig, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.convolution = CausalConvolution(inputs, outputs, kernel, bias=not config.cnn_norm)
        self.activate = ACTIVATIONS[config.cnn_activation]
        self.norm = LayerNorm(outputs, eps=config.norm_eps, bias=True) if config.cnn_norm else nn.Identity()
        self.dropout = config.cnn_dropout

    def forward(self, x: Tensor, reach: Tensor | None, state: ConvTail | None) -> Tensor:
        """(B, T, I) -> (B, T, O)."""
        x = self.activate(self.convolution(x, reach=reach, state=state))
        return F.dropout(self.norm(x), self.dropout, self.training)


class Block(nn.Module):
    """Attention, then feed-forward, each added to what it read; the norms stand before them or behind the sums."""

    def __init__(self, config: GrugConfig, width: int, num_layers: int) -> None:
        super().__init__()
        self.pre, self.dropout, self.num_layers = config.norm == "pre", config.dropout, num_layers
        # Behind the sums a norm writes the residual stream itself, which stays in float32.
        inner_width = config.feed_forward_multiple * width
        self.attention_norm = LayerNorm(width, eps=config.norm_eps, bias=True, narrow=self.pre)
        self.attention = Attention(width, config.num_heads, dropout=config.dropout)
        self.feed_forward_norm = LayerNorm(width, eps=config.norm_eps, bias=True, narrow=self.pre)
        self.feed_forward = (
            GELU(width, inner_width, bias=True)
            if config.feed_forward == "gelu"
            else CurvedGELU(width, inner_width, bias=True, curvature=config.curvature)
        )

    def forward(self, x: Tensor, mask: Tensor | None, state: KeyValue | None) -> Tensor:
        """(B, T, D) -> (B, T, D); `state` is advanced in place."""
        if self.pre:
            x = x + self._drop(self.attention(self.attention_norm(x), mask, state))
            return x + self._drop(self.feed_forward(self.feed_forward_norm(x)))
        x = self.attention_norm(x + self._drop(self.attention(x, mask, state)))
        return self.feed_forward_norm(x + self._drop(self.feed_forward(x)))  # type: ignore[no-any-return]

    def shrink_residuals(self) -> None:
        """Shrink what a filled block adds to the stream; with norms behind there is no need."""
        if self.pre:
            for output in (self.attention.output, self.feed_forward.down):
                initialise.residual(output.weight, rule="scaled", num_layers=self.num_layers)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class Attention(nn.Module):
    """Multi-head attention with biases; positions are already in what it reads."""

    def __init__(self, width: int, num_heads: int, *, dropout: float) -> None:
        super().__init__()
        self.head_width = width // num_heads
        self.query = initialise.linear(width, width, bias=True)
        self.key = initialise.linear(width, width, bias=True)
        self.value = initialise.linear(width, width, bias=True)
        self.output = initialise.linear(width, width, bias=True)
        self.attend = CausalAttention(dropout=dropout)

    def forward(self, x: Tensor, mask: Tensor | None, state: KeyValue | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        B, T, D = x.shape
        x = x.to(compute_dtype(x))
        q, k, v = (
            project(x).view(B, T, -1, self.head_width).transpose(1, 2)  # (B, H, T, K)
            for project in (self.query, self.key, self.value)
        )
        y = self.attend(q, k, v, mask=mask, state=state)  # (B, H, T, K)
        return self.output(y.transpose(1, 2).reshape(B, T, D))  # type: ignore[no-any-return]
