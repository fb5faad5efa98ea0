"""JSON read strictly and within bounds: duplicate keys, NaN, endless numbers and endless depth are refused.

`json.loads` silently keeps the last of two equal keys, accepts NaN, and dies of a deep list with RecursionError.
An array is read item by item, so a file of any size needs the memory of one item.
"""

import codecs
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hornbook.data.lines import CHUNK_BYTES, open_text, read_lines, too_long, without_bom
from hornbook.data.lines import decode as decode_line
from hornbook.data.tally import Tally
from hornbook.errors import DataError
from hornbook.units import bytes_text

OBJECT_BYTES = 2**26
"""Largest .json file that is one object; arrays and JSON lines have no such bound."""

MAX_DIGITS = 4000
"""Longest whole number; Python's own limit is a little above."""

WHITE = " \t\r\n"


class StrictDecoder:
    """Decodes JSON values and remembers what was wrong with one that could be parsed."""

    def __init__(self) -> None:
        self._problem = ""
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_int=self._integer
        )

    def decode(self, text: str, position: int = 0) -> tuple[Any, int, str]:
        """Parse one value.

        Returns:
            The value, the position behind it, and what is wrong with it ("" if nothing is).

        Raises:
            json.JSONDecodeError: if `text` does not hold a whole value at `position`.
        """
        self._problem = ""
        try:
            value, end = self._decoder.raw_decode(text, position)
        except RecursionError:
            raise json.JSONDecodeError("nested too deeply", text, position) from None
        return value, end, self._problem

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for index, key in enumerate(keys) if key in keys[:index])
            self._problem = f"the key '{twice}' stands there twice"
        return result

    def _constant(self, name: str) -> None:
        self._problem = f"{name} is no JSON"

    def _integer(self, digits: str) -> int:
        if len(digits) <= MAX_DIGITS:
            return int(digits)
        self._problem = f"a number of {len(digits)} digits"
        return 0


def read_json_lines(path: Path, *, max_bytes: int, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the object of each line with where it stands; blank lines are passed over.

    Raises:
        DataError: if the file cannot be read, or too many lines are no strict JSON objects.
    """
    decoder = StrictDecoder()
    for number, line in read_lines(path, max_bytes=max_bytes, tally=tally):
        if not line.strip():
            continue
        text = decode_line(line, path, number, tally)
        if text is None:
            continue
        where = f"{path}, line {number}"
        try:
            text = text.strip(WHITE)
            value, end, problem = decoder.decode(text)
            if end < len(text):
                problem = f"{text[end : end + 20]!r} behind the end of the object"
        except json.JSONDecodeError as error:
            value, problem = None, f"{error.msg} at column {error.pos + 1}"
        yield from _record(where, value, problem, tally)


def read_json(path: Path, *, max_bytes: int, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a .json file: the items of an array, the items of an object's one list, or the object.

    Raises:
        DataError: if the file cannot be read, is broken or cut (naming the item), or too many items are unusable.
    """
    with open_text(path) as file:
        text = _Text(file, path, tally)
        first = text.skip_white()
        if first == "[":
            text.position += 1
            yield from _read_array(text, max_bytes, tally)
        elif first == "{":
            yield from _read_object(text, tally)
        elif first:
            raise DataError(
                f"{path} starts with {first!r}: it is no JSON array or object.",
                fix="give an array of objects, an object that holds one, or JSON lines named .jsonl.",
            )


class _Text:
    """A window of decoded text that moves over a file."""

    def __init__(self, file: io.BufferedReader, path: Path, tally: Tally) -> None:
        self.path = path
        self.buffer = ""
        self.position = 0
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._read = 0
        self._take(without_bom(file.read(CHUNK_BYTES), tally))

    def more(self) -> bool:
        """Append more text, at least as much as is waiting; False at the end of the file."""
        self.buffer, self.position = self.buffer[self.position :], 0
        data = self._file.read(max(CHUNK_BYTES, len(self.buffer)))
        self._take(data)
        return bool(data)

    def skip_white(self) -> str:
        """Move to the next character that is not white space and return it; "" at the end."""
        while True:
            while self.position < len(self.buffer) and self.buffer[self.position] in WHITE:
                self.position += 1
            if self.position < len(self.buffer):
                return self.buffer[self.position]
            if not self.more():
                return ""

    def _take(self, data: bytes) -> None:
        try:
            self.buffer += self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.path}: byte 0x{error.object[error.start]:02x} near position {self._read + error.start} "
                "is not UTF-8.",
                fix=f"convert the file, for example: iconv -f LATIN1 -t UTF-8 {self.path.name}.",
            ) from error
        self._read += len(data)


def _read_array(text: _Text, max_bytes: int, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    decoder = StrictDecoder()
    number = 0
    if text.skip_white() == "]":
        return
    while True:
        number += 1
        where = f"{text.path}, item {number}"
        text.skip_white()
        value, problem = _next_item(text, decoder, where, max_bytes)
        yield from _record(where, value, problem, tally)
        mark = text.skip_white()
        text.position += 1
        if mark == "]":
            return
        if mark != ",":
            raise _broken(where, "no comma behind it" if mark else "the file ends behind it")


def _next_item(text: _Text, decoder: StrictDecoder, where: str, max_bytes: int) -> tuple[Any, str]:
    """Parse the item at the window's position, widening the window until it holds the whole item."""
    while True:
        try:
            value, end, problem = decoder.decode(text.buffer, text.position)
        except json.JSONDecodeError as error:
            if len(text.buffer) - text.position > max_bytes:
                raise too_long(where, max_bytes) from None
            message = error.msg
            if "deep" in message or not text.more():
                raise _broken(where, message) from None
            continue
        text.position = end
        return value, problem


def _read_object(text: _Text, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    while text.more():
        if len(text.buffer) > OBJECT_BYTES:
            raise DataError(
                f"{text.path} is one JSON object of more than {bytes_text(OBJECT_BYTES)}.",
                fix="write it as JSON lines, one object a line, and name it .jsonl.",
            )
    try:
        value, text.position, problem = StrictDecoder().decode(text.buffer, text.position)
    except json.JSONDecodeError as error:
        raise _broken(str(text.path), f"{error.msg} at line {error.lineno}") from None
    if text.skip_white():
        raise DataError(
            f"{text.path} holds more than one JSON object.", fix="JSON lines are read from files named .jsonl."
        )
    lists = [
        key for key, items in value.items() if isinstance(items, list) and items and isinstance(items[0], dict)
    ]
    if len(lists) != 1 or set(value) & {"messages", "conversations", "answers"}:
        yield from _record(str(text.path), value, problem, tally)
        return
    for number, item in enumerate(value[lists[0]], 1):
        yield from _record(f"{text.path}, {lists[0]} item {number}", item, problem, tally)


def _record(where: str, value: Any, problem: str, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a record, or count why it is none."""
    if problem:
        tally.skip("broken JSON", _broken(where, problem))
    elif not isinstance(value, dict):
        tally.skip(
            "not an object",
            DataError(
                f"{where}: {_type_name(value)} instead of an object.",
                fix='write each record as {"text": ...} or with other known fields.',
            ),
        )
    else:
        yield where, value


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    names = {str: "a string", list: "an array", bool: "true or false"}
    return names.get(type(value), "a number")


def _broken(where: str, reason: str) -> DataError:
    return DataError(f"{where}: broken JSON ({reason}).", fix="mend or remove it; each record is one JSON object.")
