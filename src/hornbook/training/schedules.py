"""The learning rate as a pure function of the step: a resumed run needs no scheduler state.

Each function returns a share of the peak rate for the update that follows `step` finished ones (0 <= step < steps).
A fall aims at the step after the last, so that no update is spent at a rate of zero.
"""

import math
from collections.abc import Callable

from hornbook.config.optimizing import (
    ConstantScheduleConfig,
    CosineScheduleConfig,
    LinearScheduleConfig,
    ScheduleConfig,
    WSDScheduleConfig,
)
from hornbook.lookup import lookup


def rate_share(config: ScheduleConfig, step: int, steps: int) -> float:
    """Return the learning rate's share of its peak for the update after `step` of `steps`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    shape: Callable[..., float] = lookup(SCHEDULES, config.name, what="schedule")
    return shape(config, step, steps)


def constant(config: ConstantScheduleConfig, step: int, steps: int) -> float:
    """Stay at the peak."""
    return 1.0


def linear(config: LinearScheduleConfig, step: int, steps: int) -> float:
    """Fall in a straight line from the end of the warm-up."""
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return 1.0 - (1.0 - config.final_fraction) * done


def cosine(config: CosineScheduleConfig, step: int, steps: int) -> float:
    """Fall along half a cosine from the end of the warm-up."""
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return config.final_fraction + (1.0 - config.final_fraction) * 0.5 * (1.0 + math.cos(math.pi * done))


def warmup_stable_decay(config: WSDScheduleConfig, step: int, steps: int) -> float:
    """Stay at the peak, then fall in a straight line over the last `decay_fraction` of the steps."""
    decay_steps = config.decay_fraction * steps
    left = steps - step
    if left >= decay_steps:
        return 1.0
    return config.final_fraction + (1.0 - config.final_fraction) * left / decay_steps


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "wsd": warmup_stable_decay,
}
