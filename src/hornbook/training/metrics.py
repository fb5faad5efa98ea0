"""What a run measures about itself: speed, utilisation, memory, time left."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class Speedometer:
    """Tokens per second between two readings, and the seconds of training altogether.

    Args:
        flops_per_token: what the model costs a trained token.
        peak_rate: the device's measured matrix rate in FLOP/s, or None if unknown.
        seconds: training time of earlier sessions.
    """

    def __init__(self, *, flops_per_token: int, peak_rate: float | None, seconds: float) -> None:
        self.flops_per_token, self.peak_rate = flops_per_token, peak_rate
        self._earlier = seconds
        self._start = self._last = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training, all sessions of the run together."""
        return self._earlier + time.monotonic() - self._start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what happens inside out of the speed: judging and saving train nothing."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._last += time.monotonic() - start

    def read(self, tokens: int) -> tuple[float, float | None]:
        """Return tokens per second since the last reading, and the share of the peak rate that was used.

        The share is model FLOPs utilisation, MFU (Chowdhery et al. 2022, arXiv:2204.02311, appendix B): what the
        model's own products cost, recomputation not counted, over what large matrix products reach on this device.
        """
        now = time.monotonic()
        rate = tokens / max(now - self._last, 1e-9)
        self._last = now
        return rate, rate * self.flops_per_token / self.peak_rate if self.peak_rate else None


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory used so far: of the device, or of this process on the CPU (0 where unknown)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
