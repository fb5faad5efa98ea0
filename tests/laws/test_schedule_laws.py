"""Every learning-rate curve is the one its settings document, over SCHEDULES: a new one must add its own here."""

import math
from typing import get_args

import pytest

from hornbook.config.optimizing import (
    ConstantScheduleConfig,
    CosineScheduleConfig,
    LinearScheduleConfig,
    PlateauScheduleConfig,
    ScheduleConfig,
    WSDScheduleConfig,
)
from hornbook.training.schedules import SCHEDULES, rate_share

STEPS, WARMUP = 200, 20
KINDS = {kind.model_fields["name"].default: kind for kind in get_args(get_args(ScheduleConfig)[0])}

LEFT = [(STEPS - step) / (STEPS - WARMUP) for step in range(WARMUP, STEPS)]
"""Share of the way from the warm-up to the end that is left before each update."""

CURVES = {
    "constant": [(ConstantScheduleConfig, {}, [1.0 for _ in LEFT])],
    "plateau": [(PlateauScheduleConfig, {}, [1.0 for _ in LEFT])],
    "linear": [
        (LinearScheduleConfig, {}, LEFT),
        (LinearScheduleConfig, {"final_fraction": 0.25}, [0.25 + 0.75 * left for left in LEFT]),
    ],
    "cosine": [
        (CosineScheduleConfig, {"final_fraction": 0.0}, [math.sin(math.pi / 2 * left) ** 2 for left in LEFT]),
        (CosineScheduleConfig, {}, [0.1 + 0.9 * math.sin(math.pi / 2 * left) ** 2 for left in LEFT]),
    ],
    "wsd": [
        (WSDScheduleConfig, {}, [1.0] * 140 + [left / 40 for left in range(40, 0, -1)]),
        (
            WSDScheduleConfig,
            {"decay_fraction": 0.5, "final_fraction": 0.5},
            [1.0] * 80 + [1 - n / 200 for n in range(100)],
        ),
    ],
}
"""The documented curve after the warm-up, written without the code: kind, settings, shares."""

each = pytest.mark.parametrize("name", sorted(SCHEDULES))


def test_the_settings_the_table_and_the_curves_name_the_same_schedules():
    assert set(KINDS) == set(SCHEDULES) == set(CURVES)


@each
def test_it_warms_up_in_even_steps_and_then_follows_its_curve(name):
    for kind, settings, curve in CURVES[name]:
        config = kind(warmup_steps=WARMUP, **settings)
        shares = [rate_share(config, step, STEPS) for step in range(STEPS)]
        assert shares[:WARMUP] == pytest.approx([(step + 1) / WARMUP for step in range(WARMUP)])
        assert shares[WARMUP:] == pytest.approx(curve)


@each
def test_a_warm_up_may_be_a_share_of_the_steps(name):
    by_share, by_steps = KINDS[name](warmup_fraction=0.031), KINDS[name](warmup_steps=7)
    for step in range(STEPS):
        assert rate_share(by_share, step, STEPS) == rate_share(by_steps, step, STEPS)


@each
def test_no_update_is_spent_at_a_rate_of_zero_or_above_the_peak(name):
    for kind, settings, _ in CURVES[name]:
        for steps in (1, 2, STEPS):
            assert all(0.0 < rate_share(kind(**settings), step, steps) <= 1.0 for step in range(steps))


@each
def test_two_warm_ups_are_refused(name):
    with pytest.raises(ValueError, match=r"warmup_steps = 3 and schedule.warmup_fraction = 0.1 are both set"):
        KINDS[name](warmup_steps=3, warmup_fraction=0.1)
