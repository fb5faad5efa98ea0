"""Bad input: a two-line error or a counted skip; never a traceback, a hang, a gibibyte or a half-made set.

Each row of TABLE makes a file or folder and says what `hornbook prepare` must answer: the start of an error, or
a line of the report. All rows run under the same limits of memory and time.
"""

import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MOST_BYTES = 2**30
MOST_CPU_SECONDS = 5.0
"""What the issue promises; processor time, so that a busy machine does not matter."""
KILL_SECONDS = 60
ADDRESS_SPACE = 4 * 2**30

SENTENCE = "the quick brown fox jumps over the lazy dog\n"
TEXT = SENTENCE * 50


def good_lines(count: int = 300) -> bytes:
    """JSON lines that can be used; one bad one among them is below the limit."""
    return b"".join(json.dumps({"text": f"{number} {SENTENCE}"}).encode() + b"\n" for number in range(count))


@dataclass(frozen=True)
class Row:
    """One kind of bad input.

    Args:
        name: what data.path is, in the row's folder.
        make: writes it, given its path.
        error: regular expression the error must match, from its start; the place is `{path}`.
        fix: what the second line must contain.
        report: if there is no error, what the output must contain.
    """

    name: str
    make: Callable[[Path], object]
    error: str = ""
    fix: str = ""
    report: str = ""
    settings: tuple[str, ...] = ()


def data(content: bytes | str) -> Callable[[Path], object]:
    """Write a file; packed if its name says so."""
    raw = content.encode() if isinstance(content, str) else content

    def make(path: Path) -> None:
        path.write_bytes(gzip.compress(raw, 1) if path.suffix == ".gz" else raw)

    return make


def raw(content: bytes) -> Callable[[Path], object]:
    """Write a file as it is, whatever its name says."""
    return lambda path: path.write_bytes(content)


def one_bad_line(line: bytes | str) -> Callable[[Path], object]:
    """Put a bad line among good ones."""
    return data(good_lines(150) + (line if isinstance(line, bytes) else line.encode()) + b"\n" + good_lines(150))


def folder(**files: bytes | str) -> Callable[[Path], object]:
    """Make a folder of files; a double underscore stands for the dot."""

    def make(path: Path) -> None:
        path.mkdir()
        for name, content in files.items():
            data(content)(path / name.replace("__", "."))

    return make


def linked(name: str, target: str) -> Callable[[Path], object]:
    """Make a folder that holds a link."""

    def make(path: Path) -> None:
        path.mkdir()
        (path / name).symlink_to(target)

    return make


def parquet(columns: dict, **options: object) -> Callable[[Path], object]:
    """Write a parquet file."""
    return lambda path: pq.write_table(pa.table(columns), path, **options)


