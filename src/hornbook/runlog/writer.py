"""Appends events to a run's file: whole lines or nothing, and never an event of a step twice."""

import os
from pathlib import Path

from hornbook.runlog.events import Event, Finished, Sample, Validation, to_line
from hornbook.runlog.reader import read_events

AFTER_THE_STEP = (Validation, Sample, Finished)
"""Events of step N that are written once the weights of step N are judged, not while it is taken."""


class EventWriter:
    """Collects events and appends them in one write at `flush`.

    Args:
        path: the events file.
        step: the step the run continues from. Replayed events of later steps are dropped from the file, since they
            are about to be written again; a torn last line, left by a kill, goes with them.
        judged: whether the weights of `step` had been validated when they were saved; if not, what was written of
            it is dropped too.
    """

    def __init__(self, path: Path, *, step: int, judged: bool) -> None:
        self._waiting: list[Event] = []
        kept = [event for event in read_events(path) if not _comes_again(event, step, judged)]
        content = "".join(map(to_line, kept)).encode()
        beside = path.with_name(f".partial-{path.name}")
        beside.write_bytes(content)
        beside.replace(path)
        self._descriptor = os.open(path, os.O_WRONLY)
        self._size = os.lseek(self._descriptor, 0, os.SEEK_END)

    def write(self, event: Event) -> None:
        """Take `event`; it reaches the file at the next flush."""
        self._waiting.append(event)

    def flush(self) -> None:
        """Append what waits, in one write.

        Raises:
            OSError: if the disk is full or refuses; what waits goes on waiting, and the file ends in a whole line.
        """
        if not self._waiting:
            return
        data = "".join(map(to_line, self._waiting)).encode()
        try:
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            written = os.write(self._descriptor, data)
            if written < len(data):
                raise OSError(f"only {written} of {len(data)} bytes of events could be written")
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
        self._waiting.clear()

    def close(self) -> None:
        """Close the file; what was not flushed is lost."""
        os.close(self._descriptor)


def _comes_again(event: Event, step: int, judged: bool) -> bool:
    if not event.REPLAYED:
        return False
    return event.step > step or (event.step == step and not judged and isinstance(event, AFTER_THE_STEP))
