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
from hornbook.nn.kernels import why_no_fla
from hornbook.planning import REACHED_SHARE
from hornbook.run import RunConfig
from hornbook.storage.atomic import write_text
from hornbook.training.precision import DTYPES
from hornbook.units import duration_text

COMPILED_ON = ("cpu", "cuda")
"""Where torch.compile has an established compiler."""

WORTH_COMPILING_SECONDS = 900.0
"""A run shorter than this is not compiled by auto: compiling takes 20 to 60 s and saves 6 to 30 % of the time."""


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
        compiled: whether the step is compiled; False too after that failed.
        delta_rule: a key of nn.recurrence.PATHS.
    """

    dtype: str
    attention: str
    device: str
    threads: int
    reasons: tuple[str, ...]
    peak_rate: float
    compiled: bool = False
    delta_rule: str = "plain"

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
        DeviceError: if the settings ask for a format or for kernels this device cannot compute with.
        CheckpointError: if the file is damaged.
    """
    if recorded.exists():
        kept = _read(recorded)
        precision = config.precision
        wanted = (precision.dtype, precision.attention, config.training.compile, precision.delta_rule)
        have = (kept.dtype, kept.attention, kept.compiled, kept.delta_rule)
        if all(want in ("auto", one) for want, one in zip(wanted, have, strict=True)):
            return kept
    info = describe_device(device)
    dtype, why_dtype = _choose_dtype(config, model, device, info.dtypes)
    attention, why_attention = _choose_attention(config, model, device, dtype)
    delta_rule, why_delta_rule = _choose_delta_rule(config, model, device, dtype)
    peak_rate = peak_matmul_rate(device, DTYPES[dtype])
    compiled, why_compiled = _choose_compile(config, model, device, peak_rate)
    choices = Choices(
        dtype=dtype,
        attention=attention,
        device=info.name,
        threads=info.threads,
        reasons=(why_dtype, why_attention, *why_delta_rule, *why_compiled),
        peak_rate=peak_rate,
        compiled=compiled,
        delta_rule=delta_rule,
    )
    keep(choices, recorded)
    return choices


def keep(choices: Choices, recorded: Path) -> None:
    """Write the choices where a resumed run reads them."""
    write_text(recorded, json.dumps(choices.to_dict(), indent=2) + "\n")


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


def _choose_delta_rule(
    config: RunConfig, model: ModelConfig, device: torch.device, dtype: str
) -> tuple[str, tuple[str, ...]]:
    """Take the kernels of flash-linear-attention where a model has delta rules and nothing speaks against it.

    Raises:
        DeviceError: if the settings ask for them and something does.
    """
    wanted = config.precision.delta_rule
    if wanted == "plain" or "D" not in getattr(model, "mixers", ""):
        return "plain", ()
    against = why_no_fla(device, DTYPES[dtype])
    if against is None:
        return "fla", ("the delta rule by flash-linear-attention",)
    if wanted == "fla":
        problem, fix = against
        raise DeviceError(f"precision.delta_rule = 'fla', but {problem}.", fix=f"{fix}.")
    # What a CPU cannot have needs no explanation on every start.
    return "plain", (f"the delta rule by torch, since {against[0]}",) if device.type == "cuda" else ()


def _choose_compile(
    config: RunConfig, model: ModelConfig, device: torch.device, peak_rate: float
) -> tuple[bool, tuple[str, ...]]:
    """Say whether to compile, and why if it was left open: compiling must cost little of the time it saves."""
    wanted = config.training.compile
    if wanted != "auto":
        return wanted, ("compiled as set",) if wanted else ()
    if device.type not in COMPILED_ON:
        return False, (f"not compiled, which is tried on {' and '.join(COMPILED_ON)}",)
    tokens = config.training.steps * config.training.batch_tokens
    seconds = tokens * model.training_flops_per_token() / (REACHED_SHARE * peak_rate)
    if seconds < WORTH_COMPILING_SECONDS:
        return False, (f"not compiled, since the run takes about {duration_text(seconds)}",)
    return True, (f"compiled, since the run takes about {duration_text(seconds)}",)


def _read(path: Path) -> Choices:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Choices(**(values | {"reasons": tuple(values["reasons"])}))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path} is damaged: {error}.", fix="restore it from a copy, or begin again with --start-over."
        ) from None
