"""Training tokens a second: Hornbook's own step against transformers and litgpt, on one core of the CPU.

    .bench/bin/python benchmarks/bench_train.py [--shape char] [--rounds 9] [--threads 1] [--write]

The shapes and the targets are those the project promises; without --threads, one core is used, since the ratios
then hold on machines of any size.
"""

import argparse
from collections.abc import Callable

import torch

from hornbook.models.llama.config import LlamaConfig
from measure import Times, take_turns
from report import header, installed, publish, table, verdict
from rivals import Rival, Shape, hornbook, litgpt, transformers

SHAPES = {
    "char": Shape(
        "char", LlamaConfig(vocab_size=256, context=256, width=384, num_layers=6, num_heads=6, tied=False), 4
    ),
    "tiny": Shape(
        "tiny", LlamaConfig(vocab_size=256, context=128, width=128, num_layers=4, num_heads=4, tied=False), 8
    ),
}
TARGETS = {"char": {"transformers fp32": 1.5, "transformers bf16": 1.1}, "tiny": {"transformers bf16": 1.45}}


def main() -> None:
    """Measure the shapes asked for and print one table each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--shape", choices=SHAPES, action="append", help="measure this shape only; may be repeated"
    )
    parser.add_argument("--rounds", type=int, default=9, help="timed turns of each rival")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a turn is, about")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    text = header("Training speed", ["torch", "hornbook", "transformers", "litgpt"], threads=options.threads)
    for name in options.shape or SHAPES:
        text += "\n" + measure(SHAPES[name], rounds=options.rounds, seconds=options.seconds)
    publish("train", text, write=options.write)


def measure(shape: Shape, *, rounds: int, seconds: float) -> str:
    """Let the rivals take turns at one shape; return its part of the report."""
    rivals = build_rivals(shape)
    smallest, largest = min(r.parameters for r in rivals), max(r.parameters for r in rivals)
    assert largest <= 1.001 * smallest, f"the rivals differ in size: {smallest} to {largest} parameters"
    quick = take_turns({rival.name: rival.step for rival in rivals}, rounds=1)
    # All take as many steps a turn, so that a turn is about as long as asked and the slowest not much longer.
    steps = max(1, round(seconds / min(times.wall_seconds for times in quick.values())))
    times = take_turns({rival.name: repeat(rival.step, steps) for rival in rivals}, rounds=rounds)
    return describe(shape, largest, steps) + results(shape, times, tokens=steps * shape.step_tokens)


def build_rivals(shape: Shape) -> list[Rival]:
    """Build every rival whose package is installed."""
    rivals = [hornbook(shape, dtype) for dtype in ("bf16", "fp32")]
    if installed("transformers"):
        rivals += [transformers(shape, dtype) for dtype in ("bf16", "fp32")]
    if installed("litgpt"):
        rivals.append(litgpt(shape, "bf16"))
    return rivals


def repeat(step: Callable[[], object], times: int) -> Callable[[], None]:
    """Make a turn of several steps."""

    def turn() -> None:
        for _ in range(times):
            step()

    return turn


def describe(shape: Shape, parameters: int, steps: int) -> str:
    """Say what the rivals train."""
    model = shape.model
    return (
        f"## {shape.name}: {model.num_layers} layers x {model.width}, context {model.context}, "
        f"vocabulary {model.vocab_size}\n\n{parameters:,} parameters, {shape.step_tokens:,} tokens a step, "
        f"{steps} steps a turn; medians; eager, fused AdamW.\n\n"
    )


def results(shape: Shape, times: dict[str, Times], *, tokens: int) -> str:
    """Write the table of one shape and its ratios to the targets."""
    own = next(iter(times.values()))
    rows = [
        [
            name,
            f"{tokens / t.cpu_seconds:,.0f}",
            f"{tokens / t.wall_seconds:,.0f}",
            f"{t.cpu_seconds / own.cpu_seconds:.2f}",
        ]
        for name, t in times.items()
    ]
    text = table(["engine", "tokens / CPU second", "tokens / second", "CPU time, Hornbook bf16 = 1"], rows)
    known = {name: target for name, target in TARGETS[shape.name].items() if name in times}
    lines = [
        verdict(f"Hornbook bf16 against {name}", times[name].cpu_seconds / own.cpu_seconds, target)
        for name, target in known.items()
    ]
    return "\n".join([text, *lines, ""])


if __name__ == "__main__":
    main()
