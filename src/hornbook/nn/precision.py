"""In which dtype matrix products run here.

Weights, the residual stream and sums stay in float32; autocast takes the products to a narrower dtype. Autocast
alone converts each product's input by itself, so that three projections of one tensor convert it three times, and
again three times on the way back. Modules ask `compute_dtype` and convert once.
"""

import torch
from torch import Tensor


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype a matrix product of `x` runs in: autocast's where it is on, else that of `x`."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype
