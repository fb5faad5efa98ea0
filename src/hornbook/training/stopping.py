"""Reasons to stop before the last step: no better validation, no time left, a signal."""

import dataclasses
import math
import signal
import threading
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
        """Take a validation loss; return whether it is the best so far, which one that is not finite never is."""
        better = math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss - min_improvement)
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

    Before the loop begins there is no step to finish: until `wait_for_steps` a signal raises KeyboardInterrupt. So
    does a second SIGINT at any time. What is on disk is safe either way: checkpoints and prepared data appear whole.
    """

    NAMES = ("SIGINT", "SIGTERM", "SIGUSR1")

    def __init__(self) -> None:
        self.received: str | None = None
        self._at_once = True
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def wait_for_steps(self) -> None:
        """From now on a signal is a request."""
        self._at_once = False

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may handle signals; a caller that trains in another handles its own
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
        again = self.received is not None and number == signal.SIGINT
        self.received = self.received or signal.Signals(number).name
        if again or self._at_once:
            raise KeyboardInterrupt
