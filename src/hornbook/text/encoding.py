"""From text to ids: by the tokenizers library, and faster where that is proven to give the same ids.

The library decides. A faster way is taken only after it agreed with the library on every entry of the vocabulary,
on hard texts, on a sample of the text at hand, and on every character outside ASCII the first time it is met
(two engines may know different versions of Unicode); texts with a character they disagree on go to the library.

Long texts are cut first, so that a run of megabytes without a word break costs no more than any other text.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import regex
import tiktoken
import tokenizers

from hornbook.errors import CheckpointError, DataError, HornbookError
from hornbook.text.tokenizer_file import EVERY_CHARACTER, LINE_ENDS, TokenizerFile

MAX_CHARACTERS = 65_536
"""Longest text encoded at once."""

HARD_TEXTS = (
    "",
    "\0 NUL \x00\x01\x7f",
    "plain words, 1234567890 and don't we'LL I'VE they'd",
    "  two leading, two trailing  ",
    "tabs\t\tand\r\nWindows\r\n\r\nlines\rold Mac\n\n\n  indented\n",
    "for i in range(10):\n    if x_1 != y[i] // 2:\n        return {'a': [1, 2.5e-3]}\n",
    "é as one, e\u0301 as two; n\u0303o\u0308; Ａ ﬁ ſ ß İ ı",
    "emoji 👍🏽 family 👨‍👩‍👧‍👦 flag 🇨🇭 keycap 1️⃣ rare 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "中文没有空格。日本語テキスト、한국어 텍스트",
    "עברית ואַלֶף‎ العربية مَرْحَبًا हिन्दी क्षि ไทยไม่เว้นวรรค",
    "spaces \u00a0\u2003\u3000\u200b\u2028\u2029\ufeff end",
    "numbers ½ Ⅷ ² ٣٤ १२ ➊ 1.000,50",
    "private \ue000 last \U0010ffff noncharacter \ufffe replacement \ufffd",
    "<|bos|><|eos|> <|user|>forged<|/user|> <|think|>\n<|assistant|>",
    "«quotes» — dashes … ‰ € £ ¥ _under_score__ `code` $x^2$ \\n",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa          !!!!!!!!!!!!!!!!!!!!!\n\n\n\n\n\n",
)
"""Texts that tokenizers are known to lose or change something of."""

# Places where patterns end one word and begin another, whatever stands further off. Superwords go across spaces,
# never across lines, so line ends come first: in every pattern a newline alone between a visible character and a
# word, in those that say `LINE_ENDS` also one before an indented line. Last, the space between two ASCII words.
_LINE_CUT = re.compile(r"(?s:.*)(?<=\S)\n(?=[^\W_])")
_INDENTED_CUT = re.compile(r"(?s:.*)(?<=\S)\n(?=[^\S\r\n]*\S)")
_WORD_CUT = re.compile(r"(?s:.*)(?<=[A-Za-z])(?= [A-Za-z])")


def to_bytes(text: str) -> bytes:
    """Encode as UTF-8.

    Raises:
        DataError: if the text holds a lone surrogate.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"The text holds a lone surrogate (U+{ord(text[error.start]):04X}) at character {error.start}.",
            fix="repair the text where it was made; half a character cannot be written in UTF-8.",
        ) from error


def cut(text: str, pattern: str = "") -> Iterator[str]:
    """Cut a text into parts of at most `MAX_CHARACTERS`, at line ends or else at word borders, where there are any.

    The ids of the parts together are the ids of the whole, unless a part had no word border in it, or, where
    tokens span words, no line end that ends one.

    Args:
        pattern: the expression that cuts words, if known.
    """
    line_cut = _INDENTED_CUT if LINE_ENDS in pattern else _LINE_CUT
    start = 0
    while len(text) - start > MAX_CHARACTERS:
        limit = start + MAX_CHARACTERS
        found = line_cut.match(text, start, limit) or _WORD_CUT.match(text, start, limit)
        end = found.end() if found and found.end() > start else limit
        yield text[start:end]
        start = end
    yield text[start:]


Engine = Callable[[str], bytes]
"""Turns a text of at most `MAX_CHARACTERS` into ids: native unsigned 32-bit numbers, one after the other."""


class LibraryEncoder:
    """Encodes with the tokenizers library: slow, and by definition right."""

    name = "tokenizers"

    def __init__(self, file: bytes, *, where: str, pattern: str = "") -> None:
        """Load an accepted tokenizer.json, whose pattern says where long texts may be cut.

        Raises:
            CheckpointError: naming `where`, if the library refuses it.
        """
        with _panics_as(
            CheckpointError,
            f"{where}: the tokenizers library cannot load it",
            fix="copy or build the tokenizer again.",
        ):
            self._library = tokenizers.Tokenizer.from_buffer(file)
        self.pattern = pattern
        # Without this, text that spells a special token would become that token.
        self._library.encode_special_tokens = True

    def __call__(self, text: str) -> list[int]:
        """Return the ids of a text. Raises DataError if it holds a lone surrogate."""
        to_bytes(text)
        ids: list[int] = []
        with _panics_as(
            DataError,
            "The tokenizers library cannot encode this text",
            fix="leave the text out, or use another tokenizer.",
        ):
            for part in cut(text, self.pattern):
                ids += self._library.encode(part, add_special_tokens=False).ids
        return ids


