"""What was measured on this machine, kept between runs: where it lies and how it is read. Knows no torch.

`hornbook.device` measures and writes, one JSON file a question; `hornbook plan` reads, in an instant.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MachineSpeed:
    """What matrix products reach here.

    Args:
        device: its kind: "cpu", "cuda", "mps", "xpu".
        flops: floating-point operations a second, by number format ("fp32", "bf16", "fp16").
        dtype: the format measured to be faster for training, none if nobody measured.
    """

    device: str
    flops: dict[str, float]
    dtype: str | None


_SHORT = {"torch.float32": "fp32", "torch.bfloat16": "bf16", "torch.float16": "fp16"}


def cache_folder() -> Path:
    """Where measurements are kept: the user's cache folder, by the system's custom."""
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "hornbook" / "measured"


def read_speed(device: str = "auto") -> MachineSpeed:
    """Read what was measured on the device a run would use; "auto" is an accelerator where one was measured.

    Unreadable files count as not there: a cache is never worth a failure.
    """
    found = [record for path in sorted(cache_folder().glob("*.json")) if (record := _read(path))]
    kinds = {record["device"].partition(" ")[0] for record in found}
    wanted = device.partition(":")[0] if device != "auto" else next(iter(sorted(kinds - {"cpu"})), "cpu")
    flops: dict[str, float] = {}
    dtype = None
    for record in found:
        if record["device"].partition(" ")[0] != wanted:
            continue
        words = dict(word.split("=") for word in record["question"].split() if "=" in word)
        if record["question"].startswith("peak ") and words.get("dtype") in _SHORT:
            rate = 2 * int(words["side"]) ** 3 / (float(record["milliseconds"]) / 1e3)
            short = _SHORT[words["dtype"]]
            flops[short] = max(rate, flops.get(short, 0.0))
        elif record["question"].startswith("precision "):
            dtype = record["choice"]
    return MachineSpeed(wanted, flops, dtype)


def _read(path: Path) -> dict[str, str] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        key = found["key"]
        return {
            "question": str(key["question"]),
            "device": str(key["device"]),
            "choice": str(found["choice"]),
            "milliseconds": str(found["milliseconds"][found["choice"]]),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
