"""Tensors in safetensors files: written durably, and read only after the header has been judged.

A file from elsewhere may be hostile: the header is bounded before the library parses it, and names, shapes and
dtypes are compared with what the model expects before anything is assigned.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hornbook.errors import CheckpointError
from hornbook.units import bytes_text

MAX_HEADER_BYTES = 10 * 2**20
MAX_TENSORS = 100_000


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` to `path` and wait for the disk. The same tensors always give the same bytes."""
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)  # the library creates files that only their owner can read
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read every tensor of `path`.

    Raises:
        CheckpointError: if the file is missing, truncated, or its header is too large or broken.
    """
    check_header(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged: {error}.", fix="restore it from a copy.") from None


def check_header(path: Path) -> None:
    """Judge the header of a safetensors file without trusting it.

    Raises:
        CheckpointError: see `read_tensors`.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            header_bytes = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if header_bytes > min(MAX_HEADER_BYTES, size):
                raise CheckpointError(
                    f"{path} says its header has {bytes_text(header_bytes)} (the file has {bytes_text(size)}).",
                    fix="it is damaged or no safetensors file; restore it from a copy.",
                )
            header: Any = json.loads(file.read(header_bytes))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.", fix="check the path.") from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} has a broken header.", fix="restore it from a copy.") from None
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise CheckpointError(f"{path} has no sensible list of tensors.", fix="restore it from a copy.")


def assign_tensors(module: torch.nn.Module, tensors: Mapping[str, Tensor], *, where: Path) -> None:
    """Copy `tensors` into the parameters of `module`, all or none.

    Raises:
        CheckpointError: naming the first tensor that is missing, unknown, of another kind, or not finite.
    """
    expected = dict(module.named_parameters())
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors or name not in expected:
            state = "lacks" if name not in tensors else "has an unknown"
            raise CheckpointError(f"{where} {state} tensor '{name}'.", fix="use the config that belongs to it.")
        ours, theirs = expected[name], tensors[name]
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise CheckpointError(
                f"{where}: tensor '{name}' is {_kind(theirs)}, the model needs {_kind(ours)}.",
                fix="use the config that belongs to these weights.",
            )
        if not bool(torch.isfinite(theirs).all()):
            raise CheckpointError(
                f"{where}: tensor '{name}' holds NaN or infinity.", fix="use an earlier checkpoint."
            )
    with torch.no_grad():
        for name, parameter in expected.items():
            parameter.copy_(tensors[name])


def file_hash(path: Path) -> str:
    """Return the sha256 of the file at `path`, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
