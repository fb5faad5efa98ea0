"""A model folder: everything needed to rebuild the model and its tokenizer, and nothing else.

    config.json         {"format": 1, "arch": ..., "config": {...}, "template": ..., "hashes": {...}, "about": {...}}
    model.safetensors   float32 weights under plain names
    tokenizer/          see hornbook.text.tokenizer

The architecture is a key of CONFIGS, never a path or a class name; nothing is pickled. Every file's hash stands in
config.json and is checked at loading.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from hornbook import __version__
from hornbook.config.model import ModelConfig
from hornbook.errors import CheckpointError
from hornbook.lookup import lookup
from hornbook.models.build import build_model
from hornbook.models.catalog import CONFIGS
from hornbook.models.contract import LanguageModel
from hornbook.storage.atomic import write_text
from hornbook.storage.tensors import assign_tensors, check_header, file_hash, read_tensors, write_tensors
from hornbook.text.tokenizer import Tokenizer, load_tokenizer

FORMAT = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TOKENIZER = "tokenizer"


@dataclass(frozen=True)
class Artifact:
    """A model that can speak: weights, tokenizer and the template it was taught with."""

    model: LanguageModel
    tokenizer: Tokenizer
    template: str
    about: dict[str, Any]
    folder: Path

    @property
    def config(self) -> ModelConfig:
        """The model's numbers."""
        return self.model.config


def save_artifact(
    folder: Path, model: LanguageModel, tokenizer: Tokenizer, *, template: str, about: dict[str, Any]
) -> None:
    """Write a model folder to `folder`, which must not exist; `about` is kept with it (step, loss, data).

    The caller makes the folder appear at once: write to a partial name, then `publish`.
    """
    (folder / TOKENIZER).mkdir(parents=True)
    tokenizer.save(folder / TOKENIZER)
    write_tensors(folder / WEIGHTS, dict(model.named_parameters()))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    record = {
        "format": FORMAT,
        "hornbook": __version__,
        "arch": model.config.arch,
        "config": model.config.model_dump(mode="json"),
        "template": template,
        "tokenizer": tokenizer.hash,
        "hashes": {path.relative_to(folder).as_posix(): file_hash(path) for path in files},
        "about": about,
    }
    write_text(folder / CONFIG, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def find_artifact(folder: Path) -> Path:
    """Return the model folder that `folder` is or, being a run, holds.

    A run that has not finished answers with its newest checkpoint.

    Raises:
        CheckpointError: if there is none, saying what was looked for.
    """
    checkpoints = sorted((folder / "checkpoints").glob("step-*/model"))
    for candidate in (folder / "model", folder, *reversed(checkpoints)):
        if (candidate / CONFIG).is_file() and (candidate / WEIGHTS).is_file():
            return candidate
    if folder.is_file():
        raise CheckpointError(
            f"{folder} is a file; a model is a folder.",
            fix="name a run, a checkpoint or a model folder; the .pth files of other programs are not opened.",
        )
    what = "holds no model" if folder.is_dir() else "does not exist"
    raise CheckpointError(
        f"{folder} {what}: neither {CONFIG} with {WEIGHTS}, nor model/, nor a checkpoint.",
        fix="name a run such as runs/demo, or train one first: hornbook train demo.",
    )


def load_artifact(folder: Path, *, device: torch.device | None = None, verify: bool = True) -> Artifact:
    """Rebuild the model and tokenizer of a model folder or run, on `device` (the CPU if none), ready to speak.

    Raises:
        CheckpointError: if a file is missing, damaged, of a newer format, or does not fit the config.
    """
    folder = find_artifact(folder)
    record = read_record(folder)
    config = model_config(record, folder)
    if verify:
        _check_hashes(folder, record)
    check_header(folder / WEIGHTS)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    if tokenizer.hash != record["tokenizer"]:
        raise CheckpointError(
            f"{folder / TOKENIZER} is not the tokenizer this model was trained with.",
            fix="restore the tokenizer folder that belongs to the model.",
        )
    expected_bytes = 4 * config.num_parameters()
    size = (folder / WEIGHTS).stat().st_size
    if not expected_bytes <= size <= expected_bytes + 16 * 2**20:
        raise CheckpointError(
            f"{folder / WEIGHTS} has {size:,} bytes; "
            f"{config.num_parameters():,} float32 weights need {expected_bytes:,}.",
            fix="restore the weights that belong to config.json.",
        )
    model = build_model(config, seed=0)
    assign_tensors(model, read_tensors(folder / WEIGHTS), where=folder / WEIGHTS)
    model.to(device or torch.device("cpu")).eval()
    return Artifact(model, tokenizer, str(record["template"]), dict(record["about"]), folder)


def read_record(folder: Path) -> dict[str, Any]:
    """Read and judge the config.json of a model folder.

    Raises:
        CheckpointError: if it is missing, no JSON, of a newer format, or lacks a field.
    """
    path = folder / CONFIG
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        missing = {"format", "arch", "config", "template", "tokenizer", "hashes", "about"} - record.keys()
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.", fix="restore it from a copy.") from None
    if missing:
        raise CheckpointError(
            f"{path} lacks {', '.join(sorted(missing))}: it was not written by Hornbook.",
            fix="name a folder that `hornbook train` wrote.",
        )
    if record["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {record['format']}; this Hornbook ({__version__}) reads format {FORMAT}.",
            fix="use the Hornbook version named in the file.",
        )
    return dict(record)


def model_config(record: dict[str, Any], folder: Path) -> ModelConfig:
    """Return the model's numbers from the record of the model folder.

    Raises:
        CheckpointError: if they are none of its architecture.
        ConfigError: if there is no such architecture.
    """
    path = folder / CONFIG
    kind = lookup(CONFIGS, str(record["arch"]), what=f"architecture (in {path})")
    try:
        return kind.model_validate(record["config"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{path}: config.{place}: {first['msg']}.", fix="restore it from a copy.") from None


def _check_hashes(folder: Path, record: dict[str, Any]) -> None:
    for name, digest in record["hashes"].items():
        path = folder / str(name)
        if ".." in Path(name).parts or not path.is_file():
            raise CheckpointError(f"{path} is missing.", fix="restore the whole model folder from a copy.")
        if file_hash(path) != digest:
            raise CheckpointError(f"{path} is damaged: its sha256 differs.", fix="restore it from a copy.")
