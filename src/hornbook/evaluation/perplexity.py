"""How well a model predicts text: loss, perplexity, bits per byte, token accuracy.

All four come from sums over the tokens that count, divided once at the end, so how the text was cut into batches
changes nothing but rounding. Bits per byte divides by bytes of text instead of tokens: it alone compares models
with different tokenizers, and it is wrong as soon as a token's bytes are. Hence the ledger: the bytes of the tokens
of a text must sum to the bytes of that text, which is checked on every text that is scored here.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hornbook.data.batch import Batch
from hornbook.data.sources import Document
from hornbook.errors import DataError, ProofError
from hornbook.models.contract import LanguageModel
from hornbook.models.modes import only_using
from hornbook.nn.losses import IGNORE, next_token_loss
from hornbook.storage.artifact import Artifact
from hornbook.text.conversation import Conversation
from hornbook.text.template import render, text_document

CHUNK = 1024
"""Positions whose logits exist at once."""

Sums = tuple[Tensor, Tensor, Tensor, Tensor]
"""Nats, targets, right ones and bytes of a piece, each ()."""

Window = tuple[list[int], list[int]]
"""Tokens and targets of one row, at most the context long."""


@dataclass(frozen=True)
class Measured:
    """Sums over the tokens that count, and the figures that follow from them.

    Args:
        nats: summed loss.
        targets: how many tokens count, at least one.
        right: how many of them the model found likeliest.
        bytes: how many bytes of text they are; special tokens are none, though their loss counts.
    """

    nats: float
    targets: int
    right: int
    bytes: int

    @property
    def loss(self) -> float:
        """Mean loss in nats per token."""
        return self.nats / self.targets

    @property
    def perplexity(self) -> float:
        """The number of equally likely tokens that would be as hard to guess; infinite where it overflows."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf

    @property
    def bits_per_byte(self) -> float:
        """Bits needed for one byte of the text; not a number if what counts is special tokens alone."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan

    @property
    def accuracy(self) -> float:
        """Share of the tokens that were the likeliest, 0 to 1."""
        return self.right / self.targets


def score(
    model: LanguageModel,
    batches: Iterable[Batch],
    *,
    token_bytes: Sequence[bytes],
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Measured:
    """Measure `model` on batches of any size.

    Args:
        token_bytes: the bytes of every id, from the tokenizer.
        autocast: makes the context the model runs in; none leaves it in its own dtype.

    Raises:
        DataError: if not one token counts.
    """
    return score_sets(model, {"": batches}, token_bytes=token_bytes, autocast=autocast)[0]


def score_sets(
    model: LanguageModel,
    sets: Mapping[str, Iterable[Batch]],
    *,
    token_bytes: Sequence[bytes],
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> tuple[Measured, dict[str, Measured]]:
    """Measure `model` on several sets at once, see `score`: all of them together, and each of which a token counts.

    Raises:
        DataError: if not one token counts.
    """
    device = model.head_weight().device
    lengths = torch.tensor([len(entry) for entry in token_bytes], device=device)
    sums: dict[str, list[Sums]] = {name: [] for name in sets}
    with only_using(model):
        for name, batches in sets.items():
            for batch in batches:
                batch = batch.to(device)
                with autocast():
                    sums[name] += _sums(model, batch, lengths)
    whole = _measured([one for some in sums.values() for one in some])
    if whole is None:
        raise DataError("Not one token of this text counts.", fix="give more text, or check what the mask leaves.")
    each = {name: _measured(some) for name, some in sums.items()}
    return whole, {name: measured for name, measured in each.items() if measured is not None}


def _measured(sums: Sequence[Sums]) -> Measured | None:
    """Add sums up; None if no token counts. The float32 totals of the pieces are added exactly."""
    nats, *counts = [torch.stack(column).tolist() for column in zip(*sums, strict=True)] or [[], [], [], []]
    targets, right, size = map(sum, counts)
    return Measured(math.fsum(nats), targets, right, size) if targets else None


def score_documents(
    artifact: Artifact,
    documents: Iterable[Document],
    *,
    rows: int = 16,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Measured:
    """Measure a model on documents it was not prepared with, such as `open_source(path, config).documents()`.

    Each document stands alone, whatever else is in the file: plain text after the separator, so that its first
    token counts as well; of a conversation, what its template lets a model learn. What is longer than the context
    is cut into windows of that length.

    Raises:
        DataError: if not one token counts, or a document holds a lone surrogate.
        ProofError: if the bytes of a text's tokens do not sum to the bytes of the text.
    """
    batches = _document_batches(artifact, documents, rows=rows)
    return score(artifact.model, batches, token_bytes=artifact.tokenizer.token_bytes(), autocast=autocast)


def check_ledger(ids: Sequence[int], text: str, *, token_bytes: Sequence[bytes], where: str) -> None:
    """Check that the tokens of `text` have as many bytes as the text.

    Raises:
        ProofError: naming `where` and both sums.
    """
    of_tokens, of_text = sum(len(token_bytes[index]) for index in ids), len(text.encode())
    if of_tokens != of_text:
        raise ProofError(
            f"{where}: its tokens have {of_tokens} bytes, the text has {of_text}; bits per byte would be wrong.",
            fix="the tokenizer loses or adds text: build it again, and see `hornbook inspect RUN --prove`.",
        )


def _sums(model: LanguageModel, batch: Batch, lengths: Tensor) -> Iterator[Sums]:
    """Yield nats, targets, right ones and bytes of a batch, a piece of it at a time, left on the device."""
    counts = batch.targets != IGNORE
    hidden = model.hidden(batch.tokens, None, batch.documents)[counts]  # (n, D)
    targets = batch.targets[counts]  # (n,)
    for start in range(0, len(targets), CHUNK):
        part = slice(start, start + CHUNK)
        logits = F.linear(hidden[part], model.head_weight()).float()  # (R, V)
        nats, count = next_token_loss(logits[None], targets[None, part])
        yield nats, count, (logits.argmax(-1) == targets[part]).sum(), lengths[targets[part]].sum()


def _document_batches(artifact: Artifact, documents: Iterable[Document], *, rows: int) -> Iterator[Batch]:
    """Cut documents into windows and batch them in their order."""
    token_bytes, waiting, first = artifact.tokenizer.token_bytes(), list[Window](), 0
    for document in documents:
        waiting += _windows(artifact, document, token_bytes)
        while len(waiting) >= rows:
            yield _batch(waiting[:rows], artifact.tokenizer.pad_id, first)
            waiting, first = waiting[rows:], first + rows
    if waiting:
        yield _batch(waiting, artifact.tokenizer.pad_id, first)


def _windows(artifact: Artifact, document: Document, token_bytes: Sequence[bytes]) -> Iterator[Window]:
    """Cut a document into windows in which each of its tokens that counts is a target once."""
    content, tokenizer = document.content, artifact.tokenizer
    if isinstance(content, Conversation):
        rendered = render(artifact.template, content, tokenizer)
        ids, learn = rendered.ids, rendered.learn[1:]
    else:
        if isinstance(content, str):
            body = text_document(content, tokenizer).ids
            check_ledger(body, content, token_bytes=token_bytes, where=document.where)
        else:
            body = [int(index) for index in content]
        ids, learn = [tokenizer.eos_id, *body], [True] * len(body)
    targets = [index if counts else IGNORE for index, counts in zip(ids[1:], learn, strict=True)]
    T = artifact.config.context
    for start in range(0, len(targets), T):
        yield ids[start : start + T][: len(targets) - start], targets[start : start + T]


def _batch(windows: Sequence[Window], pad_id: int, first: int) -> Batch:
    """Pad windows to the longest: causal models never look at what comes after."""
    T = max(len(targets) for _, targets in windows)
    tokens = [window + [pad_id] * (T - len(window)) for window, _ in windows]
    targets = [window + [IGNORE] * (T - len(window)) for _, window in windows]
    return Batch(torch.tensor(tokens), torch.tensor(targets), None, tuple(range(first, first + len(windows))))
