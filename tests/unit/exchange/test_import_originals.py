"""Files of the originals become ours, and what was wrong with them is said."""

import json
import pickle

import numpy as np
import pytest

from hornbook.cli import run as run_command
from hornbook.config.sections import DataConfig
from hornbook.config.tokenizers import ExternalTokenizerConfig
from hornbook.data.sources import open_source
from hornbook.errors import ConfigError, DataError
from hornbook.exchange.import_originals import import_originals
from hornbook.exchange.import_records import parse_forge1
from hornbook.exchange.import_vocabulary import read_pickled
from hornbook.proofs.tokenizer import prove_tokenizer
from hornbook.text.tokenizer_kinds import build_tokenizer


def imported(path, folder):
    (one,) = import_originals(path, folder)
    return one


def refused(path, folder):
    with pytest.raises(DataError) as caught:
        list(import_originals(path, folder))
    return str(caught.value)


def pickled(path, value):
    path.write_bytes(pickle.dumps(value))
    return path


def records(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def conversations(path):
    source = open_source(str(path), DataConfig())
    return [document.content for document in source.documents()]


WATER = ["<pad>", "<unk>", "the", "cat", "=", "rows:", "array.length", "1984", "mat", "<eos>"]


def water(tmp_path):
    return pickled(tmp_path / "vocab.pkl", {entry: index for index, entry in enumerate(WATER)})


class Harm:
    """What a hostile pickle holds: a call of a function."""

    def __reduce__(self):
        return (print, ("harmed",))


def test_a_word_vocabulary_becomes_a_tokenizer_that_loses_nothing(tmp_path):
    one = imported(water(tmp_path), tmp_path / "out")
    tokenizer = build_tokenizer(ExternalTokenizerConfig(path=str(one.written[0])), [])
    text = "The cat, the mat\n{snake_case} 1984 naïve 你好"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode("the cat")) == 2
    assert all(proof.passed for proof in prove_tokenizer(tokenizer))


def test_what_was_wrong_in_a_word_vocabulary_is_said(tmp_path):
    findings = "\n".join(imported(water(tmp_path), tmp_path / "out").findings)
    assert "<pad>, <unk>, <eos> could never be written" in findings
    assert "2 of its 7 entries, such as 'rows:', 'array.length', could never be produced" in findings
    assert "1 of its entries are whole numbers" in findings
    assert "no capital, no line break" in findings


def test_a_character_vocabulary_becomes_a_tokenizer_that_loses_nothing(tmp_path):
    path = pickled(tmp_path / "vocab.pkl", {"a": 0, "é": 1, "你": 2})
    one = imported(path, tmp_path / "out")
    tokenizer = build_tokenizer(ExternalTokenizerConfig(path=str(one.written[0])), [])
    assert len(tokenizer.encode("é你")) == 2
    assert tokenizer.decode(tokenizer.encode("zé你好")) == "zé你好"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Harm(), "it asks for builtins.print"),
        ({"a": Harm()}, "it asks for builtins.print"),
        (["a"], "not a dict of str to int"),
        ({"a": 1.5}, "not a dict of str to int"),
        ({"a": True}, "not a dict of str to int"),
        ({0: "a"}, "not a dict of str to int"),
        ({"a": 0, "b": 0}, "the same number"),
        ({"1": 0, "2": 1}, "its keys are numbers in text"),
    ],
)
def test_a_pickle_of_anything_else_is_refused_and_never_run(tmp_path, capfd, value, reason):
    message = refused(pickled(tmp_path / "vocab.pkl", value), tmp_path / "out")
    assert "is no vocabulary that can be trusted" in message
    assert reason in message
    assert "harmed" not in capfd.readouterr().out
    assert not list((tmp_path / "out").rglob("*.json"))


def test_a_pickle_that_asks_for_memory_without_end_is_refused(tmp_path):
    nest = b"\x80\x04" + b"X\x01\x00\x00\x00a" + b"2" * 5_000_000 + b"."  # five million copies on the stack
    (tmp_path / "vocab.pkl").write_bytes(nest)
    with pytest.raises(DataError, match="is no vocabulary that can be trusted"):
        read_pickled(tmp_path / "vocab.pkl")


