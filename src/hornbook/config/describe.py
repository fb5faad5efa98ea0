"""What settings there are: name, type, default and help of every field of the settings tree.

The error messages, the reference page and the editors' JSON schema all read the same description, which comes
from the pydantic models themselves. A section of several kinds (`optimizer`, `tokenizer`) has a tag, the setting
that says which kind it is; its other settings belong to one kind each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

REQUIRED = object()
"""The default of a setting that has none."""

_PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false", NoneType: "none"}
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}

_PREAMBLE = """# Settings

Written by `scripts/write_reference.py` from the settings themselves; edit those, not this page.

A setting comes from the recipe, then from the environment (`HORNBOOK_TRAINING__STEPS=200`), then from the command
line (`training.steps=200`); the last one said wins. Tables are merged setting by setting, except that choosing
another kind (`optimizer.name`, `model.arch`, `tokenizer.kind`, `schedule.name`) drops what earlier places said about
that section. Values are written as in TOML; text needs quotes only where it would read as something else. Whole
numbers may be written `64k` or `1.5M`, sizes in bytes `16 MiB`; `none` unsets what may be unset."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        name: dotted, "optimizer.lr".
        type_text: what may be written, in words.
        accepts: the Python types a value may have.
        default: the value when nothing is said, or REQUIRED.
        help: one paragraph.
        kind: the tag's value this setting belongs to, empty where the section has one kind.
        is_table: whether names of the user's own may follow, as in data.fields.input.
    """

    name: str
    type_text: str
    accepts: frozenset[type]
    default: Any
    help: str
    kind: str = ""
    is_table: bool = False

    @property
    def section(self) -> str:
        """The part before the last dot."""
        return self.name.rpartition(".")[0]

    @property
    def default_text(self) -> str:
        """The default as one would write it in a recipe."""
        return value_text(self.default)


def value_text(value: Any) -> str:
    """Write a value as a recipe does: true, "text", [1, 2]; none has no TOML form and is written `none`."""
    if value is REQUIRED:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(value_text(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {value_text(item)}' for key, item in value.items())}}}"
    return str(value)


def kinds(field: FieldInfo) -> dict[str, type[BaseModel]]:
    """Return the classes a section may have, by the value of its tag; without a tag under ""; none for a value."""
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return {"": field.annotation}
    if not isinstance(field.discriminator, str):
        return {}
    return {
        get_args(branch.model_fields[field.discriminator].annotation)[0]: branch
        for branch in get_args(field.annotation)
    }


def list_settings(tree: type[BaseModel]) -> tuple[Setting, ...]:
    """List every setting of the tree, in reading order."""
    return tuple(_walk(tree, ""))


def tags(tree: type[BaseModel]) -> dict[str, tuple[str, str]]:
    """Return, for every section of several kinds, its tag and the kind it has when nothing is said."""
    return {
        name: (field.discriminator, getattr(field.get_default(call_default_factory=True), field.discriminator))
        for name, field in tree.model_fields.items()
        if isinstance(field.discriminator, str)
    }


def reference_page(tree: type[BaseModel]) -> str:
    """Write the settings reference as Markdown: one table a section, one a kind where there are several."""
    lines = [_PREAMBLE]
    for name, field in tree.model_fields.items():
        branches = kinds(field)
        if not branches:
            continue
        lines += ["", f"## {name}", ""]
        for kind, section in branches.items():
            if kind:
                lines += ["", f'### {name}.{field.discriminator} = "{kind}"', ""]
            lines += [*_paragraph(section.__doc__), "", "| setting | value | default | |", "|---|---|---|---|"]
            lines += [_row(setting) for setting in _walk_section(section, f"{name}.", kind)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _walk(tree: type[BaseModel], prefix: str) -> Iterator[Setting]:
    for name, field in tree.model_fields.items():
        for kind, section in kinds(field).items():
            for setting in _walk_section(section, f"{prefix}{name}.", kind):
                # The tag itself is the same setting in every kind: told once, with every choice.
                if setting.name != f"{prefix}{name}.{field.discriminator}":
                    yield setting
        if isinstance(field.discriminator, str):
            yield _tag_setting(f"{prefix}{name}", field)


def _walk_section(section: type[BaseModel], prefix: str, kind: str) -> Iterator[Setting]:
    for name, field in section.model_fields.items():
        annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        yield Setting(
            name=prefix + name,
            type_text=type_text(annotation),
            accepts=frozenset(_accepted(annotation)),
            default=REQUIRED if field.is_required() else field.get_default(call_default_factory=True),
            help=" ".join((field.description or "").split()),
            kind=kind,
            is_table=get_origin(field.annotation) is dict,
        )


def _tag_setting(section: str, field: FieldInfo) -> Setting:
    tag, default = str(field.discriminator), field.get_default(call_default_factory=True)
    return Setting(
        name=f"{section}.{tag}",
        type_text=", ".join(kinds(field)),
        accepts=frozenset({str}),
        default=getattr(default, tag),
        help="Which kind it is.",
    )


def type_text(annotation: Any) -> str:
    """Say in words what may be written: "whole number above 0", "auto, sdpa, matmul", "list of text"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(arguments[0]) + _bounds_text(arguments[1:])
    if origin in (Union, UnionType):
        return " or ".join(type_text(argument) for argument in arguments)
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"list of {type_text(arguments[0])}"
        return f"[{', '.join(type_text(argument) for argument in arguments)}]"
    if origin is dict:
        return f"table of {type_text(arguments[1])}"
    return _PLAIN.get(annotation, "tables")


def _bounds_text(metadata: tuple[Any, ...]) -> str:
    constraints = [part for item in metadata for part in getattr(item, "metadata", [item])]
    words = [
        f"{word} {bound:g}"
        for constraint in constraints
        for name, word in _BOUNDS.items()
        if (bound := getattr(constraint, name, None)) is not None
    ]
    return f" {' and '.join(words)}" if words else ""


def _accepted(annotation: Any) -> Iterator[type]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _accepted(arguments[0])
    elif origin in (Union, UnionType):
        for argument in arguments:
            yield from _accepted(argument)
    elif origin is Literal:
        yield from (type(argument) for argument in arguments)
    else:
        yield origin or annotation


def _row(setting: Setting) -> str:
    cells = (f"`{setting.name}`", setting.type_text, f"`{setting.default_text}`", setting.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _paragraph(docstring: str | None) -> list[str]:
    return [line.strip() for line in (docstring or "").strip().splitlines()]
