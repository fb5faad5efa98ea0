"""Where text comes from: a file, a folder, a built-in or a hub name as a stream of documents and conversations.

A text file is one document (a long one several); a record of JSON, CSV or parquet is one document or
conversation; a token file gives ids that need no tokenizer. What cannot be used is counted in `Source.tally`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.config.sections import DataConfig
from hornbook.data.builtin import BUILTINS, IDENTITIES
from hornbook.data.columns import read_csv, read_parquet
from hornbook.data.files import ContentHashes, changed, find_files, kind_of
from hornbook.data.hub import PREFIX as HUB_PREFIX
from hornbook.data.hub import find_hub_files, folder_of, hub_set
from hornbook.data.lines import read_pieces
from hornbook.data.strict_json import read_json, read_json_lines
from hornbook.data.tally import Tally
from hornbook.data.token_files import read_tokens
from hornbook.errors import ConfigError, DataError
from hornbook.lookup import lookup
from hornbook.text.clean import clean
from hornbook.text.conversation import Conversation, Message
from hornbook.text.records import read_record
from hornbook.text.tokenizer import SPECIALS

BUILTIN = "builtin:"

Content = str | Conversation | NDArray[Any]
"""A document's text, a conversation, or token ids (n,) made elsewhere."""

Raw = tuple[str, str | dict[str, Any] | NDArray[Any]]
"""Where something stands, and the text, the record or the ids."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document and the place it was read from, for messages."""

    content: Content
    where: str


def _read_text(path: Path, config: DataConfig, tally: Tally) -> Iterator[Raw]:
    for where, piece in read_pieces(path, tally=tally, keep=config.invalid_utf8 == "keep"):
        yield where, np.append(np.frombuffer(piece, np.uint8), END_OF_BYTES) if isinstance(piece, bytes) else piece


def _read_json(path: Path, config: DataConfig, tally: Tally) -> Iterator[Raw]:
    return read_json(path, max_bytes=config.max_line_bytes, tally=tally)


def _read_json_lines(path: Path, config: DataConfig, tally: Tally) -> Iterator[Raw]:
    return read_json_lines(path, max_bytes=config.max_line_bytes, tally=tally)


def _read_csv(path: Path, config: DataConfig, tally: Tally) -> Iterator[Raw]:
    return read_csv(path, max_bytes=config.max_line_bytes, fields=config.fields, tally=tally)


def _read_parquet(path: Path, config: DataConfig, tally: Tally) -> Iterator[Raw]:
    return read_parquet(path, max_bytes=config.max_line_bytes, fields=config.fields, tally=tally)


def _read_tokens(path: Path, config: DataConfig, tally: Tally) -> Iterator[Raw]:
    return read_tokens(path)


SOURCES: dict[str, Callable[[Path, DataConfig, Tally], Iterator[Raw]]] = {
    ".txt": _read_text,
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".bin": _read_tokens,
}
"""Suffix -> how a file is read. A file that is named itself, with any other suffix, is read as text."""

END_OF_BYTES = np.uint16(256 + SPECIALS.index("<|eos|>"))
"""What ends a document of the bytes tokenizer, whose ids are the bytes and then the special tokens."""

TOKENS = ".bin"
FOLDER_KINDS = frozenset(SOURCES) - {TOKENS}
"""What is picked out of a folder; token files are named one by one, since train.bin and val.bin lie together."""

PACKED_KINDS = frozenset(SOURCES) - {TOKENS, ".parquet"}
"""What may be packed with gzip."""


