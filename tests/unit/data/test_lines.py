"""Lines and pieces: cut at b"\\n" only, bounded, decoded strictly, from regular files only."""

import gzip
import os
import tracemalloc

import pytest

from hornbook.data.lines import BOMB_RATIO, PIECE_BYTES, open_bytes, read_lines, read_pieces
from hornbook.data.tally import Tally
from hornbook.errors import DataError


@pytest.fixture
def tally():
    return Tally(0.5)


def file(tmp_path, data, name="a.txt"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def lines(path, tally, max_bytes=100):
    return list(read_lines(path, max_bytes=max_bytes, tally=tally))


def pieces(path, tally):
    return list(read_pieces(path, tally=tally))


def test_only_a_line_feed_ends_a_line(tmp_path, tally):
    data = "a\rb\u2028c\x0bd\r\nlast".encode()
    assert lines(file(tmp_path, data), tally) == [(1, "a\rb\u2028c\x0bd\r\n".encode()), (2, b"last")]


def test_packed_lines_are_the_same_lines(tmp_path, tally):
    assert lines(file(tmp_path, b"one\ntwo\n", "a.txt.gz"), tally) == [(1, b"one\n"), (2, b"two\n")]


def test_a_byte_order_mark_is_taken_off_and_counted(tmp_path, tally):
    assert lines(file(tmp_path, b"\xef\xbb\xbfone\n"), tally) == [(1, b"one\n")]
    assert tally.notes == {"byte order marks taken off": 1}


def test_a_line_above_the_limit_is_skipped_and_counted(tmp_path, tally):
    tally.used = 10
    found = lines(file(tmp_path, b"a\n" + b"x" * 101 + b"\n" + b"y" * 100 + b"\nz"), tally)
    assert [number for number, _ in found] == [1, 3, 4]
    assert tally.bad == {"too long": 1}


def test_a_line_of_64_mib_takes_little_memory(tmp_path, tally):
    path = tmp_path / "a.txt.gz"
    with gzip.open(path, "wb", compresslevel=1) as packed:
        for _ in range(64):
            packed.write(os.urandom(2**18).hex().encode() * 2)
    tally.used = 10
    tracemalloc.start()
    assert lines(path, tally, max_bytes=2**20) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_gzip_bomb_is_refused_while_it_is_unpacked(tmp_path, tally):
    path = file(tmp_path, bytes(2**20) * 80, "a.txt.gz")
    with open_bytes(path) as stream, pytest.raises(DataError, match=f"unpacks to more than {BOMB_RATIO} times"):
        while stream.read(2**20):
            pass


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(os.urandom(9999))[:-500], "Compressed file ended before"),
        (b"plain text", "Not a gzipped file"),
        (gzip.compress(b"text" * 99)[:20] + b"\xff" * 40, "Error -3|CRC|ended before"),
    ],
    ids=["cut short", "no gzip", "overwritten"],
)
def test_damaged_gzip_is_refused_by_name(tmp_path, tally, data, reason):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"a\.txt\.gz is not a whole gzip file: .*({reason})"):
        lines(path, tally)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("text".encode("utf-16"), "UTF-16"),
        ("text".encode("utf-32"), "UTF-32"),
        ("some text".encode("utf-16-le") * 9, "UTF-16 without its mark"),
        (b"\x89PNG\r\n", "PNG"),
        (b"PK\x03\x04....", "zip"),
        (b"PAR1....", "parquet"),
        (b"\x1f\x8b\x08", "gzip"),
        (bytes(range(256)) + bytes(100), "binary"),
    ],
)
def test_what_is_no_text_is_refused_by_kind(tmp_path, tally, data, name):
    with pytest.raises(DataError, match=rf"a\.txt is not UTF-8 text; it looks like .*{name}"):
        pieces(file(tmp_path, data), tally)


def test_utf_16_comes_with_the_command_that_mends_it(tmp_path, tally):
    with pytest.raises(DataError) as caught:
        pieces(file(tmp_path, "text".encode("utf-16")), tally)
    assert caught.value.fix == "convert it: iconv -f UTF-16 -t UTF-8 a.txt."


