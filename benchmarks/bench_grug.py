"""What grug's front end of convolutions costs: whole training steps of the recipe with it and without, in turns.

    .venv/bin/python benchmarks/bench_grug.py [--rounds 5] [--threads 1] [--dtype bf16] [--write]

The model, its dropout and the batch are those of `hornbook train grug`; without the front end the byte stream reads
the embedding through its own projection. Processor time, so that other programs hardly show.
"""

import argparse

import torch

from hornbook.models.build import build_model
from hornbook.models.grug.config import GrugConfig
from hornbook.nn.attention import use_attention
from hornbook.run import make_run
from hornbook.training.precision import DTYPES, Precision
from measure import Times, take_turns
from report import header, publish, table
from rivals import CLIP_NORM, CPU, Rival, Shape, stepping

MOST_SHARE = 0.25
"""Of a step, for the front end."""

VOCABULARY = 268  # 256 byte values and 12 specials


def main() -> None:
    """Measure the formats asked for and print one table each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=DTYPES, action="append", help="measure this format; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns of each")
    parser.add_argument("--rows", type=int, default=0, help="rows of a step; 0 takes the recipe's")
    parser.add_argument("--set", action="append", default=[], help="a setting of the recipe, model.width=64")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    text = header("Grug's front end", ["torch", "hornbook"], threads=options.threads)
    for dtype in options.dtype or ["bf16", "fp32"]:
        text += "\n" + measure(dtype, options.set, rows=options.rows, rounds=options.rounds)
    publish("grug", text, write=options.write)


def measure(dtype: str, settings: list[str], *, rows: int, rounds: int) -> str:
    """Let the two take turns; return the table and the share."""
    run = make_run("grug", settings, environment={})
    whole = run.model.with_vocabulary(VOCABULARY)
    assert isinstance(whole, GrugConfig)
    bare = whole.model_copy(update={"cnn_channels": (), "cnn_kernels": ()})
    rivals = [
        rival("with the front end", whole, dtype, rows=rows or run.batch_rows),
        rival("without it", bare, dtype, rows=rows or run.batch_rows),
    ]
    times = take_turns({one.name: one.step for one in rivals}, rounds=rounds)
    return describe(whole, dtype, rows or run.batch_rows) + results(rivals, times)


def rival(name: str, config: GrugConfig, dtype: str, *, rows: int) -> Rival:
    """Build the training step of a model of `config`."""
    precision, model = Precision(CPU, DTYPES[dtype]), build_model(config, seed=0)
    use_attention(model, "matmul")
    run = make_run("grug", environment={})
    assert run.training.clip_norm == CLIP_NORM
    shape = Shape(name, config, rows)  # type: ignore[arg-type]
    return stepping(name, model, shape, precision, optimizer=run.optimizer)


def describe(config: GrugConfig, dtype: str, rows: int) -> str:
    """Say what is trained."""
    layers = ", ".join(
        f"{channels} channels over {kernel} bytes"
        for channels, kernel in zip(config.cnn_channels, config.cnn_kernels, strict=True)
    )
    return (
        f"## {dtype}: {config.num_layers} blocks of {config.width}, {rows} rows of {config.context} bytes\n\n"
        f"Front end: {layers}. Medians of whole steps, AdamW included, matmul attention.\n\n"
    )


def results(rivals: list[Rival], times: dict[str, Times]) -> str:
    """Write the table, and what share of a step the front end is."""
    rows = [
        [
            one.name,
            f"{one.parameters:,}",
            f"{times[one.name].cpu_seconds:.2f}",
            f"{times[one.name].wall_seconds:.2f}",
        ]
        for one in rivals
    ]
    whole, bare = (times[one.name].cpu_seconds for one in rivals)
    share = 1 - bare / whole
    word = "reached" if share < MOST_SHARE else "NOT reached"
    line = f"- the front end's share of a step: **{share:.1%}**, target below {MOST_SHARE:.0%}: {word}\n"
    return table(["model", "parameters", "CPU seconds a step", "seconds a step"], rows) + "\n" + line


if __name__ == "__main__":
    main()
