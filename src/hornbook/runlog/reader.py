"""Reads the events of a run; a half-written last line is not there yet."""

from pathlib import Path

from hornbook.runlog.events import Event, from_line


def read_events(path: Path) -> list[Event]:
    """Read every complete line of `path`; an absent file has none.

    Raises:
        DataError: if a complete line is no event.
    """
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    return [from_line(line) for line in whole.decode().split("\n")[:-1]]
