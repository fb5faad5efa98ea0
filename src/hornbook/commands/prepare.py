"""`hornbook prepare`: text to tokens on disk, once; training reads them. Sets of the hub are fetched and counted."""

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hornbook.commands.display import AsJson, Settings, program, show, show_json, show_rows, visible
from hornbook.errors import HornbookError

if TYPE_CHECKING:
    from hornbook.data.prepare import PreparedData
    from hornbook.data.survey import Survey

HUB = "hub:"

BASE = "text"
"""The recipe whose data settings hold while no recipe is named."""

SUGGESTED = "forge-nano"
"""The recipe that the next command names: the originals' sets are what it is for."""


@dataclass(frozen=True)
class Fetched:
    """One set of the hub: what was found in it, or why it could not be had."""

    path: str
    survey: "Survey | None"
    failure: HornbookError | None


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
    from hornbook.run import make_run, require_data

    config = make_run(recipe, settings)
    require_data(config)
    # Only now: a misspelt setting is said before anything heavy is loaded.
    from hornbook.data.prepare import prepare as prepare_data

    return prepare_data(config, report=say or (lambda line: None))


def prepare_hub(
    paths: Sequence[str],
    settings: Sequence[str] = (),
    *,
    output: str | Path | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Fetched]:
    """Fetch sets of the hub, unless they are there, and read each to its end; one that fails stops no other.

    Args:
        paths: hub:NAME each.
        settings: of the data section; data.max_documents is how many rows are fetched.
        output: a file that receives every record kept, as JSON lines with a `text` in the template forge1.
        say: receives what is done, line by line.

    Raises:
        ConfigError: if a setting is wrong, or a name is that of no set; before anything is fetched.
    """
    from hornbook.data.hub import fetch, hub_set
    from hornbook.data.sources import FOLDER_KINDS
    from hornbook.data.survey import Writer, survey
    from hornbook.run import make_run

    data = make_run(BASE, settings).data
    for path in paths:
        hub_set(path)
    done = []
    with Writer(Path(output)) if output is not None else nullcontext() as file:
        for path in dict.fromkeys(paths):
            try:
                fetch(path, data, FOLDER_KINDS, say or (lambda line: None))
                done.append(Fetched(path, survey(path, data, output=file), None))
            except HornbookError as failure:
                done.append(Fetched(path, None, failure))
    return done


def command(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE|hub:NAME...", help="A recipe, or sets of the Hugging Face hub.")
    ],
    settings: Settings = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="hub:NAME: the first rows of each set. [default: all]")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="hub:NAME: also write what is kept as JSON lines.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Turn a recipe's text into tokens; training does it too. Or fetch sets of the hub and say what is in them."""
    words = [recipe, *(settings or ())]
    paths = [word for word in words if word.startswith(HUB)]
    if paths:
        said = [word for word in words if not word.startswith(HUB)]
        said += [f"data.max_documents={limit}"] if limit else []
        return _hub(paths, said, output, as_json)
    _refuse_hub_options(limit, output)
    _recipe(recipe, settings or [], as_json)
    return 0


def _refuse_hub_options(limit: int | None, output: str | None) -> None:
    from hornbook.errors import ConfigError

    if limit is not None:
        raise ConfigError("--limit is for hub:NAME.", fix=f"set data.max_documents={limit} for a recipe.")
    if output is not None:
        raise ConfigError("--output is for hub:NAME.", fix="set data.folder for a recipe.")


def _recipe(recipe: str, settings: Sequence[str], as_json: bool) -> None:
    """Prepare a recipe's data and show what it holds."""
    from hornbook.run import make_run

    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        show(line)

    prepared = prepare(recipe, settings, say=None if as_json else say)
    if as_json:
        show_json({"folder": str(prepared.folder), **prepared.manifest})
        return
    context = make_run(recipe, settings).model.context
    tokenizer = prepared.tokenizer
    show(f"\n{prepared.folder}: template {prepared.template}")
    show(f"{tokenizer.kind} tokenizer of {tokenizer.vocab_size:,}, hash {tokenizer.hash[:12]}")
    for line in prepared.summary(context):
        if line not in said:
            show(line)
    show(f"\nNext: {shlex.join([program(), 'train', recipe, *settings])}")


def _hub(paths: Sequence[str], settings: Sequence[str], output: str | None, as_json: bool) -> int:
    """Fetch and count sets; 0 if all could be used, 1 if some could not, 2 if none could."""
    done = prepare_hub(paths, settings, output=output, say=None if as_json else show)
    failed = sum(one.failure is not None for one in done)
    if as_json:
        show_json([_as_json(one) for one in done])
    else:
        show_fetched(done)
        usable = [one.path for one in done if one.failure is None]
        if output is not None and usable:
            show(f"\nwritten to {output}; read it with data.format=forge1")
        if usable:
            named = "data.path=[{}]".format(", ".join(f'"{path}"' for path in usable))
            show(f"\nNext: {shlex.join([program(), 'train', SUGGESTED, named, *settings])}")
    for one in done:
        if one.failure is not None:
            print(f"error: {one.failure.problem}\nfix: {one.failure.fix}", file=sys.stderr)
    return 0 if not failed else 1 if failed < len(done) else 2


def show_fetched(done: Sequence[Fetched]) -> None:
    """Print a table of what was read, kept and skipped, why, and a sample of each set."""
    from hornbook.data.survey import lines_of

    show()
    rows = [["set", "read", "kept", "skipped", "several turns", "with thinking"]]
    for one in done:
        found = one.survey
        if found is None:
            rows.append([one.path, "-", "-", "-", "-", "FAILED, see below"])
            continue
        skipped = found.read - found.kept
        counts = (found.read, found.kept, skipped, found.several_turns, found.with_thinking)
        rows.append([one.path, *(f"{count:,}" for count in counts)])
    show_rows(rows)
    for one in done:
        if one.survey is not None:
            show(f"\n{one.path}")
            for line in (*lines_of(one.survey), f"first: {visible(one.survey.sample)}"):
                show(f"  {line}")


def _as_json(one: Fetched) -> dict[str, Any]:
    if one.failure is not None:
        return {"path": one.path, "problem": one.failure.problem, "fix": one.failure.fix}
    assert one.survey is not None, one.path
    return asdict(one.survey)