def test_a_single_nul_is_kept(tmp_path, tally):
    assert pieces(file(tmp_path, b"a\0b\r\n"), tally)[0][1] == "a\0b\r\n"


def test_a_short_file_is_one_piece(tmp_path, tally):
    path = file(tmp_path, b"one\ntwo")
    assert pieces(path, tally) == [(str(path), "one\ntwo")]


def test_an_empty_file_is_one_empty_piece(tmp_path, tally):
    path = file(tmp_path, b"")
    assert pieces(path, tally) == [(str(path), "")]


def test_a_long_file_is_cut_at_line_ends_and_nothing_is_lost(tmp_path, tally):
    text = "".join(f"line {number} with ünïcode\n" for number in range(100_000))
    path = file(tmp_path, text.encode())
    found = pieces(path, tally)
    assert "".join(piece for _, piece in found) == text
    assert len(found) == 3
    assert all(piece.endswith("\n") and len(piece.encode()) <= PIECE_BYTES for _, piece in found)
    assert found[1][0] == f"{path}, line {found[0][1].count(chr(10)) + 1}"
    assert tally.notes == {"text files above 1 MiB, cut into documents at line ends": 1}


@pytest.mark.parametrize("character", ["x", "é", "語", "🙂"])
@pytest.mark.parametrize("shift", range(4))
def test_a_file_without_any_break_is_cut_between_characters(tmp_path, tally, character, shift):
    text = "x" * shift + character * (PIECE_BYTES // 2)
    found = pieces(file(tmp_path, text.encode()), tally)
    assert "".join(piece for _, piece in found) == text
    assert not tally.bad


def test_a_file_without_line_ends_is_cut_behind_spaces(tmp_path, tally):
    text = "word " * 300_000
    assert all(piece.endswith("word ") for _, piece in pieces(file(tmp_path, text.encode()), tally))


def test_a_file_of_exactly_one_piece_with_a_mark_is_not_cut(tmp_path, tally):
    path = file(tmp_path, b"\xef\xbb\xbf" + b"x" * PIECE_BYTES)
    assert [len(piece) for _, piece in pieces(path, tally)] == [PIECE_BYTES]


def test_text_that_is_not_utf_8_names_line_position_and_byte(tmp_path, tally):
    strict = Tally(0.0)
    path = file(tmp_path, "gut\nschön\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.txt, line 2: byte 0xf6 at position 4 is not UTF-8") as caught:
        pieces(path, strict)
    assert caught.value.fix.startswith("convert the file, for example: iconv -f LATIN1 -t UTF-8 a.txt;")
    assert "data.invalid_utf8=keep" in caught.value.fix


def test_text_that_is_not_utf_8_can_be_kept_as_bytes(tmp_path, tally):
    line = "schön und grün\n".encode("latin-1")
    data = b"ASCII\n" * 200_000 + line * 10
    path = file(tmp_path, data)
    kept = [piece for _, piece in read_pieces(path, tally=tally, keep=True)]
    assert [type(piece) for piece in kept] == [str, bytes]
    assert kept[0].encode() + kept[1] == data
    assert tally.notes["documents that are not UTF-8, kept as bytes"] == 1
    assert not tally.bad


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    for path, kind in ((tmp_path / "pipe.txt", "a pipe"), ("/dev/null", "a device"), (tmp_path, "a folder")):
        with pytest.raises(DataError, match=f"is {kind}, not a file"):
            open_bytes(type(tmp_path)(path))


def test_a_link_to_itself_and_a_missing_file_are_refused(tmp_path):
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    with pytest.raises(DataError, match=r"loop\.txt cannot be read: Too many levels of symbolic links"):
        open_bytes(tmp_path / "loop.txt")
    with pytest.raises(DataError, match=r"gone\.txt cannot be read: No such file"):
        open_bytes(tmp_path / "gone.txt")
