"""Strict JSON: what json.loads lets through is refused, and arrays are read item by item."""

import gzip
import json

import pytest

from hornbook.data.strict_json import read_json, read_json_lines
from hornbook.data.tally import Tally
from hornbook.errors import DataError


def file(tmp_path, data, name="a.jsonl"):
    path = tmp_path / name
    data = data if isinstance(data, bytes) else data.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(tmp_path, data, name="a.jsonl", *, max_bytes=2**20, allowed=0.9):
    reader = read_json_lines if ".jsonl" in name else read_json
    tally = Tally(allowed)
    records = list(reader(file(tmp_path, data, name), max_bytes=max_bytes, tally=tally))
    tally.used = len(records)
    tally.finish()
    return [record for _, record in records], tally


GOOD = '{"text": "good"}'

BAD_LINES = {
    '{"text": "half': "Unterminated string",
    '{"text": "a"} {"text": "b"}': "behind the end of the object",
    '{"text": "a", "text": "b"}': "the key 'text' stands there twice",
    '{"a": {"b": 1, "c": 2, "b": 3}}': "the key 'b' stands there twice",
    '{"text": NaN}': "NaN is no JSON",
    '{"n": -Infinity}': "-Infinity is no JSON",
    f'{{"n": {"9" * 5000}}}': "a number of 5000 digits",
    f'{{"a": {"[" * 200_000}1{"]" * 200_000}}}': "nested too deeply",
    "[1, 2]": "an array instead of an object",
    '"text"': "a string instead of an object",
    "null": "null instead of an object",
    "17": "a number instead of an object",
    "<html>": "Expecting value",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: line[:20])
def test_a_bad_line_is_counted_and_the_others_are_used(tmp_path, line):
    records, tally = read(tmp_path, f"{GOOD}\n{line}\n{GOOD}\n")
    assert records == [{"text": "good"}] * 2
    assert tally.bad.total() == 1


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.items(), ids=lambda line: line[:20])
def test_the_error_of_a_bad_line_names_the_line_and_the_reason(tmp_path, line, reason):
    with pytest.raises(DataError) as caught:
        read(tmp_path, f"{GOOD}\n{line}\n", allowed=0.0)
    assert "a.jsonl, line 2: " in caught.value.problem
    assert reason in caught.value.problem
    assert len(str(caught.value)) < 400


def test_blank_lines_and_windows_line_ends_are_no_error(tmp_path):
    records, tally = read(tmp_path, f"\n{GOOD}\r\n  \r\n{GOOD}", allowed=0.0)
    assert len(records) == 2
    assert not tally.bad


def test_a_line_that_is_not_utf_8_is_counted_under_its_own_reason(tmp_path):
    _, tally = read(tmp_path, GOOD.encode() + b'\n{"text": "\xff"}\n')
    assert tally.bad == {"not UTF-8": 1}


def test_u2028_inside_a_string_does_not_end_a_line(tmp_path):
    records, _ = read(tmp_path, '{"text": "a\u2028b"}\n', allowed=0.0)
    assert records == [{"text": "a\u2028b"}]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_an_array_is_read_item_by_item(tmp_path, name):
    rows = [{"text": "x" * 30_000, "n": number} for number in range(100)]
    records, _ = read(tmp_path, json.dumps(rows, indent=1), name, max_bytes=40_000, allowed=0.0)
    assert records == rows


def test_bad_items_of_an_array_are_counted(tmp_path):
    records, tally = read(tmp_path, f'[{GOOD}, {{"a": NaN}}, {{"a": 1, "a": 2}}, null, {GOOD}]', "a.json")
    assert len(records) == 2
    assert tally.bad == {"broken JSON": 2, "not an object": 1}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (f"[{GOOD}, ", "item 2: broken JSON"),
        (f'[{GOOD}, {{"te', "item 2: broken JSON"),
        (f"[{GOOD} {GOOD}]", "item 1: broken JSON (no comma behind it)"),
        (f"[{GOOD}", "item 1: broken JSON (the file ends behind it)"),
        ("[" * 200_000, "item 1: broken JSON (nested too deeply)"),
        ('{"a": 1', "broken JSON"),
        (f"{GOOD}\n{GOOD}", "more than one JSON object"),
        ("text", "starts with 't'"),
    ],
)
def test_a_broken_json_file_stops_with_its_place(tmp_path, data, reason):
    with pytest.raises(DataError) as caught:
        read(tmp_path, data, "a.json")
    assert reason in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2


def test_an_item_above_the_limit_stops(tmp_path):
    with pytest.raises(DataError, match="item 1: longer than 4.00 KiB"):
        read(tmp_path, json.dumps([{"text": "x" * 3_000_000}]), "a.json", max_bytes=4096)


def test_an_object_with_one_list_gives_the_list(tmp_path):
    records, _ = read(tmp_path, f'{{"canary": "x", "examples": [{GOOD}, {GOOD}]}}', "a.json")
    assert records == [{"text": "good"}] * 2


def test_an_object_without_a_list_is_the_record(tmp_path):
    assert read(tmp_path, GOOD, "a.json")[0] == [{"text": "good"}]


def test_a_conversation_object_is_one_record(tmp_path):
    record = {"messages": [{"role": "user", "content": "hi"}]}
    assert read(tmp_path, json.dumps(record), "a.json")[0] == [record]


def test_an_empty_json_file_holds_nothing(tmp_path):
    assert read(tmp_path, " \n", "a.json")[0] == []


def test_json_that_is_not_utf_8_names_the_byte(tmp_path):
    with pytest.raises(DataError, match="byte 0xe9 near position 10 is not UTF-8"):
        read(tmp_path, '{"text": "é"}'.encode("latin-1"), "a.json")
