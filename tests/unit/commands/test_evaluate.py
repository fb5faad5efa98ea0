"""A run is measured on what it has not seen."""

import json
import shutil

import pytest

import hornbook
from hornbook.cli import run as run_command
from hornbook.errors import CheckpointError, DataError


def test_a_reasoning_run_is_examined_and_the_result_kept(run):
    result = hornbook.evaluate(run)
    kept = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(result))
    assert sorted(kept["skills"]) == ["code", "dialogue", "instructions", "logic", "maths"]
    assert kept["skills"]["maths"].keys() == {"exact_match", "count", "low", "high"}
    assert kept["skills"]["maths"]["count"] == 2
    assert 0 <= kept["mean_exact_match"] <= 1


def test_the_validation_loss_is_the_one_seen_in_training(run):
    best = json.loads((run / "best.json").read_text(encoding="utf-8"))
    assert hornbook.evaluate(run)["validation"]["loss"] == pytest.approx(best["val_loss"], rel=1e-4)


def test_a_file_is_measured_alone_and_nothing_is_written(run, tmp_path):
    (tmp_path / "text.txt").write_text("Some words to measure.\n" * 5, encoding="utf-8")
    kept = (run / "evaluation.json").read_bytes() if (run / "evaluation.json").exists() else None
    result = hornbook.evaluate(run, data=str(tmp_path / "text.txt"))
    assert result["data"]["bytes"] == 115
    assert "validation" not in result
    assert kept == ((run / "evaluation.json").read_bytes() if (run / "evaluation.json").exists() else None)


def test_a_model_folder_needs_a_file(run):
    with pytest.raises(CheckpointError, match="is a model folder, not a run"):
        hornbook.evaluate(run / "model")


def test_data_that_is_gone_is_named(run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"is no longer in prepared.*\nfix: .*--data FILE"):
        hornbook.evaluate("runs/demo")


def test_the_command_prints_marks_and_samples(run, capsys):
    assert run_command(["evaluate", str(run), "--suite"]) == 0
    text = capsys.readouterr().out
    assert "bits per byte" in text
    assert "exact match on held-out problems" in text
    assert text.count("  says: ") == 5 + 8
    assert "> What is the capital of France?\n" in text
    table = text.partition("\nthe eight prompts\n")[2].splitlines()
    assert table[0].split() == ["thinks", "tokens", "seconds", "ended", "verdict"]
    assert [line.rstrip().endswith(("right", "wrong", "yourself")) for line in table[1:9]] == [True] * 8
    assert table[9].endswith("of the 7 with a known answer right")


def test_the_suite_is_kept_and_printed_as_json(run, capsys):
    assert run_command(["evaluate", str(run), "--suite", "--json"]) == 0
    asked = json.loads(capsys.readouterr().out)["suite"]
    assert len(asked) == 8
    assert asked[0].keys() >= {"prompt", "thought", "thinking", "answer", "tokens", "seconds", "passed"}
    kept = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["suite"]
    assert [one["answer"] for one in kept] == [one["answer"] for one in asked]


def test_json_is_all_that_json_prints(run, capsys):
    assert run_command(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["validation"]["targets"] > 0
