"""The settings of each tokenizer kind, and the union the kind chooses from."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from hornbook.config.model import Section


class BytesTokenizerConfig(Section):
    """256 byte values; ids equal byte values."""

    kind: Literal["bytes"] = "bytes"


class CharsTokenizerConfig(Section):
    """One token a character; characters outside the vocabulary are written as bytes, never lost."""

    kind: Literal["chars"] = "chars"
    vocab_size: PositiveInt = 2048
    """Most tokens the vocabulary may have, the 256 bytes and 12 specials included."""
    min_count: PositiveInt = 1
    """A character seen less often than this is written as bytes."""


class WordsTokenizerConfig(Section):
    """Whole words, numbers digit by digit, punctuation and white space; unknown words are written as bytes."""

    kind: Literal["words"] = "words"
    vocab_size: PositiveInt = 12_000
    """Most tokens the vocabulary may have, the 256 bytes and 12 specials included."""
    min_count: PositiveInt = 5
    """A word seen less often than this is written as bytes."""


class BPETokenizerConfig(Section):
    """Byte-level byte-pair encoding, trained on the data."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: PositiveInt = 8192
    """Exact size of the vocabulary, the 256 bytes and 12 specials included."""
    pattern: Literal["qwen2", "llama-bpe", "gpt-2"] = "qwen2"
    """How text is cut before merging, by the name llama.cpp knows it under."""


class SuperBPETokenizerConfig(Section):
    """Byte-pair encoding that goes on merging across words (Liu, Hayase et al. 2025, arXiv:2503.13423)."""

    kind: Literal["superbpe"] = "superbpe"
    vocab_size: PositiveInt = 8192
    """Exact size of the vocabulary, the 256 bytes and 12 specials included."""
    pattern: Literal["qwen2", "llama-bpe", "gpt-2"] = "qwen2"
    """How text is cut into words in the first stage; digits and runs of spaces stay cut so in the second."""
    transition: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """Share of the vocabulary that is learnt inside words before merges may cross them; the paper's t over its T."""


class ExternalTokenizerConfig(Section):
    """A tokenizer made elsewhere."""

    kind: Literal["external"] = "external"
    path: str
    """A tokenizer.json, or a folder with tokenizer.json or with GPT-2's vocab.json and merges.txt."""


TokenizerConfig = Annotated[
    BytesTokenizerConfig
    | CharsTokenizerConfig
    | WordsTokenizerConfig
    | BPETokenizerConfig
    | SuperBPETokenizerConfig
    | ExternalTokenizerConfig,
    Field(discriminator="kind"),
]
