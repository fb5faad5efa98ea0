"""Files of token ids made elsewhere: nanoGPT's headerless .bin and llm.c's with its header.

nanoGPT writes bare little-endian uint16; `NAME.json` beside `NAME.bin` with {"dtype": "uint32"} says otherwise.
llm.c puts 256 int32 in front: magic 20240520, version 1 (uint16 follows), the number of tokens.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.data.lines import open_regular, unreadable
from hornbook.errors import DataError

MAGIC = 20240520
HEADER_BYTES = 256 * 4
PIECE_TOKENS = 2**18
"""Tokens yielded at once; a piece counts as a document when the split is by documents."""

DTYPES = {"uint16": "<u2", "uint32": "<u4"}


def read_tokens(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the ids of a token file in pieces (n,) uint16 or uint32, with where they start.

    Raises:
        DataError: if the file cannot be read, is cut, or its header or sidecar is not understood.
    """
    with open_regular(path) as file:
        size = path.stat().st_size
        dtype = np.dtype(DTYPES[_sidecar_dtype(path)])
        head = np.frombuffer(file.peek(12)[:12].ljust(12, b"\0"), "<i4").tolist()
        if head[0] == MAGIC and size >= HEADER_BYTES:
            _check_header(path, head[1], head[2], size)
            dtype = np.dtype("<u2")
            file.seek(HEADER_BYTES)
        elif size % dtype.itemsize:
            raise DataError(
                f"{path} holds {size:,} bytes, not a whole number of {dtype.name} tokens: it was cut.",
                fix="write or copy it again.",
            )
        start = 0
        while data := file.read(PIECE_TOKENS * dtype.itemsize):
            tokens = np.frombuffer(data, dtype)
            yield f"{path}, token {start}", tokens
            start += len(tokens)


def _check_header(path: Path, version: int, tokens: int, size: int) -> None:
    if version != 1:
        raise DataError(f"{path} has llm.c header version {version}.", fix="write it as version 1 (uint16).")
    if size != HEADER_BYTES + 2 * tokens:
        raise DataError(
            f"{path} should hold {tokens:,} tokens by its header, but holds {(size - HEADER_BYTES) // 2:,}.",
            fix="write or copy it again.",
        )


def _sidecar_dtype(path: Path) -> str:
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return "uint16"
    try:
        about = json.loads(beside.read_bytes())
    except OSError as error:
        raise unreadable(beside, error) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{beside} is no JSON ({error}).", fix='write {"dtype": "uint16"} or remove it.'
        ) from error
    dtype = about.get("dtype", "uint16") if isinstance(about, dict) else None
    if dtype not in DTYPES:
        raise DataError(f"{beside} gives the dtype {dtype!r}.", fix=f"give one of {', '.join(DTYPES)}.")
    return str(dtype)
