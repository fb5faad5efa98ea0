"""Reasons to stop before the last step: no better validation, no time left, a signal."""

import dataclasses
import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any


@dataclass
class Patience:
    """The best validation so far and how many in a row were no better."""

    best_loss: float | None = None
    best_step: int | None = None
    worse_in_a_row: int = 0

    def update(self, loss: float, *, step: int, min_improvement: float) -> bool:
        """Take a validation loss; return whether it is the best so far."""
        better = self.best_loss is None or loss < self.best_loss - min_improvement
        if better:
            self.best_loss, self.best_step, self.worse_in_a_row = loss, step, 0
        else:
            self.worse_in_a_row += 1
        return better

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dataclasses.asdict(self)


class StopSignals:
    """Turns the first SIGINT, SIGTERM or SIGUSR1 into a request that the loop reads between steps.

    A second SIGINT leaves at once with KeyboardInterrupt. Saved state is safe either way: checkpoints appear whole.
    """

    NAMES = ("SIGINT", "SIGTERM", "SIGUSR1")

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> "StopSignals":
        for name in self.NAMES:
            number = getattr(signal, name, None)  # Windows has no SIGUSR1
            if number is not None:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
