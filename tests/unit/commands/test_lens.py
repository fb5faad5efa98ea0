"""Any step's batch can be looked at again."""

import json

import pytest

import hornbook
from hornbook.cli import run as run_command
from hornbook.errors import CheckpointError, ConfigError


def test_a_step_shows_its_rows_and_what_is_learnt(run):
    rows = hornbook.lens(run, 0)
    assert len(rows) == 2
    assert any(token.learnt for token in rows[0].tokens)
    assert not all(token.learnt for token in rows[0].tokens)


def test_losses_stand_at_learnt_tokens_alone(run):
    tokens = hornbook.lens(run, 0, losses=True)[0].tokens
    assert all((token.loss is not None) == token.learnt for token in tokens)


def test_a_negative_step_is_refused(run):
    with pytest.raises(ConfigError, match="There is no step -1"):
        hornbook.lens(run, -1)


def test_a_folder_without_a_run_is_named(run):
    with pytest.raises(CheckpointError, match="There is no run in nowhere"):
        hornbook.lens("nowhere", 0)


def test_without_colours_a_word_says_what_is_learnt(run, capsys):
    assert run_command(["lens", str(run), "--step", "1", "--rows", "1", "--loss"]) == 0
    text = capsys.readouterr().out
    assert "step 1 of runs/demo: 2 rows" in text
    assert "\nread  | " in text
    assert "\nlearn  " in text
    assert "... 1 more rows (--rows 2)" in text


def test_colours_tell_learnt_from_read(run, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert run_command(["lens", str(run), "--step", "1", "--rows", "1"]) == 0
    assert "\x1b[1;32m" in capsys.readouterr().out


def test_json_has_every_token(run, capsys):
    assert run_command(["lens", str(run), "--step", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"id", "text", "learnt", "document"} <= rows[0]["tokens"][0].keys()
