"""Which files a path stands for, and what is in them: listing a folder, hashing contents once.

A folder is walked in sorted order. Hidden files, files of other kinds and links that lead out of the folder are
left out and counted; a link loop ends where it begins.
"""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from hornbook.data.lines import CHUNK_BYTES, open_regular, unreadable
from hornbook.errors import DataError
from hornbook.storage.atomic import write_text

SETTLED_SECONDS = 2.0
"""A hash is remembered only for files older than this: a later change within the clock's tick would not show."""

MAX_SUGGESTED = 5_000
"""Names of a folder that are compared with a misspelt one."""


def kind_of(path: Path) -> str:
    """Return the suffix that says how a file is read, without .gz: "x.jsonl.gz" -> ".jsonl"."""
    return (Path(path.stem) if path.suffix.lower() == ".gz" else path).suffix.lower()


def find_files(path: Path, kinds: Collection[str]) -> tuple[list[Path], Counter[str]]:
    """List the files a path stands for, in reading order, and count what a folder holds besides.

    Raises:
        DataError: if the path does not exist (naming near ones), cannot be listed, or holds no file of `kinds`.
    """
    try:
        path.stat()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.", fix=_suggest_path(path)) from None
    except OSError as error:
        raise unreadable(path, error) from error
    if not path.is_dir():
        return [path], Counter()
    left_out: Counter[str] = Counter()
    files = [file for file in _walk(path, path.resolve(), left_out) if _is_wanted(file, kinds, left_out)]
    if not files:
        found = ", ".join(f"{count} {what}" for what, count in left_out.items()) or "nothing"
        raise DataError(
            f"{path} holds no file that can be read (it holds {found}).",
            fix=f"give files that end in {', '.join(sorted(kinds))}, some of them also .gz; or take builtin:dummy, "
            "filler text, to try without.",
        )
    return files, left_out


def _walk(folder: Path, root: Path, left_out: Counter[str]) -> Iterator[Path]:
    """Yield the files below a folder, sorted, each real folder once."""
    seen: set[str] = set()

    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename), error)

    for name, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(
            child
            for child in folders
            if not child.startswith(".") and _is_inside(Path(name, child), root, left_out)
        )
        for file in sorted(names):
            if not file.startswith(".") and _is_inside(Path(name, file), root, left_out):
                yield Path(name, file)


def _is_inside(path: Path, root: Path, left_out: Counter[str]) -> bool:
    """Tell whether a link stays in the folder: a downloaded folder must not pull in the rest of the disk."""
    if not path.is_symlink():
        return True
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        left_out["links that lead nowhere"] += 1
        return False
    if target.is_relative_to(root):
        return True
    left_out["links that lead out of the folder"] += 1
    return False


def _is_wanted(path: Path, kinds: Collection[str], left_out: Counter[str]) -> bool:
    if kind_of(path) in kinds:
        return True
    left_out[f"{kind_of(path) or 'nameless'} files"] += 1
    return False


def _suggest_path(path: Path) -> str:
    """Name what stands nearest to a missing path."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    wrong = path.relative_to(folder).parts[0]
    try:
        names = [entry.name for entry in islice(os.scandir(folder), MAX_SUGGESTED)]
    except OSError:
        names = []
    near = get_close_matches(wrong, names, n=3, cutoff=0.7)
    if near:
        return f"did you mean {' or '.join(str(folder / name) for name in near)}?"
    return f"check the spelling; {folder} holds {', '.join(sorted(names)[:5]) or 'nothing'}."


class ContentHashes:
    """sha256 of files, remembered in a JSON file by path, size, time and inode, so that nothing is read twice.

    Args:
        path: the file of remembered hashes; a missing or damaged one is begun anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[Any]] = _load(path)
        self._changed = False

    def describe(self, path: Path) -> dict[str, Any]:
        """Return size and sha256 of a file.

        Raises:
            DataError: if it cannot be read or changes while it is.
        """
        with open_regular(path) as file:
            before = os.fstat(file.fileno())
            stamp = [before.st_size, before.st_mtime_ns, before.st_ino]
            key = str(path.absolute())
            if self._known.get(key, [])[:3] == stamp:
                return {"size": before.st_size, "sha256": self._known[key][3]}
            digest = hashlib.sha256()
            try:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
                after = os.fstat(file.fileno())
            except OSError as error:
                raise unreadable(path, error) from error
        if [after.st_size, after.st_mtime_ns] != stamp[:2]:
            raise changed(path)
        if time.time() - before.st_mtime > SETTLED_SECONDS:
            self._known[key] = [*stamp, digest.hexdigest()]
            self._changed = True
        return {"size": before.st_size, "sha256": digest.hexdigest()}

    def save(self) -> None:
        """Write the hashes down, if there are new ones."""
        if self._changed:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(self._known, indent=0))
            self._changed = False


def changed(path: Path) -> DataError:
    """Build the error of a file that is not what it was."""
    return DataError(f"{path} changed while it was read.", fix="wait until it is complete, then prepare again.")


def _load(path: Path) -> dict[str, list[Any]]:
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    usable = isinstance(known, dict) and all(isinstance(row, list) and len(row) == 4 for row in known.values())
    return known if usable else {}