class FastEncoder:
    """Encodes with a faster engine, text by text the same ids as the library.

    Attributes:
        name: `tiktoken` (merges words in Rust, outside the GIL) or `table` (looks whole words up).
    """

    def __init__(self, name: str, engine: Engine, library: LibraryEncoder) -> None:
        self.name = name
        self._engine = engine
        self._library = library
        self._agreed: set[str] = set()
        self._disputed: set[str] = set()

    def __call__(self, text: str) -> Sequence[int]:
        """Return the ids of a text. Raises DataError if it holds a lone surrogate."""
        if not text.isascii() and self._has_disputed(text):
            return self._library(text)
        return self._encode(text)

    def agrees(self, texts: Iterable[str]) -> bool:
        """True if engine and library give the same ids for every text."""
        return all(self._library(text) == list(self._encode(text)) for text in texts)

    def _encode(self, text: str) -> Sequence[int]:
        ids = array("I")
        for part in cut(text, self._library.pattern):
            ids.frombytes(self._engine(part))
        return ids

    def _has_disputed(self, text: str) -> bool:
        letters = set(text)
        unknown = sorted(letters - self._agreed - self._disputed)
        if unknown:
            to_bytes(text)
            # All at once first: almost always the engines agree on all of them.
            agreed = unknown if self.agrees(["".join(map(_probe, unknown))]) else filter(self._agrees_on, unknown)
            self._agreed.update(agreed)
            self._disputed.update(set(unknown) - self._agreed)
        return not self._disputed.isdisjoint(letters)

    def _agrees_on(self, letter: str) -> bool:
        return self.agrees([_probe(letter)])


def _probe(letter: str) -> str:
    """Put a character where its being a letter, a digit, a space or a mark makes a difference."""
    return f"a{letter}b {letter} 1{letter}2'{letter} {letter}{letter}\n{letter}\n\n{letter}.{letter}\n"


def build_fast_encoder(
    content: TokenizerFile, library: LibraryEncoder, *, sample: Iterable[str] = ()
) -> FastEncoder | None:
    """Return a faster encoder, or None if there is none that agrees with the library.

    Args:
        sample: some of the texts it will be used on.
    """
    if content.pattern and not content.num_merges and content.whole_words:
        fast = FastEncoder("table", _table_engine(content), library)
    elif content.pattern and content.merges_in_order:
        fast = FastEncoder("tiktoken", _tiktoken_engine(content), library)
    else:
        return None
    entries = [entry.decode() for entry in content.entries if entry and _is_text(entry)]
    return fast if fast.agrees(chain(entries, HARD_TEXTS, sample)) else None


def _tiktoken_engine(content: TokenizerFile) -> Engine:
    """Merge by rank: where merges are numbered like the entries they make, rank and id are the same."""
    ranks = {entry: index for index, entry in enumerate(content.entries) if entry}
    engine = tiktoken.Encoding(
        "hornbook", pat_str=content.pattern, mergeable_ranks=ranks, special_tokens={}, explicit_n_vocab=None
    )

    return lambda text: engine.encode_to_numpy(text, disallowed_special=()).tobytes()


class _WholeWords(dict[str, tuple[int, ...]]):
    """Ids of every word of a vocabulary; any other word is its bytes."""

    def __init__(self, content: TokenizerFile) -> None:
        ids = {entry: index for index, entry in enumerate(content.entries) if entry}
        self._bytes = [ids[bytes([value])] for value in range(256)]
        super().__init__((entry.decode(), (index,)) for entry, index in ids.items() if _is_text(entry))

    def __missing__(self, word: str) -> tuple[int, ...]:
        return tuple([self._bytes[value] for value in word.encode()])


def _table_engine(content: TokenizerFile) -> Engine:
    """Look every word up: the vocabulary merges nothing."""
    words = _WholeWords(content)
    find = iter if content.pattern == EVERY_CHARACTER else regex.compile(content.pattern).findall
    return lambda text: array("I", chain.from_iterable(map(words.__getitem__, find(text)))).tobytes()


def _is_text(entry: bytes) -> bool:
    try:
        entry.decode()
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _panics_as(kind: type[HornbookError], problem: str, *, fix: str) -> Iterator[None]:
    """Raise what the library throws as `kind`: its panics are no `Exception`, so they are known by name."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise kind(f"{problem}: {error}.", fix=fix) from error
