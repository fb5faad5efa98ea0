"""How a vocabulary is used by the data it was made for: its rare tokens, its idle ones, and the words it lacks.

A word that was too rare for the vocabulary is written in bytes, so the words it lacks can be read off the tokens.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from hornbook.data.prepare import PreparedData

BLOCK_TOKENS = 2**20
BYTE_VALUES = 256
"""The first ids of every tokenizer made here are the bytes."""

LETTERS = regex.compile(r"[\p{L}\p{M}]{2,}|[^\x00-\x7f]+")
"""What of a run of bytes is a word or a foreign character, and no digit or mark that is one byte anyway."""


@dataclass(frozen=True)
class VocabularyUse:
    """What the training data does with a vocabulary.

    Args:
        rarest: the tokens seen least, with how often, fewest first; those never seen are not among them.
        unused: entries never seen.
        spelt: what is written in bytes most often, with how often.
        spelt_in_all: how many different words and foreign characters are.
    """

    rarest: tuple[tuple[str, int], ...]
    unused: int
    spelt: tuple[tuple[str, int], ...]
    spelt_in_all: int


def vocabulary_use(prepared: PreparedData, *, most: int = 20) -> VocabularyUse:
    """Read all training tokens and say how the vocabulary is used; `most` entries of each list."""
    tokenizer, train = prepared.tokenizer, prepared.train
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    spelt: Counter[str] = Counter()
    for start in range(0, train.num_tokens, BLOCK_TOKENS):
        block = train.tokens(start, min(start + BLOCK_TOKENS, train.num_tokens))
        counts += np.bincount(block, minlength=tokenizer.vocab_size)
        spelt.update(_spelt(block))
    entries = np.arange(tokenizer.vocab_size) >= BYTE_VALUES
    entries[list(tokenizer.specials.values())] = False
    seen = np.flatnonzero(entries & (counts > 0))
    rarest = seen[np.argsort(counts[seen], kind="stable")][:most]
    return VocabularyUse(
        rarest=tuple((tokenizer.decode([index]), int(counts[index])) for index in rarest.tolist()),
        unused=int((entries & (counts == 0)).sum()),
        spelt=tuple(spelt.most_common(most)),
        spelt_in_all=len(spelt),
    )


def _spelt(block: NDArray[Any]) -> Counter[str]:
    """Count the words of two letters and more, and the foreign characters, that stand in bytes."""
    is_byte = np.concatenate([[False], block < BYTE_VALUES, [False]])
    starts = np.flatnonzero(~is_byte[:-1] & is_byte[1:])
    ends = np.flatnonzero(is_byte[:-1] & ~is_byte[1:])
    values = block.astype(np.uint8)
    long = ends - starts > 1
    found: Counter[str] = Counter()
    for start, end in zip(starts[long].tolist(), ends[long].tolist(), strict=True):
        found.update(LETTERS.findall(values[start:end].tobytes().decode("utf-8", "replace")))
    return found