class Source:
    """A stream of documents that can be read again and again, always the same.

    Attributes:
        path: as the settings name it.
        tally: what the latest reading used and left out.
    """

    def __init__(self, path: str, config: DataConfig) -> None:
        """Find the files; nothing is read yet. See `open_source`."""
        self.path = path
        self.tally = Tally(config.max_bad_fraction)
        self._config = config
        self._files: list[Path] = []
        self._left_out: Counter[str] = Counter()
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._root = Path(path).expanduser()
        self._format: str = config.format
        self._most_rows: int | None = None
        if path.startswith(HUB_PREFIX):
            self._files = find_hub_files(path, config, FOLDER_KINDS)
            self._root, self._most_rows = folder_of(path, config), config.max_documents
            self._format = hub_set(path).format if config.format == "auto" else config.format
        elif not path.startswith(BUILTIN):
            self._files, self._left_out = find_files(self._root, FOLDER_KINDS)

    @property
    def holds_tokens(self) -> bool:
        """True if the source gives ids made elsewhere instead of text."""
        return any(kind_of(file) == TOKENS for file in self._files)

    @property
    def size_bytes(self) -> int:
        """Bytes of the files as they are stored, packed or not; 0 for a built-in source."""
        return sum(size for size, _ in self._stamps.values())

    def fingerprint(self, hashes: ContentHashes) -> dict[str, Any]:
        """Describe the content: name, size and sha256 of every file, or what a built-in source depends on.

        Raises:
            DataError: if a file cannot be read.
            ConfigError: if there is no such built-in source.
        """
        if self.path.startswith(BUILTIN):
            name = self.path.removeprefix(BUILTIN)
            return {"builtin": name, **lookup(IDENTITIES, name, what="built-in source")(self._config)}
        described = []
        for file in self._files:
            name = file.name if file == self._root else file.relative_to(self._root).as_posix()
            described.append({"name": name, **hashes.describe(file)})
            self._stamps[file] = _stamp(file)
        return {"files": described} | ({"format": self._format} if self.path.startswith(HUB_PREFIX) else {})

    def require_unchanged(self) -> None:
        """Check that the files are still those that `fingerprint` described.

        Raises:
            DataError: naming the file that is not.
        """
        for file, stamp in self._stamps.items():
            if _stamp(file) != stamp:
                raise changed(file)

    def documents(self, start: int = 0) -> Iterator[Document]:
        """Yield the documents from number `start` on, in the order of the files.

        Empty ones are left out. `tally` counts from nothing again.

        Raises:
            DataError: if a file cannot be used, or more than data.max_bad_fraction of the records cannot.
        """
        self.tally = tally = Tally(self._config.max_bad_fraction)
        tally.notes.update(self._left_out)
        yield from islice(self._used(tally), start, self._config.max_documents)
        tally.finish()

    def _used(self, tally: Tally) -> Iterator[Document]:
        for where, raw in islice(self._raw(tally), self._most_rows):
            content = self._content(where, raw, tally)
            if content is None:
                continue
            if _is_empty(content):
                tally.empty += 1
                continue
            tally.used += 1
            yield Document(content, where)

    def _raw(self, tally: Tally) -> Iterator[tuple[str, Any]]:
        if self.path.startswith(BUILTIN):
            built = lookup(BUILTINS, self.path.removeprefix(BUILTIN), what="built-in source")
            for number, content in enumerate(built(self._config), 1):
                yield f"{self.path}, document {number}", content
        for file in self._files:
            yield from SOURCES.get(kind_of(file), _read_text)(file, self._config, tally)

    def _content(self, where: str, raw: Any, tally: Tally) -> Content | None:
        """Turn what was read into a document's content; None, and counted, if it cannot be used."""
        if isinstance(raw, np.ndarray):
            return raw
        try:
            content = raw
            if isinstance(raw, dict):
                given = self._config
                content = read_record(raw, where=where, fields=given.fields, format=self._format, seed=given.seed)
            return _finished(content, where, self._config)
        except DataError as error:
            tally.skip("unusable record", error)
            return None


def open_source(path: str, config: DataConfig) -> Source:
    """Open a file, a folder, `builtin:NAME` or a `hub:NAME` that was fetched.

    Raises:
        DataError: if the path does not exist or holds nothing to read, or the set was not fetched.
        ConfigError: if it is empty, or there is no such built-in source or hub set.
    """
    if not path:
        raise ConfigError("No data is given.", fix="set data.path to a file, a folder or builtin:reasoning.")
    if path.startswith(BUILTIN):
        lookup(BUILTINS, path.removeprefix(BUILTIN), what="built-in source")
    elif path.endswith(".gz") and kind_of(Path(path)) not in PACKED_KINDS:
        kinds = ", ".join(sorted(PACKED_KINDS))
        raise DataError(f"{path} is packed, and only {kinds} are read packed.", fix="unpack it: gunzip.")
    return Source(path, config)


def _finished(content: str | Conversation, where: str, config: DataConfig) -> str | Conversation:
    """Clean the text, add the system prompt, and check that it can be written as UTF-8."""
    if isinstance(content, str):
        return _writable(clean(content, config.clean) if config.clean else content, where)
    if not content.answered:
        raise DataError(
            f"{where}: the conversation ends with '{content.messages[-1].role}', so there is no answer to learn.",
            fix="end it with the assistant's answer, or map the fields with data.fields.",
        )
    content = content.with_system(config.system)
    messages = [
        Message(turn.role, _writable(clean(turn.text, config.clean) if config.clean else turn.text, where))
        for turn in content
    ]
    return Conversation(tuple(messages))


def _writable(text: str, where: str) -> str:
    """Return the text unless it holds half a character, which JSON escapes can spell and UTF-8 cannot."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{where}: a lone surrogate \\u{ord(text[error.start]):04x} at character {error.start + 1}.",
                fix="write the whole pair, or remove it.",
            ) from error
    return text


def _is_empty(content: Content) -> bool:
    if isinstance(content, np.ndarray):
        return len(content) == 0
    last = content if isinstance(content, str) else content.messages[-1].text
    return not last.strip()


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
