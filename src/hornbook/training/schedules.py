"""The learning rate as a pure function of the step: a resumed run needs no scheduler state.

Each function returns a share of the peak rate for the update that follows `step` finished ones (0 <= step < steps).
A fall aims at the step after the last, so that no update is spent at a rate of zero. The one schedule that listens to
validation keeps what it heard in `hornbook.training.plateau`; its share is multiplied with what stands here.
"""

import math
from collections.abc import Callable

from hornbook.config.optimizing import (
    ConstantScheduleConfig,
    CosineScheduleConfig,
    LinearScheduleConfig,
    PlateauScheduleConfig,
    ScheduleConfig,
    WSDScheduleConfig,
)
from hornbook.lookup import lookup


def rate_share(config: ScheduleConfig, step: int, steps: int) -> float:
    """Return the learning rate's share of its peak for the update after `step` of `steps`."""
    warmup = warmup_steps(config, steps)
    if step < warmup:
        return (step + 1) / warmup
    shape: Callable[..., float] = lookup(SCHEDULES, config.name, what="schedule")
    return shape(config, step, steps)


def warmup_steps(config: ScheduleConfig, steps: int) -> int:
    """Count the steps of the warm-up: as they are set, or as a share of all, rounded up."""
    return config.warmup_steps or math.ceil(config.warmup_fraction * steps)


def constant(config: ConstantScheduleConfig | PlateauScheduleConfig, step: int, steps: int) -> float:
    """Stay at the peak."""
    return 1.0


def linear(config: LinearScheduleConfig, step: int, steps: int) -> float:
    """Fall in a straight line from the end of the warm-up."""
    return 1.0 - (1.0 - config.final_fraction) * _done(config, step, steps)


def cosine(config: CosineScheduleConfig, step: int, steps: int) -> float:
    """Fall along half a cosine from the end of the warm-up."""
    half_wave = 0.5 * (1.0 + math.cos(math.pi * _done(config, step, steps)))
    return config.final_fraction + (1.0 - config.final_fraction) * half_wave


def warmup_stable_decay(config: WSDScheduleConfig, step: int, steps: int) -> float:
    """Stay at the peak, then fall in a straight line over the last `decay_fraction` of the steps."""
    decay_steps = config.decay_fraction * steps
    left = steps - step
    if left >= decay_steps:
        return 1.0
    return config.final_fraction + (1.0 - config.final_fraction) * left / decay_steps


def _done(config: LinearScheduleConfig | CosineScheduleConfig, step: int, steps: int) -> float:
    """Share of the way from the end of the warm-up to the end of the run."""
    warmup = warmup_steps(config, steps)
    return (step - warmup) / max(1, steps - warmup)


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "wsd": warmup_stable_decay,
    "plateau": constant,
}
