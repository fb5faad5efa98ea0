"""The feed-forward half of a block: each token by itself, (..., D) -> (..., D)."""

import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.nn.initialise import linear


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)): Shazeer 2020, arXiv:2002.05202, eq. 6, without biases."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.gate = linear(width, inner_width)
        self.up = linear(width, inner_width)
        self.down = linear(inner_width, width)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = F.silu(self.gate(x)) * self.up(x)  # (..., F)
        return self.down(inner)  # type: ignore[no-any-return]


class ReLU2(nn.Module):
    """down(relu(up(x))^2): So et al. 2021, arXiv:2109.08668, without biases."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.up = linear(width, inner_width)
        self.down = linear(inner_width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)).square())  # type: ignore[no-any-return]


class GELU(nn.Module):
    """down(gelu(up(x))): Hendrycks and Gimpel 2016, arXiv:1606.08415, in the tanh form that GPT-2 has."""

    def __init__(self, width: int, inner_width: int, *, bias: bool) -> None:
        super().__init__()
        self.up = linear(width, inner_width, bias=bias)
        self.down = linear(inner_width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x), approximate="tanh"))  # type: ignore[no-any-return]
