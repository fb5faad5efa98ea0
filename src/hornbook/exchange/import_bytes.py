"""Grug's .npy byte streams -> a file of the same bytes, which is what its model reads.

A stream of bytes needs no format around it: ids of the bytes tokenizer are byte values, so the file itself is the
data. Nothing is held in memory, and a pickled array is never loaded.
"""

import codecs
import os
from pathlib import Path

import numpy as np

from hornbook.errors import DataError
from hornbook.exchange.imported import Imported

STEP = 2**24
"""Values looked at at once."""


def import_bytes(path: Path, folder: Path) -> Imported:
    """Write the bytes of an array file to `folder`/NAME.txt.

    Raises:
        DataError: if it is no array file, holds objects, or values that are no bytes.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _refused(path, " ".join(str(error).split())) from None
    if not isinstance(array, np.ndarray) or array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        shape = getattr(array, "shape", "?")
        raise _refused(
            path, f"it holds {getattr(array, 'dtype', '?')} of shape {shape}, not a row of whole numbers"
        )
    if not len(array):
        raise _refused(path, "it is empty")
    target = folder / f"{path.stem}.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    nuls, odd = _write(array, target, path)
    findings = [
        "the files it was made of were glued with nothing between them, so it is one document; "
        "give the folder of .txt files itself to keep them apart.",
        "bytes that were no UTF-8 had been dropped before it was written.",
    ]
    if nuls:
        findings.append(f"{nuls:,} NUL bytes: the original fills short prompts with them, a context no text has.")
    if odd is not None:
        findings.append(f"not UTF-8 at byte {odd:,}; the bytes are kept as they are.")
    if array.dtype != np.uint8:
        findings.append(f"its {array.dtype} values took {array.dtype.itemsize} bytes each where one is enough.")
    use = f"tokenizer.kind=bytes data.path={target}"
    return Imported(path, f"byte stream of {len(array):,} bytes", (target,), use, tuple(findings))


def _write(
    array: "np.ndarray[tuple[int], np.dtype[np.integer]]", target: Path, path: Path
) -> tuple[int, int | None]:
    """Write the values as bytes; return how many are NUL, and where the text stops being UTF-8, if it does."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    nuls, odd = 0, None
    with target.open("wb") as file:
        for start in range(0, len(array), STEP):
            part = np.asarray(array[start : start + STEP])
            if part.min() < 0 or part.max() > 255:
                file.close()
                target.unlink()
                raise _refused(path, f"the value {part.max() if part.max() > 255 else part.min()} is no byte")
            data = part.astype(np.uint8).tobytes()
            file.write(data)
            nuls += data.count(0)
            if odd is None:
                try:
                    decoder.decode(data, final=start + STEP >= len(array))
                except UnicodeDecodeError as error:
                    odd = start + error.start
        file.flush()
        os.fsync(file.fileno())
    return nuls, odd


def _refused(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} is no byte stream: {reason}.",
        fix="give an array file (.npy) with one row of values from 0 to 255, as Grug writes it.",
    )
