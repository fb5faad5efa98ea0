"""Where a token stands, as a vector added to what it is: learned, or of sines."""

import torch
from torch import Tensor, nn


class LearnedPositions(nn.Module):
    """A vector a position, learnt like an embedding: Radford et al. 2018, section 4.1.

    Args:
        context: positions there are.
        width: of their vectors.
    """

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(context, width))

    def forward(self, positions: slice | Tensor) -> Tensor:
        """Return (T, D) for a slice of positions shared by all rows, (B, T, D) for (B, T) int64, one each."""
        if isinstance(positions, slice):
            return self.weight[positions]
        return nn.functional.embedding(positions, self.weight)


class SinusoidalPositions(nn.Module):
    """Sines and cosines of the position at rates from 1 down to 1 / BASE; nothing is learnt and nothing is saved.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.5: number 2i is sin(p / BASE^(2i/D)), number 2i + 1 the cosine.
    A larger context needs no new weights: the table is made from the settings.

    Args:
        context: positions in the table.
        width: of their vectors.
    """

    BASE = 10_000.0

    table: Tensor

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        # float64: at position 100,000 a float32 angle is off by 0.004 rad.
        rates = self.BASE ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)  # (D/2), rounded up
        angles = torch.outer(torch.arange(context, dtype=torch.float64), rates)
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]  # (context, D)
        self.register_buffer("table", table.float().contiguous(), persistent=False)

    def forward(self, positions: slice | Tensor) -> Tensor:
        """Return (T, D) for a slice of positions shared by all rows, (B, T, D) for (B, T) int64, one each."""
        return self.table[positions]


POSITIONS: dict[str, type[LearnedPositions] | type[SinusoidalPositions]] = {
    "learned": LearnedPositions,
    "sinusoidal": SinusoidalPositions,
}
"""The kinds of added positions, by name."""
