"""`hornbook lens`: what stood in the batch of a step, token by token, and what of it was learnt."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hornbook.commands.display import AsJson, Run, has_colours, show, show_json, show_pieces, visible

if TYPE_CHECKING:
    from hornbook.data.lens import LensRow, Span
    from hornbook.data.loader import Loader
    from hornbook.run import RunConfig

BANDS = (
    (0.5, "black on green"),
    (1.5, "black on yellow"),
    (3.0, "black on dark_orange"),
    (float("inf"), "on red"),
)
"""Styles of a learnt token by its loss in nats: up to the first bound, the second, and so on."""


def lens(folder: "str | Path", step: int, *, losses: bool = False) -> "list[LensRow]":
    """Rebuild the batch of a step of a run.

    Args:
        folder: the run.
        step: counted from 0; it need not have been taken yet.
        losses: also compute what predicting each token costs the run's newest model, in nats.

    Raises:
        ConfigError: if there is no such step.
        CheckpointError: if the folder holds no run.
        DataError: if its prepared data is gone.
    """
    from hornbook.data.lens import lens as rebuild
    from hornbook.data.loader import Loader
    from hornbook.data.prepare import find_prepared
    from hornbook.errors import ConfigError, DataError
    from hornbook.run import load_run
    from hornbook.runlog.paths import RunFolder
    from hornbook.training.checkpoint import read_phase_ends

    run = RunFolder(Path(folder))
    config = load_run(run.config)
    if step < 0:
        raise ConfigError(f"There is no step {step}.", fix="count steps from 0.")
    prepared = find_prepared(config)
    if prepared is None:
        raise DataError(
            f"The data of {folder} is no longer in {config.data.folder}, or its sources have changed.",
            fix="restore the sources and prepare them again: hornbook prepare, with the run's recipe and settings.",
        )
    loader = Loader(prepared, config)
    loader.curriculum = loader.curriculum.cut_all(read_phase_ends(run))
    costs = _losses(Path(folder), config, loader, step) if losses else None
    return rebuild(loader, prepared.tokenizer, step, losses=costs)


def command(
    run: Run,
    step: Annotated[int, typer.Option(help="The step, counted from 0.")],
    rows: Annotated[int, typer.Option(min=1, help="How many rows of the batch to show.")] = 4,
    loss: Annotated[bool, typer.Option("--loss", help="Colour tokens by what predicting them costs now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what stood in the batch of a step, and what was learnt."""
    found = lens(run, step, losses=loss)
    if as_json:
        show_json([asdict(row) for row in found])
        return
    phase = f", phase {found[0].phase}" if found[0].phase else ""
    show(f"step {step} of {run}{phase}: {len(found)} rows")
    for row in found[:rows]:
        show_row(row)
    if len(found) > rows:
        show(f"\n... {len(found) - rows} more rows (--rows {len(found)})")


def show_row(row: "LensRow") -> None:
    """Print one row: what is only read dim, what is learnt in colour."""
    from hornbook.data.lens import explain

    learnt = sum(token.learnt for token in row.tokens)
    padding = f", {row.padding} places empty" if row.padding else ""
    show(
        f"\nrow {row.number} of {row.source}, epoch {row.epoch}: {len(row.tokens)} tokens, {learnt} learnt, "
        f"documents {', '.join(map(str, row.documents))}{padding}"
    )
    pieces: list[tuple[str, str]] = []
    if not has_colours():
        for span in explain(row):
            cost = "" if span.loss is None else f"{span.loss:6.2f} "
            show(f"{'learn' if span.learnt else 'read ':5} {cost}| {visible(span.text)}")
        return
    for span in explain(row):
        if span.boundary and pieces:
            pieces.append(("\n", "dim"))
        pieces.append((span.text, _style(span)))
    show_pieces(pieces)


def _style(span: "Span") -> str:
    if not span.learnt:
        return "dim"
    if span.loss is None:
        return "bold green"
    return next(style for bound, style in BANDS if span.loss <= bound)


def _losses(folder: Path, config: "RunConfig", loader: "Loader", step: int) -> Sequence[Sequence[float]]:
    """Compute the loss at each place of the batch, (B, T), zero where nothing is learnt."""
    import torch

    from hornbook.nn.losses import IGNORE
    from hornbook.storage.artifact import load_artifact

    model = load_artifact(folder).model
    costs: list[list[float]] = []
    with torch.inference_mode():
        for part in loader.batch(step).micro_batches(config.micro_batch_rows):
            logits = model(part.tokens, documents=part.documents).float()
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), part.targets.flatten(), ignore_index=IGNORE, reduction="none"
            )
            costs += loss.view(part.targets.shape).tolist()
    return costs
