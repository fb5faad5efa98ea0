"""Where settings come from: a recipe, the environment, `section.name=value` arguments; the last one said wins.

Every value remembers its origin until it is validated, so that an error can say where the wrong value was written.
All problems are collected and raised together. Nothing here knows the settings: the tree is an argument.
"""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hornbook.config.describe import Setting, kinds, list_settings, tags
from hornbook.config.mistakes import explain_invalid, explain_unknown
from hornbook.config.recipes import read_recipe
from hornbook.errors import ConfigError, HornbookError, SettingsError
from hornbook.units import parse_bytes, parse_count

Tree = TypeVar("Tree", bound=BaseModel)
Keys = tuple[str, ...]

ENVIRONMENT_PREFIX = "HORNBOOK_"


@dataclass(frozen=True)
class Said:
    """One value as somebody wrote it.

    Args:
        value: what it was read as.
        origin: where it was written, in words.
        raw: the text it was read from, where it was text that only looks like a TOML value.
    """

    value: Any
    origin: str
    raw: str | None = None


Layer = dict[Keys, Said]
"""What one place says: values by path, tables taken apart."""


def gather(
    tree: type[Tree], recipe: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> tuple[Tree, dict[str, str]]:
    """Read every source and make one validated tree.

    Args:
        tree: the pydantic model of all settings; must have a field `recipe`.
        recipe: what `hornbook.config.recipes.read_recipe` takes.
        arguments: "section.name=value", later ones winning.
        environment: HORNBOOK_SECTION__NAME variables; the process's own if none.

    Returns:
        The tree, and where each value that is no default came from, by dotted name.

    Raises:
        SettingsError: with every problem found.
        ConfigError: if the recipe cannot be read at all.
    """
    file = read_recipe(recipe)
    problems: list[ConfigError] = []
    layers = [
        *({keys: Said(value, origin) for keys, value in _leaves(table)} for table, origin in file.tables),
        read_environment(os.environ if environment is None else environment, tree),
        read_arguments(arguments, problems),
    ]
    said = merge(layers, tags(tree))
    known = {setting.name: setting for setting in relevant_settings(tree, said)}
    accepted: Layer = {}
    for path, value in said.items():
        setting = find_setting(known, path)
        if setting is None:
            problems.append(
                explain_unknown(".".join(path), value.origin, list(known.values()), list_settings(tree))
            )
        else:
            accepted[path] = _read_as(setting, value)
    origins = {".".join(path): value.origin for path, value in accepted.items()}
    made = _validate(tree, nest(accepted, tags(tree)) | {"recipe": file.name}, known, origins, problems)
    if problems or made is None:
        raise SettingsError(problems)
    return made, origins


def read_environment(environment: Mapping[str, str], tree: type[BaseModel]) -> Layer:
    """Read HORNBOOK_SECTION__NAME variables; others, such as HORNBOOK_CACHE, are no settings."""
    layer: Layer = {}
    sections = set(tree.model_fields)
    for variable in sorted(environment):
        path = tuple(variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
        if variable.startswith(ENVIRONMENT_PREFIX) and (len(path) > 1 or path[0] in sections):
            _say(layer, path, environment[variable], f"environment variable {variable}")
    return layer


def read_arguments(arguments: Iterable[str], problems: list[ConfigError]) -> Layer:
    """Read "section.name=value" arguments; what is malformed goes to `problems`."""
    layer: Layer = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        path = tuple(name.strip().split("."))
        if not equals:
            problems.append(ConfigError(f"'{argument}' sets nothing.", fix=f"write it as {argument}=VALUE."))
        elif not all(path):
            problems.append(ConfigError(f"'{argument}' names no setting.", fix="write section.name=value."))
        elif not text.strip():
            fix = f"write {name}=VALUE, {name}=none to unset it, or {name}='\"\"' for an empty text."
            problems.append(ConfigError(f"'{argument}' gives no value.", fix=fix))
        else:
            _say(layer, path, text, f"argument '{argument}'")
    return layer


def parse_value(text: str) -> Any:
    """Read text as a TOML value; what is none is the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # Dates have no place in settings, and a second key means the text held a line break.
    plain = (bool, int, float, str, list, dict)
    return parsed["value"] if len(parsed) == 1 and isinstance(parsed["value"], plain) else text


def merge(layers: Iterable[Layer], default_kinds: Mapping[str, tuple[str, str]]) -> Layer:
    """Lay later layers over earlier ones; a layer that changes a section's kind drops what was said before.

    Args:
        default_kinds: tag and default kind by section, from `describe.tags`.
    """
    merged: Layer = {}
    for layer in layers:
        for section, (tag, default) in default_kinds.items():
            before = merged[section, tag].value if (section, tag) in merged else default
            if (section, tag) in layer and layer[section, tag].value != before:
                merged = {path: said for path, said in merged.items() if path[0] != section}
        merged.update(layer)
    return merged


def nest(said: Layer, default_kinds: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Put a layer's tables together again, filling in the tags that nobody wrote."""
    tree: dict[str, Any] = {}
    for path, value in said.items():
        table = tree
        for step in path[:-1]:
            table = table.setdefault(step, {})
        table[path[-1]] = value.value
    for section, (tag, default) in default_kinds.items():
        if section in tree:
            tree[section].setdefault(tag, default)
    return tree


def relevant_settings(tree: type[BaseModel], said: Layer) -> list[Setting]:
    """List the settings of the kinds chosen; of every kind of a section, where the choice itself is wrong."""
    chosen = {}
    for section, (tag, default) in tags(tree).items():
        kind = said[section, tag].value if (section, tag) in said else default
        if isinstance(kind, str) and kind in kinds(tree.model_fields[section]):
            chosen[section] = kind
    return [one for one in list_settings(tree) if not one.kind or chosen.get(one.section, one.kind) == one.kind]


def find_setting(known: Mapping[str, Setting], path: Keys) -> Setting | None:
    """Find the setting a path names; names inside a table setting are the user's own."""
    name = ".".join(path)
    if name in known:
        return known[name]
    table = known.get(".".join(path[:2]))
    return table if table is not None and table.is_table and len(path) == 3 else None


def _say(layer: Layer, path: Keys, text: str, origin: str) -> None:
    value = parse_value(text)
    if isinstance(value, dict):
        layer.update({path + inner: Said(item, origin) for inner, item in _leaves(value)})
    else:
        layer[path] = Said(value, origin, raw=text)


def _leaves(table: Mapping[str, Any]) -> Iterator[tuple[Keys, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from (((str(key), *inner), leaf) for inner, leaf in _leaves(value))
        else:
            yield (str(key),), value


def _read_as(setting: Setting, said: Said) -> Said:
    """Read text the way the setting means it: `none`, 64k, 16 MiB, or a path that only looks like a number."""
    value = said.value
    if said.raw is not None and str in setting.accepts and type(value) not in setting.accepts | {list}:
        return Said(said.raw, said.origin)
    if not isinstance(value, str) or str in setting.accepts:
        return said
    if value.strip().lower() == "none" and type(None) in setting.accepts:
        return Said(None, said.origin)
    if int in setting.accepts:
        try:
            return Said((parse_bytes if setting.name.endswith("_bytes") else parse_count)(value), said.origin)
        except HornbookError:
            return said  # validation says what is wrong with it
    return said


def _validate(
    tree: type[Tree],
    values: dict[str, Any],
    known: Mapping[str, Setting],
    origins: Mapping[str, str],
    problems: list[ConfigError],
) -> Tree | None:
    try:
        return tree.model_validate(values)
    except ValidationError as error:
        problems.extend(explain_invalid(error, known, origins))
        return None
