"""The batch of a step, and the fixed batches of validation.

`Loader.batch(step)` is a pure function of (seed, step): there is no position to save, and any number of ranks or
micro-batches cuts the same batch. Which rows come is `order`'s business, what stands in them `packing`'s.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import numpy as np
import torch

from hornbook.data.batch import Batch
from hornbook.data.curriculum import make_curriculum, sets_of
from hornbook.data.order import Order, Sample, locate, phase_seed, whole_weights
from hornbook.data.packing import NOTHING, Places, Positions, build_rows, choose_packing, number_documents
from hornbook.data.prepare import PreparedData
from hornbook.data.shards import ShardSet
from hornbook.errors import DataError
from hornbook.nn.losses import IGNORE
from hornbook.run import RunConfig


class RowReader:
    """One split as rows of T places, and the contents of any of them.

    Args:
        split: train or validation.
        prepared: what it is part of: its tokenizer pads, its template decides data.packing = "auto".
        config: the run's settings.

    Attributes:
        parts: the split's sources.
        counts: rows of each.

    Raises:
        DataError: if there is nothing to predict.
    """

    def __init__(self, split: ShardSet, prepared: PreparedData, config: RunConfig) -> None:
        self._pad_id = prepared.tokenizer.pad_id
        self._context, self._isolate = config.model.context, config.data.isolate_documents
        self.parts = split.parts
        self._rows = tuple(
            build_rows(
                part,
                packing=choose_packing(config.data.packing, prepared.template),
                context=self._context,
                isolate=self._isolate,
                seed=config.training.seed,
            )
            for part in self.parts
        )
        self.counts = tuple(rows.num_rows for rows in self._rows)
        self._starts = tuple(accumulate(self.counts, initial=0))
        if not any(self.counts):
            raise DataError(
                f"The {split.name} data in {prepared.folder} has no token to predict "
                f"({split.num_documents} documents, {split.num_tokens} tokens).",
                fix="give more text in data.path, or hold out another data.validation_fraction of it.",
            )

    def number(self, sample: Sample) -> int:
        """Count a row over all sources, whatever its epoch."""
        return self._starts[sample.source] + sample.row

    def places(self, samples: Sequence[Sample]) -> Places:
        """Say which positions of their part rows read and predict; the samples are of one source."""
        rows = np.array([sample.row for sample in samples])
        epochs = np.array([sample.epoch for sample in samples])
        return self._rows[samples[0].source].places(rows, epochs)

    def batch(self, samples: Sequence[Sample]) -> Batch:
        """Read rows: tokens and targets (B, T) int64, documents (B, T) int32 where documents are isolated."""
        shape = (len(samples), self._context)
        tokens, targets = np.empty(shape, np.int64), np.empty(shape, np.int64)
        documents = np.empty(shape, np.int32)
        sources = np.array([sample.source for sample in samples])
        for source in sorted(set(sources.tolist())):
            here = np.flatnonzero(sources == source)
            part, places = self.parts[source], self.places([samples[index] for index in here.tolist()])
            tokens[here] = _look_up(part, places.read, self._pad_id)
            counts = (places.predicted != NOTHING) & part.learn_at(np.maximum(places.predicted, 0))
            targets[here] = np.where(counts, _look_up(part, places.predicted, IGNORE), IGNORE)
            if self._isolate:
                documents[here] = number_documents(part, places.read)
        return Batch(
            torch.from_numpy(tokens),
            torch.from_numpy(targets),
            torch.from_numpy(documents) if self._isolate else None,
            tuple(self.number(sample) for sample in samples),
        )


class Loader:
    """The training batches of a run.

    Args:
        prepared: the data.
        config: the run's settings.

    Attributes:
        curriculum: which step falls into which phase; replaced when validation ends a phase early.

    Raises:
        DataError: if there is nothing to learn from, or a weighted source or a phase is empty.
    """

    def __init__(self, prepared: PreparedData, config: RunConfig) -> None:
        self.reader = RowReader(prepared.train, prepared, config)
        self.curriculum = make_curriculum(config, self.reader.counts)
        seed, weights = config.training.seed, None
        if config.data.sources:
            weights = whole_weights([part.weight for part in self.reader.parts])
            _require_rows(self.reader)
        self._orders = tuple(
            Order(
                tuple(self.reader.counts[part] for part in phase.parts),
                phase_seed(seed, index) if config.curriculum.phases else seed,
                weights,
            )
            for index, phase in enumerate(self.curriculum.phases)
        )

    def rows_of(self, step: int) -> tuple[Sample, ...]:
        """Return the rows of the batch with which step `step`, counted from 0, is taken."""
        place = self.curriculum.at(step)
        parts, size = place.phase.parts, place.phase.batch_rows
        order, first = self._orders[place.index], place.step * size
        drawn = (order.sample(number) for number in range(first, first + size))
        return tuple(Sample(parts[one.source], one.epoch, one.row) for one in drawn)

    def batch(self, step: int, *, rank: int = 0, world: int = 1) -> Batch:
        """Return the batch of a step, or of it the rows `rank`, `rank + world`, ... of one of `world` ranks."""
        rows = self.rows_of(step)
        assert 0 <= rank < world <= len(rows), f"no rank {rank} of {world} for {len(rows)} rows"
        return self.reader.batch(rows[rank::world])


def prefetch(
    loader: Loader,
    first_step: int,
    last_step: int,
    *,
    device: torch.device,
    ahead: int = 2,
    rank: int = 0,
    world: int = 1,
) -> Generator[Batch]:
    """Yield the batches of steps `first_step` to `last_step` - 1, on the CPU, in pinned memory for CUDA.

    For an accelerator a thread makes them `ahead` steps before they are asked for; its errors are raised here, and
    it ends with the iterator. A CPU has nothing to gain from that: it computes the step itself.
    """

    def make(step: int) -> Batch:
        batch = loader.batch(step, rank=rank, world=world)
        return _pinned(batch) if device.type == "cuda" else batch

    steps = range(first_step, last_step)
    if device.type == "cpu":
        yield from map(make, steps)
        return
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        started = deque(pool.submit(make, step) for step in steps[:ahead])
        for step in steps:
            if step + ahead < last_step:
                started.append(pool.submit(make, step + ahead))
            yield started.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def validation_batches(prepared: PreparedData, config: RunConfig, *, rows: int) -> Iterator[Batch]:
    """Yield the validation rows, `rows` at a time, always the same ones in the same order.

    Each token is a target once, in the rows of the first epoch. Beyond evaluation.max_tokens places, rows spread
    evenly over the whole set stand for it.

    Raises:
        DataError: if there is nothing to predict.
    """
    reader = RowReader(prepared.validation, prepared, config)
    return _in_batches(reader, _validation_samples(reader, config), rows)


def validation_sets(prepared: PreparedData, config: RunConfig, *, rows: int) -> dict[str, Iterator[Batch]]:
    """Divide what `validation_batches` yields by the phases of the curriculum, those without a row left out.

    Returns:
        Batches by the phase's name; without a curriculum, or with data.validation_path, all of them under "".

    Raises:
        DataError: if there is nothing to predict.
    """
    reader = RowReader(prepared.validation, prepared, config)
    samples = _validation_samples(reader, config)
    chosen = {name: [one for one in samples if one.source in parts] for name, parts in sets_of(config).items()}
    return {name: _in_batches(reader, some, rows) for name, some in (chosen or {"": samples}).items() if some}


def _validation_samples(reader: RowReader, config: RunConfig) -> list[Sample]:
    total, most = sum(reader.counts), config.evaluation.max_tokens
    kept = total if most is None else min(total, max(1, most // config.model.context))
    found = (locate(index * total // kept, reader.counts) for index in range(kept))
    return [Sample(source, 0, row) for source, row in found]


def _in_batches(reader: RowReader, samples: Sequence[Sample], rows: int) -> Iterator[Batch]:
    for first in range(0, len(samples), rows):
        yield reader.batch(samples[first : first + rows])


def _look_up(part: ShardSet, positions: Positions, otherwise: int) -> Positions:
    """Return the tokens at positions (B, T) as int64, `otherwise` where there is no position."""
    return np.where(positions == NOTHING, otherwise, part.tokens_at(np.maximum(positions, 0)).astype(np.int64))


def _require_rows(reader: RowReader) -> None:
    for part, count in zip(reader.parts, reader.counts, strict=True):
        if not count:
            raise DataError(
                f"Source '{part.name}' has a weight but no token to learn from.",
                fix="take it out of data.sources, or give it more text.",
            )


def _pinned(batch: Batch) -> Batch:
    documents = None if batch.documents is None else batch.documents.pin_memory()
    return Batch(batch.tokens.pin_memory(), batch.targets.pin_memory(), documents, batch.rows)
