"""A tokenizer is shown, whether a run has it or a recipe makes it."""

import json

import hornbook
from hornbook.cli import run as run_command


def test_a_run_a_model_and_a_tokenizer_folder_give_the_same(run):
    hashes = {hornbook.tokenizer(place).hash for place in (run, run / "model", run / "model" / "tokenizer")}
    assert len(hashes) == 1


def test_a_recipe_is_prepared_for_its_tokenizer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("one two three " * 300, encoding="utf-8")
    found = hornbook.tokenizer("text", ["data.path=words.txt", "tokenizer.kind=chars", "model.context=64"])
    assert found.kind == "chars"
    assert list(tmp_path.glob("prepared/text-*"))


def test_a_text_is_cut_into_pieces(run, capsys):
    assert run_command(["tokenizer", str(run), "--text", "aé"]) == 0
    text = capsys.readouterr().out
    assert "a||é" in text
    assert "3 tokens, 3 bytes, 1.00 bytes a token" in text


def test_colours_tell_the_pieces_apart(run, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert run_command(["tokenizer", str(run), "--text", "ab\nc"]) == 0
    assert "\x1b[30;106m" in (text := capsys.readouterr().out)
    assert "↵" in text


def test_json_has_the_ids(run, capsys):
    assert run_command(["tokenizer", str(run), "--text", "ab", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["kind"], about["ids"], about["bytes"]) == ("bytes", [97, 98], 2)


def test_rare_words_are_listed_and_those_too_rare_are_read_off_the_bytes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.txt").write_text("often")
    (tmp_path / "words.txt").write_text("unique zölibat\n" + "late\n" * 8 + "often often seldom\n" * 300)
    settings = [
        "data.path=words.txt",
        "tokenizer.kind=words",
        "model.context=64",
        "data.validation_path=other.txt",
    ]
    assert run_command(["tokenizer", "text", *settings, "--rare"]) == 0
    text = capsys.readouterr().out
    assert "sample" in text and "' often'" in text
    assert "written in bytes  2 words and characters" in text
    assert "'unique' 1" in text and "'zölibat' 1" in text
    assert run_command(["tokenizer", "text", *settings, "--rare", "--json"]) == 0
    use = json.loads(capsys.readouterr().out)["use"]
    assert dict(use["spelt"]) == {"unique": 1, "zölibat": 1}
    assert [entry[1] for entry in use["rarest"]] == sorted(entry[1] for entry in use["rarest"])


def test_a_run_knows_how_its_data_uses_the_vocabulary(run, capsys):
    assert run_command(["tokenizer", str(run), "--rare"]) == 0
    assert "bytes alone" in capsys.readouterr().out


def test_a_run_without_its_data_says_so(run, capsys):
    config = run / "config.json"
    kept = config.read_text()
    config.write_text(kept.replace('"problems": 300', '"problems": 301'))
    try:
        assert run_command(["tokenizer", str(run), "--rare"]) == 2
    finally:
        config.write_text(kept)
    assert "is gone, or its sources have changed" in capsys.readouterr().err
