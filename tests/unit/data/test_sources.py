"""Sources: every kind of file becomes the same stream of documents, and what cannot be used is counted."""

import csv
import gzip
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.config.sections import DataConfig
from hornbook.data.files import ContentHashes
from hornbook.data.sources import BUILTINS, SOURCES, open_source
from hornbook.errors import ConfigError, DataError
from hornbook.text.conversation import Conversation, Message, exchange

ROWS = [{"text": "one"}, {"text": "zwei ü"}, {"text": "three\nlines"}]
TEXTS = [row["text"] for row in ROWS]


def write_rows(path):
    """Write ROWS in the format that the name asks for."""
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["text"])
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        lines = [json.dumps(row) for row in ROWS]
        path.write_text(f"[{', '.join(lines)}]" if kind == "json" else "\n".join(lines))
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))


def contents(path, **settings):
    source = open_source(str(path), DataConfig(**settings))
    return [document.content for document in source.documents()], source.tally


def json_lines(tmp_path, *records):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.json.gz", "a.csv", "a.csv.gz", "a.parquet", "A.JSONL"]
)
def test_every_format_gives_the_same_documents(tmp_path, name):
    write_rows(tmp_path / name)
    assert contents(tmp_path / name)[0] == TEXTS


def test_a_text_file_is_a_document_and_so_is_each_file_of_a_folder(tmp_path):
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/z.txt").write_text("third")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"first"))
    assert contents(tmp_path)[0] == ["first", "second", "third"]
    assert contents(tmp_path / "b.txt")[0] == ["second"]


def test_a_folder_may_mix_formats_documents_and_conversations(tmp_path):
    write_rows(tmp_path / "a.parquet")
    json_lines(tmp_path, {"prompt": "1+1?", "response": "2"})
    (tmp_path / "z.txt").write_text("text")
    assert contents(tmp_path)[0] == [exchange("1+1?", "2"), *TEXTS, "text"]


def test_a_file_of_another_suffix_that_is_named_is_text(tmp_path):
    (tmp_path / "notes.md").write_text("# notes")
    assert contents(tmp_path / "notes.md")[0] == ["# notes"]


def test_text_is_kept_as_it_is(tmp_path):
    text = "a\r\nb\rc\u2028d\0e  \n\n\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    assert contents(tmp_path / "a.txt")[0] == [text]


def test_cleaning_steps_are_applied_to_documents_and_messages(tmp_path):
    path = json_lines(tmp_path, {"text": "LOUD"}, {"prompt": "WHO?", "response": "ME"})
    assert contents(path, clean=("lower",))[0] == ["loud", exchange("who?", "me")]


def test_an_unknown_cleaning_step_is_a_mistake_of_the_settings(tmp_path):
    with pytest.raises(ConfigError, match="lowr") as caught:
        contents(json_lines(tmp_path, {"text": "a"}), clean=("lowr",))
    assert "did you mean 'lower'?" in caught.value.fix


def test_the_system_prompt_is_given_to_conversations_that_have_none(tmp_path):
    own = {
        "messages": [{"role": r, "content": c} for r, c in (("system", "own"), ("user", "q"), ("assistant", "a"))]
    }
    path = json_lines(tmp_path, {"prompt": "q", "response": "a"}, own)
    first, second = contents(path, system="be kind")[0]
    assert first.messages[0] == Message("system", "be kind")
    assert second.messages[0] == Message("system", "own")


def test_fields_are_mapped(tmp_path):
    path = json_lines(tmp_path, {"ask": "q", "reply": {"body": "a"}})
    assert contents(path, fields={"input": "ask", "output": "reply.body"})[0] == [exchange("q", "a")]


def test_empty_documents_are_left_out_and_counted(tmp_path):
    path = json_lines(tmp_path, {"text": ""}, {"text": " \n"}, {"text": "x"}, {"prompt": "q", "response": ""})
    documents, tally = contents(path)
    assert documents == ["x"]
    assert (tally.used, tally.empty, tally.bad.total()) == (1, 3, 0)


def test_records_that_cannot_be_used_are_counted(tmp_path):
    good = [{"text": "x"}] * 20
    path = json_lines(tmp_path, *good, {"txt": "x"}, {"text": 7}, {"messages": [{"role": "user", "content": "q"}]})
    documents, tally = contents(path, max_bad_fraction=0.2)
    assert len(documents) == 20
    assert tally.bad.total() == 3


def test_a_wrong_field_names_file_line_keys_and_setting(tmp_path):
    path = json_lines(tmp_path, {"txt": "x", "id": 1})
    with pytest.raises(DataError, match=r"a\.jsonl, line 1: .*it has txt, id") as caught:
        contents(path)
    assert "data.fields" in caught.value.fix


def test_a_conversation_without_an_answer_names_its_place(tmp_path):
    path = json_lines(tmp_path, {"messages": [{"role": "user", "content": "q"}]})
    with pytest.raises(DataError, match=r"a\.jsonl, line 1: the conversation ends with 'user'"):
        contents(path)


