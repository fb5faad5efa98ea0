"""Brahma against llama at equal parameters: training tokens a second, and the memory that talking takes.

    .bench/bin/python benchmarks/bench_brahma.py [--shape 4x128] [--rounds 7] [--threads 1] [--write]

Both train by Hornbook's own step, with the attention that was measured to be faster at each context. Each length of
talking runs in a process of its own, whose peak memory is the system's count (Linux).
"""

import argparse
import dataclasses
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from bench_train import repeat
from hornbook.heap import keep_freed_memory
from hornbook.models.brahma.config import BrahmaConfig
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.units import bytes_text
from measure import take_turns
from report import header, publish, table, verdict
from rivals import Rival, Shape, hornbook

TARGET = 0.75
"""Share of llama's tokens a second that Brahma must train."""

STEP_TOKENS, CONTEXTS, DTYPES = 1024, (128, 512), ("fp32", "bf16")
VOCABULARY = 256
WIDTHS = {"4x128": (4, 128, 4), "4x256": (4, 256, 4)}
"""Layers, width and heads of each shape."""

TALKERS = {"llama": None, "brahma DADA": "DADA", "brahma D": "D"}
"""Who talks, by the pattern of a Brahma."""

LENGTHS, ROWS, FED, WRITTEN = (128, 4096), 32, 64, 32
"""Tokens a state has seen, rows that talk together, tokens of each fed at once, tokens of each written at the end."""


def main() -> None:
    """Measure both and print a table each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--shape", choices=WIDTHS, action="append", help="measure this shape only; may be repeated"
    )
    parser.add_argument("--rounds", type=int, default=7, help="timed turns of each rival")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a turn is, about")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="tokens to have seen when talking")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    parser.add_argument("--talk", nargs=2, metavar=("WHO", "TOKENS"), help=argparse.SUPPRESS)  # the child's order
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.talk:
        print(json.dumps(talk(options.talk[0], int(options.talk[1]))))
        return
    keep_freed_memory()  # as training does
    text = header("Brahma's speed and memory", ["torch", "hornbook"], threads=options.threads)
    text += training(options.shape or list(WIDTHS), rounds=options.rounds, seconds=options.seconds)
    text += talking(options.lengths, threads=options.threads)
    publish("brahma-speed", text, write=options.write)


def pair(shape: str, context: int) -> tuple[LlamaConfig, BrahmaConfig]:
    """Make a llama, and the Brahma whose feed-forward gives it as many parameters."""
    layers, width, heads = WIDTHS[shape]
    size = {"vocab_size": VOCABULARY, "context": context, "width": width, "num_layers": layers, "num_heads": heads}
    llama = LlamaConfig(**size, qk_norm=True)
    return llama, matched(BrahmaConfig(**size), llama.num_parameters())


def matched(config: BrahmaConfig, parameters: int) -> BrahmaConfig:
    """Choose the feed-forward width that comes closest to a number of parameters."""
    narrow = config.model_copy(update={"feedforward_width": 1})
    more = (parameters - narrow.num_parameters()) / (3 * config.width * config.num_layers)
    return config.model_copy(update={"feedforward_width": 1 + round(more)})


def training(shapes: Sequence[str], *, rounds: int, seconds: float) -> str:
    """Let the two take turns at every shape, context and number format; return that part of the report."""
    rows, verdicts = [], []
    for shape in shapes:
        for context in CONTEXTS:
            for dtype in DTYPES:
                row, said = duel(shape, context, dtype, rounds=rounds, seconds=seconds)
                rows.append(row)
                verdicts.append(said)
    text = f"\n## Training\n\n{STEP_TOKENS:,} tokens a step, fused AdamW, eager; tokens a CPU second; medians of "
    text += f"{rounds} turns, one after the other, and of the {rounds} ratios of neighbours.\n\n"
    columns = ["shape", "context", "format", "parameters", "llama", "brahma", "brahma / llama"]
    return text + table(columns, rows) + "\n" + "\n".join(verdicts) + "\n"


def duel(shape: str, context: int, dtype: str, *, rounds: int, seconds: float) -> tuple[list[str], str]:
    """Time one pair; return its row and its verdict."""
    rivals = [rival(config, dtype) for config in pair(shape, context)]
    most, fewest = max(r.parameters for r in rivals), min(r.parameters for r in rivals)
    assert most <= 1.001 * fewest, f"the rivals differ in size: {fewest} and {most} parameters"
    quick = take_turns({r.name: r.step for r in rivals}, rounds=1)
    steps = max(1, round(seconds / min(times.wall_seconds for times in quick.values())))
    times = take_turns({r.name: repeat(r.step, steps) for r in rivals}, rounds=rounds)
    llama, brahma = times.values()
    # Turn by turn, so that what slows both for a while cancels.
    ratio = statistics.median(theirs / ours for theirs, ours in zip(llama.cpu, brahma.cpu, strict=True))
    rates = [f"{steps * STEP_TOKENS / t.cpu_seconds:,.0f}" for t in (llama, brahma)]
    return (
        [shape, f"{context}", dtype, f"{most:,}", *rates, f"{ratio:.2f}"],
        verdict(f"{shape}, context {context}, {dtype}", ratio, TARGET),
    )


def rival(config: LlamaConfig | BrahmaConfig, dtype: str) -> Rival:
    """Train a config by Hornbook's step, under its architecture's name."""
    shape = Shape(config.arch, config, STEP_TOKENS // config.context)
    return dataclasses.replace(hornbook(shape, dtype), name=config.arch)


def talking(lengths: Sequence[int], *, threads: int) -> str:
    """Let every talker see each number of tokens in a process of its own; return that part of the report."""
    rows = []
    for who in TALKERS:
        for length in lengths:
            command = [sys.executable, __file__, "--threads", str(threads), "--talk", who, str(length)]
            told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            cells = [bytes_text(told["state_bytes"] // ROWS), bytes_text(told["peak_bytes"])]
            rows.append([who, f"{length:,}", *cells, f"{told['milliseconds']:.1f}"])
    text = f"\n## Talking\n\n4 layers x 128, {ROWS} rows, fp32; a step writes one token a row.\n\n"
    return text + table(["model", "tokens seen", "state a row", "peak memory of the process", "ms a step"], rows)


def talk(who: str, length: int) -> dict[str, float]:
    """Feed a prompt, write the last tokens one by one, and tell what it took."""
    pattern = TALKERS[who]
    llama, brahma = pair("4x128", length)
    config = llama
    if pattern is not None:
        config = matched(brahma.model_copy(update={"pattern": pattern}), llama.num_parameters())
    model = build_model(config, seed=0).eval()
    tokens = torch.randint(VOCABULARY, (ROWS, length), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        state = model.init_state(ROWS, length)
        for start in range(0, length - WRITTEN, FED):
            model.hidden(tokens[:, start : min(start + FED, length - WRITTEN)], state)
        started = time.process_time()
        for position in range(length - WRITTEN, length):
            model(tokens[:, position : position + 1], state)
        spent = time.process_time() - started
    # The state's buffers were made for exactly the tokens it has seen.
    return {"state_bytes": state.num_bytes(), "peak_bytes": peak_bytes(), "milliseconds": spent / WRITTEN * 1e3}


def peak_bytes() -> int:
    """Most memory this process has held at once, as Linux counts it; what getrusage says begins with the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


if __name__ == "__main__":
    main()
