"""What a run decides by measuring: the compute format and the way of attention, once, kept with the run.

A resumed run reads them back, since another choice would be other rounding and so another run.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hornbook.config.model import ModelConfig
from hornbook.device import describe_device, measure_attention, measure_precision, peak_matmul_rate
from hornbook.errors import CheckpointError, DeviceError
from hornbook.nn.attention import PATHS
from hornbook.run import RunConfig
from hornbook.storage.atomic import write_text
from hornbook.training.precision import DTYPES


@dataclass(frozen=True)
class Choices:
    """What was chosen, and why.

    Args:
        dtype: "fp32", "bf16" or "fp16".
        attention: a key of nn.attention.PATHS.
        device: the device's name.
        threads: CPU threads when it was measured.
        reasons: one sentence for each choice.
        peak_rate: FLOP/s of large matrix products in `dtype`, for the utilisation.
    """

    dtype: str
    attention: str
    device: str
    threads: int
    reasons: tuple[str, ...]
    peak_rate: float

    def describe(self) -> str:
        """Say it in one line."""
        return f"{self.device}, {self.threads} threads; {'; '.join(self.reasons)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dataclasses.asdict(self)


def choose(config: RunConfig, model: ModelConfig, device: torch.device, *, recorded: Path) -> Choices:
    """Return the choices kept in the file `recorded`, or make them now and keep them there.

    What the settings ask for by name wins over what was kept: the user has accepted that the run changes.

    Raises:
        DeviceError: if the settings ask for a format this device cannot compute in.
        CheckpointError: if the file is damaged.
    """
    if recorded.exists():
        kept = _read(recorded)
        wanted = (config.precision.dtype, config.precision.attention)
        if all(want in ("auto", have) for want, have in zip(wanted, (kept.dtype, kept.attention), strict=True)):
            return kept
    info = describe_device(device)
    dtype, why_dtype = _choose_dtype(config, model, device, info.dtypes)
    attention, why_attention = _choose_attention(config, model, device, dtype)
    choices = Choices(
        dtype=dtype,
        attention=attention,
        device=info.name,
        threads=info.threads,
        reasons=(why_dtype, why_attention),
        peak_rate=peak_matmul_rate(device, DTYPES[dtype]),
    )
    write_text(recorded, json.dumps(choices.to_dict(), indent=2) + "\n")
    return choices


def _choose_dtype(
    config: RunConfig, model: ModelConfig, device: torch.device, possible: tuple[str, ...]
) -> tuple[str, str]:
    wanted = config.precision.dtype
    if wanted != "auto":
        if wanted not in possible:
            raise DeviceError(
                f"{device} cannot train in {wanted}; it can in {', '.join(possible)}.",
                fix="set precision.dtype = 'auto'.",
            )
        return wanted, f"{wanted} as set"
    if "bf16" not in possible:
        dtype = "fp16" if "fp16" in possible else "fp32"
        return dtype, f"{dtype}, since this device has no bf16"
    rows = min(4096, config.micro_batch_rows * model.context)
    width = int(getattr(model, "width", 256))
    seen = measure_precision(device, rows=rows, width=width, inner_width=4 * width)
    ratio = seen.milliseconds["fp32"] / seen.milliseconds["bf16"]
    return seen.choice, f"{seen.choice}, since bf16 was measured {ratio:.1f}x as fast as fp32"


def _choose_attention(config: RunConfig, model: ModelConfig, device: torch.device, dtype: str) -> tuple[str, str]:
    wanted = config.precision.attention
    heads = getattr(model, "num_heads", 0)
    if wanted != "auto":
        return wanted, f"{wanted} attention as set"
    if not heads or device.type != "cpu":
        return "sdpa", "sdpa attention"
    seen = measure_attention(
        PATHS,
        device,
        rows=config.micro_batch_rows,
        heads=heads,
        tokens=model.context,
        head_width=int(getattr(model, "width", 0)) // heads,
        dtype=DTYPES[dtype],
    )
    ratio = seen.milliseconds["sdpa"] / seen.milliseconds["matmul"]
    return seen.choice, f"{seen.choice} attention, since matmul was measured {ratio:.1f}x as fast as sdpa"


def _read(path: Path) -> Choices:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Choices(**(values | {"reasons": tuple(values["reasons"])}))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path} is damaged: {error}.", fix="restore it from a copy, or begin again with --start-over."
        ) from None
