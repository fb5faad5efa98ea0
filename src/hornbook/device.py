"""Which machine is this: pick a device, describe it, and measure what is fast on it.

Measured choices (which dtype, which way of attention) are written to the user's cache, one file a question, by
whoever asks first; two runs on one machine therefore never choose differently. Delete the folder to measure again.
"""

import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hornbook.directml import KIND as DIRECTML
from hornbook.directml import directml_name, find_directml, pick_directml
from hornbook.errors import DeviceError
from hornbook.machine import cache_folder

ADVANTAGE = 1.15
"""How many times faster bfloat16 must be than float32 to be chosen: it costs precision."""

MOST_SCORES, MOST_TOKENS = 2**22, 2**15
"""What a measurement of attention computes at once: time is linear in rows times heads, so fewer of them will do."""

ROUNDS = 5
"""Timed repetitions of each candidate; the fastest counts, since noise only ever adds time."""

AttentionPath = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], Tensor]


@dataclass(frozen=True)
class DeviceInfo:
    """What a device is.

    Args:
        name: of the processor or accelerator.
        memory_bytes: its own memory, or the machine's for a CPU; 0 where the system does not say.
        dtypes: what models can be computed in, widest first.
        threads: of this process, for its share of the work on the CPU.
        cpu_capability: the instruction set torch found ("AVX512"); results are bit-identical only within one.
    """

    name: str
    memory_bytes: int
    dtypes: tuple[str, ...]
    threads: int
    cpu_capability: str


@dataclass(frozen=True)
class Measurement:
    """The answer to "which is fastest here".

    Args:
        choice: the candidate to use.
        milliseconds: the best time of each candidate.
        cached: whether an earlier run measured it.
    """

    choice: str
    milliseconds: dict[str, float]
    cached: bool


def pick_device(name: str) -> torch.device:
    """Return the device of that name; "auto" takes the first of cuda, xpu, mps, directml that is here, else the CPU.

    Raises:
        DeviceError: if it does not exist here, saying what does.
    """
    accelerator = _accelerator()
    if name == "auto":
        return accelerator or (pick_directml("directml") if find_directml() else torch.device("cpu"))
    if name.partition(":")[0] == "directml":
        return pick_directml(name)
    kinds = ["cpu"] + ([accelerator.type] if accelerator else [])
    count = torch.get_device_module(accelerator).device_count() if accelerator else 0
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in kinds or (device.type != "cpu" and (device.index or 0) >= count):
        has = "cpu" if accelerator is None else f"cpu and {accelerator.type} (numbers 0 to {count - 1})"
        raise DeviceError(
            f"This machine has no device '{name}'; it has {has}.", fix="set training.device = 'auto'."
        )
    return device


def _accelerator() -> torch.device | None:
    """The one accelerator this build of torch is for, if it is here; torch before 2.6 is asked for CUDA alone."""
    if hasattr(torch, "accelerator"):
        return torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cuda") if torch.cuda.is_available() else None


def describe_device(device: torch.device) -> DeviceInfo:
    """Describe a device without computing anything on it."""
    threads, capability = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    if device.type == "cpu":
        return DeviceInfo(_cpu_name(), _cpu_memory_bytes(), ("fp32", "bf16"), threads, capability)
    if device.type == DIRECTML:
        return DeviceInfo(directml_name(device), 0, ("fp32",), threads, capability)
    module = torch.get_device_module(device)
    name = str(module.get_device_name(device)) if hasattr(module, "get_device_name") else device.type
    memory = (
        int(module.get_device_properties(device).total_memory) if hasattr(module, "get_device_properties") else 0
    )
    bf16 = ("bf16",) if device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False) else ()
    return DeviceInfo(name, memory, ("fp32", *bf16, "fp16"), threads, capability)


def measure_precision(
    device: torch.device, *, rows: int = 1024, width: int = 384, inner_width: int = 1024
) -> Measurement:
    """Choose between "fp32" and "bf16" by a feed-forward's two products, forward and backward, in about 0.1 s.

    bf16 is chosen only if ADVANTAGE times faster. fp16 is never proposed: it needs its loss scaled.
    """

    def candidate(dtype: torch.dtype) -> Callable[[], object]:
        x, up, down = (
            _random(device, dtype, *s) for s in ((rows, width), (width, inner_width), (inner_width, width))
        )
        return lambda: torch.autograd.grad((x @ up @ down).sum(), (x, up, down))

    question = f"precision rows={rows} width={width} inner_width={inner_width}"
    candidates = {"fp32": candidate(torch.float32), "bf16": candidate(torch.bfloat16)}
    with _one_thread():
        return _measured(question, candidates, device, advantage=ADVANTAGE)


