"""How commands print: aligned rows, JSON, and the settings argument they share."""

import json
from collections.abc import Iterable, Sequence
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
