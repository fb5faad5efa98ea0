"""`hornbook import`: bring plans, vocabularies, byte streams and records of the five originals along."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hornbook.commands.display import AsJson, show, show_json

if TYPE_CHECKING:
    from hornbook.exchange.imported import Imported


def import_(paths: list[str], folder: str = "imported") -> "list[Imported]":
    """Import files of the originals, or folders of them, into `folder`.

    Raises:
        DataError: if one is missing, refused, or its place is taken; what came before it stays imported.
    """
    from hornbook.exchange.import_originals import import_originals

    return [one for path in paths for one in import_originals(Path(path), Path(folder))]


def command(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files of the originals, or folders of them.")
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="FOLDER", help="Where to write what they become.")
    ] = "imported",
    as_json: AsJson = False,
) -> None:
    """Bring plans, vocabularies, byte streams and records of the five originals along, and say what was wrong in them.

    Water's train_plan.txt and vocab.pkl, Grug's .npy, the JSON lines of Water, Forge-1 and b_lm, b_lm's vocab.pkl.
    A pickle is read in a process of its own that refuses everything but a dict of text to number.
    """
    from hornbook.exchange.import_originals import import_originals

    made = []
    for path in paths:
        for one in import_originals(Path(path), Path(to)):
            made.append(one)
            if not as_json:
                show_imported(one)
    if as_json:
        show_json(
            [
                {
                    "source": str(one.source),
                    "kind": one.kind,
                    "written": [str(path) for path in one.written],
                    "use": one.use,
                    "findings": list(one.findings),
                }
                for one in made
            ]
        )


def show_imported(one: "Imported") -> None:
    """Print what a file was, what was wrong with it, and how to use what it became."""
    show(f"{one.source}: {one.kind}")
    for finding in one.findings:
        show(f"  - {finding}")
    for path in one.written:
        show(f"  written: {path}")
    show(f"  use it: {one.use}\n")