def test_a_lone_surrogate_is_found_where_it_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "ab\\ud83d"}\n')
    with pytest.raises(DataError, match=r"line 1: a lone surrogate \\ud83d at character 3"):
        contents(tmp_path / "a.jsonl")


def test_a_surrogate_pair_is_a_character(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "\\ud83d\\ude42"}\n')
    assert contents(tmp_path / "a.jsonl")[0] == ["🙂"]


def test_max_documents_and_start_cut_the_stream(tmp_path):
    path = json_lines(tmp_path, *({"text": str(n)} for n in range(9)))
    assert contents(path, max_documents=3)[0] == ["0", "1", "2"]
    source = open_source(str(path), DataConfig(max_documents=6))
    assert [document.content for document in source.documents(start=4)] == ["4", "5"]


def test_documents_know_where_they_stand(tmp_path):
    path = json_lines(tmp_path, {"text": "a"}, {"text": "b"})
    assert [d.where for d in open_source(str(path), DataConfig()).documents()] == [
        f"{path}, line 1",
        f"{path}, line 2",
    ]


def test_a_token_file_gives_its_ids(tmp_path):
    np.array([5, 6], "<u2").tofile(tmp_path / "train.bin")
    source = open_source(str(tmp_path / "train.bin"), DataConfig())
    assert source.holds_tokens
    assert [document.content.tolist() for document in source.documents()] == [[5, 6]]


def test_token_files_are_not_picked_out_of_a_folder(tmp_path):
    np.array([5, 6], "<u2").tofile(tmp_path / "train.bin")
    (tmp_path / "a.txt").write_text("text")
    documents, tally = contents(tmp_path)
    assert documents == ["text"]
    assert tally.notes == {".bin files": 1}


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_built_in_sources_are_read_like_files(name):
    documents, _ = contents(f"builtin:{name}", max_documents=3, problems=10)
    assert len(documents) == 3
    assert all(isinstance(content, str | Conversation) for content in documents)


@pytest.mark.parametrize("path", ["builtin:reasonng", "builtin:"])
def test_an_unknown_built_in_source_names_those_there_are(path):
    with pytest.raises(ConfigError, match="There is no built-in source named") as caught:
        open_source(path, DataConfig())
    assert "python" in caught.value.fix
    assert "reasoning" in caught.value.fix


def test_no_path_is_a_mistake_of_the_settings():
    with pytest.raises(ConfigError, match="No data is given"):
        open_source("", DataConfig())


@pytest.mark.parametrize("name", ["a.parquet.gz", "a.bin.gz"])
def test_what_is_not_read_packed_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"is packed, and only \.csv, \.json, \.jsonl, \.txt are read packed"):
        open_source(str(tmp_path / name), DataConfig())


def fingerprint(path, tmp_path, **settings):
    return open_source(str(path), DataConfig(**settings)).fingerprint(ContentHashes(tmp_path / "hashes.json"))


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / "sub/a.txt").write_text("text")
    first, second = (fingerprint(tmp_path / folder, tmp_path) for folder in ("one", "two"))
    assert first == second
    assert first["files"][0]["name"] == "sub/a.txt"
    (tmp_path / "two/sub/a.txt").write_text("Text")
    assert fingerprint(tmp_path / "two", tmp_path) != first


def test_the_fingerprint_of_a_built_in_source_follows_its_settings(tmp_path):
    easy, hard = (fingerprint("builtin:reasoning", tmp_path, difficulty=level) for level in (1, 3))
    assert easy != hard
    assert easy["builtin"] == "reasoning"


def test_a_file_that_changes_or_vanishes_meanwhile_is_noticed(tmp_path):
    path = tmp_path / "in/a.txt"
    path.parent.mkdir()
    path.write_text("text")
    source = open_source(str(path.parent), DataConfig())
    source.fingerprint(ContentHashes(tmp_path / "hashes.json"))
    source.require_unchanged()
    path.write_text("longer text")
    with pytest.raises(DataError, match=r"a\.txt changed while it was read"):
        source.require_unchanged()
    shutil.rmtree(path.parent)
    with pytest.raises(DataError, match=r"a\.txt changed"):
        source.require_unchanged()
    with pytest.raises(DataError, match=r"a\.txt cannot be read: No such file"):
        list(source.documents())


def test_the_kinds_are_those_the_settings_promise():
    for suffix in SOURCES:
        assert suffix in DataConfig.model_fields["path"].description


def test_the_seed_says_which_of_several_answers_is_taken(tmp_path):
    records = [{"qId": f"qs{n}", "qText": f"Who is {n}?", "answers": ["Ana", "Ben", "Cleo"]} for n in range(40)]
    path = json_lines(tmp_path, *records)
    taken = [[list(read)[-1].text for read in contents(path, seed=seed)[0]] for seed in (0, 0, 1)]
    assert taken[0] == taken[1] != taken[2]
    assert set(taken[0]) == {"Ana", "Ben", "Cleo"}
