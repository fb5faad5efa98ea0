"""Hornbook: small language models taught to read, write and reason, on the machine you have.

Every command is also a function here, with the same name and the same settings:

    import hornbook
    hornbook.train("shakespeare", ["data.path=input.txt"])
    speaker = hornbook.load("runs/shakespeare")
    print(speaker.generate("ROMEO:"))

Importing this costs nothing: each name is found when it is first used.
"""

import sys

# This file alone must parse and speak on older Pythons: no f-strings, no newer annotations.
if sys.version_info < (3, 11):  # noqa: UP036
    raise SystemExit(
        "error: Hornbook needs Python 3.11 or newer; this is Python %d.%d.\n"  # noqa: UP031
        "fix: make the environment with a newer Python: python3.11 -m venv .venv" % sys.version_info[:2]
    )

__version__ = "0.1.0"

FUNCTIONS = {
    "compare": "hornbook.commands.compare",
    "bench_step": "hornbook.commands.bench_step",
    "demo": "hornbook.commands.demo",
    "doctor": "hornbook.commands.doctor",
    "evaluate": "hornbook.commands.evaluate",
    "generate": "hornbook.commands.generate",
    "import_": "hornbook.commands.import_",
    "inspect": "hornbook.commands.inspect",
    "lens": "hornbook.commands.lens",
    "load": "hornbook.commands.generate",
    "plan": "hornbook.commands.plan",
    "prepare": "hornbook.commands.prepare",
    "recipes": "hornbook.commands.recipes",
    "tokenizer": "hornbook.commands.tokenizer",
    "train": "hornbook.commands.train",
}
"""The module each function lies in."""

__all__ = ["__version__", *sorted(FUNCTIONS)]


def __getattr__(name: str) -> object:
    """Find a function on its first use (PEP 562)."""
    if name not in FUNCTIONS:
        raise AttributeError("module 'hornbook' has no attribute '" + name + "'")
    from importlib import import_module

    return getattr(import_module(FUNCTIONS[name]), name)


def __dir__() -> "list[str]":
    return __all__
