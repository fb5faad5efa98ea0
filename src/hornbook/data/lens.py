"""What stands in the batch of a step: every token's text, whether it is learnt, where it comes from.

The batch is the loader's own, rebuilt from the step's number. Values only: `explain` joins them into spans, and the
command line gives these their colours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hornbook.data.loader import Loader, RowReader
from hornbook.data.order import Sample
from hornbook.data.packing import NOTHING, document_of
from hornbook.nn.losses import IGNORE
from hornbook.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class LensToken:
    """One token of a row, at the place where it is predicted, or only read.

    Args:
        id: the token.
        text: what it says. Special tokens are spelt out; a character of several tokens stands with the last of them.
        learnt: whether predicting it counts; without that it is only read.
        document: which document of its source it belongs to.
        boundary: whether a document begins here, or a piece of one that does not go on from the token before.
        loss: what predicting it cost, in nats, if it is learnt and losses were handed in.
    """

    id: int
    text: str
    learnt: bool
    document: int
    boundary: bool
    loss: float | None = None


@dataclass(frozen=True)
class LensRow:
    """One row of the batch.

    Args:
        number: the row, counted over all sources.
        source: the source's name.
        epoch: how often the source was read whole before, in this phase.
        documents: the documents it shows, each once, in the order of its tokens.
        tokens: all it reads and predicts: T + 1 of them in a full row of one document.
        padding: places that hold nothing.
        phase: name of the curriculum's phase the step belongs to; empty without one.
    """

    number: int
    source: str
    epoch: int
    documents: tuple[int, ...]
    tokens: tuple[LensToken, ...]
    padding: int
    phase: str = ""


@dataclass(frozen=True)
class Span:
    """Text of one kind: learnt or only read; `boundary` where it does not continue the span before."""

    text: str
    learnt: bool
    boundary: bool
    loss: float | None


def lens(
    loader: Loader, tokenizer: Tokenizer, step: int, *, losses: Sequence[Sequence[float]] | None = None
) -> list[LensRow]:
    """Rebuild the batch with which step `step`, counted from 0, is taken, and describe its rows.

    Args:
        loader: of the run, its curriculum cut where validation ended a phase.
        tokenizer: of its data.
        step: any step, taken or yet to come.
        losses: (B, T) the loss at each place of that batch, in nats.
    """
    phase = loader.curriculum.at(step).phase.name
    targets = loader.batch(step).targets.tolist()
    rows = []
    for index, sample in enumerate(loader.rows_of(step)):
        learnt = [target != IGNORE for target in targets[index]]
        costs = None if losses is None else losses[index]
        row = _describe(loader.reader, sample, learnt, costs, tokenizer)
        rows.append(replace(row, phase=phase))
    return rows


def explain(row: LensRow) -> list[Span]:
    """Join the tokens of a row into spans of one kind; with losses, each token is a span of its own."""
    spans: list[Span] = []
    for token in row.tokens:
        last = spans[-1] if spans else None
        if last and last.loss is None is token.loss and last.learnt == token.learnt and not token.boundary:
            spans[-1] = Span(last.text + token.text, last.learnt, last.boundary, None)
        else:
            spans.append(Span(token.text, token.learnt, token.boundary, token.loss))
    return spans


def _describe(
    reader: RowReader, sample: Sample, learnt: list[bool], costs: Sequence[float] | None, tokenizer: Tokenizer
) -> LensRow:
    part, places = reader.parts[sample.source], reader.places([sample])
    read, predicted = places.read[0].tolist(), places.predicted[0].tolist()
    shown = list(_positions(read, predicted))
    positions = np.array([position for position, _ in shown])
    documents = document_of(part, positions).tolist()
    text = _Text(tokenizer)
    tokens: list[LensToken] = []
    before = (NOTHING, NOTHING)
    for (position, place), token, document in zip(
        shown, part.tokens_at(positions).tolist(), documents, strict=True
    ):
        boundary = before != (position - 1, document)
        counts = place is not None and learnt[place]
        loss = costs[place] if costs is not None and place is not None and counts else None
        tokens.append(LensToken(token, text.of(token, boundary), counts, document, boundary, loss))
        before = (position, document)
    return LensRow(
        number=reader.number(sample),
        source=part.name,
        epoch=sample.epoch,
        documents=tuple(dict.fromkeys(documents)),
        tokens=tuple(tokens),
        padding=read.count(NOTHING),
    )


def _positions(read: list[int], predicted: list[int]) -> Iterator[tuple[int, int | None]]:
    """Yield each position of a row once, in order, with the place that predicts it, None where none does."""
    expected = NOTHING
    for place, (here, following) in enumerate(zip(read, predicted, strict=True)):
        if here not in (expected, NOTHING):
            yield here, None
        if following != NOTHING:
            yield following, place
        expected = following


class _Text:
    """Spells tokens one by one, whole characters only."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._names = {index: name for name, index in tokenizer.specials.items()}
        self._stream = tokenizer.stream()

    def of(self, token: int, boundary: bool) -> str:
        """Return what `token` says; at a boundary the characters before are over."""
        if boundary:
            self._stream = self._tokenizer.stream()
        return self._names.get(token) or self._stream.push(token)
