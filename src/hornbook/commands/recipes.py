"""`hornbook recipes`: what can be trained, how big it is, and on which machine it was tried."""

from dataclasses import asdict, dataclass
from typing import Any

from hornbook.commands.display import AsJson, show, show_json, show_rows


@dataclass(frozen=True)
class Recipe:
    """A recipe that comes with the package.

    Args:
        name: what `hornbook train` calls it.
        what: the first comment line of its file.
        notes: the other comment lines at its head: machine, time, expected result, date.
        parameters: of the model, None where the vocabulary depends on the data.
        needs_data: whether data.path must be given.
    """

    name: str
    what: str
    notes: tuple[str, ...]
    parameters: int | None
    needs_data: bool


def recipes() -> list[Recipe]:
    """List the recipes that come with the package."""
    from hornbook.config.recipes import shipped_recipes
    from hornbook.planning import vocabulary
    from hornbook.run import make_run

    found = []
    for name, text in shipped_recipes().items():
        config = make_run(name, environment={})
        size, exact = vocabulary(config)
        parameters = config.model.with_vocabulary(size).num_parameters() if exact else None
        what, *notes = head_comments(text)
        found.append(Recipe(name, what, tuple(notes), parameters, needs_data=not config.paths))
    return found


def head_comments(text: str) -> list[str]:
    """Return the comment lines at the head of a recipe."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return lines or ["(not described)"]


def command(as_json: AsJson = False) -> None:
    """List what can be trained."""
    from hornbook.units import count_text

    found = recipes()
    if as_json:
        rows: list[dict[str, Any]] = [asdict(recipe) for recipe in found]
        show_json(rows)
        return
    for recipe in found:
        size = f"{count_text(recipe.parameters)} parameters" if recipe.parameters else "size depends on the data"
        data = ", needs data.path=FILE" if recipe.needs_data else ""
        show(f"{recipe.name}  ({size}{data})")
        show_rows([[line] for line in (recipe.what, *recipe.notes)], indent=4)
    show("\nhornbook plan RECIPE says what it will take; hornbook train RECIPE [section.name=value ...] does it.")
