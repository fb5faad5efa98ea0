"""The five originals' own files -> Hornbook's, and one line for everything that was wrong with them.

What each file is follows from its name; a folder is taken file by file. Weights are not imported: those of Water see
the future, and all are pickles, which may run code when they are read.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from hornbook.errors import DataError
from hornbook.exchange.import_bytes import import_bytes
from hornbook.exchange.import_plan import import_plan
from hornbook.exchange.import_records import import_records
from hornbook.exchange.import_vocabulary import import_vocabulary
from hornbook.exchange.imported import Imported

IMPORTERS: dict[str, Callable[[Path, Path], Imported]] = {
    ".txt": import_plan,
    ".pkl": import_vocabulary,
    ".npy": import_bytes,
    ".jsonl": import_records,
}
"""How a file is imported, by the end of its name."""

REFUSED = {
    "id2token.pkl": "it is vocab.pkl turned round; give vocab.pkl",
    ".pt": "it holds pickled weights, and loading a pickle may run anything",
    ".pth": "it holds pickled weights, and loading a pickle may run anything",
    ".bin": "token files are read as they are; give it as data.path",
    ".parquet": "parquet is read as it is; give it as data.path",
}
"""What is not imported, by name or the end of it, and why."""


def import_originals(path: Path, folder: Path) -> Iterator[Imported]:
    """Import a file, or every file of a folder that has a known name, into `folder`.

    Raises:
        DataError: if there is nothing to import, a file is refused, or its place in `folder` is taken.
    """
    if not path.exists():
        raise DataError(f"There is no {path}.", fix="check the path.")
    if not path.is_dir():
        yield _import(path, folder)
        return
    files = [file for file in sorted(path.iterdir()) if file.suffix in IMPORTERS and file.name not in REFUSED]
    if not files:
        raise DataError(
            f"{path} holds no file of the originals.", fix=f"give files that end in {', '.join(IMPORTERS)}."
        )
    for file in files:
        yield _import(file, folder)


def _import(path: Path, folder: Path) -> Imported:
    reason = REFUSED.get(path.name) or REFUSED.get(path.suffix)
    if reason:
        raise DataError(f"{path} is not imported: {reason}.", fix="leave it out.")
    importer = IMPORTERS.get(path.suffix)
    if importer is None:
        raise DataError(
            f"{path} is no file of the originals that is known.",
            fix=f"give files that end in {', '.join(IMPORTERS)}.",
        )
    taken = next((one for one in (folder / path.name, folder / path.stem) if one.exists()), None)
    if taken is not None:
        raise DataError(f"{taken} is there already.", fix="import into another folder with --to, or delete it.")
    return importer(path, folder)
