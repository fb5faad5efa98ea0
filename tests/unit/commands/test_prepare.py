"""Data is prepared once, and shown."""

import json

import pytest

import hornbook
from hornbook.cli import run as run_command
from hornbook.errors import ConfigError


@pytest.fixture
def text(tmp_path, monkeypatch):
    """A file of text in an empty workplace."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("All the words there are. " * 200, encoding="utf-8")
    return ["data.path=words.txt", "tokenizer.kind=bytes", "model.context=64"]


def test_a_recipe_without_data_asks_for_some():
    with pytest.raises(ConfigError, match=r"data\.path is not set\.\nfix: add data\.path=FILE"):
        hornbook.prepare("text")


def test_text_becomes_tokens_on_disk(text):
    prepared = hornbook.prepare("text", text)
    assert prepared.folder.is_dir()
    assert prepared.train.num_tokens > 4_000


def test_what_is_done_is_said_and_done_once(text):
    said = []
    hornbook.prepare("text", text, say=said.append)
    assert said
    again = []
    hornbook.prepare("text", text, say=again.append)
    assert again == []


def test_the_command_ends_with_the_next_one(text, capsys):
    assert run_command(["prepare", "text", *text]) == 0
    output = capsys.readouterr().out
    assert "bytes tokenizer of 268" in output
    assert output.endswith(f"Next: hornbook train text {' '.join(text)}\n")


def test_json_is_the_manifest(text, capsys):
    assert run_command(["prepare", "text", *text, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokenizer"]["kind"] == "bytes"


def test_a_missing_file_is_two_lines(text, capsys):
    assert run_command(["prepare", "text", "data.path=wrods.txt"]) == 2
    assert "wrods.txt does not exist" in capsys.readouterr().err
