"""`hornbook plan`: will it fit, how long will it take, before anything is allocated. Never imports torch."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hornbook.commands.display import AsJson, Recipe, Settings, show, show_json, show_rows

if TYPE_CHECKING:
    from hornbook.planning import Plan
    from hornbook.run import RunConfig


def plan(recipe: str, settings: Sequence[str] = ()) -> "Plan":
    """Plan a run: parameters, memory, disk, tokens and time.

    Raises:
        ConfigError: if the settings are wrong.
    """
    from hornbook.planning import Known, make_plan
    from hornbook.run import make_run

    config = make_run(recipe, settings)
    return make_plan(config, Known(tokens_per_second=measured_rate(config), cores=os.cpu_count() or 1))


def measured_rate(config: "RunConfig") -> float | None:
    """Return the tokens a second this run reached so far, if it ran with the same model and batch."""
    from pathlib import Path
    from statistics import median

    from hornbook.errors import HornbookError
    from hornbook.run import load_run
    from hornbook.runlog.events import Progress
    from hornbook.runlog.paths import RunFolder
    from hornbook.runlog.reader import read_events

    folder = RunFolder(Path(config.folder))
    try:
        before = load_run(folder.config)
        rates = [one.tokens_per_second for one in read_events(folder.events) if isinstance(one, Progress)]
    except (HornbookError, OSError):
        return None  # no run there yet, or one that is not ours to judge here
    same = before.model.model_copy(update={"vocab_size": config.model.vocab_size}) == config.model
    return (
        median(rates) if rates and same and before.training.batch_tokens == config.training.batch_tokens else None
    )


def command(recipe: Recipe, settings: Settings = None, json: AsJson = False) -> None:
    """Say what a run will take.

    Parameters, memory, disk, tokens and hours, by arithmetic: nothing is allocated, and nothing is read but
    settings and what earlier runs measured.
    """
    made = plan(recipe, settings or ())
    if json:
        show_json(made.as_dict())
    else:
        show_plan(made)


def show_plan(plan: "Plan") -> None:
    """Print a plan for people."""
    from hornbook.units import bytes_text, count_text, duration_text

    show(f"{plan.recipe}: {plan.arch}, {count_text(plan.num_parameters)} parameters ({plan.num_parameters:,})")
    show(f"vocabulary {plan.vocab_size:,} ({plan.vocab_note})\n")
    show("parameters")
    show_rows([part, f"{count:,}"] for part, count in plan.parameters.items() if count)
    show(f"  {count_text(plan.flops_per_token)} floating-point operations a trained token")
    for title, parts in (
        (f"memory, training ({plan.dtype} matrix products)", plan.training_memory),
        ("memory, talking", plan.decoding_memory),
        ("disk", plan.disk),
    ):
        show(f"\n{title}")
        rows = [[part, bytes_text(size)] for part, size in parts.items() if size]
        show_rows([*rows, ["together", bytes_text(sum(parts.values()))]])
    epochs = f", {plan.epochs:.1f} times the {count_text(plan.train_tokens or 0)} prepared" if plan.epochs else ""
    show(f"\n{count_text(plan.tokens)} tokens{epochs}")
    show(
        f"{duration_text(plan.seconds)} at {count_text(plan.tokens_per_second)} tokens a second ({plan.rate_note})"
    )
