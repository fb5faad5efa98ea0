"""`hornbook demo`: from nothing to a small model that reasons, proved and examined, in a few minutes on a CPU."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from hornbook.commands.display import Settings, program, show, show_rows
from hornbook.commands.evaluate import evaluate, show_evaluation
from hornbook.commands.train import RESUMABLE, Outcome, train

RECIPE = "demo"

NEXT = (
    ('generate {folder} "What is 58 + 17?"', "ask it something"),
    ("lens {folder} --step 0", "see what it learnt from, and which tokens counted"),
    ("inspect {folder} --prove", "prove again that it cannot look ahead"),
    ("train text data.path=your.txt", "teach a model your own text"),
    ("plan demo training.steps=20000", "know what a longer run would take"),
)
"""What to try next: a command, and what it does."""


def demo(
    settings: Sequence[str] = (), *, say: Callable[[str], None] | None = None
) -> tuple[Outcome, dict[str, Any] | None]:
    """Train the demo recipe to its end and examine the model; an interrupted demo continues.

    Returns:
        How training ended, and the evaluation, or None if a signal stopped training.

    Raises:
        HornbookError: what `train` and `evaluate` raise.
    """
    outcome = train(RECIPE, settings, say=say)
    return outcome, evaluate(outcome.folder, say=say) if outcome.finished else None


def command(settings: Settings = None) -> int:
    """Prepare, train, prove and examine a small reasoning model in a few minutes."""
    from hornbook.units import duration_text

    started = time.monotonic()
    outcome, evaluation = demo(settings or (), say=show)
    if evaluation is None:
        return RESUMABLE
    show_evaluation(evaluation)
    show(f"\nEverything lies in {outcome.folder}: the model in model/, its settings in config.json, every step in")
    show("events.jsonl, what the terminal showed in train.log, the exam in evaluation.json. Try next:")
    show_rows((f"{program()} {words}".format(folder=outcome.folder), what) for words, what in NEXT)
    show(f"\nThe demo took {duration_text(time.monotonic() - started)}.")
    return 0
