"""A trained model is spoken to from the command line and from Python."""

import io
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


SHORT = ["--length", "3", "--temp", "0"]
"""The original's names for --max-tokens and --temperature."""


def typed(monkeypatch, *lines):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_the_flags_of_the_original_are_accepted(run, capsys):
    expected = hornbook.generate(run, "Hi", max_tokens=3, temperature=0).text + "\n"
    for words in (
        ["--ckpt", str(run), "--start", "Hi"],
        ["--checkpoint", str(run), "Hi"],
        [str(run), "--start", "Hi", "--device", "cpu"],
    ):
        assert run_command(["generate", *words, *SHORT]) == 0
        assert capsys.readouterr().out == expected


def test_a_checkpoint_folder_speaks_with_the_settings_of_its_run(run):
    checkpoint = next((run / "checkpoints").glob("step-*"))
    assert hornbook.load(checkpoint).sampling.max_tokens == 8
    assert hornbook.load(checkpoint / "model").sampling.max_tokens == 120


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        ([], "No model is named", "--checkpoint RUN"),
        (["runs/demo"], "There is no prompt", "--interactive"),
        (["runs/demo", "Hi", "--ckpt", "runs/other"], "named twice: runs/demo and --checkpoint runs/other", "out"),
        (["runs/demo", "Hi", "--start", "Ho"], "given twice: 'Hi' and --start 'Ho'", "leave one"),
        (["runs/demo", "--interactive", "--json"], "--interactive prints no JSON", "leave --json"),
    ],
)
def test_a_contradiction_is_told_before_anything_is_loaded(words, problem, fix, run, capsys):
    assert run_command(["generate", *words]) == 2
    told = capsys.readouterr().err
    assert problem in told
    assert fix in told


def test_a_file_is_no_model(run, tmp_path):
    (tmp_path / "checkpoint.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"checkpoint.pth is a file; a model is a folder.\nfix: name a run"):
        hornbook.load(tmp_path / "checkpoint.pth")


@pytest.mark.parametrize("word", ["quit", "EXIT", "q", ":q"])
def test_a_conversation_ends_at_a_quit_word(word, run, monkeypatch, capsys):
    typed(monkeypatch, "Hi", word, "Ho")
    assert run_command(["generate", str(run), "--interactive", *SHORT]) == 0
    said = capsys.readouterr().out
    assert hornbook.generate(run, "Hi", max_tokens=3, temperature=0).text in said
    assert "[2] > " in said
    assert "[3] > " not in said


def test_the_end_of_the_input_ends_a_conversation(run, monkeypatch, capsys):
    typed(monkeypatch, "Hi")
    assert run_command(["generate", str(run), "--interactive", *SHORT]) == 0
    assert capsys.readouterr().out.endswith("[2] > \n")


def test_ctrl_c_ends_a_conversation_without_a_word(run, monkeypatch, capsys):
    def interrupt(question):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    assert run_command(["generate", str(run), "--interactive", *SHORT]) == 0
    assert capsys.readouterr().err == ""


def test_an_empty_prompt_asks_again_unless_there_is_a_default(run, monkeypatch, capsys):
    typed(monkeypatch, "", "q")
    assert run_command(["generate", str(run), "--interactive", *SHORT]) == 0
    assert capsys.readouterr().out.count("[1] > ") == 2
    typed(monkeypatch, "", "q")
    assert run_command(["generate", str(run), "--interactive", "--default-prompt", "Hi", *SHORT]) == 0
    said = capsys.readouterr().out
    assert hornbook.generate(run, "Hi", max_tokens=3, temperature=0).text in said
    assert "[2] > " in said


def test_a_prompt_that_is_given_is_the_first_of_a_conversation(run, monkeypatch, capsys):
    typed(monkeypatch, "q")
    assert run_command(["generate", "--ckpt", str(run), "--start", "Hi", "--interactive", *SHORT]) == 0
    said = capsys.readouterr().out
    assert hornbook.generate(run, "Hi", max_tokens=3, temperature=0).text in said
    assert "[1] > " not in said


def test_turns_differ_by_their_seeds(run, monkeypatch, capsys):
    typed(monkeypatch, "Hi", "Hi", "q")
    assert run_command(["generate", str(run), "--interactive", "--temp", "2", "--length", "8", "--seed", "4"]) == 0
    said = capsys.readouterr().out
    for seed in (4, 5):
        assert hornbook.generate(run, "Hi", seed=seed, temperature=2, max_tokens=8).text in said


def test_a_prompt_longer_than_the_context_is_cut_with_a_warning(run, monkeypatch, capsys):
    typed(monkeypatch, "ab" * 200, "q")
    assert run_command(["generate", str(run), "--interactive", *SHORT]) == 0
    assert "The prompt exceeds the context of 256 tokens by" in capsys.readouterr().err
