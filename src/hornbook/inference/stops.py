"""Ends a text at the first of several strings, wherever the borders of its tokens fall."""

from collections.abc import Sequence

from hornbook.errors import ConfigError


class StopStrings:
    """Passes text on, piece by piece, up to the first stop string to be complete; the string itself is dropped.

    What could be the beginning of a stop string is held back until it is known to be none. So the text passed on,
    and where it ends, do not depend on how it was cut into pieces.

    Args:
        strings: what ends the text; with none, everything passes.

    Raises:
        ConfigError: if one of them is empty: every text would end before it began.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        if "" in strings:
            raise ConfigError("A stop string is empty.", fix="leave it out, or give at least one character.")
        self.strings = tuple(strings)
        self.found = False
        self._held = ""

    def push(self, piece: str) -> str:
        """Take a piece; return what may be passed on, and set `found` if the text ends in it."""
        if self.found:
            return ""
        text = self._held + piece
        places = [(start + len(string), start) for string in self.strings if (start := text.find(string)) >= 0]
        if places:
            self.found, self._held = True, ""
            return text[: min(places)[1]]
        passed = len(text) - self._beginning_at_end(text)
        self._held = text[passed:]
        return text[:passed]

    def flush(self) -> str:
        """Return what is held back, as the text has ended."""
        held, self._held = self._held, ""
        return held

    def _beginning_at_end(self, text: str) -> int:
        """Return the length of the longest end of `text` that some stop string begins with."""
        longest = min(len(text), max(map(len, self.strings), default=0))
        return next((n for n in range(longest, 0, -1) if self._begins_one(text[-n:])), 0)

    def _begins_one(self, text: str) -> bool:
        return any(string.startswith(text) for string in self.strings)


def before(text: str, strings: Sequence[str]) -> str:
    """Return `text` up to the first of `strings` to be complete in it; all of it if none is."""
    stops = StopStrings(strings)
    return stops.push(text) + stops.flush()
