"""What a run was made of: hashes of code, settings, data and tokenizer, and the environment it ran in."""

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import torch

from hornbook import __version__
from hornbook.errors import CheckpointError
from hornbook.storage.atomic import write_text

SOURCE = Path(__file__).parents[1]


def make_receipt(*, config: dict[str, Any], data: str, tokenizer: str, device: torch.device) -> dict[str, Any]:
    """Describe a run about to start; `data` and `tokenizer` are hashes."""
    text = json.dumps(config, sort_keys=True)
    return {
        "hornbook": __version__,
        "code": code_hash(),
        "config": hashlib.sha256(text.encode()).hexdigest(),
        "data": data,
        "tokenizer": tokenizer,
        "environment": environment(device),
    }


def environment(device: torch.device) -> dict[str, str]:
    """Describe what bit-identity depends on: library, processor, device. Thread count does not change results."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def code_hash() -> str:
    """Hash every source file of the package, names included."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.rglob("*.py")):
        digest.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def write_receipt(path: Path, receipt: dict[str, Any]) -> None:
    """Write `receipt` to `path`."""
    write_text(path, json.dumps(receipt, indent=2) + "\n")


def compare_receipts(path: Path, now: dict[str, Any]) -> list[str]:
    """Compare the receipt at `path` with `now`; return one sentence for each harmless difference.

    Raises:
        CheckpointError: if data or tokenizer differ: the run would go on with something else.
    """
    try:
        then = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.", fix="restore it, or use --start-over.") from None
    for what in ("data", "tokenizer"):
        if then[what] != now[what]:
            raise CheckpointError(
                f"{path.parent} was trained with another {what} ({then[what][:12]}, now {now[what][:12]}).",
                fix=f"restore the {what}, choose another run.folder, or begin again with --start-over.",
            )
    before, after = then["environment"], now["environment"]
    changed = [
        f"{key} {before.get(key)} is now {value}" for key, value in after.items() if before.get(key) != value
    ]
    return [f"Not the environment the run began in, so bits may differ: {', '.join(changed)}."] if changed else []
