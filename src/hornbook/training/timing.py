"""How long the parts of a step take, by taking steps: data, forward, backward, optimizer."""

from dataclasses import dataclass, replace
from statistics import median

from hornbook.data.loader import prefetch
from hornbook.training.assemble import Run
from hornbook.training.parts import PARTS, Stopwatch, part_by_part
from hornbook.training.schedules import rate_share

LARGE_SHARE = 0.2
"""From this share of a step on, data or the optimizer is worth doing something about."""

WELL_USED = 0.5
"""Share of the matrix rate from which the products themselves are what takes the time."""


@dataclass(frozen=True)
class StepTimes:
    """What a step takes.

    Args:
        milliseconds: of each part, the median over the steps, in the order of PARTS.
        step_milliseconds: of a whole step, the median.
        slowest_milliseconds: of a whole step, the worst.
        steps: how many were measured.
        tokens: of one step.
        utilisation: share of the machine's measured matrix rate.
    """

    milliseconds: dict[str, float]
    step_milliseconds: float
    slowest_milliseconds: float
    steps: int
    tokens: int
    utilisation: float

    @property
    def tokens_per_second(self) -> float:
        """Tokens trained a second."""
        return self.tokens / self.step_milliseconds * 1e3

    @property
    def shares(self) -> dict[str, float]:
        """Each part's share of them all."""
        whole = sum(self.milliseconds.values())
        return {name: spent / whole for name, spent in self.milliseconds.items()}

    @property
    def largest(self) -> str:
        """The part that takes longest."""
        return max(self.milliseconds, key=self.milliseconds.__getitem__)


def measure_steps(run: Run, *, steps: int, warmup: int) -> StepTimes:
    """Take the first steps of `run`, as training would, and time them; the weights of `run` change.

    Args:
        run: assembled, at its beginning.
        steps: how many are measured.
        warmup: how many are taken before, unmeasured.
    """
    device, schedule = run.precision.device, run.config.schedule
    watch = Stopwatch(device)
    stepper = replace(run.stepper, part=watch.part)
    batches = prefetch(run.loader, 0, warmup + steps, device=device)
    seen: list[dict[str, float]] = []
    for number, batch in enumerate(part_by_part(batches, watch.part)):
        phase = run.loader.curriculum.at(number).phase
        stepper.step(batch, number, share=rate_share(schedule, min(number, phase.steps - 1), phase.steps))
        seen.append(watch.read())
        tokens = batch.tokens.numel()
    measured = seen[warmup:]
    wholes = [sum(parts.values()) * 1e3 for parts in measured]
    rate = tokens / median(wholes) * 1e3
    return StepTimes(
        milliseconds={name: median(parts[name] for parts in measured) * 1e3 for name in PARTS},
        step_milliseconds=median(wholes),
        slowest_milliseconds=max(wholes),
        steps=len(measured),
        tokens=tokens,
        utilisation=rate * run.model.config.training_flops_per_token() / run.choices.peak_rate,
    )


def advice(times: StepTimes, *, device: str, micro_batch_rows: int) -> str:
    """Say in one sentence what to do about the part that costs most.

    Args:
        times: what was measured.
        device: the kind of device: "cpu", "cuda" and so on.
        micro_batch_rows: rows computed at once.
    """
    shares = times.shares
    if shares["data"] >= LARGE_SHARE:
        return (
            "The step waits for data: put data.folder on a faster disk, or give the processor a core for reading "
            "(training.threads one fewer)."
        )
    if shares["optimizer"] >= LARGE_SHARE:
        return (
            "The optimizer costs much for so few tokens: raise training.batch_tokens, or take one that does less "
            "(optimizer.name=adamw instead of muon)."
        )
    if times.utilisation >= WELL_USED:
        return "The matrix products are near what the machine can do: only a smaller model or another format is faster."
    if device != "cpu":
        return f"The device has time to spare: raise training.micro_batch_rows (now {micro_batch_rows})."
    return (
        "Much of the time goes into moving numbers, not multiplying: a wider model with fewer layers uses the "
        "processor better, and so does closing other programs."
    )
