"""Normalisation over the last axis; the result is in the dtype of the matrix product that follows."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.nn.precision import compute_dtype


class RMSNorm(nn.Module):
    """Divide by the root mean square over the last axis, then scale: (..., D) -> (..., D).

    Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4. The mean is taken in float32 whatever the input, as Llama
    does; the paper does not say. `eps` is added to the mean square.
    """

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        dtype = compute_dtype(x)
        return F.rms_norm(x.float(), self.weight.shape, self.weight, self.eps).to(dtype)


class LayerNorm(nn.Module):
    """Centre, divide by the standard deviation over the last axis, scale and shift: (..., D) -> (..., D).

    Ba et al. 2016, arXiv:1607.06450; in float32 whatever the input. Without `bias` nothing is shifted.
    """

    def __init__(self, width: int, *, eps: float, bias: bool) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        dtype = compute_dtype(x)
        return F.layer_norm(x.float(), self.weight.shape, self.weight, self.bias, self.eps).to(dtype)
