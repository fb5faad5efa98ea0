"""`hornbook demo`: from nothing to a small model that talks, proved and examined, in a few minutes on a CPU."""

import shlex
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from hornbook.commands.display import Settings, program, show, show_rows
from hornbook.commands.evaluate import evaluate, show_evaluation
from hornbook.commands.train import RESUMABLE, Outcome, train

RECIPE = "demo"

NEXT = (
    ("generate {folder} {prompt}", "ask it something"),
    ("lens {folder} --step 0", "see what it learnt from, and which tokens counted"),
    ("inspect {folder} --prove", "prove again that it cannot look ahead"),
    ("train text data.path=your.txt", "teach a model your own text"),
    ("plan {recipe}", "know what {what} takes"),
)
"""What to try next: a command, and what it does."""


def demo(
    settings: Sequence[str] = (), *, recipe: str = RECIPE, say: Callable[[str], None] | None = None
) -> tuple[Outcome, dict[str, Any] | None]:
    """Train the demo recipe, or the small version of another, to its end and examine it; an interrupted one continues.

    Args:
        settings: "section.name=value" strings that replace the recipe's.
        recipe: demo, or a recipe with a [demo] table.
        say: receives what happens, line by line; nothing is printed without it.

    Returns:
        How training ended, and the evaluation, or None if a signal stopped training.

    Raises:
        HornbookError: what `train` and `evaluate` raise.
    """
    outcome = train(small(recipe), settings, say=say)
    return outcome, evaluate(outcome.folder, say=say) if outcome.finished else None


def small(recipe: str) -> str:
    """Name the version of a recipe that takes minutes; the demo recipe itself is one."""
    return recipe if recipe == RECIPE or recipe.endswith("+demo") else f"{recipe}+demo"


def command(
    settings: Settings = None,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="Show the small version of this recipe instead.")
    ] = RECIPE,
) -> int:
    """Prepare, train, prove and examine a small model in a few minutes: one that reasons, or that of a recipe."""
    from hornbook.run import load_run
    from hornbook.runlog.paths import RunFolder
    from hornbook.units import duration_text

    started = time.monotonic()
    outcome, evaluation = demo(settings or (), recipe=recipe, say=show)
    if evaluation is None:
        return RESUMABLE
    show_evaluation(evaluation)
    show(f"\nEverything lies in {outcome.folder}: the model in model/, its settings in config.json, every step in")
    show("events.jsonl, what the terminal showed in train.log, the exam in evaluation.json. Try next:")
    prompt = shlex.quote(next(iter(load_run(RunFolder(outcome.folder).config).sampling.prompts), ""))
    full = recipe.removesuffix("+demo")
    words = {
        "folder": outcome.folder,
        "prompt": prompt,
        "recipe": "demo training.steps=20000" if full == RECIPE else full,
        "what": "a longer run" if full == RECIPE else "the whole recipe",
    }
    show_rows((f"{program()} {line}".format(**words), what.format(**words)) for line, what in NEXT)
    show(f"\nThe demo took {duration_text(time.monotonic() - started)}.")
    return 0
