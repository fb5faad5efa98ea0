"""builtin:dummy: readable filler text of any size, to try a run before there is data; asked for, never slipped in.

Every document is a pure function of its number. The sentences agree and follow one another loosely, so that a byte
model finds spelling, words, grammar and a topic to learn, one after the other. Names with letters beyond ASCII are
among the words, so that characters of several bytes are met as well.
"""

import hashlib
import inspect
import sys
from collections.abc import Iterator
from random import Random

from hornbook.config.sections import DataConfig

_TOPICS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("harbour", ("ferry", "gull", "pilot", "rope", "lantern", "tide"), ("drifts", "waits", "turns", "creaks")),
    (
        "workshop",
        ("lathe", "clock", "apprentice", "hinge", "spring", "bench"),
        ("hums", "ticks", "bends", "rests"),
    ),
    (
        "orchard",
        ("pear tree", "ladder", "wasp", "basket", "hedge", "farmer"),
        ("sways", "ripens", "leans", "sleeps"),
    ),
    (
        "library",
        ("atlas", "reader", "shelf", "catalogue", "lamp", "scholar"),
        ("opens", "listens", "fades", "waits"),
    ),
    (
        "station",
        ("train", "porter", "signal", "bench", "clock", "traveller"),
        ("arrives", "rattles", "stops", "waits"),
    ),
    ("kitchen", ("kettle", "baker", "oven", "spoon", "jar", "loaf"), ("sings", "cools", "rises", "steams")),
)
_QUALITIES = ("old", "quiet", "green", "narrow", "patient", "small", "bright", "heavy", "crooked", "first", "last")
_MANNERS = (
    "slowly",
    "all morning",
    "without a sound",
    "in the rain",
    "before noon",
    "again",
    "for an hour",
    "at last",
)
_PEOPLE = ("Ada", "Björn", "Chloé", "Dmitri", "Émile", "Fatima", "Jürgen", "Łukasz", "María", "Noor", "Zoë")
_DOINGS = ("counts", "paints", "mends", "looks for", "remembers", "sells", "draws", "carries", "forgets")
_REASONS = (
    "because nobody else will",
    "as it does every year",
    "while the others talk",
    "and says nothing of it",
    "so the day can begin",
)


def documents(config: DataConfig) -> Iterator[str]:
    """Yield documents until they have data.dummy_bytes bytes; the last is cut there, at a line end before it."""
    left, number = config.dummy_bytes, 0
    while left > 0:
        text = document(number)
        if len(text.encode()) > left:
            text = text.encode()[:left].decode(errors="ignore")
            left = len(text.encode())
        yield text
        left -= len(text.encode())
        number += 1


def document(number: int) -> str:
    """Return document `number`, about one to three thousand bytes: a title, then paragraphs."""
    draw = Random(f"dummy {number}")
    place, things, verbs = draw.choice(_TOPICS)
    person = draw.choice(_PEOPLE)
    paragraphs = [f"The {place}, day {number + 1}"]
    for _ in range(draw.randint(3, 8)):
        sentences = [_sentence(draw, place, things, verbs, person) for _ in range(draw.randint(3, 7))]
        paragraphs.append(" ".join(sentences))
    return "\n\n".join(paragraphs) + "\n"


def _sentence(draw: Random, place: str, things: tuple[str, ...], verbs: tuple[str, ...], person: str) -> str:
    thing, quality = draw.choice(things), draw.choice(_QUALITIES)
    kind = draw.randrange(5)
    if kind == 0:
        return f"The {quality} {thing} {draw.choice(verbs)} {draw.choice(_MANNERS)}."
    if kind == 1:
        return f"{person} {draw.choice(_DOINGS)} the {thing} {draw.choice(_MANNERS)}, {draw.choice(_REASONS)}."
    if kind == 2:
        first, second = draw.randint(2, 9), draw.randint(2, 9)
        return f"{first} and {second} make {first + second}, {person} says, and the {thing} {draw.choice(verbs)}."
    if kind == 3:
        return f"In the {place} the {thing} {draw.choice(verbs)}, and {person} {draw.choice(_DOINGS)} it."
    return f"Is the {thing} {quality}? {draw.choice(_PEOPLE)} asks {person}, {draw.choice(_REASONS)}."


def identity(config: DataConfig) -> dict[str, object]:
    """What the documents depend on: their size, and the code and words that make them."""
    source = inspect.getsource(sys.modules[__name__])
    return {"bytes": config.dummy_bytes, "sha256": hashlib.sha256(source.encode()).hexdigest()}
