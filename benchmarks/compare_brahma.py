"""Is Brahma better than a transformer? Both trained alike, at equal parameters and tokens, and asked the same.

    .venv/bin/python benchmarks/compare_brahma.py [--only sixteen] [--jobs 1] [--threads 1] [--write]

Every rate is tried for both models on the first seed; the one with the lowest validation loss, which is not the
exam, is then repeated on the other seeds. Runs are ordinary runs of `hornbook train`: finished ones are kept and
interrupted ones go on, so the same command may be stopped at any time, and --model, --rate and --seed do a part.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hornbook.evaluation.compare import Comparison, compare, read_examined, two_sides
from hornbook.evaluation.comparison_report import comparison_table, describe_sides
from hornbook.models.brahma.config import BrahmaConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.run import load_run, make_run
from hornbook.runlog.paths import RunFolder
from report import ROOT, header, publish, table

HERE = Path(__file__).resolve().parent
THEMES = {"sixteen": HERE / "compare_sixteen.toml", "reasoning": HERE / "compare_reasoning.toml"}
MODELS = ("llama", "brahma")
RATES = ("3e-3", "5e-3", "2e-3", "8e-3")
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Job:
    """One run: what is taught, to which model, at which peak rate, from which seed."""

    theme: str
    model: str
    rate: str
    seed: int
    options: argparse.Namespace

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return Path(self.options.folder) / self.theme / f"{self.model}-{self.rate}-seed{self.seed}"

    @property
    def settings(self) -> list[str]:
        """What the run sets beside its recipe."""
        return [
            *shape(self.theme, self.model),
            f"optimizer.lr={self.rate}",
            f"optimizer.adam_lr={self.rate}",
            f"training.seed={self.seed}",
            f"training.threads={self.options.threads}",
            f"run.folder={self.folder}",
            f"data.folder={Path(self.options.folder) / 'prepared'}",
            *self.options.set,
        ]

    @property
    def done(self) -> bool:
        """Whether the run is finished and examined."""
        run = RunFolder(self.folder)
        return run.model.exists() and run.evaluation.exists()

    @property
    def loss(self) -> float:
        """The validation loss of the finished model."""
        return read_examined(self.folder).loss

    def carry_out(self) -> None:
        """Train and examine in processes of their own; what they print is kept beside the run."""
        if self.done:
            return
        for words in (["train", str(THEMES[self.theme]), *self.settings], ["evaluate", str(self.folder)]):
            environment = os.environ | {"OMP_NUM_THREADS": str(self.options.threads)}
            command = [sys.executable, "-m", "hornbook", *words]
            ended = subprocess.run(command, env=environment, capture_output=True, text=True)
            if ended.returncode:
                raise SystemExit(f"{' '.join(command)}\n{ended.stdout[-2000:]}{ended.stderr}")
        print(f"{self.folder.name}: validation loss {self.loss:.4f}", flush=True)


def main() -> None:
    """Train what is not yet trained, and say what was found."""
    options = read_options()
    parts = [find_out(theme, options) for theme in options.only or THEMES]
    found = [part for part in parts if part is not None]
    if found:
        text = header("Brahma against a transformer", ["torch", "hornbook"], threads=options.threads)
        publish("brahma-comparison", "\n".join([text, *found]), write=options.write)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=THEMES, action="append", help="this data only; may be repeated")
    parser.add_argument("--model", choices=MODELS, help="train this model only, and report nothing")
    parser.add_argument("--rate", choices=RATES, action="append", help="try this rate only; may be repeated")
    parser.add_argument("--seed", type=int, action="append", help="this seed only; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a run")
    parser.add_argument("--folder", default=str(ROOT / "runs" / "compare-brahma"), help="where the runs are kept")
    parser.add_argument("--set", action="append", default=[], help="section.name=value for every run")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    return parser.parse_args()


def find_out(theme: str, options: argparse.Namespace) -> str | None:
    """Train both models at every rate, the best rate at every seed, and compare; None if only a part was asked for."""
    rates, seeds = options.rate or RATES, options.seed or SEEDS
    models = [options.model] if options.model else MODELS
    trials = [Job(theme, model, rate, seeds[0], options) for rate in rates for model in models]
    carry_out(trials, options.jobs)
    best = {
        model: min((job for job in trials if job.model == model), key=lambda job: job.loss) for model in models
    }
    final = [Job(theme, model, best[model].rate, seed, options) for seed in seeds for model in models]
    carry_out(final, options.jobs)
    if options.model:
        return None
    runs = [read_examined(job.folder) for job in final]
    first, second = two_sides(runs)
    return describe(theme, trials, compare(first, second))


def carry_out(jobs: Sequence[Job], at_once: int) -> None:
    """Carry out jobs, the first one alone: it prepares the data of all."""
    if jobs:
        jobs[0].carry_out()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(Job.carry_out, jobs[1:]))


def shape(theme: str, model: str) -> list[str]:
    """Return the settings of a model's shape: llama as the recipe says, brahma brought to as many parameters."""
    recipe = make_run(str(THEMES[theme]), environment={})
    llama = recipe.model
    assert isinstance(llama, LlamaConfig), "the recipes are llama's"
    if model == "llama":
        return []
    same = {name: getattr(llama, name) for name in ("context", "width", "num_layers", "num_heads")}
    wanted = llama.with_vocabulary(recipe.tokenizer.vocab_size).num_parameters()

    def apart(width: int) -> int:
        brahma = BrahmaConfig(**same, vocab_size=recipe.tokenizer.vocab_size, feedforward_width=width)
        return abs(brahma.num_parameters() - wanted)

    width = min(range(8, 2 * llama.inner_width), key=apart)
    return [
        "model.arch=brahma",
        *(f"model.{name}={value}" for name, value in same.items()),
        f"model.feedforward_width={width}",
    ]


