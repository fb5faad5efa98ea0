"""The settings of each optimizer and each learning-rate schedule, and the unions their names choose from."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from hornbook.config.model import Section
from hornbook.config.sections import Fraction

Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
"""Share of an old average that is kept a step."""


class AdamWConfig(Section):
    """AdamW with weight decay on matrices only (Loshchilov and Hutter, arXiv:1711.05101)."""

    name: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
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
    momentum: Decay = 0.95
    """Nesterov momentum of the matrices."""
    iterations: PositiveInt = 5
    """Newton-Schulz iterations of the orthogonalisation."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    """AdamW's betas."""
    eps: PositiveFloat = 1e-8
    """AdamW's epsilon."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled decay of the hidden matrices."""


class AdamConfig(Section):
    """Adam as it was published (Kingma and Ba, arXiv:1412.6980); its weight decay goes through the averages."""

    name: Literal["adam"] = "adam"
    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the first and second moment."""
    eps: PositiveFloat = 1e-8
    """Added to the root of the second moment."""
    weight_decay: NonNegativeFloat = 0.0
    """Added to the gradient of matrices and embeddings as a share of the weight; vectors never decay."""


class PlainAdamConfig(Section):
    """Adam written out for reading, for devices that lack torch's fused kernels; Adam's numbers, a little slower."""

    name: Literal["plain_adam"] = "plain_adam"
    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the first and second moment."""
    eps: PositiveFloat = 1e-8
    """Added to the root of the second moment."""
    weight_decay: NonNegativeFloat = 0.0
    """Decay of matrices and embeddings; vectors never decay."""
    decoupled: bool = False
    """Decay the weights themselves, as AdamW does, instead of adding to the gradient."""


class LionConfig(Section):
    """Lion: only the sign of the momentum counts (Chen et al., arXiv:2302.06675)."""

    name: Literal["lion"] = "lion"
    lr: PositiveFloat = 2e-4
    """Peak learning rate; a third to a tenth of AdamW's."""
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """Share of the momentum in this step's direction, and share of it that is kept."""
    weight_decay: NonNegativeFloat = 0.5
    """Decoupled decay of matrices and embeddings, three to ten times AdamW's; vectors never decay."""


class SGDConfig(Section):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013; Nesterov's form by setting)."""

    name: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 0.1
    """Peak learning rate."""
    momentum: Decay = 0.9
    """Share of the old update kept a step; 0 for none."""
    nesterov: bool = False
    """Look ahead along the momentum; needs a momentum above 0."""
    weight_decay: NonNegativeFloat = 0.0
    """Added to the gradient of matrices and embeddings as a share of the weight; vectors never decay."""

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "SGDConfig":
        if self.nesterov and not self.momentum:
            raise ValueError("optimizer.nesterov = true needs an optimizer.momentum above 0")
        return self


OptimizerConfig = Annotated[
    AdamWConfig | MuonConfig | AdamConfig | PlainAdamConfig | LionConfig | SGDConfig, Field(discriminator="name")
]


class _Warmup(Section):
    warmup_steps: NonNegativeInt = 0
    """Steps in which the rate rises from nothing to its peak."""
    warmup_fraction: Fraction = 0.0
    """The same as a share of all steps, rounded up; set one of the two."""

    @model_validator(mode="after")
    def _one_warmup(self) -> Self:
        if self.warmup_steps and self.warmup_fraction:
            raise ValueError(
                f"schedule.warmup_steps = {self.warmup_steps} and schedule.warmup_fraction = {self.warmup_fraction} "
                "are both set; give one of them"
            )
        return self


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


class PlateauScheduleConfig(_Warmup):
    """Warm-up, the peak, and down by a factor whenever validation stops getting better (ReduceLROnPlateau)."""

    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """What the rate is multiplied by."""
    patience: NonNegativeInt = 2
    """Validations in a row that may be no better before the rate falls."""
    threshold: Fraction = 1e-4
    """How much lower than the best, as a share of it, a validation loss must be to count as better."""
    cooldown: NonNegativeInt = 0
    """Validations after a fall that are not judged."""
    min_fraction: Fraction = 0.0
    """The lowest rate, as a share of the peak."""


ScheduleConfig = Annotated[
    ConstantScheduleConfig
    | LinearScheduleConfig
    | CosineScheduleConfig
    | WSDScheduleConfig
    | PlateauScheduleConfig,
    Field(discriminator="name"),
]
