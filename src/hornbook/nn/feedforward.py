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


class CurvedGELU(GELU):
    """down(gelu(h / (1 + curvature E))) with h = up(x) and the energy E = mean(h^2) / 2 of its token.

    After Aguilera et al. 2025, arXiv:2408.02326, "Explosive neural networks via higher-order interactions in curved
    statistical manifolds": a network's temperature follows its own energy. A negative curvature lets strong
    activations strengthen themselves, a positive one holds them back, 0 is `GELU`.

    The energy is a mean over the F units, so that it says the same at every width. A sum grows with F: at 4,096
    units and curvature -1.2 it makes the denominator about -1,200 at the start, which leaves a thousandth of h with
    its sign turned. Gradients do not pass through E, and the denominator is held at FLOOR, away from its pole at 0.
    """

    FLOOR = 0.25
    """Least denominator: activations are strengthened at most fourfold."""

    def __init__(self, width: int, inner_width: int, *, bias: bool, curvature: float) -> None:
        super().__init__(width, inner_width, bias=bias)
        self.curvature = curvature

    @staticmethod
    def energy(h: Tensor) -> Tensor:
        """Return half the mean square of each token's activations, (..., F) -> (..., 1) float32, any F alike."""
        return h.detach().float().square().mean(-1, keepdim=True) / 2

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(x)  # (..., F)
        gain = (1 + self.curvature * self.energy(h)).clamp_min(self.FLOOR).reciprocal()
        return self.down(F.gelu(h * gain.to(h.dtype), approximate="tanh"))  # type: ignore[no-any-return]
