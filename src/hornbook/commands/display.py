"""How commands print: aligned rows, JSON, and the settings argument they share."""

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

Settings = Annotated[
    list[str] | None, typer.Argument(metavar="section.name=value", help="Settings that replace the recipe's.")
]
Recipe = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path of a .toml or .yaml file.")
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run or of a model.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def program() -> str:
    """How this user calls Hornbook: by name where a shell would find it, else by the path it was started from."""
    started = Path(sys.argv[0])
    if started.stem != "hornbook" or shutil.which("hornbook") is not None:
        return "hornbook"
    near = started.is_relative_to(Path.cwd())
    return str(started.relative_to(Path.cwd()) if near else started)


def show(text: str = "") -> None:
    """Print one line or several."""
    print(text)


def show_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def show_rows(rows: Iterable[Sequence[str]], *, indent: int = 2) -> None:
    """Print rows in aligned columns; a column is right-aligned where every cell begins with a digit."""
    table = [list(row) for row in rows]
    columns = max((len(row) for row in table), default=0)
    filled = [[*row, *[""] * (columns - len(row))] for row in table]
    for row in filled:
        cells = []
        for column, cell in enumerate(row):
            others = [each[column] for each in filled]
            width = max(map(len, others))
            numbers = all(text[:1].isdigit() for text in others)
            cells.append(cell.rjust(width) if numbers else cell.ljust(width))
        print((" " * indent + "  ".join(cells)).rstrip())


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of whole sentences under titles, each column as wide as the terminal allows."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*titles, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def has_colours() -> bool:
    """Tell whether standard output shows colours."""
    from rich.console import Console

    return Console().color_system is not None


def show_pieces(pieces: Sequence[tuple[str, str]]) -> None:
    """Print pieces of text in their styles; where there are no colours, bars stand between them.

    Args:
        pieces: text and rich style of each.
    """
    from rich.console import Console
    from rich.text import Text

    if not has_colours():
        print("|".join(text for text, _ in pieces))
        return
    line = Text()
    for text, style in pieces:
        # A line break has no colour of its own: it is shown as an arrow before it is made.
        for number, part in enumerate(text.split("\n")):
            line.append("\u21b5\n" if number else "", style=style)
            line.append(visible(part), style=style)
    Console(highlight=False, soft_wrap=True).print(line)


def visible(text: str) -> str:
    """Show what a terminal would act on: line breaks as an arrow, other control characters escaped."""
    return "".join(
        "\u21b5"
        if letter == "\n"
        else letter
        if letter.isprintable()
        else letter.encode("unicode_escape").decode()
        for letter in text
    )
