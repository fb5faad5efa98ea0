"""`hornbook bench-step`: where the time of a training step goes, by measuring it on the recipe's own batches."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hornbook.commands.display import AsJson, Recipe, Settings, show, show_json, show_rows

if TYPE_CHECKING:
    from hornbook.training.timing import StepTimes

STEPS, WARMUP = 20, 3


@dataclass(frozen=True)
class StepBench:
    """What was measured, on what, and what to do about it."""

    recipe: str
    parameters: int
    rows: int
    micro_batch_rows: int
    context: int
    optimizer: str
    machine: str
    peak_flops: float
    times: "StepTimes"
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values, derived numbers included."""
        times = self.times
        derived = {
            "tokens_per_second": times.tokens_per_second,
            "shares": times.shares,
            "largest": times.largest,
            "waiting_for_data": times.shares["data"],
        }
        return asdict(self) | derived


def bench_step(recipe: str, settings: Sequence[str] = (), *, steps: int = STEPS) -> StepBench:
    """Take the first steps of a recipe in a folder that is thrown away, and time their parts.

    Args:
        recipe: name of a recipe, or path of one.
        settings: "section.name=value" strings that replace the recipe's.
        steps: how many are measured, after WARMUP that are not.

    Raises:
        HornbookError: what training would raise.
    """
    import tempfile
    from pathlib import Path

    from hornbook.run import make_run, require_data
    from hornbook.runlog.paths import RunFolder
    from hornbook.training.assemble import assemble
    from hornbook.training.timing import advice, measure_steps

    config = make_run(recipe, settings)
    require_data(config)
    with tempfile.TemporaryDirectory(prefix="hornbook-bench-") as folder:
        config = config.model_copy(update={"run": config.run.model_copy(update={"folder": folder})})
        RunFolder(Path(folder)).create()
        run = assemble(config, accept_changes=False, tell=_ignore)
        times = measure_steps(run, steps=steps, warmup=WARMUP)
    return StepBench(
        recipe=config.recipe,
        parameters=run.model.config.num_parameters(),
        rows=config.batch_rows,
        micro_batch_rows=config.micro_batch_rows,
        context=config.model.context,
        optimizer=config.optimizer.name,
        machine=run.choices.describe(),
        peak_flops=run.choices.peak_rate,
        times=times,
        advice=advice(times, device=run.precision.device.type, micro_batch_rows=config.micro_batch_rows),
    )


def command(
    recipe: Recipe,
    settings: Settings = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="How many steps to measure.")] = STEPS,
    as_json: AsJson = False,
) -> None:
    """Measure where the time of a training step goes: data, forward, backward, optimizer."""
    seen = bench_step(recipe, settings or (), steps=steps)
    if as_json:
        show_json(seen.to_dict())
    else:
        show_bench(seen)


def show_bench(seen: StepBench) -> None:
    """Print what was measured for people."""
    from hornbook.units import count_text, percent_text

    times = seen.times
    show(
        f"{seen.recipe}: {count_text(seen.parameters)} parameters, {seen.rows} rows of {seen.context} tokens a step, "
        f"{seen.micro_batch_rows} at once, {seen.optimizer}"
    )
    show(f"{seen.machine}\n")
    rows = [
        [name, f"{spent:.1f} ms", percent_text(times.shares[name])] for name, spent in times.milliseconds.items()
    ]
    show_rows(
        [
            *rows,
            ["whole step", f"{times.step_milliseconds:.1f} ms", f"at worst {times.slowest_milliseconds:.1f} ms"],
        ]
    )
    show(
        f"\n{count_text(round(times.tokens_per_second))} tokens/s, {percent_text(times.utilisation)} of the "
        f"{seen.peak_flops / 1e9:,.0f} GFLOP/s measured for matrix products here; median of {times.steps} steps."
    )
    show(
        f"{percent_text(times.shares['data'])} of a step is waiting for data. The largest part is {times.largest}."
    )
    show(seen.advice)


def _ignore(line: str) -> None:
    """Say nothing."""
