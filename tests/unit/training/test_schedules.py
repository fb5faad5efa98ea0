"""Learning-rate curves are what their names say."""

import math

import pytest

from hornbook.config.optimizing import (
    ConstantScheduleConfig,
    CosineScheduleConfig,
    LinearScheduleConfig,
    WSDScheduleConfig,
)
from hornbook.training.schedules import rate_share

STEPS = 100


def test_constant_stays():
    assert {rate_share(ConstantScheduleConfig(), step, STEPS) for step in range(STEPS)} == {1.0}


def test_linear_falls_evenly_to_its_end_just_after_the_last_step():
    config = LinearScheduleConfig(warmup_steps=20, final_fraction=0.2)
    assert rate_share(config, 20, STEPS) == 1.0
    assert rate_share(config, 60, STEPS) == pytest.approx(0.6)
    assert rate_share(config, 99, STEPS) == pytest.approx(0.21)
    assert rate_share(config, 100, STEPS) == pytest.approx(0.2)


def test_cosine_is_half_way_down_at_half_time():
    config = CosineScheduleConfig(final_fraction=0.1)
    assert rate_share(config, 0, STEPS) == 1.0
    assert rate_share(config, 50, STEPS) == pytest.approx(0.55)
    assert rate_share(config, 25, STEPS) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert rate_share(config, 100, STEPS) == pytest.approx(0.1)


def test_warmup_stable_decay_holds_the_peak_until_the_last_fifth():
    config = WSDScheduleConfig(decay_fraction=0.2)
    assert rate_share(config, 79, STEPS) == 1.0
    assert rate_share(config, 90, STEPS) == pytest.approx(0.5)
    assert rate_share(config, 99, STEPS) == pytest.approx(0.05)


def test_a_decay_over_no_steps_never_divides_by_zero():
    assert rate_share(WSDScheduleConfig(decay_fraction=0.0), 99, STEPS) == 1.0
