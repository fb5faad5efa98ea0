"""The other ways a run ends: no better validation, no time left, nothing finite."""

import json

import pytest

from hornbook.runlog.events import Finished, Step, Validation
from hornbook.runlog.reader import read_events


def test_a_run_that_stops_improving_ends_early_and_publishes_the_best(trainer):
    run = trainer.folder / "patience"
    answer = trainer.train(run, "training.patience=2", "training.min_improvement=100", "training.steps=1000")
    assert answer["status"] == 0, answer["output"]
    assert "validation stopped improving (training.patience)" in answer["output"]
    events = read_events(run / "events.jsonl")
    assert [event.best for event in events if isinstance(event, Validation)] == [True, False, False]
    (finished,) = [event for event in events if isinstance(event, Finished)]
    assert (finished.reason, finished.best_step, finished.step) == ("patience", 6, 18)
    assert json.loads((run / "model" / "config.json").read_text())["about"]["step"] == 6


def test_the_last_weights_are_published_if_that_is_asked(trainer):
    run = trainer.folder / "last"
    limits = ["training.patience=1", "training.min_improvement=100", "checkpoint.final=last"]
    assert trainer.train(run, *limits)["status"] == 0
    assert json.loads((run / "model" / "config.json").read_text())["about"]["step"] == 12


def test_a_run_ends_when_its_minutes_are_up_and_goes_on_when_it_is_given_more(trainer):
    run = trainer.folder / "minutes"
    answer = trainer.train(run, "training.max_minutes=0.0001", "training.steps=1000000")
    assert answer["status"] == 0, answer["output"]
    assert "the time is up (training.max_minutes)" in answer["output"]
    taken = [event.step for event in read_events(run / "events.jsonl") if isinstance(event, Step)]
    assert 1 <= len(taken) < 1000
    assert trainer.train(run, f"training.steps={len(taken) + 2}")["status"] == 0
    longer = [event.step for event in read_events(run / "events.jsonl") if isinstance(event, Step)]
    assert longer == [*range(1, len(taken) + 3)]


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_loss_that_is_never_finite_stops_the_run_and_says_what_to_try(trainer, name):
    run = trainer.folder / f"diverged-{name}"
    answer = trainer.train(run, f"optimizer.name={name}", "optimizer.lr=1e38", "schedule.warmup_steps=0")
    assert answer["status"] == 2, answer["output"]
    assert "gave no finite gradient; none of them changed the weights." in answer["output"]
    assert "fix: lower optimizer.lr" in answer["output"] and "Traceback" not in answer["output"]


def test_a_device_that_is_not_here_is_said_before_any_data_is_prepared(trainer):
    run = trainer.folder / "elsewhere"
    answer = trainer.train(run, "training.device=directml", "data.folder=elsewhere-prepared")
    assert answer["status"] == 2
    assert "needs the package torch_directml" in answer["output"]
    assert not (trainer.folder / "elsewhere-prepared").exists() and "wrote" not in answer["output"]
