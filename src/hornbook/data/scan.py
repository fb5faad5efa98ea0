"""The first reading of the data: how much there is, what is wrong with it, where it is divided, and a sample.

Memory is 12 bytes a document and at most SAMPLE_CHARACTERS of text, whatever the size of the data.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hornbook.config.sections import DataConfig
from hornbook.data.hygiene import (
    Hygiene,
    Split,
    choose_split,
    content_hash,
    count_characters,
    count_duplicates,
)
from hornbook.data.sources import Content, Document, Source
from hornbook.errors import DataError
from hornbook.text.conversation import Conversation

SAMPLE_CHARACTERS = 2**26
"""Most text that a tokenizer is trained on."""


@dataclass(frozen=True)
class Part:
    """Sources that are read one after the other and weighed together.

    Args:
        name: for reports and the manifest.
        weight: share of the training rows, relative to the other parts.
    """

    name: str
    weight: float
    sources: tuple[Source, ...]

    def documents(self) -> Iterator[Document]:
        """Yield the documents of all its sources."""
        for source in self.sources:
            yield from source.documents()


@dataclass
class Scan:
    """What the first reading found.

    Args:
        splits: how each part is divided.
        held_out: hashes of the documents of data.validation_path; training must not see them.
        sample: text to train a tokenizer on, of the training side only.
    """

    hygiene: Hygiene
    splits: list[Split]
    held_out: frozenset[int] = frozenset()
    sample: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return what a restart needs: all but the sample."""
        splits = [asdict(split) for split in self.splits]
        return {"hygiene": self.hygiene.to_json(), "splits": splits, "held_out": sorted(self.held_out)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Scan":
        """Rebuild a scan from `to_json`."""
        splits = [Split(**split) for split in data["splits"]]
        return cls(Hygiene(**data["hygiene"]), splits, frozenset(data["held_out"]))


class TextSample:
    """Part of the documents, spread over all of them and always the same: those of the highest hashes.

    Args:
        limit: characters that are kept; a single document is kept whatever its size, equal ones once.
    """

    def __init__(self, limit: int = SAMPLE_CHARACTERS) -> None:
        self._limit = limit
        self._size = 0
        self._lowest = 0
        self._kept: dict[int, tuple[int, int, Content]] = {}

    def offer(self, part: int, hashed: int, start: int, content: Content) -> None:
        """Show it a document, with its part, its hash and the characters of the part before it."""
        if isinstance(content, np.ndarray) or hashed < self._lowest or hashed in self._kept:
            return
        self._kept[hashed] = (part, start, content)
        self._size += count_characters(content)
        while self._size > self._limit and len(self._kept) > 1:
            self._lowest = sorted(self._kept)[len(self._kept) // 2]
            self._kept = {key: row for key, row in self._kept.items() if key >= self._lowest}
            self._size = sum(count_characters(content) for _, _, content in self._kept.values())

    def texts(self, splits: list[Split]) -> Iterator[str]:
        """Yield the training side of the sample, each message by itself."""
        for hashed, (part, start, content) in self._kept.items():
            for side, piece in splits[part].assign(content, hashed, start):
                if side == "train":
                    yield from (turn.text for turn in piece) if isinstance(piece, Conversation) else [str(piece)]


def scan(
    parts: list[Part],
    validation: Part | None,
    config: DataConfig,
    *,
    sample: bool,
    progress: Callable[[int], None],
) -> Scan:
    """Read everything once.

    Args:
        validation: the documents of data.validation_path, if there are any.
        sample: whether a sample of text is wanted.
        progress: called with the number of documents read so far, after each.

    Raises:
        DataError: if the data cannot be used, or a part holds no document.
    """
    hygiene = Hygiene()
    held_out = array("Q")
    if validation is not None:
        hashes, _ = _read(validation, hygiene, progress=progress)
        held_out = hashes
        hygiene.duplicates += count_duplicates(np.array(hashes))
    held_set = frozenset(held_out)
    chosen = TextSample() if sample else None
    splits = []
    for index, part in enumerate(parts):
        before = hygiene.characters
        hashes, lengths = _read(part, hygiene, sample=chosen, index=index, leave_out=held_set, progress=progress)
        if validation is not None:
            splits.append(Split("none"))
        else:
            characters = hygiene.characters - before
            fraction = config.validation_fraction
            split = choose_split(config.split, fraction=fraction, documents=len(hashes), characters=characters)
            splits.append(split)
            hygiene.overlap += _count_overlap(split, hashes, lengths)
        hygiene.duplicates += count_duplicates(np.array(hashes))
    texts = list(chosen.texts(splits)) if chosen else []
    return Scan(hygiene, splits, held_set, texts)


def _read(
    part: Part,
    hygiene: Hygiene,
    *,
    progress: Callable[[int], None],
    sample: TextSample | None = None,
    index: int = 0,
    leave_out: frozenset[int] = frozenset(),
) -> tuple["array[int]", "array[int]"]:
    """Read a part into the report; return hash and length of each document."""
    hashes, lengths = array("Q"), array("I")
    start = 0
    bad: Counter[str] = Counter(hygiene.bad)
    notes: Counter[str] = Counter(hygiene.notes)
    for source in part.sources:
        for document in source.documents():
            progress(hygiene.documents + len(hashes))
            hashed, length = content_hash(document.content), count_characters(document.content)
            if hashed in leave_out:
                hygiene.dropped += 1
                continue
            hashes.append(hashed)
            lengths.append(length)
            if sample is not None:
                sample.offer(index, hashed, start, document.content)
            hygiene.conversations += isinstance(document.content, Conversation)
            start += length
        hygiene.empty += source.tally.empty
        bad.update(source.tally.bad)
        notes.update(source.tally.notes)
    if not hashes:
        raise _nothing(part, hygiene)
    hygiene.documents += len(hashes)
    hygiene.characters += start
    hygiene.bad, hygiene.notes = dict(bad), dict(notes)
    return hashes, lengths


def _count_overlap(split: Split, hashes: "array[int]", lengths: "array[int]") -> int:
    """Count whole validation documents that also stand in training; by hash there can be none."""
    if split.kind != "tail":
        return 0
    starts = np.cumsum([0, *lengths[:-1]])
    after = starts >= split.border
    every = np.array(hashes)
    return int(np.isin(every[after], every[~after]).sum())


def _nothing(part: Part, hygiene: Hygiene) -> DataError:
    if hygiene.dropped:
        return DataError(
            f"{part.name}: every document stands in data.validation_path too.",
            fix="give a validation_path with other documents, or none to hold a part out.",
        )
    empty = sum(source.tally.empty for source in part.sources)
    found = f" (empty documents: {empty:,})" if empty else ""
    return DataError(f"{part.name} holds no text{found}.", fix="give a file or folder with text in it.")
