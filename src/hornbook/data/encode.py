"""Documents and conversations to token ids, in batches, on several threads, in order."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.data.hygiene import SplitName, count_characters
from hornbook.data.shards import Block, token_dtype
from hornbook.data.sources import Content
from hornbook.errors import DataError, ProofError
from hornbook.text.conversation import Conversation
from hornbook.text.template import Learn, render_batch
from hornbook.text.tokenizer import Tokenizer

BATCH_CHARACTERS = 2**19
BATCH_DOCUMENTS = 1024
PENDING_CHARACTERS = 2**25
"""Text that waits to be encoded or written, at most; one document more than this is still taken."""

FOREIGN_SEPARATOR = "<|endoftext|>"
"""What GPT-2 writes between documents; in token files it becomes <|eos|>, which every model here stops at."""


@dataclass(frozen=True)
class Batch:
    """Documents of one split that are encoded together; `characters` is their length in all."""

    split: SplitName
    contents: list[Content]
    characters: int


class Encoder:
    """Turns documents into blocks of ids.

    Args:
        template: how conversations are written; documents are their text and <|eos|>, whatever the template.
        learn: what of a conversation counts, see data.learn.
    """

    def __init__(self, tokenizer: Tokenizer, template: str, learn: Learn) -> None:
        self.dtype = token_dtype(tokenizer.vocab_size)
        self._tokenizer, self._template, self._learn = tokenizer, template, learn
        self._token_bytes = np.array([len(entry) for entry in tokenizer.token_bytes()], np.int64)

    def encode(self, contents: Sequence[Content]) -> Block:
        """Encode some documents; they keep their order.

        Raises:
            DataError: if ids made elsewhere do not fit the tokenizer.
        """
        if all(isinstance(content, str) for content in contents):
            return self._texts([str(content) for content in contents])
        blocks = [self._one_kind(run) for run in _runs(contents)]
        masks = [np.ones(len(b.tokens), bool) if b.learn is None else b.learn for b in blocks]
        return Block(
            np.concatenate([block.tokens for block in blocks]),
            np.concatenate([block.lengths for block in blocks]),
            np.concatenate(masks),
        )

    def _one_kind(self, contents: list[Any]) -> Block:
        if isinstance(contents[0], str):
            return self._texts(contents)
        if isinstance(contents[0], Conversation):
            return self._conversations(contents)
        blocks = [self._tokens(tokens) for tokens in contents]
        return Block(np.concatenate([b.tokens for b in blocks]), np.concatenate([b.lengths for b in blocks]))

    def _texts(self, texts: list[str]) -> Block:
        if self._tokenizer.kind == "bytes":  # ids are the bytes themselves: no tokenizer, no Python per token
            pieces = [np.frombuffer(text.encode(), np.uint8) for text in texts]
        else:
            encoded = self._tokenizer.encode_batch(texts, threads=1)
            pieces = [np.asarray(ids, self.dtype) for ids in encoded]
        lengths = np.array([len(piece) + 1 for piece in pieces], np.int64)
        tokens = np.full(int(lengths.sum()), self._tokenizer.eos_id, self.dtype)
        start = 0
        for piece in pieces:
            tokens[start : start + len(piece)] = piece
            start += len(piece) + 1
        self._balance(texts, pieces)
        return Block(tokens, lengths)

    def _balance(self, texts: list[str], pieces: Sequence[NDArray[Any]]) -> None:
        """Check the byte ledger: the tokens of each text have as many bytes as the text.

        Raises:
            ProofError: naming the first text for which they have not.
        """
        for text, piece in zip(texts, pieces, strict=True):
            of_text, of_tokens = len(text.encode()), int(self._token_bytes[piece].sum())
            if of_text != of_tokens:
                raise ProofError(
                    f"The tokens of a text have {of_tokens} bytes, the text has {of_text}: {text[:40]!r}...",
                    fix="the tokenizer loses or adds text: choose another, or report it with this text.",
                )

    def _conversations(self, conversations: list[Conversation]) -> Block:
        rendered = render_batch(self._template, conversations, self._tokenizer, learn=self._learn)
        return Block(
            np.concatenate([np.asarray(row.ids, self.dtype) for row in rendered]),
            np.array([len(row.ids) for row in rendered], np.int64),
            np.concatenate([np.asarray(row.learn, bool) for row in rendered]),
        )

    def _tokens(self, tokens: NDArray[Any]) -> Block:
        """Take ids as they are; documents end behind each separator, ours or GPT-2's, and at the end of the piece."""
        highest = int(tokens.max())
        if highest >= self._tokenizer.vocab_size:
            raise DataError(
                f"The token file holds id {highest:,}, but the tokenizer has {self._tokenizer.vocab_size:,} tokens.",
                fix="set tokenizer.path to the tokenizer the ids were made with.",
            )
        foreign = self._tokenizer.specials.get(FOREIGN_SEPARATOR)
        if foreign is not None:
            tokens = np.where(tokens == foreign, self._tokenizer.eos_id, tokens)
        ends = np.flatnonzero(tokens == self._tokenizer.eos_id) + 1
        ends = np.union1d(ends, [len(tokens)])
        return Block(tokens.astype(self.dtype), np.diff(ends, prepend=0).astype(np.int64))


def encode_in_order(
    encoder: Encoder, pieces: Iterable[tuple[SplitName, Content]], *, workers: int
) -> Iterator[tuple[Batch, Block]]:
    """Encode a stream of documents on `workers` threads; what comes out keeps the order within each split."""
    waiting: deque[tuple[Batch, Future[Block]]] = deque()
    characters = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="encode") as pool:
        try:
            for batch in _batches(pieces):
                while waiting and (characters > PENDING_CHARACTERS or len(waiting) > 2 * workers):
                    done, future = waiting.popleft()
                    characters -= done.characters
                    yield done, future.result()
                waiting.append((batch, pool.submit(encoder.encode, batch.contents)))
                characters += batch.characters
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _batches(pieces: Iterable[tuple[SplitName, Content]]) -> Iterator[Batch]:
    """Gather documents of the same split."""
    gathered: dict[SplitName, list[Content]] = {"train": [], "validation": []}
    sizes: dict[SplitName, int] = {"train": 0, "validation": 0}
    for split, content in pieces:
        gathered[split].append(content)
        sizes[split] += count_characters(content)
        if sizes[split] >= BATCH_CHARACTERS or len(gathered[split]) >= BATCH_DOCUMENTS:
            yield Batch(split, gathered[split], sizes[split])
            gathered[split], sizes[split] = [], 0
    for split, contents in gathered.items():
        if contents:
            yield Batch(split, contents, sizes[split])


def _runs(contents: Sequence[Content]) -> Iterator[list[Content]]:
    """Cut a list where the kind of content changes."""
    run: list[Content] = []
    for content in contents:
        if run and type(content) is not type(run[-1]):
            yield run
            run = []
        run.append(content)
    yield run
