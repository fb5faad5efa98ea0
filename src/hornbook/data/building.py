"""Builds one prepared set in its partial folder: scan, tokenizer, shards, manifest. Can be killed and continued.

`progress.json` in the partial folder holds what the scan found and the shards that are finished; a new start reads
the sources again, but encodes only documents that no finished shard holds.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hornbook.data.encode import Encoder, encode_in_order
from hornbook.data.hygiene import SPLITS, Split, SplitName, content_hash, count_characters
from hornbook.data.job import FORMAT, Job
from hornbook.data.scan import Part, Scan, scan
from hornbook.data.shards import SHARD_TOKENS, Block, ShardWriter, token_dtype
from hornbook.data.sources import Content
from hornbook.errors import DataError
from hornbook.storage.atomic import PARTIAL, publish, write_text
from hornbook.text.tokenizer import Tokenizer, load_tokenizer
from hornbook.text.tokenizer_kinds import build_tokenizer
from hornbook.units import count_text, duration_text

MANIFEST, PROGRESS, TOKENIZER = "manifest.json", "progress.json", "tokenizer"
SPEAK_SECONDS = 5.0

LARGE_VOCABULARY = 50_000
"""A vocabulary found in the data beyond this size is mentioned."""


class Speaker:
    """Reports what a long job does: important lines at once, others every SPEAK_SECONDS."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.say = report
        self.started = self._spoken = time.monotonic()

    def progress(self, count: int, what: str) -> None:
        """Report how far the job is, unless something was said just now."""
        if time.monotonic() - self._spoken > SPEAK_SECONDS:
            self._spoken = time.monotonic()
            self.say(f"{count_text(count)} {what}, {duration_text(self._spoken - self.started)}")


def build_set(job: Job, report: Callable[[str], None]) -> None:
    """Build the set of a job, or what is missing of it, and give its folder its name.

    The caller holds the job's lock.

    Raises:
        DataError: if the data cannot be used or changes meanwhile.
        OSError: if the disk refuses; what is finished is kept.
    """
    speaker = Speaker(report)
    progress = _resume(job, speaker) or _begin(job, speaker)
    tokenizer = load_tokenizer(job.partial / TOKENIZER)
    found = Scan.from_json(progress["scan"])
    template = job.config.data.template
    if template == "auto":
        template = "forge1" if found.hygiene.conversations else "text"
    encoder = Encoder(tokenizer, template, job.config.data.learn)
    writing = _Writing(job, encoder, progress, speaker)
    for index, part in enumerate(job.parts):
        writing.write(part, index, found.splits[index], found.held_out)
    if job.validation is not None:
        writing.write(job.validation, len(job.parts), Split("all"), frozenset())
    for source in job.sources:
        source.require_unchanged()
    _finish(job, progress, found, tokenizer, template)
    speaker.say(f"wrote {job.folder} in {duration_text(time.monotonic() - speaker.started)}")


def _begin(job: Job, speaker: Speaker) -> dict[str, Any]:
    """Scan the data and make the tokenizer."""
    if job.partial.exists():
        shutil.rmtree(job.partial)
    for name in SPLITS:
        (job.partial / name).mkdir(parents=True)
    speaker.say(f"reading {', '.join(part.name for part in job.parts)}")
    found = scan(
        job.parts,
        job.validation,
        job.config.reading,
        sample=job.tokenizer is None,
        progress=lambda count: speaker.progress(count, "documents read"),
    )
    for line in [found.hygiene.lines()[0], *found.hygiene.warnings()]:
        speaker.say(line)
    tokenizer = job.tokenizer or _train_tokenizer(job, found.sample, speaker)
    if job.tokenizer is None and tokenizer.vocab_size > LARGE_VOCABULARY:
        speaker.say(
            f"the vocabulary has {tokenizer.vocab_size:,} entries, over {LARGE_VOCABULARY:,}: most of a small model "
            "will be its embedding (tokenizer.vocab_size)"
        )
    tokenizer.save(job.partial / TOKENIZER)
    progress = {"scan": found.to_json(), "shards": {}, "contents": {}}
    write_text(job.partial / PROGRESS, json.dumps(progress))
    return progress


def _resume(job: Job, speaker: Speaker) -> dict[str, Any] | None:
    """Take up a building that was killed; None if there is none that can be."""
    try:
        progress: dict[str, Any] = json.loads((job.partial / PROGRESS).read_bytes())
    except (OSError, ValueError):
        return None
    missing = {
        name: file["size"]
        for shards in progress["shards"].values()
        for shard in shards
        for name, file in shard["files"].items()
    }
    for split in SPLITS:
        for path in (job.partial / split).iterdir():
            size = missing.get(f"{split}/{path.name}")
            if size is None:
                path.unlink()  # of a shard that was not finished
            elif path.stat().st_size == size:
                del missing[f"{split}/{path.name}"]
    if missing:
        return None
    speaker.say(f"continuing in {job.partial}")
    return progress


def _train_tokenizer(job: Job, sample: list[str], speaker: Speaker) -> Tokenizer:
    """Find a vocabulary in the sample, or take the one that was found in the same sample before."""
    kind, characters = job.config.tokenizer.kind, sum(map(len, sample))
    if not characters:
        raise DataError("There is no text to find a vocabulary in.", fix="give more data.")
    digest = hashlib.sha256(f"{FORMAT} {job.config.tokenizer.model_dump_json()}".encode())
    for text in sample:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    cached = job.root / "tokenizers" / f"{kind}-{digest.hexdigest()[:12]}"
    if not cached.exists():
        speaker.say(f"finding a {kind} vocabulary in {count_text(characters)} characters")
        beside = cached.with_name(f"{PARTIAL}{cached.name}-{os.getpid()}")
        build_tokenizer(job.config.tokenizer, sample).save(beside)
        try:
            publish(beside, cached)
        except OSError:
            if not cached.exists():  # else another set was quicker with the same vocabulary
                raise
            shutil.rmtree(beside)
    return load_tokenizer(cached)