def test_a_damaged_pickle_is_refused(tmp_path):
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps({"a": 0})[:-3])
    assert "is no vocabulary that can be trusted" in refused(tmp_path / "vocab.pkl", tmp_path / "out")


def test_a_large_pickle_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "vocab.pkl").open("wb") as file:
        file.truncate(2**25)
    assert "more than 16,777,216 bytes" in refused(tmp_path / "vocab.pkl", tmp_path / "out")


def test_a_byte_stream_becomes_a_file_of_its_bytes(tmp_path):
    data = "naïve\x00text".encode()
    np.save(tmp_path / "all_bytes.npy", np.frombuffer(data, dtype=np.uint8))
    one = imported(tmp_path / "all_bytes.npy", tmp_path / "out")
    assert one.written[0].read_bytes() == data
    assert "glued with nothing between them" in "\n".join(one.findings)
    assert "1 NUL bytes" in "\n".join(one.findings)


def test_a_byte_stream_that_is_no_utf8_is_kept_and_said_so(tmp_path):
    data = b"ab\xff\xfecd"
    np.save(tmp_path / "all_bytes.npy", np.frombuffer(data, dtype=np.uint8).astype(np.int64))
    one = imported(tmp_path / "all_bytes.npy", tmp_path / "out")
    findings = "\n".join(one.findings)
    assert one.written[0].read_bytes() == data
    assert "not UTF-8 at byte 2" in findings
    assert "int64 values took 8 bytes each" in findings


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([1, 300]), "the value 300 is no byte"),
        (np.array([1, -3]), "the value -3 is no byte"),
        (np.zeros((2, 2), dtype=np.uint8), "not a row of whole numbers"),
        (np.zeros(4), "not a row of whole numbers"),
        (np.zeros(0, dtype=np.uint8), "it is empty"),
        (np.array([Harm()], dtype=object), "Python objects in dtype"),
    ],
)
def test_an_array_of_anything_else_is_refused(tmp_path, capfd, array, reason):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    message = refused(tmp_path / "x.npy", tmp_path / "out")
    assert "is no byte stream" in message
    assert reason in message
    assert not (tmp_path / "out" / "x.txt").exists()
    assert "harmed" not in capfd.readouterr().out


def test_water_s_records_are_kept_whole_and_what_it_lost_is_counted(tmp_path):
    path = records(
        tmp_path / "math.jsonl",
        {"input": "What is 2+2?", "output": "4"},
        {"input": "什么", "output": "是"},
        {"input": "broken"},
    )
    one = imported(path, tmp_path / "out")
    assert [m.text for c in conversations(one.written[0]) for m in c] == ["What is 2+2?", "4", "什么", "是"]
    findings = "\n".join(one.findings)
    assert "2 records name their texts input and output; Water's trainer reads prompt and response" in findings
    assert "2 records hold capitals" in findings
    assert "1 records would have nothing left" in findings
    assert "left out: 1 cannot be used" in findings


FORGE = (
    "<|bos|>\n<|system|>Be kind.<|/system|>\n<|user|>Hi <|pad|>?<|/user|>\n{}\n"
    "<|assistant|>Yes.<|/assistant|>\n<|eos|>"
)


def test_a_finished_text_of_forge_1_becomes_messages_again(tmp_path):
    path = records(
        tmp_path / "train.jsonl",
        {"text": FORGE.format("<|think|>\nHm.\n<|/think|>")},
        {"text": FORGE.format("<|no_think|>")},
        {"text": "<|bos|>\nnothing of the kind"},
    )
    one = imported(path, tmp_path / "out")
    first, second = conversations(one.written[0])
    assert [(m.role, m.text) for m in first] == [
        ("system", "Be kind."),
        ("user", "Hi <|pad|>?"),
        ("think", "Hm."),
        ("assistant", "Yes."),
    ]
    assert [m.role for m in second] == ["system", "user", "assistant"]
    findings = "\n".join(one.findings)
    assert "cut to the last question and the last answer" in findings
    assert "2 texts spell special tokens themselves" in findings
    assert "not one question and one answer of Forge-1" in findings