def describe(theme: str, trials: Sequence[Job], comparison: Comparison) -> str:
    """Write what was found of one theme."""
    config = load_run(RunFolder(trials[0].folder).config)
    rates = [
        [job.model, job.rate, f"{job.loss:.4f}", f"{100 * read_examined(job.folder).marks['mean']:.1f}"]
        for job in sorted(trials, key=lambda job: (MODELS.index(job.model), float(job.rate)))
    ]
    runs = (*comparison.first, *comparison.second)
    codes = {json.loads(RunFolder(run.folder).receipt.read_text(encoding="utf-8"))["code"][:12] for run in runs}
    titles, *rows = comparison_table(comparison)
    lines = [
        f"## builtin:{theme}",
        "",
        f"{config.training.steps:,} steps of {config.training.batch_tokens:,} tokens, context {config.model.context}, "
        f"{config.precision.dtype}, Muon, {config.tokenizer.kind} tokenizer; {config.evaluation.problems} held-out "
        "problems of each skill, answered greedily.",
        "",
        *(f"- {line}" for line in (*describe_sides(comparison), *comparison.notes)),
        f"- trained by the code with the hash {', '.join(sorted(codes))} (receipt.json of each run)",
        "",
        "Right answers in percent, means over the seeds; the interval of the difference is Welch's, over seeds.",
        "",
        table(titles, rows),
        *conclude(comparison),
        "",
        f"Rates tried on seed {trials[0].seed}; the lowest validation loss was chosen.",
        "",
        table(["model", "rate", "validation loss", "mean"], rates),
    ]
    return "\n".join(lines)


def conclude(comparison: Comparison) -> list[str]:
    """Name what is better, undecided and worse."""
    return [
        f"- {comparison.names[1]} is {verdict}: {', '.join(found)}"
        for verdict in ("better", "undecided", "worse")
        if (found := [row.name for row in comparison.rows if row.verdict == verdict])
    ]


if __name__ == "__main__":
    main()
