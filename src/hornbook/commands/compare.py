"""`hornbook compare`: is one model better than another, or was it luck?"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hornbook.commands.display import AsJson, show, show_json, show_rows

if TYPE_CHECKING:
    from hornbook.evaluation.compare import Comparison


def compare(
    folders: "Sequence[str | Path]",
    *,
    allow: Sequence[str] = (),
    device: str = "auto",
    say: Callable[[str], None] | None = None,
) -> "Comparison":
    """Compare several runs of one model with several of another; a run that was not yet evaluated is.

    Args:
        folders: finished runs of two models; those of one model differ in their seed alone.
        allow: what may be unequal though a fair comparison needs it equal: parameters, tokens, data, seeds.
        device: where to evaluate: auto, cpu, cuda, mps or xpu.
        say: receives what is done, line by line; nothing is printed without it.

    Raises:
        ConfigError: if the runs are not of two models, or the comparison would be unfair.
        CheckpointError: if a folder holds no finished run.
    """
    from hornbook.commands.evaluate import evaluate
    from hornbook.evaluation.compare import UNFAIR, read_examined, require_finished, two_sides
    from hornbook.evaluation.compare import compare as compare_sides
    from hornbook.lookup import lookup
    from hornbook.runlog.paths import RunFolder

    for name in allow:
        lookup(UNFAIR, name, what="inequality to allow")
    runs = []
    for folder in map(Path, folders):
        require_finished(folder)
        if not RunFolder(folder).evaluation.exists():
            (say or _ignore)(f"evaluating {folder}")
            evaluate(folder, device=device)
        runs.append(read_examined(folder))
    return compare_sides(*two_sides(runs), allow=allow)


def command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Finished runs of two models.")],
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Compare although these differ: parameters, tokens, data or seeds. May be repeated."),
    ] = None,
    out: Annotated[str | None, typer.Option(help="Also write to this file: .json, or Markdown.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps or xpu.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Compare runs of two models over their seeds: is the difference more than luck?"""
    from hornbook.evaluation.comparison_report import (
        comparison_table,
        comparison_to_json,
        comparison_to_markdown,
        describe_sides,
    )
    from hornbook.storage.atomic import write_text

    found = compare(runs, allow=allow or (), device=device, say=None if as_json else show)
    if out is not None:
        is_json = Path(out).suffix == ".json"
        write_text(Path(out), _text(comparison_to_json(found)) if is_json else comparison_to_markdown(found))
    if as_json:
        show_json(comparison_to_json(found))
        return
    for line in (*describe_sides(found), *found.notes):
        show(line)
    show("\nright answers in percent, losses in nats per token; the interval is over seeds (Welch)")
    show_rows(comparison_table(found))
    if out is not None:
        show(f"\nwritten to {out}")


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _ignore(line: str) -> None:
    """Say nothing."""
