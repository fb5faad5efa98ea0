"""Explaining wrong settings: which one, written where, what is wrong with it and what to write instead."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from hornbook.config.describe import REQUIRED, Setting
from hornbook.errors import ConfigError

FOREIGN = {
    "learning_rate": "optimizer.lr",
    "batch_size": "training.batch_tokens",
    "max_iters": "training.steps",
    "max_steps": "training.steps",
    "epochs": "training.steps",
    "block_size": "model.context",
    "seq_len": "model.context",
    "n_layer": "model.num_layers",
    "n_head": "model.num_heads",
    "n_embd": "model.width",
    "hidden_size": "model.width",
    "d_model": "model.width",
    "output_dir": "run.folder",
    "dataset": "data.path",
}
"""What other projects call our settings."""

MOST_GUESSES = 4

TAGS = ("name", "arch", "kind")
"""Settings that choose the kind of their section."""


def explain_unknown(name: str, origin: str, known: Sequence[Setting], every: Sequence[Setting]) -> ConfigError:
    """Explain a name that is no setting of the kinds chosen.

    Args:
        name: dotted, as written.
        origin: where it was written.
        known: the settings of the chosen kinds.
        every: the settings of all kinds.
    """
    names = [setting.name for setting in known]
    sections = list(dict.fromkeys(setting.section for setting in every))
    problem = f"{name} ({origin}): unknown setting."
    if name in sections:
        inside = [known_name for known_name in names if known_name.startswith(f"{name}.")]
        return ConfigError(f"{name} ({origin}): this is a section, not a setting.", fix=f"set {_or(inside)}.")
    section = _section(name)
    others = [setting.kind for setting in every if setting.name == name]
    if others:
        tag = next(one for one in names if _section(one) == section and _leaf(one) in TAGS)
        return ConfigError(
            f"{name} ({origin}): not a setting of the chosen {section}.",
            fix=f"it belongs to {tag}={_or(others)}: add that, or leave {name} out.",
        )
    guesses = _guesses(name, names)
    if guesses:
        return ConfigError(problem, fix=f"did you mean {_or(guesses)}?")
    inside = [one for one in names if _section(one) == section]
    known_here = f"known are {', '.join(inside)}." if inside else f"the sections are {', '.join(sections)}."
    return ConfigError(problem, fix=known_here)


def explain_invalid(
    error: ValidationError, known: Mapping[str, Setting], origins: Mapping[str, str]
) -> Iterator[ConfigError]:
    """Explain what pydantic found, one problem a setting."""
    by_name: dict[str, list[Any]] = {}
    for detail in error.errors(include_url=False):
        by_name.setdefault(_dotted(detail, known), []).append(detail)
    for name, details in by_name.items():
        first = details[0]
        if first["type"] == "value_error":
            yield _disagreement(str(first["ctx"]["error"]))
            continue
        setting = known.get(name.partition("[")[0])
        where = next((origins[start] for start in _starts(name) if start in origins), "not set")
        yield ConfigError(f"{name} ({where}): {_complaint(details)}.", fix=_way_out(name, first, setting))


def _disagreement(text: str) -> ConfigError:
    """Split a cross-check's own words, "what is wrong; what to do", into problem and fix."""
    problem, _, fix = text.partition("; ")
    return ConfigError(f"{problem}.", fix=f"{fix or 'change one of the two'}.")


def _complaint(details: list[Any]) -> str:
    first = details[0]
    if first["type"] == "missing":
        return "must be given"
    if first["type"] == "extra_forbidden":
        return "unknown setting"
    if first["type"] == "union_tag_invalid":
        return f"there is no '{first['ctx']['tag']}'"
    says = [detail["msg"].removeprefix("Input should be ") for detail in details]
    shown = repr(first["input"])
    return f"must be {' or '.join(dict.fromkeys(says))}, not {shown if len(shown) < 80 else shown[:77] + '...'}"


def _way_out(name: str, detail: Any, setting: Setting | None) -> str:
    if detail["type"] == "union_tag_invalid":
        choices = [choice.strip(" '") for choice in detail["ctx"]["expected_tags"].split(",")]
        return _choose(detail["ctx"]["tag"], choices)
    if setting is None:
        return f"see {name} in docs/reference/settings.md."
    if detail["type"] == "missing":
        return f"add {name}=VALUE: {setting.type_text}. {setting.help}".rstrip()
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        return _choose(detail["input"], setting.type_text.removesuffix(" or none").split(", "))
    default = "" if setting.default is REQUIRED else f"; the default is {setting.default_text}"
    return f"{setting.name} takes {setting.type_text}{default}. {setting.help}".rstrip()


def _choose(wrong: Any, choices: list[str]) -> str:
    near = get_close_matches(str(wrong), choices, n=1)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return f"{guess}Choose from {', '.join(choices)}."


def _guesses(name: str, names: list[str]) -> list[str]:
    """Guess what was meant: another project's word, the same word elsewhere, a near spelling here or anywhere."""
    section, leaf = _section(name), _leaf(name)
    if leaf in FOREIGN:
        return [FOREIGN[leaf]]
    by_leaf: dict[str, list[str]] = {}
    for known in names:
        by_leaf.setdefault(_leaf(known), []).append(known)
    if leaf in by_leaf and len(by_leaf[leaf]) <= MOST_GUESSES:
        return by_leaf[leaf]
    near_here = get_close_matches(leaf, [_leaf(one) for one in names if _section(one) == section], n=1)
    if near_here:
        return [f"{section}.{near_here[0]}"]
    near_whole = get_close_matches(name, names, n=1, cutoff=0.85)
    if near_whole:
        return near_whole
    near_leaf = get_close_matches(leaf, list(by_leaf), n=1, cutoff=0.75)
    return by_leaf[near_leaf[0]][:MOST_GUESSES] if near_leaf else []


def _dotted(detail: Any, known: Mapping[str, Setting]) -> str:
    """Turn pydantic's location into the setting's name, leaving out the names of kinds and of types."""
    location = detail["loc"]
    if detail["type"].startswith("union_tag"):
        return f"{location[0]}.{detail['ctx']['discriminator'].strip(chr(39))}"
    for position, part in enumerate(location[1:3], 1):
        name = f"{location[0]}.{part}"
        if name in known:
            rest = location[position + 1 :]
            if rest and (isinstance(rest[0], int) or known[name].is_table):
                name += "".join(f"[{inner}]" if isinstance(inner, int) else f".{inner}" for inner in rest)
            return name
    return ".".join(map(str, location))


def _starts(name: str) -> Iterator[str]:
    """Yield the name and what it begins with: a.b[0].c, a.b, a."""
    yield name
    yield name.partition("[")[0]
    yield name.rpartition(".")[0]


def _section(name: str) -> str:
    return name.rpartition(".")[0]


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _or(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} or {unique[-1]}"
