"""What a source gives: how many records are read, kept and skipped, why, and what the first looks like.

Nothing is tokenized. The conversations may be written down on the way, in the file format of the first Forge-1.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hornbook.config.sections import DataConfig
from hornbook.data.sources import Document, open_source
from hornbook.errors import DataError
from hornbook.storage.atomic import PARTIAL, fsync_folder
from hornbook.text.conversation import Conversation
from hornbook.text.records import read_record
from hornbook.text.template import written

SAMPLE_CHARACTERS = 300
"""How much of the first record is shown."""


@dataclass
class Survey:
    """What was found in a source.

    Args:
        path: as the settings name it.
        read: records there were.
        kept: those that can be learnt from.
        empty: those without text.
        skipped: how many could not be used, by what was wrong with them.
        several_turns: conversations of more than one question.
        with_thinking: conversations in which an answer is thought about first.
        unwritten: kept conversations that a forge1 file cannot hold, since their words spell a special token.
        sample: the beginning of the first record kept, as training writes it.
    """

    path: str
    read: int = 0
    kept: int = 0
    empty: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    several_turns: int = 0
    with_thinking: int = 0
    unwritten: int = 0
    sample: str = ""


def survey(path: str, data: DataConfig, *, output: IO[str] | None = None) -> Survey:
    """Read a source to its end, whatever share of it cannot be used.

    Args:
        output: receives every record kept as a JSON line with a `text`.

    Raises:
        DataError: if it cannot be read, or nothing in it can be used.
    """
    source = open_source(path, data.model_copy(update={"max_bad_fraction": 1.0}))
    found = Survey(path)
    for document in source.documents():
        text = _count(document, found)
        found.sample = found.sample or text[:SAMPLE_CHARACTERS]
        if output is not None and _is_readable(document, text, found):
            output.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    tally = source.tally
    found.empty, found.skipped = tally.empty, dict(tally.why.most_common())
    found.read = found.kept + found.empty + sum(found.skipped.values())
    if not found.kept:
        reason = next(iter(found.skipped), "they are empty.")
        raise DataError(
            f"{path}: none of {found.read:,} records can be used: {reason}",
            fix="say how they are laid out: data.format or data.fields.",
        )
    return found


class Writer:
    """A file that is there when it is whole: use as a context; it writes beside and renames at the end.

    Raises:
        OSError: if the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._beside = path, path.with_name(f"{PARTIAL}{path.name}")

    def __enter__(self) -> IO[str]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._beside.open("w", encoding="utf-8", newline="\n")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            self._beside.replace(self.path)
            fsync_folder(self.path.parent)
        else:
            self._beside.unlink()


def _count(document: Document, found: Survey) -> str:
    """Count a record that is kept, and return how it is written."""
    found.kept += 1
    content = document.content
    if not isinstance(content, Conversation):
        return content if isinstance(content, str) else f"{len(content):,} token ids"
    roles = [message.role for message in content]
    found.several_turns += roles.count("user") > 1
    found.with_thinking += "think" in roles
    return written("forge1", content)


def _is_readable(document: Document, text: str, found: Survey) -> bool:
    """Tell whether what is written reads back as the same, counting it otherwise."""
    if isinstance(document.content, Conversation):
        try:
            if read_record({"text": text}, where=document.where, fields={}, format="forge1") == document.content:
                return True
        except DataError:
            pass  # counted below, and said in the summary
        found.unwritten += 1
        return False
    return isinstance(document.content, str)


def lines_of(found: Survey) -> Iterator[str]:
    """Say why records were left out, a line each."""
    if found.empty:
        yield f"{found.empty:,} empty"
    for reason, count in found.skipped.items():
        yield f"{count:,} skipped: {reason}"
    if found.unwritten:
        yield f"{found.unwritten:,} not written: their words spell a special token"
