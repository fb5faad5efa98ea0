"""The shard format: token files that are mapped into memory, where documents end, what is to be learnt.

A shard is two or three headerless little-endian files beside each other:

    0-00003.tokens.bin      uint16 or uint32 token ids, documents one after the other (nanoGPT's .bin)
    0-00003.documents.bin   int64, where each document starts, and the number of tokens last
    0-00003.learn.bin       one bit a token, lowest bit first: 1 where the token is a target that counts;
                            only there when some token of the shard is not learnt

Documents never cross shards. The manifest of the prepared set (`hornbook.data.prepare`) is the sidecar: dtype,
counts, sizes and hashes stand there. A `ShardSet` shows the shards of one source, or of all sources, as one
long array. It knows nothing of rows, order or batches.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import DataError

SHARD_TOKENS = 2**25
"""A shard is closed when it holds at least this many tokens."""

TOKENS, DOCUMENTS, LEARN = ".tokens.bin", ".documents.bin", ".learn.bin"


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """Return the smallest format that holds every id: uint16 up to 65,536 tokens, else uint32."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


@dataclass(frozen=True)
class Block:
    """Some encoded documents, one after the other.

    Args:
        tokens: (n,) ids, any integer dtype.
        lengths: (documents,) int64, tokens of each document; they sum to n, and none is 0.
        learn: (n,) bool, whether each token is a target that counts; None when all are.
    """

    tokens: NDArray[Any]
    lengths: NDArray[np.int64]
    learn: NDArray[np.bool_] | None = None

    def split(self) -> Iterator["Block"]:
        """Yield the documents one by one, as views."""
        for stop, length in zip(self.lengths.cumsum().tolist(), self.lengths.tolist(), strict=True):
            part = slice(stop - length, stop)
            learn = None if self.learn is None else self.learn[part]
            yield Block(self.tokens[part], np.array([length], np.int64), learn)


@dataclass(frozen=True)
class ShardInfo:
    """What the manifest says about a shard.

    Args:
        stem: the files' common name, relative to the prepared folder: "train/0-00003".
        tokens, documents: how many it holds.
        learnt: tokens that are targets that count.
        files: the name of each file, relative to the prepared folder, with its size in bytes and sha256.
    """

    stem: str
    tokens: int
    documents: int
    learnt: int
    files: dict[str, dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return asdict(self)


class ShardWriter:
    """Writes one shard; its files are complete and on the disk only once `close` has returned."""

    def __init__(self, root: Path, stem: str, dtype: np.dtype[Any]) -> None:
        self.tokens = 0
        self.documents = 0
        self._stem, self._dtype = stem, dtype
        self._tokens_file = _HashedFile(root, stem + TOKENS)
        self._documents_file = _HashedFile(root, stem + DOCUMENTS)
        self._documents_file.write(np.zeros(1, "<i8").tobytes())
        self._mask = _MaskFile(root, stem + LEARN)

    def append(self, block: Block) -> None:
        """Write the documents of `block` behind those already there."""
        assert len(block.tokens) == block.lengths.sum(), "the lengths of a block do not sum to its tokens"
        assert not len(block.tokens) or block.tokens.max() <= np.iinfo(self._dtype).max, "an id does not fit"
        self._tokens_file.write(block.tokens.astype(self._dtype, copy=False).tobytes())
        ends = self.tokens + np.cumsum(block.lengths)
        self._documents_file.write(ends.astype("<i8").tobytes())
        self._mask.write(len(block.tokens), block.learn)
        self.tokens += len(block.tokens)
        self.documents += len(block.lengths)

    def close(self) -> ShardInfo:
        """Flush everything to the disk and describe the shard."""
        files = [self._tokens_file.close(), self._documents_file.close(), *self._mask.close()]
        return ShardInfo(self._stem, self.tokens, self.documents, self._mask.learnt, dict(files))

    def abandon(self) -> None:
        """Close the files without finishing the shard; what they hold is of no use."""
        for file in (self._tokens_file, self._documents_file, self._mask):
            file.abandon()


class _HashedFile:
    """A file that is hashed while it is written."""

    def __init__(self, root: Path, name: str) -> None:
        self._name = name
        self._file = (root / name).open("wb")
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)

    def close(self) -> tuple[str, dict[str, Any]]:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._name, {"size": self._size, "sha256": self._hash.hexdigest()}

    def abandon(self) -> None:
        with contextlib.suppress(OSError):  # the disk may be why: what is still buffered cannot be written
            self._file.close()


