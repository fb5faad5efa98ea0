"""The settings of a curriculum, and the plan files that write one down in one line a phase.

A plan is a text file of lines `FILE | EPOCHS | RATE | ROWS`, as the original Water wrote it; rate and rows may be left
out, and `#` begins a comment. Sections hold what is set; which step falls into which phase is
`hornbook.data.curriculum`'s business, since it depends on how much data there is.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat, PositiveInt, model_validator

from hornbook.config.model import Section
from hornbook.errors import ConfigError

BUILTIN = "builtin:"
NO_FILES = (BUILTIN, "hub:")
"""How paths begin that are no place on the disk."""

COMBINED = "combined"
"""Path of a phase that goes through all sets of the phases before it, mixed."""

COMMENT = re.compile(r"(^|\s)#.*")

SHAPE = "FILE | EPOCHS | RATE | ROWS, as in math_reasoning.jsonl | 3 | 3e-4 | 32; RATE and ROWS may be left out"


class PhaseConfig(Section):
    """One phase: what is read, how often, how fast it is learnt."""

    path: str | tuple[str, ...]
    """File, folder or builtin:NAME, or a list of these that are mixed; combined stands for the sets of all phases
    before."""

    name: str = ""
    """What reports call it; empty takes the file's name."""

    epochs: PositiveFloat = 1.0
    """How often its rows are gone through."""

    lr: PositiveFloat | None = None
    """Peak learning rate of the phase; none takes optimizer.lr."""

    batch_rows: PositiveInt | None = None
    """Rows of model.context tokens in a step; none takes training.batch_tokens / model.context."""

    @property
    def paths(self) -> tuple[str, ...]:
        """What is read, as a list."""
        return (self.path,) if isinstance(self.path, str) else self.path

    def steps(self, rows: int, batch_rows: int) -> int:
        """Count the optimizer steps that `epochs` times `rows` rows take, the last one filled up; at least one."""
        return max(1, math.ceil(Fraction(str(self.epochs)) * rows / batch_rows))


class CurriculumConfig(Section):
    """Phases that are trained one after the other, each with its own data, rate and batch."""

    plan: str = ""
    """A plan file, one phase a line: FILE | EPOCHS | RATE | ROWS. It takes the place of curriculum.phases; its files
    are looked for beside it, then in data.path."""

    phases: tuple[PhaseConfig, ...] = ()
    """The phases in order: [{path = "maths.jsonl", epochs = 3, lr = 3e-4, batch_rows = 32}, ...]. Empty trains on
    data.path for training.steps."""

    optimizer: Literal["carry", "reset"] = "carry"
    """What the optimizer remembers at the beginning of a phase: all of it, or nothing."""

    early_stop: Literal["phase", "run"] = "phase"
    """What training.patience ends: the phase, and the next one begins, or the run."""

    max_steps: PositiveInt | None = None
    """End after this many steps of all phases; none goes through them all. training.steps, where it is said, sets
    it."""

    @model_validator(mode="after")
    def _every_phase_reads_something(self) -> "CurriculumConfig":
        for number, members in enumerate(self.members, 1):
            if not members or not all(self.phases[number - 1].paths):
                raise ValueError(
                    f"phase {number} of curriculum.phases reads nothing; name a path, or put it behind what it combines"
                )
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """Everything that is read, each once, in the order of the phases."""
        every = (path for phase in self.phases for path in phase.paths if path != COMBINED)
        return tuple(dict.fromkeys(every))

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """Of each phase, which of `paths` it reads, by their numbers."""
        numbers = {path: number for number, path in enumerate(self.paths)}
        found: list[tuple[int, ...]] = []
        for phase in self.phases:
            before = {number for members in found for number in members}
            chosen = [before if path == COMBINED else {numbers[path]} for path in phase.paths]
            found.append(tuple(sorted(set[int]().union(*chosen))))
        return tuple(found)

    @property
    def names(self) -> tuple[str, ...]:
        """What each phase is called; a name that comes again has its turn behind it: maths, maths 2."""
        seen: Counter[str] = Counter()
        names = []
        for phase in self.phases:
            name = phase.name or "+".join(map(_stem, phase.paths))
            seen[name] += 1
            names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
        return tuple(names)


def read_plan(path: Path, folder: Path | None = None) -> tuple[PhaseConfig, ...]:
    """Read a plan file.

    Args:
        path: the plan.
        folder: where its files are looked for if they do not lie beside it.

    Raises:
        ConfigError: naming the file, the line and what is expected there.
    """
    if not path.is_file():
        raise ConfigError(f"There is no plan {path} (curriculum.plan).", fix="check the path.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", fix="give a readable UTF-8 text file.") from error
    places = (path.parent, *([folder] if folder else []))
    phases: list[PhaseConfig] = []
    for number, line in enumerate(lines, 1):
        words = COMMENT.sub("", line).strip()
        if words:
            phases.append(_read_line(words, f"{path}, line {number}", places))
    if not phases:
        raise ConfigError(f"{path} names no phase.", fix=f"write one a line: {SHAPE}.")
    if phases[0].path == COMBINED:
        raise ConfigError(
            f"{path}: the first phase combines those before it, and there are none.", fix="put it last."
        )
    return tuple(phases)


def locate(path: str, places: Sequence[Path]) -> str | None:
    """Find a file or folder in the first of `places` that has it; what is no file is found as it is."""
    if path == COMBINED or path.startswith(NO_FILES):
        return path
    if Path(path).expanduser().is_absolute():
        return path if Path(path).expanduser().exists() else None
    found = (place / path for place in places if (place / path).exists())
    return next(map(str, found), None)


def _read_line(line: str, where: str, places: Sequence[Path]) -> PhaseConfig:
    """Read one line; `where` names it."""
    fields = [field.strip() for field in line.split("|")]
    if not 2 <= len(fields) <= 4 or not fields[0]:
        raise ConfigError(f"{where}: '{line}' is no phase.", fix=f"write {SHAPE}.")
    file, epochs, lr, rows = (*fields, "", "")[:4]
    path = locate(file, places)
    if path is None and Path(file).stem == COMBINED:
        path = COMBINED  # the original's optional last phase: a file of all the others together
    if path is None:
        looked = " and ".join(str(place) for place in places)
        raise ConfigError(
            f"{where}: there is no {file} (looked in {looked}).",
            fix="put the file beside the plan, or set data.path to the folder it is in.",
        )
    return PhaseConfig(
        path=path,
        name=_stem(file),
        epochs=_number(epochs, where, "EPOCHS, how often it is read"),
        lr=_number(lr, where, "RATE, its learning rate") if lr else None,
        batch_rows=_whole(rows, where) if rows else None,
    )


def _stem(path: str) -> str:
    """Return the name of a file without its ending, or of a source that is no file: "builtin:maths" -> "maths"."""
    return path.partition(":")[2] if path.startswith(NO_FILES) else Path(path).stem


def _number(text: str, where: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{where}: {what}, must be a number above 0, not '{text}'.", fix=f"write {SHAPE}.")
    return value


def _whole(text: str, where: str) -> int:
    value = _number(text, where, "ROWS, the rows of a step")
    if value != int(value):
        raise ConfigError(
            f"{where}: ROWS, the rows of a step, must be whole, not '{text}'.", fix=f"write {SHAPE}."
        )
    return int(value)
