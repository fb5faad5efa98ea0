"""The texts of a run in a file of their own, for reading: made from the run's events, never a second truth."""

import json
from collections.abc import Iterable
from pathlib import Path

from hornbook.runlog.events import Event, Sample
from hornbook.storage.atomic import write_text


class SampleFile:
    """Keeps `path` equal to the samples among the events.

    It is written anew from the events a session begins with, so that what a killed session wrote and its successor
    writes again stands in it once; after that samples are appended. Without samples there is no file.

    Args:
        path: the file.
        events: those on the disk.
    """

    def __init__(self, path: Path, events: Iterable[Event]) -> None:
        self._path = path
        self._waiting: list[Sample] = []
        content = "".join(as_text(event) for event in events if isinstance(event, Sample))
        self._size = len(content.encode())
        if content:
            write_text(path, content)
        else:
            path.unlink(missing_ok=True)

    def take(self, sample: Sample) -> None:
        """Take a sample; it reaches the file at the next flush, which comes after that of the events."""
        self._waiting.append(sample)

    def flush(self) -> None:
        """Append what waits.

        Raises:
            OSError: if the disk is full or refuses; what waits goes on waiting.
        """
        if not self._waiting:
            return
        data = "".join(map(as_text, self._waiting)).encode()
        with self._path.open("r+b" if self._path.exists() else "w+b") as file:
            file.truncate(self._size)  # what an earlier attempt may have written
            file.seek(self._size)
            file.write(data)
        self._size += len(data)
        self._waiting.clear()


def as_text(sample: Sample) -> str:
    """Write a sample as a reader wants it: after which step and which prompt, then the text as it is."""
    return f"--- step {sample.step}, after {json.dumps(sample.prompt, ensure_ascii=False)}\n{sample.text}\n\n"
