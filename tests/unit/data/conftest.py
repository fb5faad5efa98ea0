"""What the tests of the data share: small prepared parts, written and opened as `prepare` does it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from hornbook.config.tokenizers import BytesTokenizerConfig
from hornbook.data.prepare import PreparedData
from hornbook.data.shards import Block, ShardSet, ShardWriter
from hornbook.text.tokenizer import Tokenizer
from hornbook.text.tokenizer_kinds import build_tokenizer


@pytest.fixture(scope="session")
def write_set(tmp_path_factory) -> Callable[..., ShardSet]:
    """A function that writes parts, each a list of documents, and opens them as one ShardSet.

    A document is a list of ids, or of (id, learnt) pairs; `per_shard` documents go to a shard.
    """

    def write(
        *parts: Sequence[Sequence], weights: Sequence[float] | None = None, per_shard: int = 10**9
    ) -> ShardSet:
        root = tmp_path_factory.mktemp("set")
        (root / "train").mkdir()
        described = []
        for number, documents in enumerate(parts):
            shards = []
            for first in range(0, len(documents), per_shard):
                writer = ShardWriter(root, f"train/{number}-{first:05d}", np.dtype("<u2"))
                for document in documents[first : first + per_shard]:
                    pairs = [pair if isinstance(pair, tuple) else (pair, True) for pair in document]
                    ids = np.array([token for token, _ in pairs])
                    learn = np.array([learnt for _, learnt in pairs])
                    writer.append(Block(ids, np.array([len(ids)]), learn))
                shards.append(writer.close().to_json())
            weight = 1.0 if weights is None else weights[number]
            described.append({"name": f"part{number}", "weight": weight, "shards": shards})
        return ShardSet.open(root, described, name="train", dtype=np.dtype("<u2"))

    return write


@pytest.fixture(scope="session")
def byte_tokenizer() -> Tokenizer:
    """The tokenizer whose ids are byte values."""
    return build_tokenizer(BytesTokenizerConfig(), ())


@pytest.fixture(scope="session")
def prepared_with(byte_tokenizer, tmp_path_factory) -> Callable[..., PreparedData]:
    """A function that makes prepared data of a split, or of one for training and one for validation."""

    def make(train: ShardSet, validation: ShardSet | None = None, *, template: str = "text") -> PreparedData:
        folder = tmp_path_factory.getbasetemp()
        return PreparedData(folder, {}, byte_tokenizer, template, "0" * 64, train, validation or train)

    return make
