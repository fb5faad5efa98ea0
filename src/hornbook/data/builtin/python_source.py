"""builtin:python: the running interpreter's own standard library, one document a source file."""

import hashlib
import os
import platform
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

from hornbook.config.sections import DataConfig
from hornbook.errors import DataError

_LEFT_OUT = frozenset({"test", "tests", "idlelib", "site-packages", "dist-packages", "__pycache__"})
"""Folders that hold tests, tools or other people's packages."""


def documents(config: DataConfig) -> Iterator[str]:
    """Yield the text of every source file, in order of its path; empty files are left out.

    Raises:
        DataError: if a file cannot be read or decoded, naming it, or if there are none.
    """
    for path in source_files():
        text = read_source(path)
        if text:
            yield text


def source_files(root: Path | None = None) -> list[Path]:
    """List the standard library's source files in order, without tests and installed packages.

    Raises:
        DataError: if there are none, as where the standard library is one zip file.
    """
    root = root or Path(sysconfig.get_path("stdlib"))
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _LEFT_OUT]
        found += [path for name in names if name.endswith(".py") and (path := Path(folder, name)).is_file()]
    if not found:
        raise DataError(
            f"{root}: this Python carries no source files of its standard library.",
            fix="set data.path to a folder of your own, or use a Python whose Lib folder holds .py files.",
        )
    return sorted(found)


def read_source(path: Path) -> str:
    """Read one file in the encoding it declares, with newlines as \\n.

    Raises:
        DataError: if it cannot be read or decoded.
    """
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeError) as error:
        raise DataError(
            f"{path}: this file of the standard library cannot be read ({error}).",
            fix="mend the Python installation, or set data.path to a folder of your own.",
        ) from error


def identity(config: DataConfig) -> dict[str, object]:
    """What the documents depend on: the version, and every character of the files."""
    digest = hashlib.sha256()
    for text in documents(config):
        digest.update(text.encode() + b"\0")
    return {"python": platform.python_version(), "sha256": digest.hexdigest()}