class _MaskFile:
    """The learn bits; the file begins with the first token that is not learnt, the bits before it made up for."""

    def __init__(self, root: Path, name: str) -> None:
        self.learnt = 0
        self._root, self._name = root, name
        self._file: _HashedFile | None = None
        self._count = 0
        self._rest = np.zeros(0, bool)  # bits that do not fill a byte yet

    def write(self, count: int, learn: NDArray[np.bool_] | None) -> None:
        bits = np.ones(count, bool) if learn is None else learn
        self.learnt += int(bits.sum())
        if self._file is None and bits.all():
            self._count += count
            return
        if self._file is None:
            self._file = _HashedFile(self._root, self._name)
            self._file.write(b"\xff" * (self._count // 8))
            self._rest = np.ones(self._count % 8, bool)
        bits = np.concatenate([self._rest, bits])
        whole = len(bits) // 8 * 8
        self._file.write(np.packbits(bits[:whole], bitorder="little").tobytes())
        self._rest = bits[whole:]

    def close(self) -> list[tuple[str, dict[str, Any]]]:
        if self._file is None:
            return []
        self._file.write(np.packbits(self._rest, bitorder="little").tobytes())
        return [self._file.close()]

    def abandon(self) -> None:
        if self._file is not None:
            self._file.abandon()


class Shard:
    """One shard, mapped into memory.

    Raises:
        DataError: if a file is missing or has not the size its counts ask for.
    """

    def __init__(self, root: Path, info: Mapping[str, Any], dtype: np.dtype[Any]) -> None:
        self.num_tokens, self.num_documents = int(info["tokens"]), int(info["documents"])
        stem = str(info["stem"])
        self._tokens = _map(root / (stem + TOKENS), dtype, self.num_tokens)
        self.documents: NDArray[np.int64] = _map(
            root / (stem + DOCUMENTS), np.dtype("<i8"), self.num_documents + 1
        )
        self._bits: NDArray[np.uint8] | None = None
        if stem + LEARN in info["files"]:
            self._bits = _map(root / (stem + LEARN), np.dtype("u1"), (self.num_tokens + 7) // 8)

    def tokens(self, start: int, stop: int) -> NDArray[Any]:
        """Return ids `start` to `stop`, as a view of the file."""
        return self._tokens[start:stop]

    def learn(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return whether tokens `start` to `stop` are targets that count."""
        if self._bits is None:
            return np.ones(stop - start, bool)
        first = start // 8
        bits = np.unpackbits(self._bits[first : (stop + 7) // 8], bitorder="little")
        return bits[start - first * 8 : stop - first * 8].astype(bool)

    def tokens_at(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return the ids at `positions`, of any shape."""
        return np.asarray(self._tokens)[positions]

    def learn_at(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the tokens at `positions`, of any shape, are targets that count."""
        if self._bits is None:
            return np.ones(positions.shape, bool)
        octets: NDArray[np.uint8] = np.asarray(self._bits)[positions >> 3]
        return (octets >> (positions & 7).astype(np.uint8) & 1).astype(np.bool_)


class ShardSet:
    """Shards read as one array of tokens. `parts` holds one set a source; positions count from 0 in each.

    Args:
        name: what the set is called in reports: the source's path, or "train".
        weight: share of the training rows, relative to the other parts.
        dtype: uint16 or uint32.
    """

    def __init__(self, shards: Sequence[Shard], *, name: str, dtype: np.dtype[Any], weight: float = 1.0) -> None:
        self.name, self.weight, self.dtype = name, weight, dtype
        self._shards = tuple(shards)
        self._starts = np.cumsum([0, *(shard.num_tokens for shard in shards)]).tolist()
        self._parts: tuple[ShardSet, ...] = ()

    @classmethod
    def open(
        cls, root: Path, parts: Sequence[Mapping[str, Any]], *, name: str, dtype: np.dtype[Any]
    ) -> "ShardSet":
        """Open a split of a prepared set from its entry in the manifest.

        Args:
            root: the prepared folder.
            parts: one mapping a source with "name", "weight" and "shards" (a list of ShardInfo as JSON).

        Raises:
            DataError: if a file is missing or has a wrong size, naming it.
        """
        sets = tuple(
            cls(
                [Shard(root, info, dtype) for info in part["shards"]],
                name=str(part["name"]),
                dtype=dtype,
                weight=float(part["weight"]),
            )
            for part in parts
        )
        whole = cls([shard for part in sets for shard in part._shards], name=name, dtype=dtype)
        whole._parts = sets
        return whole

    @property
    def parts(self) -> tuple["ShardSet", ...]:
        """One set a source, in the order of the settings; a part is its own only part."""
        return self._parts or (self,)

    @property
    def num_tokens(self) -> int:
        """Tokens in all shards."""
        return int(self._starts[-1])

    @property
    def num_documents(self) -> int:
        """Documents in all shards."""
        return sum(shard.num_documents for shard in self._shards)

    @cached_property
    def documents(self) -> NDArray[np.int64]:
        """Where each document starts, and num_tokens last: (num_documents + 1,) int64."""
        if len(self._shards) == 1:
            return self._shards[0].documents
        pieces = [shard.documents[:-1] + start for shard, start in zip(self._shards, self._starts, strict=False)]
        return np.concatenate([*pieces, np.array([self.num_tokens], np.int64)])

    def tokens(self, start: int, stop: int) -> NDArray[Any]:
        """Return ids `start` to `stop` (stop - start,) in the set's dtype; do not write into them."""
        pieces = [shard.tokens(*span) for shard, span in self._spans(start, stop)]
        return pieces[0] if len(pieces) == 1 else np.concatenate([np.zeros(0, self.dtype), *pieces])

    def learn(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return whether tokens `start` to `stop` are targets that count: (stop - start,) bool."""
        pieces = [shard.learn(*span) for shard, span in self._spans(start, stop)]
        return pieces[0] if len(pieces) == 1 else np.concatenate([np.zeros(0, bool), *pieces])

    def tokens_at(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return the ids at `positions`, in their shape, whatever their order."""
        found = np.empty(positions.shape, self.dtype)
        for shard, here, inside in self._groups(positions):
            found[here] = shard.tokens_at(inside)
        return found

    def learn_at(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the tokens at `positions` are targets that count, in their shape."""
        found = np.empty(positions.shape, bool)
        for shard, here, inside in self._groups(positions):
            found[here] = shard.learn_at(inside)
        return found

    def _groups(self, positions: NDArray[np.int64]) -> Iterator[tuple[Shard, Any, NDArray[np.int64]]]:
        """Yield each shard that positions lie in, an index that selects those, and what they are in the shard."""
        if len(self._shards) == 1:
            yield self._shards[0], ..., positions
            return
        shard_of = np.searchsorted(self._starts, positions, side="right") - 1
        for index in np.flatnonzero(np.bincount(shard_of.ravel())).tolist():
            here = shard_of == index
            yield self._shards[index], here, positions[here] - self._starts[index]

    def _spans(self, start: int, stop: int) -> Iterator[tuple[Shard, tuple[int, int]]]:
        """Yield the shards that positions `start` to `stop` lie in, with their own positions."""
        assert 0 <= start <= stop <= self.num_tokens, f"{start}:{stop} is outside 0:{self.num_tokens}"
        index = int(np.searchsorted(self._starts, start, side="right")) - 1
        while start < stop:
            first, last = self._starts[index], self._starts[index + 1]
            yield self._shards[index], (start - first, min(stop, last) - first)
            start, index = last, index + 1


def _map(path: Path, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """Map a file of exactly `count` numbers."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{path} cannot be opened ({error.strerror}).", fix=f"delete {path.parents[1]} and prepare again."
        ) from error
    if size != count * dtype.itemsize:
        raise DataError(
            f"{path} holds {size} bytes instead of {count * dtype.itemsize}: it was cut or changed.",
            fix=f"delete {path.parents[1]} and prepare again.",
        )
    return np.memmap(path, dtype, mode="r", shape=(count,))
