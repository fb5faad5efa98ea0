"""Plain dict access whose failure names the nearest spelling and every choice."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from hornbook.errors import ConfigError

Value = TypeVar("Value")


def lookup(table: Mapping[str, Value], name: str, *, what: str) -> Value:
    """Return `table[name]`.

    Raises:
        ConfigError: if there is no such name; `what` says what kind of thing it names ("optimizer").
    """
    if name in table:
        return table[name]
    raise ConfigError(f"There is no {what} named '{name}'.", fix=suggest(name, table))


def suggest(name: str, known: Iterable[str]) -> str:
    """Phrase the way out of a misspelling: "did you mean 'adamw'? Known: adamw, muon."."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return f"{guess}Known: {', '.join(names)}."
