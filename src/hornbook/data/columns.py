"""Tables as records: CSV and parquet, read in small batches, only the columns that are asked for.

A parquet file of a few kilobytes can stand for gigabytes of cells: columns stay dictionary-coded until a single
cell is wanted, and files whose sizes cannot be honest are refused before anything is unpacked.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from hornbook.data.lines import open_bytes, open_regular, read_lines, too_long
from hornbook.data.tally import Tally
from hornbook.errors import DataError

_KNOWN = "messages conversations instruction input output response prompt question answer qText answers text"
_BESIDE = "system thinking system_prompt problem deepseek_reasoning deepseek_solution starter_code"
KNOWN_COLUMNS = frozenset([*_KNOWN.split(), *_BESIDE.split()])
"""Columns that are read when data.fields names none: what `hornbook.text.records` recognises."""

BATCH_ROWS = 64
BOMB_BYTES = 2**26
BOMB_RATIO = 200
"""A column is refused if it unpacks to more than BOMB_BYTES and BOMB_RATIO times its packed size."""
BOMB_ROWS = 10**6
BOMB_ROWS_PER_BYTE = 4
"""A file is refused if it claims more than BOMB_ROWS rows and this many for each of its bytes."""

Record = tuple[str, dict[str, Any]]


def read_csv(path: Path, *, max_bytes: int, fields: Mapping[str, str], tally: Tally) -> Iterator[Record]:
    """Yield the rows of a CSV file with a header line, every cell a string, with where they stand.

    Raises:
        DataError: if the file cannot be read, has no header, lacks the columns, or too many rows are unusable.
    """
    header = _header(path, max_bytes, tally)
    names = _wanted(header, fields, path)

    stopped: list[DataError] = []

    def bad_row(row: pa_csv.InvalidRow) -> Literal["skip", "error"]:
        error = DataError(
            f"{path}, line {row.number}: {row.actual_columns} cells under {row.expected_columns} columns.",
            fix='put cells that hold commas or line ends in "quotes".',
        )
        try:
            tally.skip("wrong number of cells", error)
        except DataError as too_many:
            stopped.append(too_many)  # an exception would not come through the C++ reader
            return "error"
        return "skip"

    with open_bytes(path) as file:
        try:
            batches = pa_csv.open_csv(
                file,
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=max(max_bytes, 2**16)),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=bad_row),
                convert_options=pa_csv.ConvertOptions(
                    column_types={name: pa.binary() for name in header}, include_columns=names
                ),
            )
            for number, row in _rows(batches, names):
                yield from _decoded(f"{path}, row {number}", row, max_bytes, tally)
        except (pa.ArrowException, OSError) as error:
            raise (stopped or [_csv_error(path, error, max_bytes)])[0] from error


def read_parquet(path: Path, *, max_bytes: int, fields: Mapping[str, str], tally: Tally) -> Iterator[Record]:
    """Yield the rows of a parquet file, null cells left out, with where they stand.

    Raises:
        DataError: if the file cannot be read, is cut or a bomb, lacks the columns, or too many rows are unusable.
    """
    open_regular(path).close()
    try:
        with pq.ParquetFile(path) as file:
            names = _wanted(file.schema_arrow.names, fields, path)
            _refuse_bomb(file.metadata, set(names), path)
            strings = [name for name in names if pa.types.is_string(file.schema_arrow.field(name).type)]
        with pq.ParquetFile(path, read_dictionary=strings) as file:
            batches = file.iter_batches(batch_size=BATCH_ROWS, columns=names, use_threads=False)
            for number, row in _rows(batches, names):
                yield from _cells(f"{path}, row {number}", row, max_bytes, tally)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet: {_first_line(error)}.",
            fix="fetch the file again; it is cut, damaged or something else.",
        ) from error


def _rows(batches: Iterable[Any], names: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield rows with their numbers from 1; one cell is unpacked at a time."""
    number = 0
    for batch in batches:
        for cells in zip(*(batch.column(name) for name in names), strict=True):
            number += 1
            yield number, {name: cell.as_py() for name, cell in zip(names, cells, strict=True)}