def cut_parquet(path: Path) -> None:
    """Write the first half of a parquet file."""
    parquet({"text": [TEXT] * 9})(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def repeated(value: str, rows: int) -> pa.DictionaryArray:
    """A column of one value that takes no room."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, "i4")), [value])


def long_line_packed(path: Path) -> None:
    """Pack 100 MB without a line end, 90 to 1: too little for a bomb."""
    piece = (os.urandom(4_000).hex() * 125).encode()  # 1 MB, its period within reach of deflate's window
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(good_lines(150) + b'{"text": "')
        for _ in range(100):
            file.write(piece)
        file.write(b'"}\n' + good_lines(150))


def zeros_packed(megabytes: int) -> bytes:
    """A gzip file of NULs, 1000 to 1."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
        for _ in range(megabytes):
            file.write(bytes(10**6))
    return out.getvalue()


LONG = "x" * 1000 * 1000
HALF = '{"text": "half a li'
DEEP = '{"text": ' + "[" * 200_000 + "]" * 200_000 + "}"

TEXT_ROWS = [
    Row("a.txt", data(""), "{path} holds no text", "give a file or folder with text"),
    Row("a.txt", data(" \n\t\n" * 99), r"{path} holds no text \(empty documents: 1\)", "with text in it"),
    Row("a", folder(), r"{path} holds no file that can be read \(it holds nothing\)", "give files that end in"),
    Row("a", folder(a__png="x", b__png="x"), r".*\(it holds 2 \.png files\)", ".jsonl"),
    Row("a", folder(_hidden__txt=TEXT, b__txt=TEXT, c__txt=""), report="empty documents left out: 1"),
    Row(
        "shakespear.txt",
        lambda p: data(TEXT)(p.with_name("shakespeare.txt")),
        "{path} does not exist",
        "speare.txt?",
    ),
    Row("a.txt", data(bytes(range(256)) * 99), "{path} is not UTF-8 text; it looks like binary", "give text"),
    Row("a.txt", data(b"\x89PNG\r\n\x1a\n" + os.urandom(999)), "{path} is not UTF-8 text; it looks like PNG"),
    Row("a.txt", data(b"\x7fELF" + os.urandom(999)), "{path} .* a program"),
    Row("a.txt", data(b"PK\x03\x04" + os.urandom(999)), "{path} .* zip"),
    Row("a.txt", data(TEXT.encode("utf-16")), "{path} .* UTF-16", "iconv -f UTF-16 -t UTF-8 a.txt"),
    Row("a.txt", data(TEXT.encode("utf-16-be")), "{path} .* UTF-16", "iconv"),
    Row("a.txt", data(TEXT.encode("utf-32")), "{path} .* UTF-32", "iconv -f UTF-32"),
    Row(
        "a.txt",
        data((TEXT + "schön").encode("latin-1")),
        "{path}, line 51: byte 0xf6 at position 4 is not UTF-8",
        "iconv -f LATIN1 -t UTF-8 a.txt",
    ),
    Row("a.txt", data(b"\xef\xbb\xbf" + TEXT.encode()), report="byte order marks taken off: 1"),
    Row("a.txt", data(TEXT.replace("\n", "\r\n")), report="1 document, 2,250 characters"),
    Row("a.txt", data(TEXT.replace("\n", "\r")), report="1 document, 2,200 characters"),
    Row("a.txt", data(TEXT + "\0" + TEXT), report="1 document, 4,401 characters"),
    Row("a.txt", data(TEXT + "\u2028\ufeff\U0010ffff" + TEXT), report="1 document, 4,403 characters"),
    Row("a.txt", data(LONG * 100), report="cut into documents at line ends: 1", settings=("data.split=tail",)),
    Row("a.txt", os.mkfifo, "{path} is a pipe, not a file", "give a file or a folder"),
    Row("a", lambda p: (p.mkdir(), os.mkfifo(p / "a.txt")), "{path}/a.txt is a pipe, not a file"),
    Row("/dev/zero", lambda p: None, "{path} is a device, not a file"),
    Row("/dev/tty", lambda p: None, "{path} is a device, not a file"),
    Row("/proc/self/mem", lambda p: None, "{path} cannot be read: Input/output error"),
    Row("a.txt", lambda p: p.symlink_to("a.txt"), "{path} cannot be read: Too many levels of symbolic links"),
    Row("a", linked("up", ".."), r"{path} holds no file that can be read \(it holds 1 links that lead out"),
    Row("a", linked("a.txt", "a.txt"), r".*\(it holds 1 links that lead nowhere"),
    Row("a", linked("a.txt", "/etc/passwd"), r".*\(it holds 1 links that lead out of the folder"),
]

GZIP_ROWS = [
    Row("a.txt.gz", raw(b""), "{path} holds no text"),
    Row(
        "a.txt.gz",
        raw(gzip.compress(os.urandom(9999).hex().encode())[:-99]),
        "{path} is not a whole gzip file",
        "again",
    ),
    Row("a.txt.gz", raw(TEXT.encode()), "{path} is not a whole gzip file: Not a gzipped file"),
    Row(
        "a.txt.gz",
        raw(gzip.compress(gzip.compress(TEXT.encode()))),
        "{path} is not UTF-8 text; it looks like gzip",
    ),
    Row("a.txt.gz", raw(gzip.compress(TEXT.encode()) + b"rubbish"), "{path} is not a whole gzip file"),
    Row("a.txt.gz", raw(zeros_packed(300)), "{path} is not UTF-8 text; it looks like .*binary"),
    Row(
        "a.txt.gz", data("a " * 50_000_000), "{path} unpacks to more than 200 times its size: it looks like a bomb"
    ),
    Row("a.jsonl.gz", data(b'{"text": "' + b"a" * 100_000_000), "{path} unpacks to more than 200 times its size"),
    Row("a.jsonl.gz", long_line_packed, report="records left out, too long: 1"),
    Row("a.jsonl.gz", raw(gzip.compress(good_lines())[:-9]), "{path} is not a whole gzip file"),
    Row("a.parquet.gz", raw(b""), "{path} is packed, and only", "gunzip"),
]

JSON_LINES_ROWS = [
    Row(
        "a.jsonl",
        data(HALF),
        r"{path}, line 1: broken JSON \(Unterminated string",
        "each record is one JSON object",
    ),
    Row("a.jsonl", one_bad_line(HALF), report="records left out, broken JSON: 1"),
    Row(
        "a.jsonl",
        data(good_lines(9) + HALF.encode()),
        "{path}, line 10: .* 1 of 10 records cannot be used",
        "raise data.max_bad_fraction",
    ),
    Row("a.jsonl", data((HALF + "\n") * 50_000), "{path}, line 1: .* 101 of 101 records cannot be used"),
    Row("a.jsonl", one_bad_line('{"text": "a", "text": "b"}'), report="broken JSON: 1"),
    Row("a.jsonl", data('{"text": "a", "text": "b"}'), "{path}, line 1: .*the key 'text' stands there twice"),
    Row("a.jsonl", data('{"text": NaN}'), "{path}, line 1: .*NaN is no JSON"),
    Row("a.jsonl", data(f'{{"text": "a", "n": {"9" * 5000}}}'), "{path}, line 1: .*a number of 5000 digits"),
    Row("a.jsonl", data(DEEP), "{path}, line 1: .*nested too deeply"),
    Row("a.jsonl", one_bad_line(DEEP), report="broken JSON: 1"),
    Row("a.jsonl", data('{"text": "\\ud83d"}'), r"{path}, line 1: a lone surrogate \\ud83d at character 1"),
    Row("a.jsonl", one_bad_line('{"text": "\\ud83d"}'), report="records left out, unusable record: 1"),
    Row("a.jsonl", one_bad_line(b'{"text": "\xff"}'), report="records left out, not UTF-8: 1"),
    Row("a.jsonl", one_bad_line(b'{"text": "\0"}'), report="broken JSON: 1"),
    Row("a.jsonl", data(good_lines().decode().encode("utf-16")), "{path} .* UTF-16"),
    Row("a.jsonl", data(b"\xef\xbb\xbf" + good_lines()), report="byte order marks taken off: 1"),
    Row("a.jsonl", data(good_lines().replace(b"\n", b"\r\n")), report="300 documents"),
    Row("a.jsonl", data(good_lines().replace(b"\n", b"\r")), "{path}, line 1: .*behind the end of the object"),
    Row("a.jsonl", data("\n" * 999), "{path} holds no text"),
    Row("a.jsonl", data("[1, 2]\n"), "{path}, line 1: an array instead of an object"),
    Row("a.jsonl", data('{"text": null}\n'), "{path}, line 1: .*text", "data.fields"),
    Row("a.jsonl", data('{"text": 7}\n'), "{path}, line 1: .*text"),
    Row("a.jsonl", data('{"body": "x"}\n'), "{path}, line 1: .*it has body", "data.fields"),
    Row("a.jsonl", data('{"messages": []}\n'), "{path}, line 1"),
    Row("a.jsonl", data('{"messages": [{"role": "pope", "content": "x"}]}\n'), "{path}, line 1: .*pope"),
    Row(
        "a.jsonl", data('{"messages": [{"role": "user", "content": "x"}]}\n'), "{path}, line 1: .*ends with 'user'"
    ),
    Row("a.jsonl", data('{"messages": [{"role": "assistant", "content": "x"}]}\n'), "{path}, line 1: .*assistant"),
    Row(
        "a.jsonl", one_bad_line(b'{"text": "' + b"x" * 100_000_000 + b'"}'), report="records left out, too long: 1"
    ),
]

JSON_ROWS = [
    Row("a.json", data(""), "{path} holds no text"),
    Row("a.json", data("17"), "{path} starts with '1': it is no JSON array or object"),
    Row("a.json", data("[" + HALF), "{path}, item 1: broken JSON", "mend or remove it"),
    Row("a.json", data('[{"text": "a"},'), "{path}, item 2: broken JSON"),
    Row("a.json", data("[" * 200_000), "{path}, item 1: broken JSON .nested too deeply"),
    Row("a.json", data('{"a":' * 200_000), "{path}: broken JSON .nested too deeply"),
    Row("a.json", data(good_lines()), "{path} holds more than one JSON object", "named .jsonl"),
    Row("a.json", data('[{"text": "é"}]'.encode("latin-1")), "{path}: byte 0xe9 near position 11 is not UTF-8"),
    Row("a.json", data(f'[{{"text": "{LONG * 100}"}}]'), "{path}, item 1: longer than 16.0 MiB", "max_line_bytes"),
    Row(
        "a.json", data(f'{{"text": "{LONG * 100}"}}'), "{path} is one JSON object of more than 64.0 MiB", ".jsonl"
    ),
]

TABLE_ROWS = [
    Row("a.csv", data(""), "{path} is empty"),
    Row("a.csv", data("text\n"), "{path} holds no text"),
    Row(
        "a.csv",
        data("body,label\na,b\n"),
        r"{path} has no column .* \(it has body, label\)",
        "data.fields = {text =",
    ),
    Row("a.csv", data("text,text\na,b\n"), "{path}: two columns are named 'text'"),
    Row("a.csv", data("text,n\n" + "a,b,c\n" * 9), "{path}, line 2: 3 cells under 2 columns", "quotes"),
    Row("a.csv", data('text\n"' + LONG * 40), "{path}: a row .perhaps a quote is never closed.: longer than"),
    Row("a.csv", data(f"text\n{TEXT}schön".encode("latin-1")), "{path}, row 51: byte 0xf6 is not UTF-8"),
    Row("a.csv", data(TEXT.encode("utf-16")), "{path} .* UTF-16"),
    Row("a.parquet", data(""), "{path} cannot be read as parquet", "fetch the file again"),
    Row("a.parquet", cut_parquet, "{path} cannot be read as parquet"),
    Row("a.parquet", raw(b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1"), "{path} cannot be read as parquet"),
    Row("a.parquet", parquet({"text": pa.array([], pa.string())}), "{path} holds no text"),
    Row(
        "a.parquet",
        parquet({"text": pa.array([None] * 9, pa.string())}),
        "{path}, row 1: nothing but null in text",
    ),
    Row("a.parquet", parquet({"text": [*map(str, range(3000)), None]}), report="records left out, null cells: 1"),
    Row("a.parquet", parquet({"body": [TEXT]}), r"{path} has no column that is known as text \(it has body\)"),
    Row("a.parquet", parquet({"text": list(range(99))}), "{path}, row 1: .*text"),
    Row(
        "a.parquet",
        parquet({"text": repeated("x", 20_000_000)}),
        "{path} looks like a bomb, not text: 20,000,000 rows",
    ),
    Row(
        "a.parquet",
        parquet({"text": [LONG * 100]}, compression="zstd"),
        "{path} looks like a bomb, not text: 100,0",
    ),
    Row(
        "a.parquet",
        parquet({"text": repeated(LONG * 20, 150_000)}, dictionary_pagesize_limit=2**30),
        "{path}, row 1: longer than 16.0 MiB",
    ),
]

CORPUS_ROWS = [
    Row("a.bin", data("odd"), "{path} holds 3 bytes, not a whole number of uint16 tokens"),
    Row("a.bin", data(b"\xff" * 99_998), "The token file holds id 65,535, but the tokenizer has 268"),
    Row("a.bin", data(struct.pack("<3i", 20240520, 9, 1) + bytes(9000)), "{path} has llm.c header version 9"),
    Row(
        "a.bin",
        data(bytes(900)),
        "A token file cannot be used with tokenizer.kind = bpe",
        "external",
        settings=("tokenizer.kind=bpe",),
    ),
    Row("a.txt", data("tiny"), "{path} has 4 training tokens, too few for one row of model.context = 64"),
    Row(
        "a.txt",
        data(TEXT),
        "data.validation_fraction = 0 holds nothing out",
        settings=("data.validation_fraction=0",),
    ),
    Row(
        "a.jsonl",
        data(good_lines(40)),
        "The validation split is empty: all 40 documents are for training",
        settings=("data.validation_fraction=0.0001",),
    ),
    Row("a.txt", data(TEXT), "{path}x does not exist", "did you mean", settings=("data.validation_path={path}x",)),
    Row(
        "a.txt",
        data(TEXT),
        "{path}: every document stands in data.validation_path too",
        settings=("data.validation_path={path}",),
    ),
    Row("a.jsonl", data(good_lines()), "data.fields maps 'txt'", settings=("data.fields={{txt='text'}}",)),
    Row(
        "a.txt", data(TEXT), "There is no cleaning step", "did you mean 'lower'", settings=("data.clean=['lowr']",)
    ),
    Row(
        "a.jsonl", data("".join(f'{{"text": "{chr(97 + n % 26)}"}}\n' for n in range(300))), report="300 documents"
    ),
    Row(
        "a.txt",
        data(TEXT),
        "{path}/x cannot be written to: Not a directory",
        "set data.folder",
        settings=("data.folder={path}/x",),
    ),
]

TABLE = [*TEXT_ROWS, *GZIP_ROWS, *JSON_LINES_ROWS, *JSON_ROWS, *TABLE_ROWS, *CORPUS_ROWS]


class Server:
    """Runs commands under limits; see bounded_server.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("bounded_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            text=True,
        )
        self._answer()

    def prepare(self, *settings: str, **request: object) -> dict:
        """Run `hornbook prepare text` and say how it ended."""
        words = [
            "prepare",
            "text",
            "model.context=64",
            "training.batch_tokens=64",
            "tokenizer.kind=bytes",
            *settings,
        ]
        asked = {"words": words, "seconds": KILL_SECONDS, "memory": ADDRESS_SPACE, **request}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def server():
    """One server for the whole table."""
    one = Server()
    yield one
    one.close()


def check(answer: dict, prepared: Path, *, error: str, fix: str) -> None:
    """Check what holds for every row, and the two lines of an error."""
    assert "Traceback" not in answer["stderr"]
    assert answer["cpu_seconds"] < MOST_CPU_SECONDS, answer
    assert answer["peak_bytes"] < MOST_BYTES
    finished = list(prepared.glob("text-*/manifest.json")) if prepared.is_dir() else []
    if not error:
        assert (answer["status"], answer["stderr"]) == (0, "")
        return
    lines = answer["stderr"].splitlines()
    assert answer["status"] == 2, answer
    assert len(lines) == 2, lines
    assert re.match(f"error: {error}", lines[0]), lines[0]
    assert lines[1].startswith("fix: ")
    assert fix in lines[1]
    assert len(lines[0]) < 600
    if "too few for one row" not in error and "split is empty" not in error:
        assert not finished


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.name}: {row.error or row.report}"[:60])
def test_bad_input_is_refused_or_counted(row, server, tmp_path):
    path = tmp_path / row.name
    row.make(path)
    settings = [setting.format(path=path) for setting in row.settings]
    answer = server.prepare(f"data.folder={tmp_path}/prepared", f"data.path={path}", *settings)
    error = row.error.replace("{path}", re.escape(str(path)))
    check(answer, tmp_path / "prepared", error=error, fix=row.fix)
    if row.report:
        assert row.report in answer["stdout"]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_not_be_read_is_named(server, what):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "in").mkdir()
        (root / "in/a.txt").write_text(TEXT)
        (root / "prepared").mkdir()
        for path in (root, root / "in"):
            path.chmod(0o755)
        (root / "prepared").chmod(0o777)
        closed = root / "in/a.txt" if what == "file" else root / "in"
        closed.chmod(0)
        user = {"user": 65534} if os.geteuid() == 0 else {}
        answer = server.prepare(f"data.folder={root}/prepared", f"data.path={root}/in", **user)
        closed.chmod(0o700)
        check(answer, root / "prepared", error=f"{closed} cannot be read: Permission denied", fix="may read it")


def test_a_folder_that_may_not_be_written_to_is_named(server):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "a.txt").write_text(TEXT)
        (root / "prepared").mkdir(mode=0o555)
        user = {"user": 65534} if os.geteuid() == 0 else {}
        answer = server.prepare(f"data.folder={root}/prepared", f"data.path={root}/a.txt", **user)
        error = f"{root}/prepared cannot be written to: Permission denied"
        check(answer, root / "prepared", error=error, fix="give write permission")


def test_the_table_is_as_long_as_was_promised():
    assert len(TABLE) >= 60
