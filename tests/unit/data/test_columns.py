"""CSV and parquet: the right columns, every row in its place, bombs refused."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.data.columns import read_csv, read_parquet
from hornbook.data.tally import Tally
from hornbook.errors import DataError


def read(path, *, fields=None, max_bytes=2**20, allowed=0.9):
    tally = Tally(allowed)
    reader = read_parquet if path.suffix == ".parquet" else read_csv
    rows = []
    for row in reader(path, max_bytes=max_bytes, fields=fields or {}, tally=tally):
        rows.append(row)
        tally.used += 1
    tally.finish()
    return rows, tally


def csv(tmp_path, text, name="a.csv"):
    path = tmp_path / name
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def parquet(tmp_path, columns, **options):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_known_columns_are_read_as_strings_and_others_are_not(tmp_path, name):
    path = csv(tmp_path, 'id,question,answer\n1,"a, ""b""\nc",42\n2,d,\n', name)
    rows, _ = read(path)
    assert rows == [
        (f"{path}, row 1", {"question": 'a, "b"\nc', "answer": "42"}),
        (f"{path}, row 2", {"question": "d", "answer": ""}),
    ]


def test_data_fields_choose_columns(tmp_path):
    path = csv(tmp_path, "body,label\nhello,x\n")
    assert read(path, fields={"text": "body"})[0][0][1] == {"body": "hello"}


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path):
    rows, tally = read(csv(tmp_path, "\ufefftext\nhello\n"))
    assert rows[0][1] == {"text": "hello"}
    assert tally.notes == {"byte order marks taken off": 1}


def test_rows_with_too_many_cells_are_counted(tmp_path):
    rows, tally = read(csv(tmp_path, "text,n\na,1\nb,2,3\nc,4\n"))
    assert [row["text"] for _, row in rows] == ["a", "c"]
    assert tally.bad == {"wrong number of cells": 1}


def test_too_many_bad_rows_stop_with_the_first_one(tmp_path):
    path = csv(tmp_path, "text,n\n" + "b,2,3\n" * 200)
    with pytest.raises(DataError, match=r"a\.csv, line 2: 3 cells under 2 columns\. 101 of 101"):
        read(path, allowed=0.01)


def test_cells_that_are_not_utf_8_are_counted(tmp_path):
    rows, tally = read(csv(tmp_path, b"text\ngood\nsch\xf6n\n"))
    assert len(rows) == 1
    assert tally.bad == {"not UTF-8": 1}


def test_a_quote_that_is_never_closed_stops_within_bounds(tmp_path):
    path = csv(tmp_path, 'text\n"' + "open\n" * 2_000_000)
    with pytest.raises(DataError, match=r"a row \(perhaps a quote is never closed\): longer than 64\.0 KiB"):
        read(path, max_bytes=2**16)


def test_a_truncated_csv_gz_is_refused(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"text\n" + b"some words\n" * 9999)[:-20])
    with pytest.raises(DataError, match="is not a whole gzip file"):
        read(path)


def test_an_empty_csv_and_equal_columns_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv is empty"):
        read(csv(tmp_path, ""))
    with pytest.raises(DataError, match="two columns are named 'text'"):
        read(csv(tmp_path, "text,text\na,b\n"))


def test_missing_columns_name_those_that_are_there(tmp_path):
    for path in (csv(tmp_path, "body,label\na,b\n"), parquet(tmp_path, {"body": ["a"], "label": ["b"]})):
        with pytest.raises(DataError, match=r"no column that is known as text \(it has body, label\)") as caught:
            read(path)
        assert caught.value.fix == 'say which: data.fields = {text = "body"}, or input and output.'
        with pytest.raises(DataError, match=r"has no column 'bdy' \(it has body, label\)") as caught:
            read(path, fields={"text": "bdy"})
        assert caught.value.fix == "name one of these in data.fields."


def test_parquet_gives_rows_with_nested_values_and_without_nulls(tmp_path):
    messages = [[{"role": "user", "content": "hi"}], None]
    path = parquet(tmp_path, {"messages": messages, "system": [None, "be kind"], "id": [1, 2]})
    assert read(path)[0] == [
        (f"{path}, row 1", {"messages": [{"role": "user", "content": "hi"}]}),
        (f"{path}, row 2", {"system": "be kind"}),
    ]


def test_a_nested_field_asks_for_its_column(tmp_path):
    path = parquet(tmp_path, {"meta": [{"body": "a"}], "text": ["no"]})
    assert read(path, fields={"text": "meta.body"})[0][0][1] == {"meta": {"body": "a"}}


def test_rows_of_nothing_but_null_are_counted(tmp_path):
    rows, tally = read(parquet(tmp_path, {"text": ["a", None, "b", None]}))
    assert [where.split()[-1] for where, _ in rows] == ["1", "3"]
    assert tally.bad == {"null cells": 2}


def test_cells_above_the_limit_are_counted(tmp_path):
    rows, tally = read(parquet(tmp_path, {"text": ["a", "b" * 200]}), max_bytes=100)
    assert len(rows) == 1
    assert tally.bad == {"too long": 1}


def test_all_row_groups_are_read_in_order(tmp_path):
    path = parquet(tmp_path, {"text": [str(n) for n in range(300)]}, row_group_size=70)
    assert [row["text"] for _, row in read(path)[0]] == [str(n) for n in range(300)]


def test_a_parquet_file_of_no_rows_gives_none(tmp_path):
    assert read(parquet(tmp_path, {"text": pa.array([], pa.string())}))[0] == []


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"text"])
def test_damaged_parquet_is_refused_by_name(tmp_path, damage):
    path = parquet(tmp_path, {"text": ["words"] * 1000})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as parquet") as caught:
        read(path)
    assert len(str(caught.value).splitlines()) == 2


def test_a_damaged_page_is_refused_by_name(tmp_path):
    path = parquet(tmp_path, {"text": [f"words {n}" for n in range(5000)]}, compression="zstd")
    data = bytearray(path.read_bytes())
    data[200:1200] = bytes(1000)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as parquet"):
        read(path)


def test_a_repeated_long_cell_is_not_unpacked_for_every_row(tmp_path):
    cells = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), ["long " * 20_000])
    path = parquet(tmp_path, {"text": cells}, dictionary_pagesize_limit=2**30)
    pa.default_memory_pool().release_unused()
    before = pa.total_allocated_bytes()
    for number, _ in enumerate(read_parquet(path, max_bytes=2**20, fields={}, tally=Tally(0.0))):
        assert pa.total_allocated_bytes() - before < 2**24
        if number > 500:
            break


def test_a_column_that_unpacks_hugely_is_refused(tmp_path):
    path = parquet(tmp_path, {"text": ["a" * 2**27]}, compression="zstd", use_dictionary=False)
    with pytest.raises(DataError, match=r"looks like a bomb, not text: 134,\d+,\d+ bytes of text packed into"):
        read(path)


def test_more_rows_than_the_bytes_can_hold_are_refused(tmp_path):
    path = parquet(
        tmp_path, {"text": pa.DictionaryArray.from_arrays(pa.array([0] * 2_000_000, pa.int32()), ["x"])}
    )
    with pytest.raises(DataError, match=r"looks like a bomb, not text: 2,000,000 rows in"):
        read(path)
