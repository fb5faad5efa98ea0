"""`Tokenizer`: text to ids and back, exactly; how it is saved and loaded.

Every tokenizer, whatever its kind, is one `tokenizer.json` of the byte-level family: its entries are strings of
bytes, so any text can be written and comes back byte for byte. How the vocabulary of a kind is found is the
business of `tokenizer_kinds`; which files are acceptable, of `tokenizer_file`.

Special tokens never come out of `encode`, whatever the text spells: only templates place them, by id.
"""

import codecs
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from hornbook.errors import CheckpointError, DataError
from hornbook.text.encoding import FastEncoder, LibraryEncoder, build_fast_encoder, to_bytes
from hornbook.text.tokenizer_file import read_tokenizer_file

SPECIALS = (
    "<|bos|>",
    "<|eos|>",
    "<|pad|>",
    "<|system|>",
    "<|/system|>",
    "<|user|>",
    "<|/user|>",
    "<|think|>",
    "<|/think|>",
    "<|assistant|>",
    "<|/assistant|>",
    "<|no_think|>",
)
"""The special tokens every tokenizer has, in this order."""

TOKENIZER_FILE = "tokenizer.json"
ABOUT_FILE = "hornbook_tokenizer.json"

FAST_FROM_CHARACTERS = 65_536
"""A batch of this much text is worth building a fast encoder and checking it."""

SAMPLE_TEXTS = 32
"""How many texts of the first large batch the fast encoder is checked on."""


