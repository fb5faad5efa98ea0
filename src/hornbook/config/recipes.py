"""Recipe files: settings with a name, a small version of themselves, and what others claimed of them.

A recipe is a TOML or YAML file of settings. Two tables in it are no settings. `[demo]` has the same shape as the
recipe and shrinks it to minutes on one core: `NAME+demo` is the recipe with that table laid over it. `[[claims]]`
lists what the design's first publication said of it, for `hornbook plan` to print beside the truth.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from hornbook.errors import ConfigError
from hornbook.lookup import suggest

RECIPE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")

DEMO = "demo"
"""The table that shrinks a recipe, and the word after the plus that asks for it."""

CLAIMS = "claims"


@dataclass(frozen=True)
class Claim:
    """What was published of a design, where, and what is true of it."""

    claim: str
    original: str
    truth: str


@dataclass(frozen=True)
class RecipeFile:
    """A recipe as it was read.

    Args:
        name: of the run it makes; NAME+demo makes the run NAME-demo.
        tables: nested settings, later ones laid over earlier ones, each with where it was written.
        claims: what was published of the design.
    """

    name: str
    tables: tuple[tuple[Mapping[str, Any], str], ...]
    claims: tuple[Claim, ...]


def shipped_recipes() -> dict[str, str]:
    """Return the text of every recipe that comes with the package, by name."""
    folder = files("hornbook") / "recipes"
    found = {Path(item.name).stem: item for item in folder.iterdir() if item.name.endswith(".toml")}
    return {name: found[name].read_text(encoding="utf-8") for name in sorted(found)}


def demo_recipes() -> list[str]:
    """Name the shipped recipes that have a small version of themselves."""
    return [name for name, text in shipped_recipes().items() if DEMO in tomllib.loads(text)]


def read_recipe(recipe: str) -> RecipeFile:
    """Read a recipe.

    Args:
        recipe: name of a shipped recipe, or path of a .toml or .yaml file; with +demo at its end, its small version.

    Raises:
        ConfigError: if there is no such recipe, it has no small version, or it is not the TOML or YAML it should be.
    """
    base = recipe.removesuffix(f"+{DEMO}")
    name, origin, content = _read_content(base)
    demo, claims = content.pop(DEMO, None), content.pop(CLAIMS, [])
    if base == recipe:
        return RecipeFile(name, ((content, origin),), _read_claims(claims, origin))
    if not isinstance(demo, dict):
        raise ConfigError(
            f"{origin} has no small version of itself: there is no [{DEMO}] in it.",
            fix=f"take one of {', '.join(demo_recipes())}, or write the settings that shrink it under [{DEMO}].",
        )
    tables = ((content, origin), (demo, f"[{DEMO}] of {origin}"))
    return RecipeFile(f"{name}-{DEMO}", tables, _read_claims(claims, origin))


def _read_content(recipe: str) -> tuple[str, str, dict[str, Any]]:
    """Return the name of a recipe, where it lies in words, and what it says."""
    path = Path(recipe)
    if path.suffix.lower() in READERS or "/" in recipe or "\\" in recipe:
        text, name, origin = _read_text(path), path.stem, str(path)
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            raise ConfigError(f"{path} is not a recipe file.", fix=f"name it {path.name}.toml, or .yaml.")
    else:
        shipped = shipped_recipes()
        if recipe not in shipped:
            raise ConfigError(f"There is no recipe named '{recipe}'.", fix=suggest(recipe, shipped))
        text, name, origin, reader = shipped[recipe], recipe, f"recipe {recipe}", _read_toml
    if not RECIPE_NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' cannot name a run's folder.",
            fix="use letters, digits, '.', '_' and '-' only in the recipe file's name.",
        )
    try:
        content = reader(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{origin} cannot be read: {error}.", fix="correct the file at that place.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{origin} is not a table of settings.", fix="write sections such as [training].")
    return name, origin, content


def _read_claims(claims: Any, origin: str) -> tuple[Claim, ...]:
    wanted = set(Claim.__dataclass_fields__)
    if not isinstance(claims, list) or any(
        not isinstance(one, dict)
        or one.keys() != wanted
        or not all(isinstance(text, str) for text in one.values())
        for one in claims
    ):
        raise ConfigError(
            f"[[{CLAIMS}]] of {origin} is not a list of claims.",
            fix=f"give each the texts {', '.join(Claim.__dataclass_fields__)}.",
        )
    return tuple(Claim(**one) for one in claims)


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise ConfigError(
            f"There is no recipe file {path}.", fix="check the path; `hornbook recipes` lists recipes."
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", fix="give a readable UTF-8 text file.") from error


def _read_toml(text: str) -> Any:
    return tomllib.loads(text)


def _read_yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


READERS = {".toml": _read_toml, ".yaml": _read_yaml, ".yml": _read_yaml}
"""How a recipe file is read, by the end of its name."""
