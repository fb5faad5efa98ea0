"""What becomes of memory that tensors give back: kept for the next step, or returned to the system at once.

Only glibc is asked; other C libraries decide for themselves.
"""

import ctypes
import sys

KEPT_BYTES = 2**30
"""Blocks up to this size are kept for reuse."""

RETURNED_BYTES = 2**17
"""Blocks from this size on are returned at once; glibc's own first value."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""The names of <malloc.h>."""


def keep_freed_memory() -> bool:
    """Let the C library keep the memory that tensors give back, for the next step's; say whether it will.

    glibc otherwise returns large blocks to the system and has every page of them zeroed again at the next step:
    half a million page faults in 30 steps of the demo, and a tenth of its time.
    """
    return _threshold(KEPT_BYTES)


def return_freed_memory() -> bool:
    """Let the C library return what tensors give back, so that the process is no larger than what lives; say whether.

    Kept memory is cut up by the small tensors that outlive large ones: with activations computed again, 16 layers
    held 528 MiB for 92 MiB that lived.
    """
    return _threshold(RETURNED_BYTES)


def _threshold(size: int) -> bool:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "mallopt"):
        return False
    return all(library.mallopt(option, size) == 1 for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))
