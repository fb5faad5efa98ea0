"""Rotary position embedding: queries and keys are rotated by angles that grow with the position.

Su et al. 2021, arXiv:2104.09864, section 3.4. Which two numbers of a head form a pair is a convention: here
number i pairs with number i + K/2 (the "halves" of GPT-NeoX and of Hugging Face's Llama), not 2i with 2i + 1 as
in the paper and in Meta's own weights. The two differ by a fixed permutation of a projection's rows.
"""

import torch
from torch import Tensor, nn


class Rotary(nn.Module):
    """The angles of `context` positions for heads of width K, computed once; buffers, but never saved."""

    cos: Tensor
    sin: Tensor

    def __init__(self, head_width: int, context: int, *, base: float) -> None:
        super().__init__()
        # float64: at position 100,000 a float32 angle is off by 0.004 rad.
        rates = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)  # (K/2)
        angles = torch.outer(torch.arange(context, dtype=torch.float64), rates)  # (context, K/2)
        sin = angles.sin()
        self.register_buffer("cos", angles.cos().repeat(1, 2).float(), persistent=False)
        self.register_buffer("sin", torch.cat([-sin, sin], dim=1).float(), persistent=False)

    def forward(self, positions: slice | Tensor, *, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the cosines and signed sines to give to `rotate`.

        Args:
            positions: a slice of positions shared by all rows, or (B, T) int64, one each.
            dtype: of the queries and keys they will meet.

        Returns:
            Each (T, 1, K), or (B, T, 1, K) for positions of shape (B, T).
        """
        return self.cos[positions].to(dtype).unsqueeze(-2), self.sin[positions].to(dtype).unsqueeze(-2)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate every head of (B, T, H, K) by the angles of its position; the shape stays."""
    cos, sin = rotation
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)
