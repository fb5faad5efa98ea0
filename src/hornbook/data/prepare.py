"""Sources to a prepared set, once for each content and setting; and prepared sets opened for reading.

A prepared set is a folder `<recipe>-<fingerprint>` in `data.folder`:

    manifest.json    fingerprint, settings, sources, counts, report, size and sha256 of every file; written last
    tokenizer/       what `hornbook.text.tokenizer` saves
    train/           shards, see `hornbook.data.shards`
    validation/

It is built in `.partial-<name>` and renamed when everything is on the disk, so a set that can be seen is whole.
One process at a time builds a set; another is refused while it does.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.data.building import MANIFEST, TOKENIZER, build_set, sha256_of
from hornbook.data.hub import fetch_missing
from hornbook.data.hygiene import SPLITS, documents_text, packing_line
from hornbook.data.job import Job, make_job
from hornbook.data.shards import ShardSet, token_dtype
from hornbook.data.sources import FOLDER_KINDS
from hornbook.errors import DataError
from hornbook.run import RunConfig
from hornbook.storage.atomic import FolderLock
from hornbook.text.tokenizer import Tokenizer, load_tokenizer
from hornbook.units import count_text


@dataclass(frozen=True)
class PreparedData:
    """A prepared set, open for reading.

    Args:
        folder: where it lies.
        manifest: see the module; a plain dict.
        template: how conversations were written; "text" if there are none and no template was asked for.
        hash: the fingerprint of content and settings, sha256 in hexadecimal.
        train, validation: the shards; `train.parts` has one part a source, with its weight.
    """

    folder: Path
    manifest: dict[str, Any]
    tokenizer: Tokenizer
    template: str
    hash: str
    train: ShardSet
    validation: ShardSet

    def damaged(self) -> list[str]:
        """Return the names of files that are not what was written; reads everything."""
        files = self.manifest["files"]
        return [
            name
            for name, written in files.items()
            if not (self.folder / name).is_file() or sha256_of(self.folder / name) != written["sha256"]
        ]

    def summary(self, context: int) -> list[str]:
        """Say in a few lines what the set holds, what was wrong with it and what rows of `context` tokens cut."""
        counts = ", ".join(
            f"{count_text(part.num_tokens)} {part.name} tokens in {documents_text(part.num_documents)}"
            for part in (self.train, self.validation)
        )
        return [counts, *self.manifest["report"], packing_line(self.train, context)]


def prepare(config: RunConfig, *, report: Callable[[str], None]) -> PreparedData:
    """Return the prepared set of the settings, building it unless it is there; sets of the hub are fetched first.

    Args:
        report: told what is done, a line at a time.

    Raises:
        DataError: if the data cannot be used, naming the place; if there is too little of it; if the disk refuses.
        ConfigError: if the settings name no data or an unknown source.
        CheckpointError: if another process builds the same set, or the folder cannot be written to.
    """
    fetch_missing((*config.paths, config.data.validation_path), config.data, FOLDER_KINDS, report)
    job = make_job(config)
    prepared = _find(job) or _build(job, report)
    _require_enough(prepared, config.model.context)
    return prepared


def find_prepared(config: RunConfig) -> PreparedData | None:
    """Return the prepared set of the settings, or None if it is not there.

    Raises:
        DataError: if it is damaged, or the sources cannot be read.
        ConfigError: if the settings name no data or an unknown source.
    """
    return _find(make_job(config))


def _find(job: Job) -> PreparedData | None:
    """Open the set of a job if it is there."""
    path = job.folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read: {error}.", fix=f"delete {job.folder} and prepare again."
        ) from error
    splits, dtype = manifest["splits"], token_dtype(manifest["tokenizer"]["vocab_size"])
    for entry, part in zip(splits["train"], job.parts, strict=True):
        entry["weight"] = part.weight  # weights change no content, so those of today's settings count
    train, validation = (ShardSet.open(job.folder, splits[name], name=name, dtype=dtype) for name in SPLITS)
    tokenizer = load_tokenizer(job.folder / TOKENIZER)
    return PreparedData(job.folder, manifest, tokenizer, manifest["template"], job.fingerprint, train, validation)


def _build(job: Job, report: Callable[[str], None]) -> PreparedData:
    """Build the set while nobody else does."""
    try:
        lock_folder = job.root / ".locks" / job.name
        lock_folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(lock_folder, "preparing"):
            prepared = _find(job)  # another process may have finished it just now
            if prepared is None:
                build_set(job, report)
                prepared = _find(job)
    except OSError as error:
        raise DataError(
            f"{job.root} cannot be written to: {error.strerror or error}.",
            fix="free the disk, give write permission, or set data.folder; what is finished is kept.",
        ) from error
    assert prepared is not None, f"{job.folder} was built but is not there"
    return prepared


def _require_enough(prepared: PreparedData, context: int) -> None:
    """Check that every part fills a row and that there is something to validate on.

    Raises:
        DataError: with the sizes.
    """
    for part in prepared.train.parts:
        if part.num_tokens <= context:
            raise DataError(
                f"{part.name} has {part.num_tokens:,} training tokens, too few for one row of "
                f"model.context = {context:,} and the token after it.",
                fix="give more text, or a smaller model.context.",
            )
    if prepared.validation.num_tokens < 2:
        raise DataError(
            f"The validation split is empty: all {prepared.train.num_documents:,} documents are for training.",
            fix="set data.split = tail, a larger data.validation_fraction, or data.validation_path.",
        )
