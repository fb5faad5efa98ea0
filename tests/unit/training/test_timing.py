"""The parts of a step are timed, and what is said about them follows from the numbers."""

import time

import pytest
import torch

from hornbook.training.parts import PARTS, Stopwatch, part_by_part
from hornbook.training.timing import StepTimes, advice


def times(data=1.0, forward=40.0, backward=50.0, optimizer=9.0, utilisation=0.3) -> StepTimes:
    parts = {"data": data, "forward": forward, "backward": backward, "optimizer": optimizer}
    return StepTimes(parts, sum(parts.values()), 2 * sum(parts.values()), 20, 4096, utilisation)


def test_a_stopwatch_counts_each_part_by_itself():
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(2):
        with watch.part("forward"):
            time.sleep(0.01)
        with watch.part("backward"):
            pass
    seconds = watch.read()
    assert seconds["forward"] >= 0.02 > seconds["backward"]
    assert watch.read() == {}


def test_the_time_until_a_batch_is_there_is_data():
    watch = Stopwatch(torch.device("cpu"))

    def slow():
        for number in range(3):
            time.sleep(0.005)
            yield number

    assert list(part_by_part(slow(), watch.part)) == [0, 1, 2]
    assert watch.read()["data"] >= 0.015


def test_shares_and_rates_follow_from_the_milliseconds():
    seen = times()
    assert seen.shares == {"data": 0.01, "forward": 0.4, "backward": 0.5, "optimizer": 0.09}
    assert seen.largest == "backward"
    assert seen.tokens_per_second == pytest.approx(40_960)
    assert tuple(seen.milliseconds) == PARTS


@pytest.mark.parametrize(
    ("seen", "device", "says"),
    [
        (times(data=50.0), "cpu", "The step waits for data: put data.folder on a faster disk"),
        (times(optimizer=60.0), "cpu", "raise training.batch_tokens"),
        (times(utilisation=0.6), "cpu", "near what the machine can do"),
        (times(), "cuda", "raise training.micro_batch_rows (now 8)"),
        (times(), "cpu", "a wider model with fewer layers"),
    ],
)
def test_the_advice_is_about_what_costs_most(seen, device, says):
    assert says in advice(seen, device=device, micro_batch_rows=8)
