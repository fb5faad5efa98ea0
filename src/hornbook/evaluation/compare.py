"""Several runs of one model against several of another: what differs, by how much, and whether seeds explain it.

The runs of a side differ in their seed alone. Both sides are marked on the same held-out problems; the interval of a
difference is over seeds (`evaluation.welch`), so it says what another seed would do, not what other problems would.
What makes a comparison unfair is refused, or noted where the caller allows it; never passed over.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.errors import CheckpointError, ConfigError
from hornbook.evaluation.report import Unit
from hornbook.evaluation.welch import Difference, difference
from hornbook.run import RunConfig, load_run
from hornbook.runlog.events import Event, Finished, Progress
from hornbook.runlog.paths import RunFolder
from hornbook.runlog.reader import read_events
from hornbook.storage.artifact import model_config, read_record

MOST_PARAMETERS_APART = 0.01
"""How much larger one model may be than the other, as a share of the smaller."""

MEAN, LOSS = "mean", "validation loss"

_OF_ONE_RUN = (
    "recipe",
    "run",
    "data.folder",
    "data.workers",
    "training.seed",
    "training.device",
    "training.threads",
    "training.max_minutes",
    "checkpoint.every_steps",
    "checkpoint.every_minutes",
    "checkpoint.keep_last",
    "evaluation",
    "sampling",
    "logging",
)
"""Settings, or whole sections, in which two runs of one model may differ."""


@dataclass(frozen=True)
class Examined:
    """One finished run and what `hornbook evaluate` found of it.

    Args:
        folder: the run.
        seed: training.seed.
        parameters: counted by the model's own arithmetic.
        tokens: places of the rows it was trained on.
        data: hash of what it learnt from; `tokenizer` likewise.
        exam: hash of the problems it was asked, "" if none.
        settings: every setting that makes the model what it is, by dotted name.
        marks: share of right answers by "skill" and by "skill: task", and their mean; empty without an exam.
        loss: mean loss on the validation set in nats per token.
    """

    folder: Path
    seed: int
    parameters: int
    tokens: int
    data: str
    tokenizer: str
    exam: str
    settings: Mapping[str, Any]
    marks: Mapping[str, float]
    loss: float


@dataclass(frozen=True)
class Row:
    """One thing measured on both sides; `first` and `second` hold one value a run."""

    name: str
    unit: Unit
    first: tuple[float, ...]
    second: tuple[float, ...]
    apart: Difference

    @property
    def verdict(self) -> str:
        """Of the second side: better, worse or, where the interval holds zero or is unknown, undecided."""
        if not self.apart.excludes_zero:
            return "undecided"
        return "better" if (self.apart.value > 0) == (self.unit == "exact match") else "worse"


@dataclass(frozen=True)
class Comparison:
    """What was found; `notes` are sentences a reader must know, one for each thing allowed among them."""

    names: tuple[str, str]
    first: tuple[Examined, ...]
    second: tuple[Examined, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def require_finished(folder: Path) -> tuple[RunConfig, list[Event]]:
    """Return the settings and the events of a finished run.

    Raises:
        CheckpointError: if it is no run, or is not finished.
    """
    run = RunFolder(folder)
    config, events = load_run(run.config), read_events(run.events)
    if not any(isinstance(event, Finished) for event in events):
        raise CheckpointError(
            f"{folder} is not finished.", fix="train it to its end: the command that began it continues it."
        )
    return config, events


def read_examined(folder: Path) -> Examined:
    """Read a finished run that was evaluated.

    Raises:
        CheckpointError: if it is no run, is not finished, was not evaluated since, or a file is damaged.
    """
    run = RunFolder(folder)
    config, events = require_finished(folder)
    record = read_record(run.model)
    try:
        found = json.loads(run.evaluation.read_text(encoding="utf-8"))
        receipt = json.loads(run.receipt.read_text(encoding="utf-8"))
        if found["step"] != record["about"]["step"]:
            raise CheckpointError(
                f"{folder} was trained on after it was evaluated.", fix=f"run hornbook evaluate {folder}."
            )
        return Examined(
            folder=folder,
            seed=config.training.seed,
            parameters=model_config(record, run.model).num_parameters(),
            tokens=max(event.tokens for event in events if isinstance(event, Progress)),
            data=receipt["data"],
            tokenizer=receipt["tokenizer"],
            exam=found.get("exam", ""),
            settings=_lasting(config.model_dump(mode="json")),
            marks=_marks(found),
            loss=found["validation"]["loss"],
        )
    except FileNotFoundError as error:
        fix = f"run hornbook evaluate {folder}." if error.filename == str(run.evaluation) else "restore the run."
        raise CheckpointError(f"{error.filename} is absent.", fix=fix) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: its evaluation cannot be read ({type(error).__name__}: {error}).",
            fix=f"run hornbook evaluate {folder} again.",
        ) from error


def two_sides(runs: Sequence[Examined]) -> tuple[list[Examined], list[Examined]]:
    """Put runs that differ in their seed alone on one side; the side of the first run comes first.

    Raises:
        ConfigError: if that does not make two sides, or a side has a seed twice.
    """
    sides: dict[str, list[Examined]] = defaultdict(list)
    for run in runs:
        sides[json.dumps(run.settings, sort_keys=True)].append(run)
    if len(sides) != 2:
        found = "; ".join(", ".join(str(run.folder) for run in side) for side in sides.values())
        apart = _names_apart([side[0].settings for side in sides.values()])
        why = f" They differ in {', '.join(apart)}." if apart else ""
        raise ConfigError(
            f"These runs are of {len(sides)} model{'s' * (len(sides) != 1)}, not of 2: {found}.{why}",
            fix="name runs of two models; the runs of each may differ in training.seed alone.",
        )
    for side in sides.values():
        seeds = [run.seed for run in side]
        for run in side:
            if seeds.count(run.seed) > 1:
                raise ConfigError(
                    f"Two runs of one model have training.seed = {run.seed}, {run.folder} among them.",
                    fix="name each seed once: the same run twice is not two runs.",
                )
    first, second = sides.values()
    return first, second


def compare(first: Sequence[Examined], second: Sequence[Examined], *, allow: Collection[str] = ()) -> Comparison:
    """Compare two sides, each at least one run.

    Args:
        allow: names in UNFAIR that are meant.

    Raises:
        ConfigError: if the sides differ in what makes a comparison fair, naming both values.
    """
    names = _names(first[0], second[0])
    notes: list[str] = [] if first[0].exam else ["No exam: the runs were not trained on a built-in course."]
    for what, unequal in UNFAIR.items():
        sentence = unequal(names, first, second)
        if sentence and what not in allow:
            raise ConfigError(f"Not comparable: {sentence}.", fix=f"{_HOW_TO[what]}, or say --allow {what}.")
        notes += [f"Allowed: {sentence}."] if sentence else []
    if {run.exam for run in first} != {run.exam for run in second} or len({run.exam for run in first}) > 1:
        raise ConfigError(
            "Not comparable: the runs were not asked the same problems.",
            fix="evaluate all of them with this Hornbook and one value of evaluation.problems.",
        )
    notes += _settings_apart(names, first[0].settings, second[0].settings)
    rows = [
        _row(name, "exact match", [run.marks[name] for run in first], [run.marks[name] for run in second])
        for name in first[0].marks
    ]
    rows.append(_row(LOSS, "nats per token", [run.loss for run in first], [run.loss for run in second]))
    return Comparison(names, tuple(first), tuple(second), tuple(rows), tuple(notes))


def _unequal_parameters(names: tuple[str, str], first: Sequence[Examined], second: Sequence[Examined]) -> str:
    smaller, larger = sorted((first[0].parameters, second[0].parameters))
    if larger <= smaller * (1 + MOST_PARAMETERS_APART):
        return ""
    one, other = first[0].parameters, second[0].parameters
    return f"{names[0]} has {one:,} parameters and {names[1]} {other:,}, {larger / smaller - 1:.1%} apart"


def _unequal_tokens(names: tuple[str, str], first: Sequence[Examined], second: Sequence[Examined]) -> str:
    one, other = ({run.tokens for run in side} for side in (first, second))
    if len(one | other) == 1:
        return ""
    told = [" or ".join(f"{tokens:,}" for tokens in sorted(side)) for side in (one, other)]
    return f"{names[0]} was trained on {told[0]} tokens and {names[1]} on {told[1]}"


def _unequal_data(names: tuple[str, str], first: Sequence[Examined], second: Sequence[Examined]) -> str:
    for what in ("data", "tokenizer"):
        hashes = {getattr(run, what): run.folder for run in (*first, *second)}
        if len(hashes) > 1:
            one, other = list(hashes.values())[:2]
            return f"{one} and {other} were not trained with the same {what}"
    return ""


def _unequal_seeds(names: tuple[str, str], first: Sequence[Examined], second: Sequence[Examined]) -> str:
    one, other = (sorted(run.seed for run in side) for side in (first, second))
    return "" if one == other else f"{names[0]} has the seeds {one} and {names[1]} {other}"


UNFAIR = {
    "parameters": _unequal_parameters,
    "tokens": _unequal_tokens,
    "data": _unequal_data,
    "seeds": _unequal_seeds,
}
"""What may not differ between two sides unless it is allowed by this name -> the sentence that says how it does."""

_HOW_TO = {
    "parameters": f"choose widths that bring them within {MOST_PARAMETERS_APART:.0%}",
    "tokens": "train both sides for the same steps and batch",
    "data": "train both sides from the same data settings",
    "seeds": "name runs of the same seeds",
}


def _row(name: str, unit: Unit, first: Sequence[float], second: Sequence[float]) -> Row:
    return Row(name, unit, tuple(first), tuple(second), difference(first, second))


def _marks(found: Mapping[str, Any]) -> dict[str, float]:
    """Flatten the marks of an evaluation: the mean, every skill, every task of it."""
    if "skills" not in found:
        return {}
    marks = {MEAN: found["mean_exact_match"]}
    for skill, mark in found["skills"].items():
        marks[skill] = mark["exact_match"]
        tasks = found["tasks"][skill]
        marks |= {f"{skill}: {task}": one["exact_match"] for task, one in tasks.items() if len(tasks) > 1}
    return marks


def _lasting(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that two runs of one model share, by dotted name."""
    flat = {}
    for section, values in settings.items():
        named = values.items() if isinstance(values, Mapping) else [("", values)]
        flat.update({f"{section}.{name}" if name else section: value for name, value in named})
    return {name: flat[name] for name in sorted(flat) if not {name, name.split(".")[0]} & set(_OF_ONE_RUN)}


def _names_apart(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of settings that not all have alike."""
    every = sorted({name for one in settings for name in one})
    return [name for name in every if any(one.get(name) != settings[0].get(name) for one in settings)]


def _settings_apart(names: tuple[str, str], first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Say which settings differ; a number that only one of two architectures knows is no news."""
    apart = []
    for name in _names_apart([first, second]):
        both = name in first and name in second
        told = name == "model.arch" or names[0].startswith(f"{name}=")
        if not told and (both or not name.startswith("model.")):
            one, other = (side.get(name, "absent") for side in (first, second))
            apart.append(f"{name} is {one} for {names[0]} and {other} for {names[1]}.")
    return apart


def _names(first: Examined, second: Examined) -> tuple[str, str]:
    """Call each side by its architecture, or by the first setting in which they differ."""
    name = "model.arch"
    if first.settings[name] == second.settings[name]:
        name = _names_apart([first.settings, second.settings])[0]
        return f"{name}={first.settings.get(name)}", f"{name}={second.settings.get(name)}"
    return first.settings[name], second.settings[name]
