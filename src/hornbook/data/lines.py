"""Bytes of a file as lines or pieces of text: opened safely, unpacked and decoded within bounds.

Only regular files are opened, so a pipe or a device can never block. Lines end at b"\\n" and nowhere else; a line
is bounded while it is unpacked; UTF-8 is decoded strictly. What the lines mean is not known here.
"""

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hornbook.data.tally import Tally
from hornbook.errors import DataError
from hornbook.units import bytes_text

PIECE_BYTES = 2**20
"""A text file longer than this becomes several documents of about this size."""

CHUNK_BYTES = 2**20
BOMB_RATIO = 200
"""A file that unpacks to more than this many times its size is refused (text packs about 4, rarely 20 to 1)."""
BOMB_BYTES = 2**26
"""The ratio is looked at once this much was unpacked."""

BOM = b"\xef\xbb\xbf"
FOREIGN = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "gzip (name it .gz)",
    b"PK\x03\x04": "zip",
    b"PAR1": "parquet (name it .parquet)",
    b"%PDF": "PDF",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"\x7fELF": "a program",
    b"SQLite format": "SQLite",
}
"""First bytes of what is no UTF-8 text, and what it is."""


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a regular file for reading, unpacking it if its name ends in .gz.

    Raises:
        DataError: if it is absent, unreadable or not a regular file; while reading, if the packed data is cut,
            damaged or a bomb.
    """
    return io.BufferedReader(_Stream(path), CHUNK_BYTES)


def open_text(path: Path) -> io.BufferedReader:
    """Open like `open_bytes`; refuse what is visibly not UTF-8 text.

    Raises:
        DataError: as `open_bytes`, and if the file starts like a binary format, UTF-16 or UTF-32.
    """
    file = open_bytes(path)
    try:
        _refuse_foreign(file.peek(4096)[:4096], path)
    except BaseException:
        file.close()
        raise
    return file


def read_lines(path: Path, *, max_bytes: int, tally: Tally) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a text file with their numbers, from 1; lines longer than `max_bytes` are skipped.

    Raises:
        DataError: as `open_text`.
    """
    with open_text(path) as file:
        number = 0
        while line := file.readline(max_bytes + 1):
            number += 1
            if len(line) > max_bytes and not line.endswith(b"\n"):
                _discard_line(file)
                tally.skip("too long", too_long(f"{path}, line {number}", max_bytes))
                continue
            yield number, without_bom(line, tally) if number == 1 else line


