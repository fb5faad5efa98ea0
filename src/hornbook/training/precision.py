"""Number formats of a run: what the matrix products use, and the loss scale that fp16 needs.

Weights, optimizer state, norms, softmax and loss stay in float32; only matrix products run in the compute format,
by autocast. Rounding the weights themselves saves nothing on the CPU and loses small updates everywhere.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

FIRST_SCALE = 2.0**16
GROWTH_INTERVAL_STEPS = 2_000


@dataclass(frozen=True)
class Precision:
    """The device and the format of its matrix products."""

    device: torch.device
    dtype: torch.dtype

    @property
    def matrix_dtype(self) -> torch.dtype:
        """Format for products whose rounding does no harm, such as Muon's; fp16 overflows there."""
        return torch.bfloat16 if self.dtype == torch.bfloat16 else torch.float32

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which matrix products run in `dtype`."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)


def allow_tf32(device: torch.device, allowed: bool) -> bool:
    """Let CUDA's float32 matrix products round their inputs to TF32, or forbid it; say whether they now do."""
    if device.type != "cuda":
        return False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    return allowed


class LossScale:
    """Keeps fp16 gradients from vanishing: the loss is multiplied, the gradients divided again.

    Doubles after 2,000 clean steps and halves at an overflow (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2),
    all on the device. In other formats it does nothing and has no state.
    """

    def __init__(self, precision: Precision) -> None:
        self.active = precision.dtype == torch.float16
        self.factor = torch.tensor(FIRST_SCALE if self.active else 1.0, device=precision.device)
        self.clean_steps = torch.tensor(0.0, device=precision.device)

    def scale(self, loss: Tensor) -> Tensor:
        """Return `loss` times the scale."""
        return loss * self.factor if self.active else loss

    def unscale(self, gradients: Iterable[Tensor]) -> None:
        """Divide `gradients` by the scale, in place."""
        if self.active:
            torch._foreach_div_(list(gradients), self.factor)

    def update(self, skipped: Tensor) -> None:
        """Learn from a step: `skipped`, () float, is 1 if its gradients overflowed."""
        if not self.active:
            return
        clean = torch.where(skipped > 0, 0.0, self.clean_steps + 1)
        grown = torch.where(clean >= GROWTH_INTERVAL_STEPS, self.factor * 2, self.factor)
        self.factor = torch.where(skipped > 0, self.factor / 2, grown)
        self.clean_steps = torch.where(clean >= GROWTH_INTERVAL_STEPS, 0.0, clean)

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint must keep."""
        return {"factor": self.factor, "clean_steps": self.clean_steps} if self.active else {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` returned."""
        if self.active:
            self.factor = state["factor"].to(self.factor.device)
            self.clean_steps = state["clean_steps"].to(self.factor.device)
