"""Superwords: merges that go on across the borders of words, once the words themselves are learnt.

SuperBPE (Liu, Hayase et al. 2025, arXiv:2503.13423) trains byte-pair encoding twice: first within words, as always,
then on from there with the word borders lifted, so that "of the" and "in order to" become tokens too. Here the second
stage reads each token of the first as one private character, which makes "at most so many tokens of the first stage"
a length the trainer can hold to. Both lists of merges together are one ordinary BPE model: whoever merges by rank
reads it, and the order of the stages is the order of the ranks.

The text is cut the same way while superwords are learnt and while they are used, so every superword is reached, and
no two merges make the same one: merging by rank gives the same tokens whether or not one knows the pairs.
"""

import json
from collections.abc import Iterable, Iterator

import tokenizers
from tokenizers import models, trainers

from hornbook.errors import ConfigError
from hornbook.text.tokenizer_file import LINE_ENDS, byte_symbols

MAX_PARTS = 4
"""Tokens of the first stage in a superword, at most; longer ones are phrases of one source, learnt by heart."""

SUPERWORD_CHARACTERS = 20_000_000
"""Superwords are learnt from so much text at most, taken evenly from all of it: memory grows with it."""


def _across(digits: str) -> str:
    """Return the pattern for words that end at line ends and whose digits are cut so."""
    return rf"{digits}|{LINE_ENDS}|\s+(?!\S)|[^\r\n\p{{N}}]+?(?:[\r\n]+|(?={digits}|\s\s|\z))"


SUPERWORD_PATTERNS = {
    "qwen2": _across(r"\p{N}"),
    "llama-bpe": _across(r"\p{N}{1,3}"),
    # GPT-2 never joins a line end to a mark before it, but often to the white space around it.
    "gpt-2": r" ?\p{N}+|\s+(?!\S)|[^\r\n\p{N}]+?(?= ?\p{N}|\s\s|[\r\n]|\z)|\s",
}
"""How text is cut when superwords may form: digits and runs of white space as in the first stage, by the same name;
everything between goes together, up to the end of the line."""

FIRST_LETTERS, SECOND_LETTERS, LETTERS_EACH = 0xF0000, 0x100000, 0xFFFE
"""Unicode's private planes 15 and 16, without the two noncharacters at the end of each."""


def learn_superwords(
    words: bytes, texts: Iterable[str], *, vocab_size: int, min_count: int
) -> list[tuple[str, str]]:
    """Go on merging where a first stage stopped, across words; the same texts always give the same merges.

    Args:
        words: tokenizer.json of the first stage, cutting by one of `SUPERWORD_PATTERNS`.
        texts: parts of text of moderate length.
        vocab_size: entries of both stages together, special tokens not counted.
        min_count: pairs seen less often are not merged.

    Returns:
        Pairs of entries in byte-level symbols, in the order they are merged; fewer than asked for where no pair of
        the text occurs twice.

    Raises:
        ConfigError: if the first stage has more entries than Unicode has private characters.
    """
    library = tokenizers.Tokenizer.from_buffer(words)
    library.encode_special_tokens = True
    by_symbols = library.get_vocab(with_added_tokens=False)
    entries = sorted(by_symbols, key=by_symbols.__getitem__)
    if len(entries) > 2 * LETTERS_EACH:
        raise ConfigError(
            f"The first stage of superbpe has {len(entries):,} entries, more than {2 * LETTERS_EACH:,}.",
            fix="lower tokenizer.transition or tokenizer.vocab_size.",
        )
    letters = [_letter(index) for index in range(len(entries))]
    learner = tokenizers.Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_count,
        initial_alphabet=letters,
        special_tokens=[],
        max_token_length=MAX_PARTS,
        show_progress=False,
    )
    learner.train_from_iterator(list(_sequences(library, texts, letters)), trainer)
    spell = dict(zip(letters, entries, strict=True))
    merges = json.loads(learner.to_str())["model"]["merges"]
    return [
        ("".join(map(spell.__getitem__, left)), "".join(map(spell.__getitem__, right))) for left, right in merges
    ]


def even_part(texts: list[str], *, characters: int = SUPERWORD_CHARACTERS) -> list[str]:
    """Return every n-th text, with n the smallest that leaves no more than about so many characters."""
    step = -(-sum(map(len, texts)) // characters) or 1
    return texts[::step]


def bytes_of_merges(merges: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Yield the bytes of the entry each merge makes."""
    value = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
    return (bytes([value[symbol] for symbol in left + right]) for left, right in merges)


def _letter(index: int) -> str:
    """Return the private character that stands for a token of the first stage."""
    return chr(FIRST_LETTERS + index if index < LETTERS_EACH else SECOND_LETTERS + index - LETTERS_EACH)


def _sequences(library: tokenizers.Tokenizer, texts: Iterable[str], letters: list[str]) -> Iterator[str]:
    """Yield the tokens of every stretch in which superwords may form, one letter each."""
    for text in texts:
        encoding = library.encode(text, add_special_tokens=False)
        ids, stretches = encoding.ids, encoding.word_ids
        start = 0
        for position in range(1, len(ids) + 1):
            if position == len(ids) or stretches[position] != stretches[start]:
                if position - start > 1:
                    yield "".join([letters[index] for index in ids[start:position]])
                start = position
