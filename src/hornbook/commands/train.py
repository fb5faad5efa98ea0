"""`hornbook train`: begin a run, or continue it where it was interrupted."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from hornbook.commands.display import Recipe, Settings, program, show

if TYPE_CHECKING:
    from hornbook.run import RunConfig
    from hornbook.runlog.events import Event
    from hornbook.runlog.paths import RunFolder
    from hornbook.training.assemble import Run

RESUMABLE = 75
"""Exit code of a run that a signal stopped and the same command continues."""

ENDS = {
    "steps": "all steps are done",
    "patience": "validation stopped improving (training.patience)",
    "minutes": "the time is up (training.max_minutes)",
}


@dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended.

    Args:
        folder: the run.
        reason: "steps", "patience" or "minutes", or the name of the signal that interrupted it.
        step: optimizer steps taken, over all sessions.
        best_loss: best validation loss in nats per token, if it was validated.
        best_step: the step of that loss.
    """

    folder: Path
    reason: str
    step: int
    best_loss: float | None
    best_step: int | None

    @property
    def finished(self) -> bool:
        """Whether the run is complete and its model published."""
        return self.reason in ENDS


def train(
    recipe: str,
    settings: Sequence[str] = (),
    *,
    start_over: bool = False,
    accept_changes: bool = False,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Train a recipe to its end, continuing what its folder holds.

    Args:
        recipe: name of a recipe, or path of one.
        settings: "section.name=value" strings that replace the recipe's.
        start_over: move an existing run aside and begin again.
        accept_changes: continue although settings differ from those the run was begun with.
        say: receives what happens, line by line; nothing is printed without it.

    Raises:
        HornbookError: what it says.
    """
    from hornbook.run import make_run, require_data
    from hornbook.runlog.paths import RunFolder
    from hornbook.storage.atomic import FolderLock

    config = make_run(recipe, settings)
    require_data(config)
    folder = RunFolder(Path(config.folder))
    with ExitStack() as stack:
        if start_over and folder.root.exists():
            with FolderLock(folder.root, "starting over"):
                away = _free_name(folder.root)
            folder.root.rename(away)
            (say or _ignore)(f"The earlier run is now in {away}.")
        _create(folder)
        stack.enter_context(FolderLock(folder.root, "training"))
        log = stack.enter_context(folder.log.open("a", encoding="utf-8"))
        return _train(config, accept_changes=accept_changes, say=_both(say or _ignore, log))


def _train(config: "RunConfig", *, accept_changes: bool, say: Callable[[str], None]) -> Outcome:
    """Assemble and train, with the folder locked."""
    from hornbook.training.assemble import assemble
    from hornbook.training.loop import reason_to_end
    from hornbook.training.loop import train as train_run
    from hornbook.training.stopping import StopSignals

    with StopSignals() as signals:
        try:
            run = assemble(config, accept_changes=accept_changes, tell=say)
        except KeyboardInterrupt:
            say(f"Stopped by {signals.received} before training went on. The same command continues.")
            return Outcome(Path(config.folder), str(signals.received), 0, None, None)
        was_finished = reason_to_end(run) is not None and run.judged
        if not was_finished:
            for line in describe(run):
                say(line)
        reason = train_run(run, lambda event: _say_event(event, config, say), signals)
    outcome = Outcome(run.folder.root, reason, run.step, run.patience.best_loss, run.patience.best_step)
    for line in conclude(outcome, was_finished=was_finished):
        say(line)
    return outcome


def describe(run: "Run") -> list[str]:
    """Say what is about to be trained, on what, for how long."""
    from hornbook.units import count_text

    config, parameters = run.config, run.model.config.num_parameters()
    curriculum = run.loader.curriculum
    tokens = curriculum.rows_until(curriculum.steps) * config.model.context
    of_tokens, in_phases = f"of {config.training.batch_tokens:,} tokens", f"in {len(curriculum.phases)} phases"
    size = in_phases if config.curriculum.phases else of_tokens
    begin = f"continuing at step {run.step:,}" if run.step else "from the beginning"
    return [
        f"data    {run.prepared.folder}: {count_text(run.prepared.train.num_tokens)} tokens to learn from, "
        f"{count_text(run.prepared.validation.num_tokens)} to validate on",
        f"model   {run.model.config.arch}, {count_text(parameters)} parameters, "
        f"vocabulary {run.model.config.vocab_size:,}, context {config.model.context:,}",
        f"machine {run.choices.describe()}",
        f"run     {run.folder.root}: {curriculum.steps:,} steps {size} ({count_text(tokens)} in all), {begin}",
        "proofs  passed: no look-ahead, lossless tokenizer, learnt stop token, healthy start",
    ]


def conclude(outcome: Outcome, *, was_finished: bool) -> list[str]:
    """Say how it ended and what comes next."""
    where = outcome.folder
    if not outcome.finished:
        return [f"Stopped by {outcome.reason} after step {outcome.step:,}. The same command continues."]
    best = ""
    if outcome.best_loss is not None:
        best = f", best validation loss {outcome.best_loss:.4f} at step {outcome.best_step:,}"
    lead = "is finished already" if was_finished else "is finished"
    lines = [
        f"{where} {lead} after {outcome.step:,} steps: {ENDS[outcome.reason]}{best}.",
        f"model   {where}/model",
    ]
    if was_finished:
        lines.append(
            f"To train it longer: training.steps={2 * outcome.step}, or lift the limit; to begin again: --start-over."
        )
    if (where / "profile").is_dir():
        lines.append(
            f"profile {where}/profile: open its traces at ui.perfetto.dev, or tensorboard --logdir {where}"
        )
    lines.append(f'Next: {program()} generate {where} "your prompt"; {program()} evaluate {where}.')
    return lines


def command(
    recipe: Recipe,
    settings: Settings = None,
    start_over: Annotated[
        bool, typer.Option("--start-over", help="Move an existing run aside and begin again.")
    ] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Continue although settings differ from the run's own.")
    ] = False,
) -> int:
    """Train a recipe, or continue a run that was interrupted."""
    outcome = train(recipe, settings or (), start_over=start_over, accept_changes=accept_changes, say=show)
    return 0 if outcome.finished else RESUMABLE


def _say_event(event: "Event", config: "RunConfig", say: Callable[[str], None]) -> None:
    """Put an event into words; those with nothing for the terminal are silent."""
    from hornbook.runlog import events
    from hornbook.units import bytes_text, count_text, duration_text, percent_text

    if isinstance(event, events.Progress):
        use = f"  {percent_text(event.utilisation)} of peak" if event.utilisation else ""
        where = f"{event.phase}, epoch {event.epoch}  " if event.phase else ""
        say(
            f"step {event.step:>7,}/{event.steps:,}  {where}loss {event.loss:.4f}  "
            f"{count_text(round(event.tokens_per_second))} tokens/s{use}  "
            f"{bytes_text(event.memory_bytes)}  {duration_text(event.eta_seconds)} left"
        )
    elif isinstance(event, events.Phase):
        say(
            f"phase {event.index} of {event.count}, {event.name}: {event.steps:,} steps of {event.batch_rows} rows "
            f"({event.rows:,} rows an epoch), rate {event.lr:g}, optimizer {event.optimizer}"
        )
    elif isinstance(event, events.Validation):
        mark = "  (best so far)" if event.best else ""
        mark += f"  (rate now {percent_text(event.lr_share)} of its peak)" if event.lr_share < 1 else ""
        known = event.train_accuracy is not None
        trained = f" ({percent_text(event.train_accuracy or 0.0)} in training)" if known else ""
        say(
            f"  validation at step {event.step:,}: loss {event.loss:.4f}, perplexity {event.perplexity:.2f}, "
            f"{event.bits_per_byte:.4f} bits per byte, {percent_text(event.accuracy)} of tokens right{trained}{mark}"
        )
        if event.losses:
            say(f"    {', '.join(f'{name} {loss:.4f}' for name, loss in event.losses.items())}")
    elif isinstance(event, events.Sample):
        text = event.text if len(event.text) <= 400 else event.text[:400] + " ..."
        say("\n".join(f"  | {line}" for line in f"{event.prompt}{text}".splitlines()))
    elif isinstance(event, events.Checkpoint):
        say(f"  saved {event.path} ({bytes_text(event.bytes)}, {duration_text(event.seconds)})")
    elif isinstance(event, events.Warning):
        say(f"  warning: {event.message}")


def _create(folder: "RunFolder") -> None:
    from hornbook.errors import CheckpointError

    try:
        folder.create()
    except OSError as error:
        raise CheckpointError(
            f"{folder.root} cannot be made: {error.strerror}.",
            fix="choose a folder you may write to with run.folder=..., or free the disk.",
        ) from None


def _both(say: Callable[[str], None], log: IO[str]) -> Callable[[str], None]:
    """Say a line and keep it in the run's train.log; a full disk costs the log, not the run."""

    def tell(line: str) -> None:
        say(line)
        try:
            log.write(line + "\n")
            log.flush()
        except OSError:
            say("  warning: train.log cannot be written to.")

    return tell


def _free_name(folder: Path) -> Path:
    number = 1
    while (away := folder.with_name(f"{folder.name}-before-{number}")).exists():
        number += 1
    return away


def _ignore(line: str) -> None:
    """Say nothing."""
