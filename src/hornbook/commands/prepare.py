"""`hornbook prepare`: text to tokens on disk, once; training reads them."""

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hornbook.commands.display import AsJson, Recipe, Settings, program, show, show_json

if TYPE_CHECKING:
    from hornbook.data.prepare import PreparedData


def prepare(
    recipe: str, settings: Sequence[str] = (), *, say: Callable[[str], None] | None = None
) -> "PreparedData":
    """Prepare the data of a recipe, unless that is done and nothing changed.

    Args:
        recipe: name of a recipe, or path of one.
        settings: "section.name=value" strings that replace the recipe's.
        say: receives what is done, line by line; nothing is printed without it.

    Raises:
        ConfigError: if the settings are wrong or name no data.
        DataError: if the data cannot be used, naming file and line.
    """
    from hornbook.data.prepare import prepare as prepare_data
    from hornbook.run import make_run, require_data

    config = make_run(recipe, settings)
    require_data(config)
    return prepare_data(config, report=say or (lambda line: None))


def command(recipe: Recipe, settings: Settings = None, as_json: AsJson = False) -> None:
    """Turn a recipe's text into tokens; training does it too."""

    from hornbook.run import make_run

    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        show(line)

    prepared = prepare(recipe, settings or (), say=None if as_json else say)
    if as_json:
        show_json({"folder": str(prepared.folder), **prepared.manifest})
        return
    context = make_run(recipe, settings or ()).model.context
    tokenizer = prepared.tokenizer
    show(f"\n{prepared.folder}: template {prepared.template}")
    show(f"{tokenizer.kind} tokenizer of {tokenizer.vocab_size:,}, hash {tokenizer.hash[:12]}")
    for line in prepared.summary(context):
        if line not in said:
            show(line)
    show(f"\nNext: {shlex.join([program(), 'train', recipe, *(settings or ())])}")
