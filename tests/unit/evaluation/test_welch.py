"""Intervals over seeds, against tables and worked examples."""

import random
from statistics import fmean

import pytest

from hornbook.evaluation.welch import difference, mean_interval, t_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (10, 2.22814), (30, 2.04227), (1000, 1.96234)],
)
def test_the_quantiles_are_those_of_the_tables(freedom, quantile):
    assert t_quantile(freedom) == pytest.approx(quantile, rel=1e-5)


def test_a_quantile_between_whole_degrees_lies_between_theirs():
    assert t_quantile(3) < t_quantile(2.5) < t_quantile(2)


def test_the_difference_agrees_with_a_worked_example():
    # By hand: variances 0.00077233 and 0.00202900 of three each, so the standard error is 0.030558 and there are
    # 3.3299 degrees of freedom, whose quantile lies between those of 3 and 4 in the tables, 3.182 and 2.776.
    found = difference([0.589, 0.580, 0.537], [0.741, 0.662, 0.739])
    assert found.value == pytest.approx(0.145333, abs=1e-6)
    assert found.high - found.value == pytest.approx(found.value - found.low)
    assert (found.high - found.value) / 0.030558 == pytest.approx(t_quantile(3.3299), rel=1e-4)
    assert found.excludes_zero


def test_turning_the_sides_turns_the_sign():
    one, other = [1.0, 2.0, 4.0], [2.0, 2.5, 9.0]
    there, back = difference(one, other), difference(other, one)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_one_run_a_side_has_no_interval_and_excludes_nothing():
    found = difference([0.2], [0.9])
    assert (found.value, found.low, found.high) == (pytest.approx(0.7), None, None)
    assert not found.excludes_zero
    assert mean_interval([0.2]) is None


def test_runs_that_all_agree_leave_no_doubt():
    assert difference([0.5, 0.5], [1.0, 1.0]).excludes_zero
    assert not difference([1.0, 1.0], [1.0, 1.0]).excludes_zero


def test_the_interval_holds_the_truth_nineteen_times_in_twenty():
    draw = random.Random(0)
    held = 0
    for _ in range(1_000):
        found = difference([draw.gauss(0, 1) for _ in range(3)], [draw.gauss(1, 1) for _ in range(3)])
        held += found.low <= 1 <= found.high
    assert 930 <= held <= 975  # 950 is expected, and Welch's is a little cautious with three a side


def test_the_interval_of_a_mean_is_students():
    low, high = mean_interval([0.741, 0.662, 0.739])
    assert (low + high) / 2 == pytest.approx(fmean([0.741, 0.662, 0.739]))
    assert high - low == pytest.approx(2 * 4.30265 * 0.045044 / 3**0.5, rel=1e-3)