class _Writing:
    """Encodes parts and writes their shards."""

    def __init__(self, job: Job, encoder: Encoder, progress: dict[str, Any], speaker: Speaker) -> None:
        self._job, self._encoder, self._progress, self._speaker = job, encoder, progress, speaker
        self._workers = job.config.data.workers or os.cpu_count() or 1

    def write(self, part: Part, index: int, split: Split, held_out: frozenset[int]) -> None:
        """Write the shards of a part, without the documents that finished shards hold.

        Args:
            held_out: hashes of documents that are left out.
        """
        partial, dtype = self._job.partial, self._encoder.dtype
        writers = {side: _SideWriter(partial, f"{side}/{index}", dtype, self._progress) for side in SPLITS}
        pieces = _pieces(part, split, held_out, {side: writers[side].contents for side in SPLITS})
        try:
            for batch, block in encode_in_order(self._encoder, pieces, workers=self._workers):
                writers[batch.split].append(block, len(batch.contents))
                self._speaker.progress(sum(w.tokens for w in writers.values()), f"tokens of {part.name} written")
            for writer in writers.values():
                writer.close()
        finally:
            for writer in writers.values():
                writer.abandon()


def _pieces(
    part: Part, split: Split, held_out: frozenset[int], skip: dict[SplitName, int]
) -> Iterator[tuple[SplitName, Content]]:
    """Yield the documents of a part with their side, without the first `skip` of each side."""
    left, start = dict(skip), 0
    for document in part.documents():
        hashed = content_hash(document.content)
        if hashed in held_out:
            continue
        for side, content in split.assign(document.content, hashed, start):
            if left[side]:
                left[side] -= 1
            else:
                yield side, content
        start += count_characters(document.content)


class _SideWriter:
    """Writes one side of a part as shards, and each finished shard into the progress file."""

    def __init__(self, partial: Path, key: str, dtype: Any, progress: dict[str, Any]) -> None:
        self._partial, self._key, self._dtype, self._progress = partial, key, dtype, progress
        self._shards: list[dict[str, Any]] = progress["shards"].setdefault(key, [])
        self._writer: ShardWriter | None = None
        self.contents = int(progress["contents"].get(key, 0))
        self.tokens = sum(shard["tokens"] for shard in self._shards)

    def append(self, block: Block, contents: int) -> None:
        """Write encoded documents; `contents` is how many documents of the source they are."""
        if self._writer is None:
            self._writer = ShardWriter(self._partial, f"{self._key}-{len(self._shards):05d}", self._dtype)
        self._writer.append(block)
        self.contents += contents
        self.tokens += len(block.tokens)
        if self._writer.tokens >= SHARD_TOKENS:
            self.close()

    def close(self) -> None:
        """Finish the shard that is open, if one is."""
        if self._writer is not None:
            self._shards.append(self._writer.close().to_json())
            self._progress["contents"][self._key] = self.contents
            write_text(self._partial / PROGRESS, json.dumps(self._progress))
            self._writer = None

    def abandon(self) -> None:
        """Let go of a shard that is still open because something failed."""
        if self._writer is not None:
            self._writer.abandon()


def _finish(job: Job, progress: dict[str, Any], found: Scan, tokenizer: Tokenizer, template: str) -> None:
    """Write the manifest and give the folder its name."""
    (job.partial / PROGRESS).unlink()
    train = [_entry(part, progress["shards"].get(f"train/{index}", [])) for index, part in enumerate(job.parts)]
    validating = [(len(job.parts), job.validation)] if job.validation else list(enumerate(job.parts))
    validation = [_entry(part, progress["shards"].get(f"validation/{index}", [])) for index, part in validating]
    shards = [shard for entry in train + validation for shard in entry["shards"]]
    files = {name: file for shard in shards for name, file in shard["files"].items()}
    for path in sorted((job.partial / TOKENIZER).iterdir()):
        files[f"{TOKENIZER}/{path.name}"] = {"size": path.stat().st_size, "sha256": sha256_of(path)}
    manifest = {
        "format": FORMAT,
        "recipe": job.config.recipe,
        "fingerprint": job.fingerprint,
        "settings": job.settings,
        "sources": job.content,
        "tokenizer": {"kind": tokenizer.kind, "hash": tokenizer.hash, "vocab_size": tokenizer.vocab_size},
        "template": template,
        "dtype": token_dtype(tokenizer.vocab_size).name,
        "divided": [split.kind for split in found.splits],
        "hygiene": found.hygiene.to_json(),
        "report": found.hygiene.lines(),
        "splits": {"train": train, "validation": validation},
        "files": files,
    }
    write_text(job.partial / MANIFEST, json.dumps(manifest, indent=1))
    publish(job.partial, job.folder)


def _entry(part: Part, shards: list[dict[str, Any]]) -> dict[str, Any]:
    """Build a part's entry of the manifest."""
    counts = {key: sum(shard[key] for shard in shards) for key in ("documents", "tokens", "learnt")}
    return {"name": part.name, "weight": part.weight, **counts, "shards": shards}


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
