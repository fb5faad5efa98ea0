"""Which settings make a run what it is: the same run may not go on with others unless that is said.

What a run learns from is compared by the names and contents of its files (`storage.receipt`), not by where they lie.
"""

from collections.abc import Mapping
from typing import Any

from hornbook.config.curriculum import COMBINED
from hornbook.errors import CheckpointError

FREE = (
    "recipe",
    "run",
    "data.path",
    "data.sources",
    "data.validation_path",
    "data.folder",
    "data.workers",
    "curriculum.plan",
    "curriculum.max_steps",
    "training.steps",
    "training.max_minutes",
    "training.patience",
    "training.min_improvement",
    "training.recompute_activations",
    "training.device",
    "training.threads",
    "checkpoint",
    "evaluation.every_steps",
    "evaluation.problems",
    "sampling",
    "logging",
    "profile",
)
"""Settings, or whole sections, that a resumed run may change without a word."""


def check_same_run(saved: Mapping[str, Any], now: Mapping[str, Any], *, where: str, accept: bool) -> list[str]:
    """Compare the settings a run was started with and those given now; return the accepted differences in words.

    Args:
        saved: settings of the run in the folder, nested.
        now: settings given, nested.
        where: the run's folder.
        accept: whether the user said that differences are meant.

    Raises:
        CheckpointError: naming every setting that differs, unless `accept`.
    """
    before, after = (_without_places(_flat(settings)) for settings in (saved, now))
    differences = [
        f"{name} = {before.get(name)!r} is now {after.get(name)!r}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name) and not _is_free(name)
    ]
    if differences and not accept:
        raise CheckpointError(
            f"{where} was trained with other settings: {'; '.join(differences)}.",
            fix="give the run's own settings, add --accept-changes to go on with these, choose another run.folder, "
            "or begin again with --start-over.",
        )
    return differences


def _without_places(flat: dict[str, Any]) -> dict[str, Any]:
    """Take the phases of a curriculum apart, and number what they read by its first appearance, wherever it lies."""
    numbers: dict[str, int] = {}
    apart: dict[str, Any] = {}
    for index, phase in enumerate(flat.pop("curriculum.phases", ())):
        paths = [phase["path"]] if isinstance(phase["path"], str) else phase["path"]
        sets = [path if path == COMBINED else numbers.setdefault(path, len(numbers)) for path in paths]
        apart |= {f"curriculum.phases[{index}].{name}": value for name, value in {**phase, "path": sets}.items()}
    return flat | apart


def _is_free(name: str) -> bool:
    return any(name == free or name.startswith(f"{free}.") for free in FREE)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}; lists are values."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
