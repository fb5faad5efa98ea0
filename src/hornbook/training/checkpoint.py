"""Saves and resumes a run exactly.

    checkpoints/step-00002000/
      model/                  a model folder (hornbook.storage.artifact)
      optimizer.safetensors   every tensor of the optimizers
      state.json              the step and the few counters that are no function of it
      MANIFEST.json           size and sha256 of every file above

A checkpoint is written under a partial name, flushed, hashed, and renamed into place last: it is whole or absent.
One that is damaged later is refused by name, and the one before it is used. Data order and dropout are functions of
the step, and so is the learning rate under every schedule but one (`hornbook.training.plateau`): there is no sampler or
generator to restore.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from hornbook.errors import CheckpointError
from hornbook.models.contract import LanguageModel
from hornbook.runlog.paths import CHECKPOINT_PREFIX, RunFolder, checkpoint_step
from hornbook.storage.artifact import save_artifact
from hornbook.storage.atomic import PARTIAL, publish, remove_leftovers, require_space, retire, write_text
from hornbook.storage.tensors import assign_tensors, file_hash, read_tensors, write_tensors
from hornbook.text.tokenizer import Tokenizer

FORMAT = 1
MANIFEST = "MANIFEST.json"
STATE = "state.json"
OPTIMIZER = "optimizer.safetensors"
MODEL = "model"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found whole."""

    path: Path
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimizer steps taken when it was saved."""
        return int(self.state["step"])

    def load(self, model: LanguageModel) -> dict[str, Tensor]:
        """Put the weights into `model` and return the optimizer's tensors.

        Raises:
            CheckpointError: if they do not fit the model.
        """
        weights = self.path / MODEL / "model.safetensors"
        assign_tensors(model, read_tensors(weights), where=weights)
        return read_tensors(self.path / OPTIMIZER)


@dataclass(frozen=True)
class Saver:
    """Writes the checkpoints of one run and keeps the right ones."""

    folder: RunFolder
    tokenizer: Tokenizer
    template: str
    keep_last: int

    def save(self, model: LanguageModel, optimizer: dict[str, Tensor], state: dict[str, Any]) -> int:
        """Write the checkpoint of `state["step"]` and return its bytes. The older ones go only once it is durable.

        Raises:
            OSError: if the disk is full or refuses; earlier checkpoints are untouched.
        """
        tensors = [*model.parameters(), *optimizer.values()]
        require_space(self.folder.checkpoints, sum(t.numel() * t.element_size() for t in tensors) + 2**20)
        final = self.folder.checkpoint(int(state["step"]))
        partial = final.with_name(PARTIAL + final.name)
        if partial.exists():
            shutil.rmtree(partial)
        try:
            self._write(partial, model, optimizer, state)
            if final.exists():
                retire(final)
            publish(partial, final)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        best = state["patience"]["best_step"]
        write_best(self.folder, best, state["patience"]["best_loss"])
        self._drop_old(best)
        return sum(path.stat().st_size for path in final.rglob("*") if path.is_file())

    def _write(
        self, partial: Path, model: LanguageModel, optimizer: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        about = {"step": state["step"], "val_loss": state["val_loss"]}
        save_artifact(partial / MODEL, model, self.tokenizer, template=self.template, about=about)
        write_tensors(partial / OPTIMIZER, optimizer)
        write_text(partial / STATE, json.dumps(state, indent=2) + "\n")
        files = {
            path.relative_to(partial).as_posix(): {"bytes": path.stat().st_size, "sha256": file_hash(path)}
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        manifest = {"format": FORMAT, "step": state["step"], "files": files}
        write_text(partial / MANIFEST, json.dumps(manifest, indent=2) + "\n")

    def _drop_old(self, best_step: int | None) -> None:
        """Delete all but the newest `keep_last` checkpoints and the best."""
        found = saved_steps(self.folder)
        for step in found[: -self.keep_last]:
            if step != best_step:
                retire(self.folder.checkpoint(step))


def write_best(folder: RunFolder, step: int | None, loss: float | None) -> None:
    """Say in best.json which checkpoint validated best, if any was."""
    if step is not None:
        path = folder.checkpoint(step).relative_to(folder.root).as_posix()
        write_text(folder.best, json.dumps({"step": step, "val_loss": loss, "path": path}) + "\n")


def saved_steps(folder: RunFolder) -> list[int]:
    """Return the steps that have a checkpoint, oldest first, whole or not."""
    steps = (checkpoint_step(path) for path in folder.checkpoints.iterdir())
    return sorted(step for step in steps if step is not None)


def read_phase_ends(folder: RunFolder) -> list[int]:
    """Return the steps at which validation ended a phase of the run early, as its newest checkpoint knows them.

    Raises:
        CheckpointError: if that checkpoint is damaged.
    """
    steps = saved_steps(folder) if folder.checkpoints.is_dir() else []
    return list(_read_json(folder.checkpoint(steps[-1]) / STATE).get("phase_ends", [])) if steps else []


def find_newest(folder: RunFolder, *, warn: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest whole checkpoint, or None if none was ever saved.

    Damaged ones are set aside under the name damaged-step-N and told to `warn`. Call it under the run's lock: it also
    removes what dead processes left half-made.

    Raises:
        CheckpointError: if there are checkpoints and every one is damaged: starting over must be the user's decision.
    """
    remove_leftovers(folder.checkpoints)
    damage: list[str] = []
    for step in reversed(saved_steps(folder)):
        path = folder.checkpoint(step)
        try:
            checkpoint = Checkpoint(path, verify_checkpoint(path))
        except CheckpointError as error:
            damage.append(error.problem)
            continue
        for bad, problem in zip(reversed(saved_steps(folder)), damage, strict=False):
            _set_aside(folder.checkpoint(bad))
            warn(f"{problem} Continuing from {path.name}, the newest whole checkpoint.")
        return checkpoint
    if damage:
        raise CheckpointError(
            f"No checkpoint of {folder.root} is whole. {damage[0]}",
            fix="restore one from a copy, or begin again with --start-over.",
        )
    return None


