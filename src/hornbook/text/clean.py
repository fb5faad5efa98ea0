"""Normalisation steps by name, applied to text before it becomes tokens. Nothing is cleaned unless asked for."""

import re
import unicodedata
from collections.abc import Callable, Sequence

from hornbook.lookup import lookup

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BLANKS = re.compile(r"[^\S\n]+")
_LINE_EDGES = re.compile(r"[^\S\n]*\n[^\S\n]*")
_EMPTY_LINES = re.compile(r"\n{3,}")


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _no_controls(text: str) -> str:
    return _CONTROL.sub("", text)


def _white_space(text: str) -> str:
    return _EMPTY_LINES.sub("\n\n", _LINE_EDGES.sub("\n", _BLANKS.sub(" ", text))).strip()


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _compatible(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


STEPS: dict[str, Callable[[str], str]] = {
    "newlines": _newlines,
    "controls": _no_controls,
    "spaces": _white_space,
    "nfc": _composed,
    "nfkc": _compatible,
    "lower": str.lower,
}
"""newlines: CRLF and CR become LF; controls: control characters but tab, LF and CR go; spaces: runs of blanks
become one space, blanks at line ends and third empty lines go; nfc, nfkc: Unicode normal forms; lower: lower case."""


def clean(text: str, steps: Sequence[str]) -> str:
    """Apply the steps in order.

    Raises:
        ConfigError: if there is no step of that name.
    """
    for name in steps:
        text = lookup(STEPS, name, what="cleaning step of data.clean")(text)
    return text
