"""Normalisation of text, as small named steps. None runs unless a recipe names it: by default text is kept."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from html.parser import HTMLParser

from hornbook.lookup import lookup

# Everything in Unicode's category Cc but tab, line feed and carriage return.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def unix_lines(text: str) -> str:
    """End lines with a line feed, whatever ended them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def no_controls(text: str) -> str:
    """Take out control characters, but keep tabs and line ends."""
    return _CONTROLS.sub("", text)


def one_space(text: str) -> str:
    """Write one space for every run of spaces and tabs, and none at line ends."""
    return re.sub(r" ?(\r?\n)", r"\1", re.sub(r"[^\S\r\n]+", " ", text))


def few_blank_lines(text: str) -> str:
    """Leave at most one empty line in a row."""
    return re.sub(r"(\r?\n)(?:[^\S\r\n]*\r?\n){2,}", r"\1\1", text)


def strip(text: str) -> str:
    """Take white space off both ends."""
    return text.strip()


def lower(text: str) -> str:
    """Write lower case."""
    return text.lower()


def nfc(text: str) -> str:
    """Write letters and their accents as one character where there is one (Unicode NFC)."""
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    """Write letters and their accents apart (Unicode NFD)."""
    return unicodedata.normalize("NFD", text)


def nfkc(text: str) -> str:
    """As nfc, and write compatible characters alike: ligatures as letters, full width as half (Unicode NFKC)."""
    return unicodedata.normalize("NFKC", text)


def nfkd(text: str) -> str:
    """As nfd, and write compatible characters alike (Unicode NFKD)."""
    return unicodedata.normalize("NFKD", text)


def no_html(text: str) -> str:
    """Take out HTML tags, comments, scripts and styles, and write `&amp;` and its like as what they stand for."""
    reader = _HTMLText()
    reader.feed(text)
    reader.close()
    return "".join(reader.pieces)


class _HTMLText(HTMLParser):
    """Collects the text between tags; a paragraph, a heading, a row or a break ends a line."""

    HIDDEN = frozenset({"script", "style"})
    LINES = frozenset({"p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in self.HIDDEN
        if tag == "br":
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in self.HIDDEN))
        if tag in self.LINES and tag != "br":
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def plain_quotes(text: str) -> str:
    """Write straight quotation marks for curly ones, and hyphens for dashes."""
    return text.translate(_PLAIN)


_PLAIN = str.maketrans({"‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "‑": "-"})

CLEANERS: dict[str, Callable[[str], str]] = {
    "unix_lines": unix_lines,
    "no_controls": no_controls,
    "one_space": one_space,
    "few_blank_lines": few_blank_lines,
    "strip": strip,
    "lower": lower,
    "nfc": nfc,
    "nfd": nfd,
    "nfkc": nfkc,
    "nfkd": nfkd,
    "no_html": no_html,
    "plain_quotes": plain_quotes,
}
"""Step name, as data.clean has it -> what it does to a text."""


def clean(text: str, steps: Iterable[str]) -> str:
    """Apply steps in order.

    Raises:
        ConfigError: if there is no such step.
    """
    for name in steps:
        text = lookup(CLEANERS, name, what="cleaning step")(text)
    return text
