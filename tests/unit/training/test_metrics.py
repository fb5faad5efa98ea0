"""Tokens a second and the share of the machine's matrix rate they use."""

import time

import torch

from hornbook.training.metrics import Speedometer, peak_memory_bytes


def test_utilisation_is_the_cost_of_the_tokens_over_the_peak_rate():
    speed = Speedometer(flops_per_token=1_000, peak_rate=1e6, seconds=0.0)
    time.sleep(0.01)
    rate, utilisation = speed.read(500)
    assert 0 < rate < 500 / 0.01
    assert utilisation == rate * 1_000 / 1e6


def test_without_a_known_peak_there_is_no_utilisation():
    assert Speedometer(flops_per_token=1_000, peak_rate=None, seconds=0.0).read(10)[1] is None


def test_each_reading_counts_from_the_one_before():
    speed = Speedometer(flops_per_token=1, peak_rate=None, seconds=0.0)
    time.sleep(0.05)
    speed.read(1)
    assert speed.read(100)[0] > 100 / 0.05


def test_judging_and_saving_do_not_slow_the_speed_but_count_as_training_time():
    speed = Speedometer(flops_per_token=1, peak_rate=None, seconds=5.0)
    with speed.paused():
        time.sleep(0.1)
    assert speed.read(100)[0] > 100 / 0.1
    assert speed.seconds >= 5.1


def test_this_process_has_used_memory():
    assert peak_memory_bytes(torch.device("cpu")) > 10 * 2**20