def test_a_text_that_is_not_forge_1_s_is_named_with_its_place():
    with pytest.raises(DataError, match=r"here: the text begins with <\|bos\|> but is not"):
        parse_forge1("<|bos|><|user|>x<|/user|>", where="here")


def test_questions_with_several_answers_keep_them_all(tmp_path):
    path = records(tmp_path / "qa.jsonl", {"qText": "Who?", "answers": ["I", "You"]})
    one = imported(path, tmp_path / "out")
    assert json.loads(one.written[0].read_text()) == {"qText": "Who?", "answers": ["I", "You"]}
    assert "1 questions have several answers" in "\n".join(one.findings)


def test_a_file_without_usable_records_is_refused(tmp_path):
    message = refused(records(tmp_path / "x.jsonl", {"a": 1}), tmp_path / "out")
    assert "none of its 1 records can be used" in message
    assert not (tmp_path / "out" / "x.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("id2token.pkl", "it is vocab.pkl turned round"),
        ("model.pt", "loading a pickle may run anything"),
        ("train.bin", "read as they are"),
        ("song.mp3", "no file of the originals that is known"),
    ],
)
def test_what_is_not_imported_is_refused_with_the_reason(tmp_path, name, reason):
    (tmp_path / name).write_bytes(b"x")
    assert reason in refused(tmp_path / name, tmp_path / "out")


def test_nothing_is_written_over(tmp_path):
    imported(water(tmp_path), tmp_path / "out")
    assert "is there already" in refused(water(tmp_path), tmp_path / "out")


def test_a_missing_file_and_an_empty_folder_are_errors(tmp_path):
    assert "There is no" in refused(tmp_path / "gone.pkl", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "holds no file of the originals" in refused(tmp_path / "empty", tmp_path / "out")


def test_the_command_prints_what_it_made_and_how_to_use_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    water(tmp_path)
    assert run_command(["import", "vocab.pkl"]) == 0
    printed = capsys.readouterr().out
    assert "vocab.pkl: vocabulary of 10 entries" in printed
    assert "use it: tokenizer.kind=external tokenizer.path=imported/vocab/tokenizer.json" in printed
    assert run_command(["import", "vocab.pkl", "--to", "again", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["written"] == ["again/vocab/tokenizer.json"]
    assert run_command(["import", "vocab.pkl"]) == 2
    assert "is there already" in capsys.readouterr().err


PLAN = "# name | epochs | lr | batch\n\nmath.jsonl | 3 | 3e-4 | 32\n# combined.jsonl | 1 | 1e-4 | 32\n"


def test_a_plan_comes_with_the_records_it_names(tmp_path):
    (tmp_path / "train_plan.txt").write_text(PLAN)
    records(tmp_path / "math.jsonl", {"input": "2+2?", "output": "4"})
    one = imported(tmp_path / "train_plan.txt", tmp_path / "out")
    assert one.kind == "plan of 1 phases"
    assert one.written == (tmp_path / "out" / "train_plan.txt", tmp_path / "out" / "math.jsonl")
    assert one.written[0].read_text() == PLAN
    findings = "\n".join(one.findings)
    assert "the best of losses over different sets was kept" in findings
    assert "phases commented out, which stay so: 1." in findings
    assert "math.jsonl: 1 records name their texts input and output" in findings


def test_a_plan_whose_files_are_missing_is_refused(tmp_path):
    (tmp_path / "train_plan.txt").write_text(PLAN)
    with pytest.raises(ConfigError, match=r"train_plan.txt, line 3: there is no math.jsonl"):
        list(import_originals(tmp_path / "train_plan.txt", tmp_path / "out"))


def test_a_text_that_is_no_plan_is_sent_to_data_path(tmp_path):
    (tmp_path / "book.txt").write_text("Once upon a time.")
    message = refused(tmp_path / "book.txt", tmp_path / "out")
    assert "is no training plan" in message
    assert "give it as data.path" in message