def measure_attention(
    paths: Mapping[str, AttentionPath],
    device: torch.device,
    *,
    rows: int,
    heads: int,
    tokens: int,
    head_width: int,
    dtype: torch.dtype,
) -> Measurement:
    """Choose among the ways to compute causal attention, forward and backward.

    Args:
        paths: `hornbook.nn.attention.PATHS`.
        device: where.
        rows: B of a micro-batch.
        heads: H.
        tokens: T.
        head_width: K.
        dtype: the compute dtype.
    """
    fewer = max(1, min(MOST_SCORES // tokens**2, MOST_TOKENS // tokens))
    pairs = min(rows * heads, fewer)
    inputs = tuple(_random(device, dtype, 1, tokens, pairs, head_width) for _ in range(3))

    def candidate(path: AttentionPath) -> Callable[[], object]:
        def run() -> object:
            q, k, v = (x.transpose(1, 2) for x in inputs)  # (B, H, T, K), laid out as a projection leaves them
            return torch.autograd.grad(path(q, k, v, None, 0.0).sum(), inputs)

        return run

    question = f"attention rows*heads={pairs} tokens={tokens} head_width={head_width} dtype={dtype}"
    with _one_thread():
        return _measured(question, {name: candidate(path) for name, path in paths.items()}, device)


def peak_matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measure what large matrix products reach, in FLOP/s: the 100 % of a utilisation."""
    side = 1024 if device.type == "cpu" else 8192
    a, b = _random(device, dtype, side, side).detach(), _random(device, dtype, side, side).detach()
    seen = _measured(f"peak side={side} dtype={dtype}", {"matmul": lambda: a @ b}, device)
    return 2 * side**3 / (seen.milliseconds["matmul"] / 1e3)


def _measured(
    question: str, candidates: Mapping[str, Callable[[], object]], device: torch.device, *, advantage: float = 1.0
) -> Measurement:
    """Answer from the cache, or time the candidates and write the answer down.

    The first candidate stays the choice unless another is `advantage` times faster.
    """
    key = {"question": question, **_identity(device)}
    path = cache_folder() / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]}.json"
    if found := _read(path, key, candidates):
        return found
    times = {name: _milliseconds(run, device) for name, run in candidates.items()}
    choice = next(iter(times))
    for name, spent in times.items():
        if spent * advantage < times[choice]:
            choice = name
    _write_first(path, {"key": key, "choice": choice, "milliseconds": times})
    # Another process may have been first: its answer counts for both.
    return _read(path, key, candidates, cached=False) or Measurement(choice, times, cached=False)


def _milliseconds(run: Callable[[], object], device: torch.device) -> float:
    """Time one call: the best of ROUNDS, after one that warms up, waiting for the device around each.

    One thread on the CPU is timed by the processor time it used, which other programs hardly touch.
    """
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    best = float("inf")
    for _ in range(ROUNDS + 1):
        wait_for(device)
        start = clock()
        run()
        wait_for(device)
        best = min(best, clock() - start)
    return best * 1e3


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread inside the block.

    Which of two ways is faster does not depend on the number of threads, but measuring with several does depend on
    who else uses the machine: two threads beside one busy program took 120 ms for what one alone did in 4.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all it was told."""
    if device.type == DIRECTML:
        torch.zeros(1, device=device).cpu()  # it has no call for waiting, but a copy waits for what was before it
    elif device.type != "cpu":
        torch.accelerator.synchronize(device)


def _random(device: torch.device, dtype: torch.dtype, *shape: int) -> Tensor:
    """Numbers to compute with, from a generator of their own: measuring must not shift anyone's randomness."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return drawn.to(device, dtype).requires_grad_()


def _identity(device: torch.device) -> dict[str, str | int]:
    """What a measurement depends on besides its question."""
    info = describe_device(device)
    return {
        "device": f"{device.type} {info.name}",
        "capability": info.cpu_capability,
        "threads": info.threads,
        "torch": torch.__version__,
    }


def _read(
    path: Path, key: Mapping[str, object], candidates: Mapping[str, object], *, cached: bool = True
) -> Measurement | None:
    """Return an earlier answer; none if there is none, or it cannot be read, or it answers something else."""
    try:
        found = json.loads(path.read_text())
        if found["key"] != key or found["choice"] not in candidates:
            return None
        return Measurement(
            found["choice"], {name: float(found["milliseconds"][name]) for name in candidates}, cached
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_first(path: Path, answer: Mapping[str, object]) -> None:
    """Write an answer whole, unless a good one is there; a cache that cannot be written is no cache."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
            json.dump(answer, file, indent=1)
        temporary = Path(file.name)
        try:
            _publish(temporary, path, answer)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError:
        return


def _publish(temporary: Path, path: Path, answer: Mapping[str, object]) -> None:
    """Give the finished file its name; of two that try at once, a link lets exactly one succeed."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        candidates = answer["milliseconds"]
        key = answer["key"]
        assert isinstance(candidates, dict) and isinstance(key, dict)
        if _read(path, key, candidates) is None:  # damaged: replace it
            temporary.replace(path)
    except OSError:  # a file system without hard links
        temporary.replace(path)


def _cpu_name() -> str:
    """The processor's model, as the system names it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpu_memory_bytes() -> int:
    """The machine's memory, or this container's share of it; 0 where the system does not say."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 0
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    shared = limit.read_text().strip() if limit.is_file() else "max"
    return physical if shared == "max" else min(physical, int(shared))
