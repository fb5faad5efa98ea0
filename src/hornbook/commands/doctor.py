"""`hornbook doctor`: what this machine is, how fast, and what would make it slow, with one command to mend each."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hornbook.commands.display import AsJson, show, show_json, show_rows

if TYPE_CHECKING:
    import torch

    from hornbook.training.probe import Tried

LITTLE_DISK = 2 * 2**30
LITTLE_MEMORY = 2**30


@dataclass(frozen=True)
class Trouble:
    """Something that makes training slow or impossible here, and how to mend it."""

    what: str
    fix: str


@dataclass(frozen=True)
class Examination:
    """What a machine is. Sizes in bytes, rates in floating-point operations a second by number format."""

    hornbook: str
    python: str
    torch: str
    device: str
    device_name: str
    cpu_capability: str
    cores: int
    threads: int
    memory_bytes: int
    free_memory_bytes: int
    free_disk_bytes: int
    compiler: str
    matmul_flops: dict[str, float]
    training_dtype: str
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True)
class Operators:
    """What came of the operators that training needs on a device, and of the optimizers that refuse it."""

    device: str
    name: str
    tried: tuple["Tried", ...]
    refused: tuple[str, ...]

    def of(self, *verdicts: str) -> list["Tried"]:
        """Return those of these verdicts."""
        return [one for one in self.tried if one.verdict in verdicts]


def doctor() -> Examination:
    """Examine this machine; measures for about a second the first time."""
    import os
    import platform
    import shutil

    import torch

    from hornbook import __version__
    from hornbook.device import describe_device, measure_precision, peak_matmul_rate, pick_device

    device = pick_device("auto")
    info = describe_device(device)
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    rates = {name: peak_matmul_rate(device, dtypes[name]) for name in info.dtypes}
    precision = measure_precision(device)
    return Examination(
        hornbook=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        device=device.type,
        device_name=info.name,
        cpu_capability=info.cpu_capability,
        cores=allowed_cores(),
        threads=info.threads,
        memory_bytes=info.memory_bytes,
        free_memory_bytes=free_memory(),
        free_disk_bytes=shutil.disk_usage(".").free,
        compiler=next((name for name in ("c++", "g++", "clang++", "cl") if shutil.which(name)), ""),
        matmul_flops=rates,
        training_dtype=precision.choice,
        troubles=tuple(find_troubles(device, threads=info.threads, load=_load(), environment=dict(os.environ))),
    )


def find_troubles(
    device: "torch.device", *, threads: int, load: float, environment: dict[str, str]
) -> list[Trouble]:
    """List what makes this machine slower than it could be, or will stop a run.

    Args:
        device: what training would use.
        threads: that torch would use.
        load: programs that want a core, on average over the last minute.
        environment: the process's variables.
    """
    import os
    import shutil

    from hornbook.units import bytes_text

    cores, troubles = allowed_cores(), []
    limits = [name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if environment.get(name)]
    if device.type == "cpu" and threads < cores and limits:
        what = f"{limits[0]}={environment[limits[0]]} lets torch use {threads} of {cores} cores."
        troubles.append(Trouble(what, f"unset {limits[0]}"))
    if threads > cores:
        what = (
            f"torch would start {threads} threads where {cores} cores are allowed; they would wait for each other."
        )
        troubles.append(Trouble(what, f"export OMP_NUM_THREADS={cores}"))
    if load > 0.5 * (os.cpu_count() or 1):
        what = f"Other programs keep {load:.1f} of {os.cpu_count()} cores busy."
        troubles.append(Trouble(what, "close them; top shows which they are"))
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        what = "There is an NVIDIA driver, but this torch sees no such device."
        troubles.append(
            Trouble(what, "pip install --force-reinstall torch, in the build pytorch.org names for CUDA")
        )
    if (free := shutil.disk_usage(".").free) < LITTLE_DISK:
        what = f"The disk here has {bytes_text(free)} free; checkpoints may not fit."
        troubles.append(Trouble(what, "add run.folder=FOLDER data.folder=FOLDER, on a disk with more space"))
    if 0 < (free := free_memory()) < LITTLE_MEMORY:
        what = f"Only {bytes_text(free)} of memory are free."
        troubles.append(Trouble(what, "close programs, or add training.micro_batch_rows=4"))
    return troubles


def allowed_cores() -> int:
    """Count the cores this process may use, a container's share considered."""
    import os
    from pathlib import Path

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    share, _, period = (quota.read_text() if quota.is_file() else "max").partition(" ")
    return cores if share.strip() == "max" else max(1, min(cores, round(int(share) / int(period))))