def verify_checkpoint(path: Path) -> dict[str, Any]:
    """Check every file of a checkpoint against its manifest and return its state.

    Raises:
        CheckpointError: naming the first file that is missing or differs.
    """
    manifest = _read_json(path / MANIFEST)
    files = manifest.get("files")
    if (
        manifest.get("format") != FORMAT
        or not isinstance(files, dict)
        or STATE not in files
        or not all(isinstance(entry, dict) and entry.keys() == {"bytes", "sha256"} for entry in files.values())
    ):
        raise CheckpointError(f"{path / MANIFEST} is not a manifest of format {FORMAT}.", fix=_RESTORE)
    for name, expected in files.items():
        file = path / name
        if ".." in Path(name).parts or not file.is_file():
            raise CheckpointError(f"{file} is missing.", fix=_RESTORE)
        if file.stat().st_size != expected["bytes"]:
            raise CheckpointError(
                f"{file} has {file.stat().st_size:,} bytes instead of {expected['bytes']:,}.", fix=_RESTORE
            )
        if file_hash(file) != expected["sha256"]:
            raise CheckpointError(f"{file} is damaged: its sha256 differs.", fix=_RESTORE)
    state = _read_json(path / STATE)
    if state.get("step") != checkpoint_step(path):
        raise CheckpointError(f"{path} holds the state of step {state.get('step')}.", fix=_RESTORE)
    return state


def publish_model(folder: RunFolder, step: int) -> None:
    """Make the weights of the checkpoint of `step` the finished model of the run, replacing an earlier one."""
    partial = folder.root / f"{PARTIAL}{MODEL}"
    if partial.exists():
        shutil.rmtree(partial)
    shutil.copytree(folder.checkpoint(step) / MODEL, partial)
    if folder.model.exists():
        retire(folder.model)
    publish(partial, folder.model)


_RESTORE = "restore the checkpoint from a copy, or delete its folder."


def _set_aside(path: Path) -> None:
    step = path.name.removeprefix(CHECKPOINT_PREFIX)
    away = path.with_name(f"damaged-{CHECKPOINT_PREFIX}{step}")
    if away.exists():
        shutil.rmtree(away)
    path.rename(away)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.", fix=_RESTORE) from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is no JSON object.", fix=_RESTORE)
    return value
