"""How weights start: named rules, each with its source, drawing from a generator of their own.

Layers are made empty by `linear` and `embedding`, so that building a model neither draws from torch's global
generator nor fills every matrix twice; the model's constructor then fills each exactly once.
"""

import math

import torch
from torch import Tensor, nn

LLAMA_GAIN = 0.7
"""Standard deviation of a linear layer's output for inputs of variance 1 (`fan_in`)."""

UNTIED_EMBEDDING_STD = 0.2
"""For an embedding that is not also the head. Validation loss on tiny shakespeare after 300 steps with Muon (4 layers
of 128, zero residual projections, two seeds, November 2026): std 0.02 gives 1.905 and 1.910, 0.2 gives 1.884 and
1.880, 1.0 gives 1.887 and 1.889. Tied, 0.02 and 0.05 differ by less than the seeds do."""

GPT2_STD = 0.02
"""Radford et al. 2019; section 2.3 refers to GPT-1, Radford et al. 2018, section 4.1: N(0, 0.02)."""


def linear(fan_in: int, fan_out: int, *, bias: bool = False) -> nn.Linear:
    """Make a linear layer, not yet filled: weight (fan_out, fan_in)."""
    return nn.Linear(fan_in, fan_out, bias=bias, device="meta").to_empty(device="cpu")


def embedding(rows: int, width: int) -> nn.Embedding:
    """Make a table of `rows` vectors, not yet filled."""
    return nn.Embedding(rows, width, device="meta").to_empty(device="cpu")


@torch.no_grad()
def normal(weight: Tensor, *, std: float, generator: torch.Generator) -> None:
    """Draw from a normal distribution around zero."""
    weight.normal_(0.0, std, generator=generator)


def tied_embedding_std(width: int, *, residual_rule: str) -> float:
    """Return the standard deviation of an embedding that is also the head: GPT2_STD, or less.

    While blocks write nothing ("zero"), the head meets the very vector it holds: the logit of the token just read is
    std * width, which at width 768 and 0.02 makes the first loss 15.3 nats instead of ln 1000 = 6.9. There it is
    held at 3.
    """
    return min(GPT2_STD, 3.0 / width) if residual_rule == "zero" else GPT2_STD


@torch.no_grad()
def fan_in(weight: Tensor, *, generator: torch.Generator) -> None:
    """Draw with std LLAMA_GAIN / sqrt(fan_in), so that a layer's output keeps its size at any width.

    LeCun et al. 1998, "Efficient BackProp", section 4.6 (there with gain 1).
    """
    normal(weight, std=LLAMA_GAIN / math.sqrt(weight.shape[1]), generator=generator)


@torch.no_grad()
def residual(weight: Tensor, *, rule: str, num_layers: int) -> None:
    """Shrink a filled projection that writes to the residual stream.

    "scaled" divides by sqrt(2 num_layers), the number of writes, so that their sum keeps its size at any depth
    (Radford et al. 2019, section 2.3). "zero" starts every block as the identity (Zhang et al. 2019,
    arXiv:1901.09321, section 3.2; Bachlechner et al. 2020, arXiv:2003.04887).
    """
    weight.mul_({"scaled": (2 * num_layers) ** -0.5, "zero": 0.0}[rule])


@torch.no_grad()
def near_identity(kernel: Tensor, *, std: float, generator: torch.Generator) -> None:
    """Let a causal depthwise kernel, (D, 1, W), pass its input through, with noise of `std` on every tap."""
    normal(kernel, std=std, generator=generator)
    kernel[..., -1] += 1
