"""The recipe `water` itself, all six phases of it, killed inside each: bit for bit the run that was left alone."""

import signal
from itertools import pairwise

import pytest

from hornbook.runlog.events import Phase, Step
from hornbook.runlog.reader import read_events

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

NAMES = ("maths", "logic", "instructions", "dialogue", "code", "combined")

# Plan, sets, words, rates, rows and optimizer are the recipe's; the model is narrow and the problems are few.
SMALL = (
    "data.problems=400",
    "model.width=48",
    "model.num_layers=2",
    "model.num_heads=2",
    "precision.dtype=fp32",
    "precision.attention=matmul",
    "training.threads=1",
    "checkpoint.every_steps=2",
    "evaluation.every_steps=4",
    "sampling.every_steps=8",
    "sampling.max_tokens=4",
)


@pytest.fixture(scope="module")
def alone(trainer):
    """The steps before each phase, how many there are, and what the run ends with when nobody stops it."""
    run = trainer.folder / "alone"
    answer = trainer.train_recipe("water", run, *SMALL)
    assert answer["status"] == 0, answer["output"]
    events = list(read_events(run / "events.jsonl"))
    begun = {event.name: event.step - 1 for event in events if isinstance(event, Phase)}
    steps = sum(isinstance(event, Step) for event in events)
    return begun, steps, trainer.result(run, steps)


def test_it_has_six_phases_of_several_steps(alone):
    begun, steps, _ = alone
    assert tuple(begun) == NAMES
    borders = [*begun.values(), steps]
    assert all(end - start >= 3 for start, end in pairwise(borders))


@pytest.mark.parametrize("name", NAMES)
def test_a_kill_inside_a_phase_changes_nothing(trainer, alone, name):
    begun, steps, expected = alone
    run = trainer.folder / name
    answer = trainer.train_recipe("water", run, *SMALL, at_step=begun[name] + 1)
    assert answer["status"] == -signal.SIGKILL, answer["output"]
    answer = trainer.train_recipe("water", run, *SMALL)
    assert answer["status"] == 0, answer["output"]
    assert trainer.result(run, steps) == expected