def read_pieces(path: Path, *, tally: Tally, keep: bool = False) -> Iterator[tuple[str, str | bytes]]:
    """Yield the text of a file with where it stands; a long file in pieces of at most PIECE_BYTES.

    Pieces end at line ends; where a piece has none, behind a space; where it has no space either, between two
    characters. Together they are the whole file. A piece that is not UTF-8 is skipped, or with `keep` given as bytes.

    Raises:
        DataError: as `open_text`, and if a piece is full of NULs.
    """
    with open_text(path) as file:
        data = without_bom(file.read(PIECE_BYTES + 1), tally)
        if not data:
            yield str(path), ""
        line, whole = 1, True
        while data:
            data += file.read(PIECE_BYTES + 1 - len(data))
            cut = len(data) if len(data) <= PIECE_BYTES else _last_break(data[:PIECE_BYTES])
            piece, data = data[:cut], data[cut:]
            if whole and data:
                whole = False
                tally.note("text files above 1 MiB, cut into documents at line ends")
            if piece.count(0) > max(8, len(piece) // 1000):
                raise _foreign(path, "binary")
            where = str(path) if whole else f"{path}, line {line}"
            text = _decode_or_keep(piece, tally) if keep else decode(piece, path, line, tally)
            line += piece.count(b"\n")
            if text is not None:
                yield where, text


def decode(data: bytes, path: Path, line: int, tally: Tally) -> str | None:
    """Decode UTF-8 that starts at `line`; count it as bad and return None if it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = f"{path}, line {line + before.count(10)}"
        column = error.start - before.rfind(b"\n")
        tally.skip(
            "not UTF-8",
            DataError(
                f"{place}: byte 0x{data[error.start]:02x} at position {column} is not UTF-8.",
                fix=f"convert the file, for example: iconv -f LATIN1 -t UTF-8 {path.name}; "
                "or with tokenizer.kind=bytes set data.invalid_utf8=keep.",
            ),
        )
        return None


def _decode_or_keep(data: bytes, tally: Tally) -> str | bytes:
    """Decode UTF-8; return the bytes if it is none, and count them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        tally.note("documents that are not UTF-8, kept as bytes")
        return data


def without_bom(data: bytes, tally: Tally) -> bytes:
    """Take the byte order mark off the start of a file and count it."""
    if not data.startswith(BOM):
        return data
    tally.note("byte order marks taken off")
    return data[len(BOM) :]


def too_long(where: str, max_bytes: int) -> DataError:
    """Build the error of a record that is longer than allowed."""
    return DataError(
        f"{where}: longer than {bytes_text(max_bytes)}.",
        fix="cut the record into shorter ones, or raise data.max_line_bytes.",
    )


def unreadable(path: Path, error: OSError) -> DataError:
    """Build the error of a file that the system does not give."""
    return DataError(
        f"{path} cannot be read: {error.strerror or error}.",
        fix="check that it exists, that it is no link to itself, and that you may read it.",
    )


class _Stream(io.RawIOBase):
    """A regular file, unpacked when it is gzip; every failure is a DataError."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._given = path, 0
        self._packed = open_regular(path)
        self._file: Any = gzip.GzipFile(fileobj=self._packed) if path.suffix == ".gz" else self._packed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"{self._path} is not a whole gzip file: {error}.", fix="fetch or pack the file again."
            ) from error
        except OSError as error:
            raise unreadable(self._path, error) from error
        buffer[: len(data)] = data
        self._given += len(data)
        if self._given > BOMB_BYTES and self._given > BOMB_RATIO * self._packed.tell():
            raise DataError(
                f"{self._path} unpacks to more than {BOMB_RATIO} times its size: it looks like a bomb, not text.",
                fix="unpack it yourself and look at it, or leave it out.",
            )
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._packed.close()
        super().close()


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file that is a file; never waits for a pipe.

    Raises:
        DataError: if it is a folder, pipe, socket or device, absent or not readable.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            raise DataError(f"{path} is {_kind_name(kind)}, not a file.", fix="give a file or a folder of files.")
        # The kind could change between the two calls; without waiting, even a pipe then opens at once.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise unreadable(path, error) from error
    return io.BufferedReader(io.FileIO(descriptor), CHUNK_BYTES)


def _kind_name(mode: int) -> str:
    names = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
    return names.get(stat.S_IFMT(mode), "a device")


def _refuse_foreign(head: bytes, path: Path) -> None:
    for start, name in FOREIGN.items():
        if head.startswith(start):
            raise _foreign(path, name)
    if head.count(0) > max(8, len(head) // 1000):
        fewer, more = sorted((head[0::2].count(0), head[1::2].count(0)))
        # Two bytes a character: of European text nearly every second byte is NUL, and hardly any other.
        two_bytes = more > len(head) // 8 and more > 10 * fewer
        raise _foreign(path, "UTF-16 without its mark" if two_bytes else "binary")


def _foreign(path: Path, name: str) -> DataError:
    encoding = name.split()[0]
    if encoding.startswith("UTF"):
        return DataError(
            f"{path} is not UTF-8 text; it looks like {name}.",
            fix=f"convert it: iconv -f {encoding} -t UTF-8 {path.name}.",
        )
    return DataError(f"{path} is not UTF-8 text; it looks like {name}.", fix="give text, or leave the file out.")


def _discard_line(file: io.BufferedReader) -> None:
    while (piece := file.readline(CHUNK_BYTES)) and not piece.endswith(b"\n"):
        pass


def _last_break(data: bytes) -> int:
    """Return where to cut: behind the last line end, else the last space, else between two characters."""
    cut = data.rfind(b"\n") + 1 or data.rfind(b" ") + 1
    if cut:
        return cut
    cut = len(data)
    while cut > len(data) - 4 and data[cut - 1] & 0xC0 == 0x80:  # the trailing bytes of a UTF-8 character
        cut -= 1
    return cut - 1 if data[cut - 1] >= 0xC0 else len(data)
