"""The settings of each optimizer and each learning-rate schedule, and the unions their names choose from."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from hornbook.config.model import Section
from hornbook.config.sections import Fraction


class AdamWConfig(Section):
    """AdamW with weight decay on matrices only (Loshchilov and Hutter, arXiv:1711.05101)."""

    name: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.95)
    """Decay of the first and second moment."""
    eps: PositiveFloat = 1e-8
    """Added to the root of the second moment."""
    weight_decay: NonNegativeFloat = 0.1
    """Decoupled decay of matrices and embeddings; vectors never decay."""


class MuonConfig(Section):
    """Muon for the hidden matrices, AdamW for the rest (Jordan 2024, kellerjordan.github.io/posts/muon)."""

    name: Literal["muon"] = "muon"
    lr: PositiveFloat = 5e-3
    """Peak learning rate of the hidden matrices, on AdamW's scale (see training/optimizers/muon.py)."""
    adam_lr: PositiveFloat = 3e-3
    """Peak learning rate of embeddings, head, norms and biases."""
    momentum: Fraction = 0.95
    """Nesterov momentum of the matrices."""
    iterations: PositiveInt = 5
    """Newton-Schulz iterations of the orthogonalisation."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.95)
    """AdamW's betas."""
    eps: PositiveFloat = 1e-8
    """AdamW's epsilon."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled decay of the hidden matrices."""


OptimizerConfig = Annotated[AdamWConfig | MuonConfig, Field(discriminator="name")]


class _Warmup(Section):
    warmup_steps: NonNegativeInt = 0
    """Steps in which the rate rises from nothing to its peak."""


class ConstantScheduleConfig(_Warmup):
    """Warm-up, then the peak rate."""

    name: Literal["constant"] = "constant"


class LinearScheduleConfig(_Warmup):
    """Warm-up, then straight down."""

    name: Literal["linear"] = "linear"
    final_fraction: Fraction = 0.0
    """Where the fall ends, just after the last step, as a share of the peak."""


class CosineScheduleConfig(_Warmup):
    """Warm-up, then half a cosine down (Loshchilov and Hutter, arXiv:1608.03983)."""

    name: Literal["cosine"] = "cosine"
    final_fraction: Fraction = 0.1
    """Where the fall ends, just after the last step, as a share of the peak."""


class WSDScheduleConfig(_Warmup):
    """Warm-up, stable, then straight down over the last part (Hu et al., arXiv:2404.06395)."""

    name: Literal["wsd"] = "wsd"
    decay_fraction: Fraction = 0.2
    """Share of the steps, at the end, in which the rate falls."""
    final_fraction: Fraction = 0.0
    """Where the fall ends, just after the last step, as a share of the peak."""


ScheduleConfig = Annotated[
    ConstantScheduleConfig | LinearScheduleConfig | CosineScheduleConfig | WSDScheduleConfig,
    Field(discriminator="name"),
]
