"""Events are lines; a torn line is not there; what will be written again is dropped."""

import dataclasses

import pytest

from hornbook.errors import DataError
from hornbook.runlog.events import KINDS, Finished, Progress, Step, Validation, from_line, replayed_part, to_line
from hornbook.runlog.reader import read_events
from hornbook.runlog.writer import EventWriter


def step(number: int, loss: float = 1.5) -> Step:
    return Step(step=number, loss=loss, targets=10, lr=0.1, grad_norm=2.0)


def validation(number: int) -> Validation:
    return Validation(
        step=number, loss=1.0, perplexity=2.7, bits_per_byte=1.4, accuracy=0.5, targets=10, best=True, seconds=0.3
    )


def test_an_event_survives_its_line():
    assert from_line(to_line(step(3, loss=0.1 + 0.2))) == step(3, loss=0.1 + 0.2)


def test_not_a_number_is_written_as_null():
    assert '"loss": null' in to_line(step(1, loss=float("nan")))


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"kind": "dance"}', '{"kind": "step", "step": 1}', "{"])
def test_a_line_that_is_no_event_is_refused(line):
    with pytest.raises(DataError, match="Not an event"):
        from_line(line)


def test_only_what_follows_from_the_settings_is_replayed():
    assert replayed_part(step(1)) is not None
    assert "seconds" not in (replayed_part(validation(1)) or {})
    progress = Progress(
        step=1, loss=1.0, tokens=1, tokens_per_second=1.0, utilisation=None, memory_bytes=1, eta_seconds=1.0
    )
    assert replayed_part(progress) is None


def test_the_fields_of_every_kind_are_as_published():
    """Others read these names; changing one is a new SCHEMA."""
    fields = {name: sorted(field.name for field in dataclasses.fields(kind)) for name, kind in KINDS.items()}
    assert fields == {
        "session": ["details", "host", "pid", "schema", "step", "time", "what"],
        "step": ["grad_norm", "loss", "lr", "skipped", "step", "targets"],
        "progress": [
            "epoch",
            "eta_seconds",
            "loss",
            "memory_bytes",
            "phase",
            "step",
            "steps",
            "tokens",
            "tokens_per_second",
            "utilisation",
        ],
        "phase": ["batch_rows", "count", "index", "lr", "name", "optimizer", "rows", "step", "steps"],
        "validation": [
            "accuracy",
            "best",
            "bits_per_byte",
            "loss",
            "losses",
            "lr_share",
            "perplexity",
            "seconds",
            "step",
            "targets",
            "train_accuracy",
        ],
        "sample": ["prompt", "step", "text"],
        "checkpoint": ["bytes", "path", "seconds", "step"],
        "warning": ["message", "step"],
        "finished": ["best_loss", "best_step", "reason", "step"],
    }


def test_events_reach_the_file_at_flush_and_in_order(tmp_path):
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path, step=0, judged=False)
    writer.write(step(1))
    writer.write(step(2))
    assert read_events(path) == []
    writer.flush()
    writer.close()
    assert read_events(path) == [step(1), step(2)]


def test_a_torn_last_line_is_not_there_yet_and_is_dropped_on_resume(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(to_line(step(1)) + to_line(step(2))[:20])
    assert read_events(path) == [step(1)]
    writer = EventWriter(path, step=1, judged=True)
    writer.write(step(2))
    writer.flush()
    writer.close()
    assert read_events(path) == [step(1), step(2)]


def test_a_resumed_run_drops_the_steps_it_will_take_again(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("".join(map(to_line, (step(1), step(2), validation(2), step(3)))))
    EventWriter(path, step=2, judged=True).close()
    assert read_events(path) == [step(1), step(2), validation(2)]


def test_what_was_said_of_an_unjudged_step_is_dropped(tmp_path):
    path = tmp_path / "events.jsonl"
    finished = Finished(step=2, reason="steps", best_step=2, best_loss=1.0)
    path.write_text("".join(map(to_line, (step(2), validation(2), finished))))
    EventWriter(path, step=2, judged=False).close()
    assert read_events(path) == [step(2)]


def test_a_full_disk_keeps_the_events_waiting_and_the_file_whole(tmp_path):
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path, step=0, judged=False)
    writer.write(step(1))
    writer.flush()
    writer.write(step(2))
    real = writer._descriptor
    with open("/dev/full", "wb", buffering=0) as full:
        writer._descriptor = full.fileno()
        with pytest.raises(OSError):
            writer.flush()
    writer._descriptor = real
    writer.flush()
    writer.close()
    assert read_events(path) == [step(1), step(2)]
