"""The parts of a step by name: data, forward, backward, optimizer. A profiler shows them, a stopwatch times them.

Whoever takes steps enters a context around each part. By default that is a label which only a running profiler sees;
a `Stopwatch` in its place waits for the device and measures.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch.profiler import record_function

from hornbook.data.batch import Batch
from hornbook.device import wait_for

PARTS = ("data", "forward", "backward", "optimizer")
"""The parts of a step, in their order."""


def named_part(name: str) -> AbstractContextManager[object]:
    """Return the context that labels a part for a profiler, and costs next to nothing without one."""
    return record_function(name)


def part_by_part(
    batches: Iterable[Batch], part: Callable[[str], AbstractContextManager[object]] = named_part
) -> Iterator[Batch]:
    """Yield the batches, the time until each is there being the part "data"."""
    iterator = iter(batches)
    while True:
        with part("data"):
            batch = next(iterator, None)
        if batch is None:
            return
        yield batch


class Stopwatch:
    """Seconds spent in each part since the last reading; the device has finished a part before the clock is read."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        wait_for(self.device)
        start = time.perf_counter()
        yield
        wait_for(self.device)
        self._seconds[name] += time.perf_counter() - start

    def read(self) -> dict[str, float]:
        """Return the seconds of each part, and begin again."""
        seconds, self._seconds = self._seconds, defaultdict(float)
        return dict(seconds)
