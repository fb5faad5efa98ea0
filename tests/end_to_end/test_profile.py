"""A recorded run ends like one that nobody watched, and leaves traces in the form that others read."""

import json
from collections import Counter

import pytest

from hornbook.training.parts import PARTS

RECORD = ["profile.enabled=true", "profile.wait=1", "profile.warmup=1", "profile.active=2", "profile.repeat=2"]


@pytest.fixture(scope="module")
def recorded(trainer):
    """The folder of a run that was recorded."""
    run = trainer.folder / "recorded"
    answer = trainer.train(run, *RECORD)
    assert answer["status"] == 0, answer["output"]
    assert f"profile {run}/profile: open its traces" in answer["output"]
    return run


def names(path) -> Counter[str]:
    """How often each event of a trace began."""
    trace = json.loads(path.read_text())
    assert {"name", "ph", "ts", "dur"} <= next(
        event for event in trace["traceEvents"] if event.get("ph") == "X"
    ).keys()
    return Counter(event["name"] for event in trace["traceEvents"] if event.get("ph") == "X")


def test_recording_changes_no_number(trainer, recorded, uninterrupted):
    assert trainer.result(recorded) == uninterrupted


def test_a_run_that_is_not_recorded_has_no_traces(trainer, uninterrupted):
    assert not (trainer.folder / "whole" / "profile").exists()


def test_each_repetition_has_a_trace_with_the_parts_of_its_steps(recorded):
    traces = sorted((recorded / "profile").glob("train.*.pt.trace.json"))
    assert len(traces) == 2
    for trace, steps in zip(traces, ((2, 3), (6, 7)), strict=True):
        seen = names(trace)
        assert {name for name in seen if name.startswith("ProfilerStep")} == {
            f"ProfilerStep#{step}" for step in steps
        }
        assert set(PARTS) <= set(seen)
        # A step of the settings has two micro-batches.
        assert (seen["forward"], seen["backward"], seen["optimizer"]) == (4, 4, 2)
        assert seen["aten::addmm"] + seen["aten::mm"] > 10


def test_the_first_validation_outside_of_them_has_a_trace_of_its_own(recorded):
    (trace,) = (recorded / "profile").glob("evaluation.*.pt.trace.json")
    seen = names(trace)
    assert seen["evaluation"] == 1
    assert "optimizer" not in seen and "backward" not in seen


def test_a_run_shorter_than_the_recording_writes_what_there_was(trainer):
    run = trainer.folder / "short"
    assert trainer.train(run, *RECORD, "training.steps=3")["status"] == 0
    (trace,) = (run / "profile").glob("train.*.pt.trace.json")
    assert names(trace)["ProfilerStep#2"] == 1


def test_a_finished_run_may_be_recorded_longer_without_accepting_changes(trainer, recorded):
    answer = trainer.train(recorded, "profile.enabled=false")
    assert answer["status"] == 0, answer["output"]
