"""The schedule that listens to validation falls at the same steps however often the run is killed."""

import json
import signal

import pytest

from hornbook.runlog.events import Step, Validation
from hornbook.runlog.reader import read_events

# No validation after the first can be better by the whole loss, so the rate halves at each: after steps 12 and 18.
SETTINGS = ["schedule.name=plateau", "schedule.patience=0", "schedule.threshold=1.0", "schedule.warmup_steps=2"]


@pytest.fixture(scope="module")
def whole(trainer):
    """What the run ends with when it is left alone."""
    run = trainer.folder / "whole"
    answer = trainer.train(run, *SETTINGS)
    assert answer["status"] == 0, answer["output"]
    assert "(rate now 50.0 % of its peak)" in answer["output"]
    return trainer.result(run)


def test_the_rate_falls_after_the_validations_that_were_no_better(trainer, whole):
    events = read_events(trainer.folder / "whole" / "events.jsonl")
    rates = [event.lr for event in events if isinstance(event, Step)]
    peak = rates[1]
    assert rates[2:12] == [peak] * 10
    assert rates[12:18] == [peak / 2] * 6
    assert rates[18:] == [peak / 4] * 6
    assert [event.lr_share for event in events if isinstance(event, Validation)] == [1.0, 0.5, 0.25, 0.125]


def test_what_the_schedule_remembers_is_in_the_checkpoint(trainer, whole):
    assert whole["state"]["plateau"]["share"] == 0.125
    state = json.loads((trainer.folder / "whole" / "checkpoints" / "step-00000024" / "state.json").read_text())
    first = next(
        event for event in read_events(trainer.folder / "whole" / "events.jsonl") if isinstance(event, Validation)
    )
    assert state["plateau"] == {"share": 0.125, "best": first.loss, "bad_in_a_row": 0, "cooldown": 0}


AROUND = [(8, 12), (12, 12), (12, 40), (16, 0), (16, 12), (20, 0), (20, 12)]
"""Saves, by step, and the file-system call of each before which the run is killed."""


@pytest.mark.parametrize(
    ("step", "call"), [(12, 0), *(pytest.param(*one, marks=pytest.mark.slow) for one in AROUND)]
)
def test_a_kill_around_a_fall_changes_nothing(trainer, whole, step, call):
    run = trainer.folder / f"killed-{step}-{call}"
    answer = trainer.train(run, *SETTINGS, watch_step=step, kill_at_call=call)
    assert answer["status"] == -signal.SIGKILL
    assert trainer.train(run, *SETTINGS)["status"] == 0
    assert trainer.result(run) == whole