def _cells(where: str, row: dict[str, Any], max_bytes: int, tally: Tally) -> Iterator[Record]:
    """Yield a row without its null cells, or count why it cannot be used."""
    if any(isinstance(cell, str | bytes) and len(cell) > max_bytes for cell in row.values()):
        tally.skip("too long", too_long(where, max_bytes))
        return
    record = {name: cell for name, cell in row.items() if cell is not None}
    if record:
        yield where, record
    else:
        tally.skip(
            "null cells",
            DataError(f"{where}: nothing but null in {', '.join(row)}.", fix="fill the cell or remove the row."),
        )


def _decoded(where: str, row: dict[str, bytes], max_bytes: int, tally: Tally) -> Iterator[Record]:
    """Yield a row of bytes as strings, or count why it cannot be used."""
    try:
        record = {name: cell.decode() for name, cell in row.items()}
    except UnicodeDecodeError as error:
        tally.skip(
            "not UTF-8",
            DataError(
                f"{where}: byte 0x{error.object[error.start]:02x} is not UTF-8.",
                fix="convert the file, for example: iconv -f LATIN1 -t UTF-8 FILE.",
            ),
        )
        return
    yield from _cells(where, record, max_bytes, tally)


def _header(path: Path, max_bytes: int, tally: Tally) -> list[str]:
    """Return the names in the first line of a CSV file; none if the file is empty."""
    for _, line in read_lines(path, max_bytes=max_bytes, tally=tally):
        header = next(csv.reader([line.decode("utf-8", "replace").rstrip("\r\n")]), [])
        doubled = next((name for index, name in enumerate(header) if name in header[:index]), None)
        if doubled is not None:
            raise DataError(f"{path}: two columns are named '{doubled}'.", fix="rename one of them.")
        return header
    return []


def _wanted(columns: Sequence[str], fields: Mapping[str, str], path: Path) -> list[str]:
    """Return the columns to read, in the file's order."""
    if not columns:
        raise DataError(f"{path} is empty.", fix="give a file with a header and rows.")
    asked = {value if value in columns else value.split(".")[0] for value in fields.values()}
    missing = sorted(asked - set(columns))
    if missing:
        raise DataError(
            f"{path} has no column '{missing[0]}' (it has {', '.join(columns)}).",
            fix="name one of these in data.fields.",
        )
    names = [name for name in columns if name in (asked or KNOWN_COLUMNS)]
    if not names:
        raise DataError(
            f"{path} has no column that is known as text (it has {', '.join(columns)}).",
            fix=f'say which: data.fields = {{text = "{columns[0]}"}}, or input and output.',
        )
    return names


def _refuse_bomb(metadata: Any, names: set[str], path: Path) -> None:
    size = path.stat().st_size
    if metadata.num_rows > BOMB_ROWS and metadata.num_rows > BOMB_ROWS_PER_BYTE * size:
        raise _bomb(path, f"{metadata.num_rows:,} rows in {size:,} bytes")
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            if column.path_in_schema.split(".")[0] not in names:
                continue
            unpacked, packed = column.total_uncompressed_size, max(column.total_compressed_size, 1)
            if unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * packed:
                raise _bomb(path, f"{unpacked:,} bytes of {column.path_in_schema} packed into {packed:,}")


def _bomb(path: Path, reason: str) -> DataError:
    return DataError(f"{path} looks like a bomb, not text: {reason}.", fix="look at it, or leave it out.")


def _csv_error(path: Path, error: Exception, max_bytes: int) -> DataError:
    text = _first_line(error)
    if "straddl" in text:
        return too_long(f"{path}: a row (perhaps a quote is never closed)", max_bytes)
    return DataError(f"{path} cannot be read as CSV: {text}.", fix="mend the file, or give JSON lines instead.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
