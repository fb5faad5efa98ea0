"""A trained model is spoken to from the command line and from Python."""

import json

import pytest

import hornbook
from hornbook.cli import run as run_command
from hornbook.errors import CheckpointError, ConfigError


def test_a_loaded_model_speaks(run):
    loaded = hornbook.load(run)
    spoken = loaded.generate("What is 2 + 2?", max_tokens=5, temperature=0)
    assert 1 <= spoken.tokens <= 5
    assert str(spoken) == spoken.answer


def test_a_loaded_model_shows_its_parts(run):
    loaded = hornbook.load(run)
    assert loaded.tokenizer.kind == "bytes"
    assert loaded.model.config.width == 32


def test_what_is_not_said_comes_from_the_run_s_settings(run):
    assert hornbook.load(run).sampling.max_tokens == 8
    assert hornbook.load(run / "model").sampling.max_tokens == 120


def test_the_same_seed_gives_the_same_text(run):
    first, again = (hornbook.generate(run, "Hi", seed=3, temperature=1.5, max_tokens=8) for _ in range(2))
    assert first.text == again.text


def test_an_unknown_sampling_setting_suggests_the_nearest(run):
    with pytest.raises(
        ConfigError, match=r"no sampling setting named 'temprature'.\nfix: did you mean 'temperature'"
    ):
        hornbook.load(run).generate("Hi", temprature=1)


def test_a_folder_without_a_model_is_named(run):
    with pytest.raises(CheckpointError, match="nowhere does not exist"):
        hornbook.load("nowhere")


def test_the_command_prints_what_is_said(run, capsys):
    assert run_command(["generate", str(run), "Hi", "--max-tokens", "3", "--temperature", "0"]) == 0
    spoken = hornbook.generate(run, "Hi", max_tokens=3, temperature=0)
    assert capsys.readouterr().out == spoken.text + "\n"


def test_json_tells_every_text_with_its_seed(run, capsys):
    assert (
        run_command(["generate", str(run), "Hi", "--max-tokens", "3", "--count", "2", "--seed", "5", "--json"])
        == 0
    )
    texts = json.loads(capsys.readouterr().out)
    assert [text["seed"] for text in texts] == [5, 6]
    assert {"text", "thinking", "answer", "tokens", "stopped"} <= texts[0].keys()


def test_an_impossible_value_leaves_with_2(run, capsys):
    assert run_command(["generate", str(run), "Hi", "--top-p", "0"]) == 2
    assert "top_p" in capsys.readouterr().err
