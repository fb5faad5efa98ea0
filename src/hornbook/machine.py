"""What was measured on this machine, kept between runs: where it lies and how it is read. Knows no torch.

`hornbook.device` measures and writes, one JSON file a question; `hornbook plan` reads, in an instant.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

DTYPES = {"torch.float32": "fp32", "torch.bfloat16": "bf16", "torch.float16": "fp16"}
"""What torch calls the number formats."""


@dataclass(frozen=True)
class Answer:
    """One question that was measured, such as "peak side=1024 dtype=torch.float32".

    Args:
        what: its first word.
        about: its other words, "side" -> "1024".
        choice: the candidate that won.
        seconds: the time of that candidate.
    """

    what: str
    about: dict[str, str]
    choice: str
    seconds: float


@dataclass(frozen=True)
class Machine:
    """What was measured on one device of this machine.

    Args:
        device: its kind: "cpu", "cuda", "mps", "xpu".
        answers: oldest first.
    """

    device: str
    answers: tuple[Answer, ...] = ()

    def matmul_flops(self, dtype: str) -> float | None:
        """Return the floating-point operations a second of large products in fp32, bf16 or fp16, if measured."""
        rates = [
            2 * int(answer.about["side"]) ** 3 / answer.seconds
            for answer in self.answers
            if answer.what == "peak" and DTYPES.get(answer.about["dtype"]) == dtype
        ]
        return max(rates, default=None)

    def choice(self, what: str, **about: object) -> str | None:
        """Return what won when a question was measured in this very form; none if it never was."""
        wanted = {name: str(value) for name, value in about.items()}
        found = [one.choice for one in self.answers if one.what == what and wanted.items() <= one.about.items()]
        return found[-1] if found else None


def cache_folder() -> Path:
    """Where measurements are kept: the user's cache folder, by the system's custom."""
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "hornbook" / "measured"


def read_machine(device: str = "auto") -> Machine:
    """Read what was measured on the device a run would use; "auto" is an accelerator where one was measured.

    Unreadable files count as not there: a cache is never worth a failure.
    """
    paths = sorted(cache_folder().glob("*.json"), key=lambda path: (path.stat().st_mtime, path.name))
    found = [answer for path in paths if (answer := _read(path)) is not None]
    others = sorted({kind for kind, _ in found} - {"cpu"})
    wanted = next(iter(others), "cpu") if device == "auto" else device.partition(":")[0]
    return Machine(wanted, tuple(answer for kind, answer in found if kind == wanted))


def _read(path: Path) -> tuple[str, Answer] | None:
    """Read the device's kind and the answer from one file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        what, *about = str(found["key"]["question"]).split()
        seconds = float(found["milliseconds"][found["choice"]]) / 1e3
        answer = Answer(what, dict(word.split("=", 1) for word in about), str(found["choice"]), seconds)
        return str(found["key"]["device"]).partition(" ")[0], answer
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