def free_memory() -> int:
    """Memory a new process could have, in bytes; 0 where the system does not say."""
    from pathlib import Path

    facts = Path("/proc/meminfo")
    for line in facts.read_text().splitlines() if facts.is_file() else ():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def probe(device: str = "auto") -> "Operators":
    """Try every operator that training needs on a device, and compare with the CPU.

    Args:
        device: as training.device.

    Raises:
        DeviceError: if there is no such device.
    """
    from hornbook.device import describe_device, pick_device
    from hornbook.training.probe import probe_operators

    picked = pick_device(device)
    tried, refused = probe_operators(picked)
    return Operators(device, describe_device(picked).name, tuple(tried), tuple(refused))


def command(
    ops: Annotated[bool, typer.Option("--ops", help="Try every operator that training needs, too.")] = False,
    device: Annotated[str, typer.Option("--device", help="Where to try them, as training.device.")] = "auto",
    as_json: AsJson = False,
) -> int:
    """Examine this machine: what it is, how fast, what would slow it."""
    if ops:
        operators = probe(device)
        if as_json:
            show_json(asdict(operators))
        else:
            show_operators(operators)
        return 1 if operators.of("fails", "differs") else 0
    found = doctor()
    if as_json:
        show_json(asdict(found))
    else:
        show_examination(found)
    return 0


def show_operators(found: "Operators") -> None:
    """Print for people what a device lacks."""
    show(
        f"{len(found.tried)} operators of every architecture and optimizer, forward and backward, on {found.name}\n"
    )
    for verdict in ("fails", "differs", "falls back", "unchecked"):
        if some := found.of(verdict):
            show(f"{verdict}:")
            show_rows([one.name, f"for {one.where}", one.reason] for one in some)
    for sentence in found.refused:
        show(f"refused: {sentence}")
    if found.of("fails"):
        show(
            "\nTraining stops at the first operator that fails: choose a model or an optimizer that needs none of them."
        )
    elif found.of("differs"):
        show(
            "\nWhat differs from the CPU may train to something else: report it with the output of hornbook doctor."
        )
    else:
        show("\nEverything that training needs works here.")


def show_examination(found: Examination) -> None:
    """Print an examination for people."""
    from hornbook.units import bytes_text

    rates = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in found.matmul_flops.items())
    memory = bytes_text(found.memory_bytes) if found.memory_bytes else "unknown"
    free = f", {bytes_text(found.free_memory_bytes)} free" if found.free_memory_bytes else ""
    show_rows(
        [
            ["Hornbook", found.hornbook],
            ["Python", found.python],
            ["torch", found.torch],
            ["device", f"{found.device}: {found.device_name}, {found.cpu_capability}"],
            ["threads", f"{found.threads} on {found.cores} cores"],
            ["matrix products", rates],
            ["training in", f"{found.training_dtype}, by measurement"],
            ["memory", memory + free],
            ["disk", f"{bytes_text(found.free_disk_bytes)} free here"],
            ["C++ compiler", found.compiler or "none (only torch.compile would need one)"],
        ]
    )
    for trouble in found.troubles:
        show(f"\nslow: {trouble.what}\nfix: {trouble.fix}")
    if not found.troubles:
        show("\nNothing here would slow a run down. Next: hornbook demo")
    show("Where the time of a training step goes: hornbook bench-step RECIPE")


def _load() -> float:
    """Programs that wanted a core over the last minute; 0 where the system does not say."""
    import os

    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
