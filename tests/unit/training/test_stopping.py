"""Patience counts, and signals become requests."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from hornbook.training.stopping import Patience, StopSignals


def test_patience_counts_validations_that_are_no_better():
    patience = Patience()
    verdicts = [
        patience.update(loss, step=step, min_improvement=0.1)
        for step, loss in enumerate([3.0, 2.95, 2.5, 2.45, 2.41])
    ]
    assert verdicts == [True, False, True, False, False]
    assert (patience.best_loss, patience.best_step, patience.worse_in_a_row) == (2.5, 2, 2)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_never_the_best(loss):
    patience = Patience()
    assert not patience.update(loss, step=1, min_improvement=0.0)
    assert (patience.best_loss, patience.worse_in_a_row) == (None, 1)


def test_patience_comes_back_from_its_dict():
    patience = Patience(best_loss=0.1 + 0.2, best_step=7, worse_in_a_row=1)
    assert Patience(**patience.to_dict()) == patience


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_is_a_request(name):
    with StopSignals() as signals:
        signals.wait_for_steps()
        assert signals.received is None
        os.kill(os.getpid(), getattr(signal, name))
        assert signals.received == name


def test_a_second_interrupt_leaves_at_once():
    with StopSignals() as signals, pytest.raises(KeyboardInterrupt):
        signals.wait_for_steps()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)


def test_before_the_first_step_a_signal_leaves_at_once():
    with StopSignals() as signals, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signals.received == "SIGTERM"


def test_training_in_another_thread_leaves_signals_alone():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: StopSignals().__enter__().received).result() is None


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
