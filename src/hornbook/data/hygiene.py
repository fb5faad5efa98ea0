"""What is held out for validation, and a report of what the data is like: duplicates, empties, overlap, losses.

A document's hash is blake2b of its content, 8 bytes. Held out by documents, it alone decides, so equal documents
always land on one side, and adding data never moves a document to the other. Held out at the tail, the last part
of the characters is taken and the document that the border crosses is cut (conversations stay whole), so no text
is lost; with one file and a tenth it is nanoGPT's text[:int(n * 0.9)] exactly.
"""

import json
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hornbook.data.shards import ShardSet
from hornbook.data.sources import Content
from hornbook.text.conversation import Conversation
from hornbook.units import count_text, percent_text

SplitName = Literal["train", "validation"]
SPLITS: tuple[SplitName, ...] = ("train", "validation")

TAIL_BELOW_DOCUMENTS = 32
"""With fewer documents than this, auto holds out the tail: hashes would hold out nothing, or half."""


def content_hash(content: Content) -> int:
    """Return 64 bits of a document's content: its text, its messages or its ids."""
    if isinstance(content, str):
        data = content.encode()
    elif isinstance(content, Conversation):
        data = json.dumps([[message.role, message.text] for message in content]).encode()
    else:
        data = content.astype("<u4").tobytes()
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def count_characters(content: Content) -> int:
    """Count what the tail is measured in: characters of text and of all messages; for ids, tokens."""
    if isinstance(content, Conversation):
        return sum(len(message.text) for message in content)
    return len(content)


@dataclass(frozen=True)
class Split:
    """How one source is divided.

    Args:
        kind: documents (by hash), tail (by characters), none (all is for training) or all (for validation).
        fraction: share that is held out by hash.
        border: characters before it are for training; only for the tail.
    """

    kind: Literal["documents", "tail", "none", "all"]
    fraction: float = 0.0
    border: int = 0

    def assign(self, content: Content, hashed: int, start: int) -> list[tuple[SplitName, Content]]:
        """Say where a document belongs.

        Args:
            hashed: its `content_hash`.
            start: characters of the source before it.

        Returns:
            Split and content; two of them if the border of the tail cuts the document.
        """
        if self.kind in ("none", "all"):
            return [("train" if self.kind == "none" else "validation", content)]
        if self.kind == "documents":
            return [("validation" if is_held_out(hashed, self.fraction) else "train", content)]
        cut = self.border - start
        if cut <= 0:
            return [("validation", content)]
        if cut >= count_characters(content):
            return [("train", content)]
        if isinstance(content, Conversation):
            return [("validation" if start else "train", content)]
        return [("train", content[:cut]), ("validation", content[cut:])]


def is_held_out(hashed: int, fraction: float) -> bool:
    """Tell whether the split by documents holds out a document with this hash."""
    return hashed < int(fraction * 2**64)


def choose_split(kind: str, *, fraction: float, documents: int, characters: int) -> Split:
    """Decide how a source is divided: `kind` is data.split, fraction data.validation_fraction.

    Args:
        documents, characters: what the source holds.
    """
    if kind == "documents" or (kind == "auto" and documents >= TAIL_BELOW_DOCUMENTS):
        return Split("documents", fraction)
    return Split("tail", fraction, int(characters * (1 - fraction)))


def count_duplicates(hashes: NDArray[np.uint64]) -> int:
    """Count the documents that an earlier one equals; sorts (documents,) in place."""
    hashes.sort()
    return int((hashes[1:] == hashes[:-1]).sum())


@dataclass
class Hygiene:
    """What was found in the data. Counts are of documents unless they say otherwise.

    Args:
        documents: usable ones, of the sources and of data.validation_path.
        characters: of those documents.
        conversations: how many of them are conversations.
        duplicates: equal to an earlier one of the same source; they are kept.
        empty: left out because there was nothing in them.
        overlap: validation documents that stand in the training data too.
        dropped: training documents left out because they stand in data.validation_path.
        bad: records that could not be used, by reason.
        notes: harmless peculiarities, by name.
    """

    documents: int = 0
    characters: int = 0
    conversations: int = 0
    duplicates: int = 0
    empty: int = 0
    overlap: int = 0
    dropped: int = 0
    bad: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Say it in a few lines, worst last; what is nought is not mentioned."""
        kinds = f", {count_text(self.conversations)} of them conversations" if self.conversations else ""
        lines = [f"{documents_text(self.documents)}, {count_text(self.characters)} characters{kinds}"]
        said = {
            "empty documents left out": self.empty,
            **self.notes,
            "documents equal to an earlier one, kept": self.duplicates,
            "training documents left out because they stand in data.validation_path": self.dropped,
        }
        return lines + [f"{what}: {count_text(count)}" for what, count in said.items() if count] + self.warnings()

    def warnings(self) -> list[str]:
        """Say only what may spoil a result: what could not be used, and what validation shares with training."""
        said = {f"records left out, {reason}": count for reason, count in self.bad.items()}
        said["validation documents that stand in the training data too"] = self.overlap
        return [f"{what}: {count_text(count)}" for what, count in said.items() if count]


def documents_text(count: int) -> str:
    """1 -> '1 document', 12345 -> '12.3k documents'."""
    return f"{count_text(count)} document{'' if count == 1 else 's'}"


def packing_line(shards: ShardSet, context: int) -> str:
    """Say what rows of `context` tokens do to documents: none is lost, but long ones are cut."""
    lengths = np.diff(shards.documents)
    cut = int((lengths > context).sum())
    share = percent_text(cut / max(len(lengths), 1))
    return f"{count_text(cut)} of {documents_text(len(lengths))} ({share}) longer than a row of {context}"
