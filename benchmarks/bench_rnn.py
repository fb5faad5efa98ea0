"""Training speed of the recurrent cells: torch's fused kernels against the same cells written out step by step.

    .bench/bin/python benchmarks/bench_rnn.py [--cell gru] [--rounds 7] [--threads 1] [--write]

The second way is that of the original b_lm: two linear layers and the gates, one token after the other, in plain
torch. Model, weights, data, optimizer and step are the same; before anything is timed, so are the logits.
"""

import argparse

import torch
from torch import Tensor, nn

from hornbook.models.build import build_model
from hornbook.models.rnn.config import GATES, RNNConfig
from hornbook.nn.cells import Cell
from hornbook.training.precision import DTYPES, Precision
from measure import take_turns
from report import header, publish, table, verdict
from rivals import CPU, Rival, Shape, stepping

TARGET = 1.0
"""The fused cells may not be slower."""


class StepByStep(nn.Module):
    """A cell of the same weights, one token after the other."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.mode, self.width = cell.cell.mode, cell.width
        self.w_in, self.w_memory, self.b_in, self.b_memory = cell.cell.parameters()

    def forward(self, x: Tensor, borders: None = None, state: None = None) -> Tensor:
        """(B, T, I) -> (B, T, D), from zeros."""
        h = c = x.new_zeros(len(x), self.width)
        written = []
        for token in x.unbind(1):
            read = nn.functional.linear(token, self.w_in, self.b_in)
            kept = nn.functional.linear(h, self.w_memory, self.b_memory)
            if self.mode == "RNN_TANH":
                h = torch.tanh(read + kept)
            elif self.mode == "GRU":
                (r, z, n), (hr, hz, hn) = read.chunk(3, 1), kept.chunk(3, 1)
                reset, update = torch.sigmoid(r + hr), torch.sigmoid(z + hz)
                new = torch.tanh(n + reset * hn)
                h = (1 - update) * new + update * h
            else:
                enter, forget, new, out = (read + kept).chunk(4, 1)
                c = torch.sigmoid(forget) * c + torch.sigmoid(enter) * torch.tanh(new)
                h = torch.sigmoid(out) * torch.tanh(c)
            written.append(h)
        return torch.stack(written, 1)


def main() -> None:
    """Measure the cells asked for and print one table each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", choices=GATES, action="append", help="measure this cell only; may be repeated")
    parser.add_argument("--rounds", type=int, default=7, help="timed turns of each rival")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--rows", type=int, default=16, help="rows of 128 tokens in a step")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    text = header("Training speed of recurrent cells", ["torch", "hornbook"], threads=options.threads)
    for cell in options.cell or GATES:
        text += "\n" + measure(cell, rows=options.rows, rounds=options.rounds)
    publish("rnn", text, write=options.write)


def measure(cell: str, *, rows: int, rounds: int) -> str:
    """Let both ways of computing one cell take turns, in both formats; return the part of the report."""
    config = RNNConfig(vocab_size=256, context=128, width=256, num_layers=1, cell=cell)
    shape = Shape(cell, config, rows)
    rivals = {
        f"{way} {dtype}": rival(shape, dtype, step_by_step=way == "step by step")
        for dtype in ("fp32", "bf16")
        for way in ("fused", "step by step")
    }
    times = take_turns({name: one.step for name, one in rivals.items()}, rounds=rounds)
    own = times["fused fp32"].cpu_seconds
    lines = [
        [
            name,
            f"{shape.step_tokens / seen.cpu_seconds:,.0f}",
            f"{shape.step_tokens / seen.wall_seconds:,.0f}",
            f"{seen.cpu_seconds / own:.2f}",
        ]
        for name, seen in times.items()
    ]
    verdicts = [
        verdict(
            f"fused against step by step, {dtype}",
            times[f"step by step {dtype}"].cpu_seconds / times[f"fused {dtype}"].cpu_seconds,
            TARGET,
        )
        for dtype in ("fp32", "bf16")
    ]
    parameters = next(iter(rivals.values())).parameters
    size = f"{parameters:,} parameters, {shape.step_tokens:,} tokens a step."
    about = f"## {cell}: 1 layer x 256, context 128\n\n{size}\n"
    columns = ["engine", "tokens / CPU second", "tokens / second", "CPU time, fused fp32 = 1"]
    return "\n".join([about, table(columns, lines), *verdicts, ""])


def rival(shape: Shape, dtype: str, *, step_by_step: bool) -> Rival:
    """Hornbook's own training step, over torch's cells or over those written out."""
    precision = Precision(CPU, DTYPES[dtype])
    model = build_model(shape.model, seed=0)
    tokens = shape.batches(1)[0].tokens
    with torch.no_grad():
        expected = model(tokens)
        if step_by_step:
            model.blocks = nn.ModuleList(StepByStep(cell) for cell in model.blocks)
        torch.testing.assert_close(model(tokens), expected, rtol=1e-4, atol=1e-4)
    return stepping(shape.name, model, shape, precision)


if __name__ == "__main__":
    main()
