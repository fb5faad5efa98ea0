"""Which row comes when: pure functions of the seed and the sample's number, in plain integers.

Nothing here remembers anything, so there is nothing to save: a resumed run, another number of ranks or workers,
and `hornbook lens` a year later all compute the same answer. Row contents are packing's business.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from math import isqrt, lcm

BLOCK = 1024
"""Samples of a mixture that are shuffled among each other; every block has its share of each source."""

_MASK = 2**64 - 1
_ROUNDS = 8  # four give a pseudo-random permutation of a large set (Luby and Rackoff 1988); small sets want more
_ROWS, _MIXTURE, _PHASE = 1, 2, 3  # what a key is for: equal numbers never give equal keys to different uses


def _mix(number: int) -> int:
    """Mix 64 bits as SplitMix64 does (Steele, Lea and Flood 2014, figure 17)."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def scramble(*numbers: int) -> int:
    """Hash non-negative integers below 2**64 to one of 64 bits; their order matters."""
    state = len(numbers)
    for number in numbers:
        state = _mix((state + number) & _MASK)
    return state


def phase_seed(seed: int, phase: int) -> int:
    """Return the seed of one phase of a curriculum: each has an order of its own."""
    return scramble(seed, _PHASE, phase)


@lru_cache(maxsize=1024)
def _round_keys(key: int) -> tuple[int, ...]:
    return tuple(scramble(key, number) for number in range(_ROUNDS))


def permute(index: int, size: int, key: int) -> int:
    """Return where the permutation of range(size) that belongs to `key` sends `index`.

    A Feistel network (Luby and Rackoff 1988) over pairs (left < width, right < height) whose product is barely
    above `size`, adding modulo each in turn; results beyond `size` go through it again (Black and Rogaway 2002,
    "Ciphers with arbitrary finite domains"). Takes O(1) time and no memory, whatever the size.
    """
    assert 0 <= index < size, f"index {index} is not in range({size})"
    width = isqrt(size - 1) + 1
    height = -(-size // width)
    keys = _round_keys(key)
    while True:
        right, left = divmod(index, width)
        for even, odd in zip(keys[::2], keys[1::2], strict=True):
            left = (left + _mix(even ^ right)) % width
            right = (right + _mix(odd ^ left)) % height
        index = right * width + left
        if index < size:
            return index


def turn(place: int, weights: Sequence[int]) -> tuple[int, int]:
    """Say whose turn it is at one place of a fair sequence of sources, and how many turns that source had before.

    Halve the list of sources and give the left half the turns at which floor(place * its proportion) steps up;
    then the same within the half. So every source takes turns 0, 1, 2, ... without gap, and among the first n
    places its count stays within log2(sources), rounded up, of the exact proportion, however large n. (The largest
    remainders of all sources at once would not do: a count can shrink as n grows, the Alabama paradox.)
    """
    first, last = 0, len(weights)
    while last - first > 1:
        middle = (first + last) // 2
        left, whole = sum(weights[first:middle]), sum(weights[first:last])
        before = place * left // whole
        if (place + 1) * left // whole > before:
            place, last = before, middle
        else:
            place, first = place - before, middle
    return first, place


def locate(number: int, rows: Sequence[int]) -> tuple[int, int]:
    """Find a row counted over all sources, of which each has rows[source]: (source, row of it)."""
    ends = list(accumulate(rows))
    source = bisect_right(ends, number)
    return source, number - (ends[source] - rows[source])


def whole_weights(weights: Sequence[float]) -> tuple[int, ...]:
    """Turn weights into whole numbers of exactly the proportions written: (0.1, 2) gives (1, 20)."""
    exact = [Fraction(str(weight)) for weight in weights]
    scale = lcm(*(weight.denominator for weight in exact))
    return tuple(int(weight * scale) for weight in exact)


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of training: which source, how often that source was read whole before, which of its rows."""

    source: int
    epoch: int
    row: int


@dataclass(frozen=True)
class Order:
    """The endless sequence of samples.

    Without weights every epoch is one permutation of all rows of all sources. With weights each block of BLOCK
    samples holds every source in its proportion, in an order of its own, and each source goes through its own
    epochs at its own pace.

    Args:
        rows: how many rows each source has.
        seed: another seed, another order.
        weights: proportions of the samples, one a source; none mixes the sources as they are.
    """

    rows: tuple[int, ...]
    seed: int
    weights: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        assert sum(self.rows) > 0, f"no rows to order: {self.rows}"
        if self.weights is not None:
            assert len(self.weights) == len(self.rows), f"{self.weights} do not match {self.rows}"
            assert all(self.rows), f"a weighted source has no rows: {self.rows}"

    def sample(self, number: int) -> Sample:
        """Return sample `number`, counted from 0 over the whole run."""
        if self.weights is None:
            total = sum(self.rows)
            epoch, position = divmod(number, total)
            source, row = locate(permute(position, total, scramble(self.seed, _ROWS, epoch)), self.rows)
            return Sample(source, epoch, row)
        block, position = divmod(number, BLOCK)
        place = block * BLOCK + permute(position, BLOCK, scramble(self.seed, _MIXTURE, block))
        source, before = turn(place, self.weights)
        epoch, position = divmod(before, self.rows[source])
        key = scramble(self.seed, _ROWS, epoch, source)
        return Sample(source, epoch, permute(position, self.rows[source], key))
