"""A folder says what it is, and proves that it is honest."""

import json
import shutil

import pytest

import hornbook
from hornbook.cli import run as run_command
from hornbook.errors import CheckpointError


def test_a_run_says_what_it_is(run):
    found = hornbook.inspect(run)
    assert (found.recipe, found.state, found.arch, found.template) == ("demo", "finished", "llama", "forge1")
    assert found.tokenizer["kind"] == "bytes"
    assert found.about["step"] == 4
    assert "model.safetensors" in found.hashes


def test_a_model_folder_is_no_run(run):
    assert hornbook.inspect(run / "model").recipe is None


def test_a_damaged_file_is_named(run, tmp_path):
    shutil.copytree(run / "model", tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.safetensors is damaged"):
        hornbook.inspect(tmp_path / "model")


def test_json_counts_the_parameters(run, capsys):
    assert run_command(["inspect", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_parameters"] == sum(found["parameters"].values())


def test_prove_shows_every_proof_passed(run, capsys):
    assert run_command(["inspect", str(run), "--prove"]) == 0
    text = capsys.readouterr().out
    assert "causality by gradient" in text
    assert "stop token is learnt" in text
    assert "FAILED" not in text
