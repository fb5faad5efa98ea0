"""The bench takes real steps of a recipe and leaves nothing behind."""

import json
import tempfile

import hornbook
from hornbook.cli import run as run_command
from hornbook.training.parts import PARTS


def test_every_part_of_a_step_is_measured(run, tiny):
    seen = hornbook.bench_step("demo", tiny, steps=3)
    assert tuple(seen.times.milliseconds) == PARTS
    assert all(spent > 0 for spent in seen.times.milliseconds.values())
    assert seen.times.tokens == 512
    assert seen.times.steps == 3
    assert seen.times.slowest_milliseconds >= seen.times.step_milliseconds
    assert 0 < seen.times.utilisation < 1


def test_nothing_is_left_and_the_run_of_that_name_is_not_touched(run, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    hornbook.bench_step("demo", tiny, steps=1)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_where_the_time_goes(run, tiny, capsys):
    assert run_command(["bench-step", "demo", *tiny, "--steps", "2"]) == 0
    text = capsys.readouterr().out
    for words in (*PARTS, "whole step", "tokens/s", "of a step is waiting for data. The largest part is"):
        assert words in text


def test_json_has_the_derived_numbers(run, tiny, capsys):
    assert run_command(["bench-step", "demo", *tiny, "--steps", "2", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["largest"] in PARTS
    assert seen["waiting_for_data"] == seen["shares"]["data"]
    assert seen["tokens_per_second"] > 0
