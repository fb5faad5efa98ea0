"""Which step falls into which phase: arithmetic over the rows of each phase, and nothing that is carried along.

A run without a curriculum is one of a single phase over all its data. Where the phases lie follows from the settings
and the data; only a phase that validation ended early (`Curriculum.cut`) is remembered, in the checkpoint.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from hornbook.errors import DataError
from hornbook.run import RunConfig


@dataclass(frozen=True)
class Phase:
    """One phase of a run.

    Args:
        name: what reports call it; empty in a run without a curriculum.
        parts: the sources it reads, by their numbers in the prepared set.
        rows: how many rows an epoch has.
        batch_rows: rows of a step.
        steps: optimizer steps it was planned for; its schedule counts by them.
        taken: steps it takes: fewer, if validation ended it early.
        lr: peak learning rate; none is the optimizer's own.
    """

    name: str
    parts: tuple[int, ...]
    rows: int
    batch_rows: int
    steps: int
    taken: int
    lr: float | None = None

    def epoch(self, step: int) -> int:
        """Count the epochs that are complete after `step` steps of this phase."""
        return step * self.batch_rows // self.rows


@dataclass(frozen=True)
class Place:
    """Where a step is.

    Args:
        index: the phase's number, from 0.
        phase: the phase.
        step: finished steps of the phase before this one.
    """

    index: int
    phase: Phase
    step: int


@dataclass(frozen=True)
class Curriculum:
    """The phases of a run, one after the other.

    Args:
        phases: at least one.
        max_steps: the run ends after this many steps, wherever it is; none takes all of them.
    """

    phases: tuple[Phase, ...]
    max_steps: int | None = None

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The step each phase begins with, counted from 0, and the steps of all."""
        return tuple(accumulate((phase.taken for phase in self.phases), initial=0))

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return self.starts[-1] if self.max_steps is None else min(self.starts[-1], self.max_steps)

    def at(self, step: int) -> Place:
        """Find the place of a step, counted from 0; beyond the last one the last phase goes on."""
        index = next((number for number, end in enumerate(self.starts[1:-1]) if step < end), len(self.phases) - 1)
        return Place(index, self.phases[index], step - self.starts[index])

    def rows_until(self, step: int) -> int:
        """Count the rows of the first `step` steps."""
        place = self.at(step)
        before = sum(phase.taken * phase.batch_rows for phase in self.phases[: place.index])
        return before + place.step * place.phase.batch_rows

    def is_last(self, step: int) -> bool:
        """Say whether a step falls into the last phase."""
        return self.at(step).index == len(self.phases) - 1

    def cut(self, step: int) -> "Curriculum":
        """End the phase of the last of `step` finished steps there; what follows begins at once."""
        place = self.at(step - 1)
        ended = replace(place.phase, taken=place.step + 1)
        return replace(self, phases=(*self.phases[: place.index], ended, *self.phases[place.index + 1 :]))

    def cut_all(self, steps: Iterable[int]) -> "Curriculum":
        """End one phase at each of the steps, in their order."""
        cut = self
        for step in steps:
            cut = cut.cut(step)
        return cut


def make_curriculum(config: RunConfig, rows: Sequence[int]) -> Curriculum:
    """Lay out the phases of a run.

    Args:
        config: the run; without phases it is one of training.steps over everything.
        rows: how many rows each source of the prepared set has.

    Raises:
        DataError: if a phase has no row.
    """
    settings = config.curriculum
    if not settings.phases:
        steps = config.training.steps
        whole = Phase("", tuple(range(len(rows))), sum(rows), config.batch_rows, steps, steps)
        return Curriculum((whole,))
    phases = []
    for phase, name, parts in zip(settings.phases, settings.names, settings.members, strict=True):
        count = sum(rows[part] for part in parts)
        if not count:
            raise DataError(
                f"Phase '{name}' of the curriculum has no token to learn from.",
                fix="give it more text, or take it out of the plan.",
            )
        batch_rows = phase.batch_rows or config.batch_rows
        steps = phase.steps(count, batch_rows)
        phases.append(Phase(name, parts, count, batch_rows, steps, steps, phase.lr))
    return Curriculum(tuple(phases), settings.max_steps)


def sets_of(config: RunConfig) -> dict[str, tuple[int, ...]]:
    """Name the sources whose held-out share is judged by itself: of each phase those that no phase before has read.

    There are none without phases, nor with data.validation_path.
    """
    settings = config.curriculum
    if config.data.validation_path:
        return {}
    seen: set[int] = set()
    sets: dict[str, tuple[int, ...]] = {}
    for name, parts in zip(settings.names, settings.members, strict=True):
        new = tuple(part for part in parts if part not in seen)
        seen.update(new)
        if new:
            sets[name] = new
    return sets