class Tokenizer:
    """Text to ids and back, without loss.

    Attributes:
        kind: how the vocabulary was found: a name of `tokenizer_kinds.KINDS`.
        vocab_size: number of ids; they are 0 .. vocab_size - 1.
        specials: ids of the special tokens by name.
        bos_id, eos_id, pad_id: the three that are asked for most.
        file: the tokenizer.json itself.
        hash: sha256 of it, in hexadecimal.
    """

    def __init__(self, file: bytes, *, kind: str, where: str = TOKENIZER_FILE) -> None:
        """Read a whole tokenizer.json.

        Raises:
            CheckpointError: naming `where`, if the file is not accepted or lacks one of `SPECIALS`.
        """
        content = read_tokenizer_file(file, where=where)
        missing = [name for name in SPECIALS if name not in content.specials]
        if missing:
            raise CheckpointError(
                f"{where}: the special tokens {', '.join(missing)} are missing.",
                fix="build it with `hornbook tokenizer`; tokenizer.kind=external adds them to a foreign file.",
            )
        self.kind = kind
        self.specials = content.specials
        self.vocab_size = len(content.entries)
        self.bos_id, self.eos_id, self.pad_id = (self.specials[name] for name in SPECIALS[:3])
        self.hash = hashlib.sha256(file).hexdigest()
        self.file = file
        self._content = content
        self._entries = content.entries
        self._names = {index: name for name, index in self.specials.items()}
        self._library = LibraryEncoder(file, where=where, pattern=content.pattern)
        self._fast: FastEncoder | None = None
        self._looked_for_fast = False

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text; never a special one, whatever the text spells.

        Raises:
            DataError: if the text holds a lone surrogate, which no UTF-8 file can.
        """
        if self._is_bytes:
            return list(to_bytes(text))
        return self._library(text)

    def encode_batch(self, texts: Sequence[str], *, threads: int = 1) -> list[Sequence[int]]:
        """Return the ids of each text, as sequences `numpy.asarray` takes; the same ids as `encode`.

        Raises:
            DataError: as `encode`.
        """
        if threads == 1 or len(texts) < 2:
            return self._encode_all(texts)
        size = -(-len(texts) // (4 * threads))
        groups = [texts[start : start + size] for start in range(0, len(texts), size)]
        self._find_fast(texts)
        with ThreadPoolExecutor(threads) as pool:
            return list(chain.from_iterable(pool.map(self._encode_all, groups)))

    def verify_fast_path(self, texts: Sequence[str]) -> bool:
        """Look for a fast path that gives the same ids as `encode` for these texts; True if there is one.

        Whatever the answer, `encode_batch` gives the right ids; `fast_path` says how.
        """
        self._looked_for_fast = True
        self._fast = build_fast_encoder(self._content, self._library, sample=texts)
        return self._is_bytes or self._fast is not None

    @property
    def fast_path(self) -> str:
        """What encodes batches now: bytes, tiktoken, table, or the tokenizers library itself."""
        if self._is_bytes:
            return "bytes"
        return self._fast.name if self._fast else self._library.name

    @property
    def _is_bytes(self) -> bool:
        return self.kind == "bytes"

    def _find_fast(self, texts: Sequence[str]) -> None:
        """Look for a fast path once, when there is enough text for it to pay."""
        if not self._looked_for_fast and sum(map(len, texts)) >= FAST_FROM_CHARACTERS:
            self.verify_fast_path(texts[:SAMPLE_TEXTS])

    def _encode_all(self, texts: Sequence[str]) -> list[Sequence[int]]:
        if self._is_bytes:
            return [memoryview(to_bytes(text)) for text in texts]
        self._find_fast(texts)
        encode = self._fast or self._library
        return [encode(text) for text in texts]

    def decode(self, ids: Iterable[int], *, specials: bool = False) -> str:
        """Return the text of ids; bytes that are no UTF-8 become U+FFFD.

        Args:
            specials: spell special tokens out instead of leaving them out.

        Raises:
            DataError: if an id is outside the vocabulary.
        """
        if not specials:
            return self.decode_bytes(ids).decode("utf-8", "replace")
        pieces: list[str] = []
        run: list[int] = []
        for index in ids:
            if index in self._names:
                pieces += [self.decode(run), self._names[index]]
                run = []
            else:
                run.append(index)
        return "".join([*pieces, self.decode(run)])

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the exact bytes of ids; special tokens have none.

        Raises:
            DataError: if an id is outside the vocabulary.
        """
        return b"".join([self._entry(index) for index in ids])

    def token_bytes(self) -> list[bytes]:
        """Return the bytes of every id, b"" for special tokens: what bits per byte are counted in."""
        return list(self._entries)

    def stream(self) -> "TextStream":
        """Begin to decode ids one at a time."""
        return TextStream(self._entry)

    def save(self, folder: Path) -> None:
        """Write the tokenizer into a folder, which is made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TOKENIZER_FILE).write_bytes(self.file)
        about = {"kind": self.kind, "hash": self.hash}
        (folder / ABOUT_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    def _entry(self, index: int) -> bytes:
        if not 0 <= index < self.vocab_size:
            raise DataError(
                f"Token id {index} is outside the vocabulary of {self.vocab_size:,}.",
                fix="decode with the tokenizer the ids were made with.",
            )
        return self._entries[index]


class TextStream:
    """Decodes ids one at a time; what it returns, joined, is what `decode` returns for all of them."""

    def __init__(self, entry: Callable[[int], bytes]) -> None:
        self._entry = entry
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, index: int) -> str:
        """Take one id; return the characters it completes, perhaps none."""
        return self._decoder.decode(self._entry(index))

    def flush(self) -> str:
        """End the stream; return U+FFFD if a character is left half written."""
        return self._decoder.decode(b"", final=True)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a tokenizer that `Tokenizer.save` wrote.

    Raises:
        CheckpointError: naming the file that is missing, damaged or not accepted.
    """
    path, about_path = folder / TOKENIZER_FILE, folder / ABOUT_FILE
    try:
        file = path.read_bytes()
        about = json.loads(about_path.read_bytes())
        kind, expected = about["kind"], about["hash"]
    except OSError as error:
        raise CheckpointError(
            f"{folder}: the tokenizer cannot be read: {error}.", fix="copy the whole tokenizer folder again."
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{about_path}: not a description of a tokenizer ({error!r}).", fix="copy the file again."
        ) from error
    tokenizer = Tokenizer(file, kind=kind, where=str(path))
    if tokenizer.hash != expected:
        raise CheckpointError(
            f"{path}: its hash is {tokenizer.hash[:12]}, not the {str(expected)[:12]} it was saved with.",
            fix="copy the file again; a tokenizer from elsewhere is brought in with tokenizer.kind=external.",
        )
    return tokenizer
