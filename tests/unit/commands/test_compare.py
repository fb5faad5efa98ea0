"""Runs of the trainer are compared by the command."""

import json
import shutil
from pathlib import Path

import pytest

import hornbook
from hornbook.cli import run as run_command
from hornbook.errors import CheckpointError, ConfigError

TINY = [
    "data.path=builtin:sixteen",
    "data.problems=400",
    "data.template=text",
    "tokenizer.kind=bytes",
    "training.steps=2",
    "training.batch_tokens=128",
    "training.threads=1",
    "training.device=cpu",
    "precision.dtype=fp32",
    "precision.attention=sdpa",
    "evaluation.problems=4",
    "sampling.every_steps=0",
]
SHAPE = ["model.context=64", "model.width=16", "model.num_layers=1", "model.num_heads=2"]


@pytest.fixture(scope="module")
def four(workplace):
    """Two seeds of a llama and of a gpt, which is larger, in runs/ of their workplace."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setenv("XDG_CACHE_HOME", str(workplace / "cache"))
        for arch in ("llama", "gpt"):
            for seed in (0, 1):
                own = [f"model.arch={arch}", f"training.seed={seed}", f"run.folder=runs/{arch}-{seed}"]
                hornbook.train("text", [*TINY, *SHAPE, *own])
    return [f"runs/{arch}-{seed}" for arch in ("llama", "gpt") for seed in (0, 1)]


@pytest.fixture
def there(four, workplace, monkeypatch):
    """Be in the workplace."""
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("XDG_CACHE_HOME", str(workplace / "cache"))
    return four


def test_the_command_evaluates_compares_and_prints(there, capsys, tmp_path):
    for folder in there:
        Path(folder, "evaluation.json").unlink(missing_ok=True)
    assert run_command(["compare", *there, "--allow", "parameters", "--out", str(tmp_path / "found.md")]) == 0
    text = capsys.readouterr().out
    assert text.count("evaluating runs/") == 4
    assert "llama: 2 runs (seed 0, 1)" in text
    assert "Allowed: llama has " in text
    assert "validation loss" in text and "maths" in text
    assert (tmp_path / "found.md").read_text(encoding="utf-8").count("\n| ") >= 8


def test_json_is_all_that_json_prints(there, capsys, tmp_path):
    asked = ["compare", *there, "--allow", "parameters", "--json", "--out", str(tmp_path / "found.json")]
    assert run_command(asked) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert printed["rows"][0]["name"] == "mean"
    assert {row["verdict"] for row in printed["rows"]} <= {"better", "worse", "undecided"}


def test_unequal_sizes_are_refused_with_both(there, capsys):
    assert run_command(["compare", *there]) == 2
    told = capsys.readouterr().err
    assert "llama has " in told and "--allow parameters" in told


def test_the_comparison_is_a_value_in_python(there):
    found = hornbook.compare(there, allow=["parameters"])
    assert found.names == ("llama", "gpt")
    assert [len(row.first) for row in found.rows] == [2] * len(found.rows)


def test_an_inequality_that_nobody_knows_is_not_allowed(there):
    with pytest.raises(ConfigError, match="no inequality to allow named 'token'") as caught:
        hornbook.compare(there, allow=["token"])
    assert "did you mean 'tokens'" in caught.value.fix


def test_a_folder_that_is_no_run_is_named(there):
    with pytest.raises(CheckpointError, match="There is no run in runs/absent"):
        hornbook.compare([*there, "runs/absent"])


def test_a_run_that_has_not_finished_is_named(there, tmp_path):
    shutil.copytree(there[0], tmp_path / "half")
    events = tmp_path / "half" / "events.jsonl"
    lines = [line for line in events.read_text(encoding="utf-8").splitlines() if '"finished"' not in line]
    events.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match="half is not finished") as caught:
        hornbook.compare([tmp_path / "half", *there[2:]])
    assert "continues it" in caught.value.fix


def test_a_run_trained_on_after_its_evaluation_is_named(there, tmp_path):
    shutil.copytree(there[0], tmp_path / "on")
    path = tmp_path / "on" / "evaluation.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "step": 1}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="was trained on after it was evaluated.") as caught:
        hornbook.compare([tmp_path / "on", *there[2:]])
    assert "hornbook evaluate" in caught.value.fix


@pytest.mark.parametrize("text", ["{", '{"step": 2}', "[]"])
def test_an_evaluation_that_cannot_be_read_is_named(there, tmp_path, text):
    shutil.copytree(there[0], tmp_path / "odd")
    (tmp_path / "odd" / "evaluation.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match="odd: its evaluation cannot be read"):
        hornbook.compare([tmp_path / "odd", *there[2:]])
