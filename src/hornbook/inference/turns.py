"""What a line typed to a model means: a prompt, the end, or nothing yet. Reading and printing belong to the command."""

import unicodedata
from dataclasses import dataclass

QUIT_WORDS = frozenset({"quit", "exit", "q", ":q"})
"""What ends a session, however it is written; said in a sentence they are words like others."""


@dataclass(frozen=True)
class Turn:
    """One line, understood.

    Args:
        prompt: what the model is to continue or answer; "" asks for another line.
        ends: whether the line said goodbye.
    """

    prompt: str = ""
    ends: bool = False


def read_turn(line: str, *, default_prompt: str = "") -> Turn:
    """Understand a typed line.

    Its characters are composed (NFC), because keyboards and terminals differ in how they send an accent, and training
    text has mostly the composed form. Half a surrogate pair, which a terminal's broken bytes become, is shown as such.

    Args:
        line: as it was read, with or without its line end.
        default_prompt: what an empty line stands for; without one it asks again.
    """
    whole = line.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    text = unicodedata.normalize("NFC", whole).strip("\r\n")
    if text.strip().lower() in QUIT_WORDS:
        return Turn(ends=True)
    return Turn(text if text.strip() else default_prompt)
