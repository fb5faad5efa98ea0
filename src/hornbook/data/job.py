"""What is to be prepared: the sources opened, and the fingerprint of their content and of the settings."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.data.files import ContentHashes
from hornbook.data.scan import Part
from hornbook.data.sources import Source, open_source
from hornbook.errors import DataError
from hornbook.run import RunConfig
from hornbook.storage.atomic import PARTIAL
from hornbook.text.tokenizer import Tokenizer
from hornbook.text.tokenizer_kinds import build_tokenizer

FORMAT = 1
"""Raised when the same sources and settings would give other files."""

TRAINED_KINDS = ("chars", "words", "bpe", "superbpe")
"""Tokenizers whose vocabulary is found in the data."""

CONTENT_SETTINGS = (
    "fields",
    "format",
    "seed",
    "template",
    "learn",
    "system",
    "clean",
    "split",
    "validation_fraction",
    "max_documents",
    "max_line_bytes",
    "max_bad_fraction",
    "invalid_utf8",
)
"""Settings of the data section that change what a prepared set holds; another value makes another set."""


@dataclass(frozen=True)
class Job:
    """One set to be prepared.

    Args:
        root: the folder of all prepared sets.
        parts: the sources of training, in the order of the settings.
        validation: data.validation_path, None if a part of the sources is held out.
        tokenizer: the tokenizer, None if it must be found in the data.
        content: what the sources hold: names, sizes and hashes.
        settings: those that change what the set holds.
    """

    config: RunConfig
    root: Path
    parts: list[Part]
    validation: Part | None
    tokenizer: Tokenizer | None
    content: dict[str, Any]
    settings: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """sha256 of content and settings: two equal ones need no second preparing."""
        described = {"format": FORMAT, "content": self.content, "settings": self.settings}
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        """The set's folder in `root`."""
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', self.config.recipe)}-{self.fingerprint[:12]}"

    @property
    def folder(self) -> Path:
        """Where the finished set lies."""
        return self.root / self.name

    @property
    def partial(self) -> Path:
        """Where it is built."""
        return self.root / f"{PARTIAL}{self.name}"

    @property
    def sources(self) -> Iterator[Source]:
        """All sources, those of validation last."""
        for part in [*self.parts, *([self.validation] if self.validation else [])]:
            yield from part.sources


def make_job(config: RunConfig) -> Job:
    """Open the sources of the settings and take their fingerprints; unchanged files are not read again.

    Raises:
        DataError: if a source cannot be read, or the settings cannot give a training and a validation set.
        ConfigError: if they name no data or an unknown source.
    """
    data = config.reading
    root = Path(data.folder).expanduser()
    parts = _open_parts(config)
    held_out = data.validation_path
    validation = Part(held_out, 1.0, (open_source(held_out, data),)) if held_out else None
    if validation is None and not data.validation_fraction:
        raise DataError(
            "data.validation_fraction = 0 holds nothing out to validate on.",
            fix="set data.validation_fraction above 0, or data.validation_path.",
        )
    _require_tokenizer_of_tokens(config, [*parts, *([validation] if validation else [])])
    tokenizer = None if config.tokenizer.kind in TRAINED_KINDS else build_tokenizer(config.tokenizer, ())
    hashes = ContentHashes(root / "hashes.json")
    content = {
        "parts": [[source.fingerprint(hashes) for source in part.sources] for part in parts],
        "validation": [source.fingerprint(hashes) for source in validation.sources] if validation else [],
    }
    # Without the remembered hashes only speed is lost; a folder that cannot be written to is reported on building.
    with contextlib.suppress(OSError):
        hashes.save()
    settings = {
        "data": {name: getattr(data, name) for name in CONTENT_SETTINGS},
        "tokenizer": {"hash": tokenizer.hash} if tokenizer else config.tokenizer.model_dump(),
    }
    return Job(config, root, parts, validation, tokenizer, content, json.loads(json.dumps(settings)))


def _open_parts(config: RunConfig) -> list[Part]:
    """Open the sources: those of a curriculum and of data.sources each a part, those of data.path together one."""
    data = config.reading
    if config.curriculum.phases:
        return [Part(path, 1.0, (open_source(path, data),)) for path in config.curriculum.paths]
    if data.sources:
        return [Part(one.path, one.weight, (open_source(one.path, data),)) for one in data.sources]
    paths = (data.path,) if isinstance(data.path, str) else data.path
    return [Part(", ".join(paths), 1.0, tuple(open_source(path, data) for path in paths or ("",)))]


def _require_tokenizer_of_tokens(config: RunConfig, parts: list[Part]) -> None:
    """Check that ids made elsewhere come with the tokenizer they were made with."""
    if config.tokenizer.kind in TRAINED_KINDS and any(s.holds_tokens for part in parts for s in part.sources):
        raise DataError(
            f"A token file cannot be used with tokenizer.kind = {config.tokenizer.kind}: another tokenizer made it.",
            fix="set tokenizer.kind = external and tokenizer.path to that tokenizer.",
        )
