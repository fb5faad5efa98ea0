"""Plain BPE against SuperBPE: bytes a token on held-out documents, then bits a byte of two equal models.

    .venv/bin/python benchmarks/bench_superbpe.py DATA [--sizes 8192 16384] [--steps 1000] [--seeds 1] [--write]

DATA is the folder of real data sets (text/books and parquet/books are read). Every 20th document is held out of the
vocabularies. The two models have the same shape and vocabulary size, so the same parameters; they take the same number
of steps of the same number of bytes, look back equally many bytes, and are judged on the same documents: only the
tokens differ. --steps 0 trains none.
"""

import argparse
import gzip
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet

import hornbook
from hornbook.config.tokenizers import BPETokenizerConfig, SuperBPETokenizerConfig
from hornbook.data.prepare import prepare
from hornbook.run import make_run
from hornbook.runlog.events import Progress, Validation
from hornbook.runlog.reader import read_events
from hornbook.storage.artifact import load_artifact
from hornbook.text.tokenizer import Tokenizer
from hornbook.text.tokenizer_kinds import build_tokenizer
from report import header, publish, table

HELD_OUT_EVERY = 20
PARAGRAPHS = 30  # of a book in a document
TRANSITIONS = (0.5, 0.8, 0.9)
VALIDATION = 0.05  # data.validation_fraction
CONTEXT, ROWS = 128, 32  # of the plain model; the other's context is as many bytes
MODEL = ["model.width=128", "model.num_layers=4", "model.num_heads=4", "model.qk_norm=true"]
TRAINING = [
    "training.threads=1",
    "data.packing=stream",
    "data.split=documents",
    "model.residual_init=zero",
    "optimizer.name=muon",
    "optimizer.lr=6e-3",
    "optimizer.adam_lr=4e-3",
    "schedule.name=linear",
    "schedule.warmup_steps=20",
    "evaluation.max_tokens=none",
    "sampling.every_steps=0",
    "checkpoint.every_minutes=none",
]


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with text/books and parquet/books")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8192, 16384], help="vocabularies")
    parser.add_argument("--megabytes", type=float, default=1000.0, help="read at most so much of each source")
    parser.add_argument("--steps", type=int, default=1000, help="optimizer steps of each model; 0 trains none")
    parser.add_argument("--seeds", type=int, default=1, help="models of each kind")
    parser.add_argument("--folder", type=Path, help="keep the runs here; an interrupted comparison continues")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()

    sources = {
        "books, lines broken by hand": limited(book_documents(options.data / "text" / "books"), options.megabytes),
        "books, whole paragraphs": limited(
            parquet_documents(options.data / "parquet" / "books"), options.megabytes
        ),
    }
    sources["both"] = [text for texts in list(sources.values()) for text in texts]
    text = header("SuperBPE against plain BPE", ["tokenizers", "tiktoken", "torch", "hornbook"], threads=1)
    text += "\n## Compression\n\nHeld-out UTF-8 bytes a token: every 20th document, the rest taught the vocabulary.\n\n"
    columns = ["text", "vocabulary", "plain", *(f"superbpe, transition {share}" for share in TRANSITIONS), "gain"]
    columns += ["seconds to learn", "MB / CPU second"]
    text += table(columns, [compression(name, t, size) for name, t in sources.items() for size in options.sizes])
    if options.steps:
        path = options.data / "parquet" / "books"
        with tempfile.TemporaryDirectory() as temporary:
            runs = Runs(options.folder or Path(temporary), path, options.sizes[0], options.steps)
            text += "\n## Bits a byte\n\n" + comparison(runs, options.seeds)
    publish("superbpe", text, write=options.write)


def book_documents(folder: Path) -> Iterator[str]:
    """Yield books in parts of `PARAGRAPHS` paragraphs."""
    for path in sorted(folder.glob("*.txt.gz")):
        paragraphs = gzip.decompress(path.read_bytes()).decode().split("\n\n")
        for start in range(0, len(paragraphs), PARAGRAPHS):
            yield "\n\n".join(paragraphs[start : start + PARAGRAPHS]) + "\n\n"


def parquet_documents(folder: Path) -> Iterator[str]:
    """Yield the documents of parquet files."""
    for path in sorted(folder.glob("*.parquet")):
        yield from pyarrow.parquet.read_table(path, columns=["text"])["text"].to_pylist()


def limited(documents: Iterator[str], megabytes: float) -> list[str]:
    """Read documents until there are so many megabytes."""
    kept, left = [], megabytes * 1e6
    for text in documents:
        if left <= 0:
            break
        kept.append(text)
        left -= len(text.encode())
    return kept


def compression(name: str, texts: list[str], size: int) -> list[str]:
    """Build every vocabulary of one size and return a row of the table; time is that of the default transition."""
    learnt = [text for index, text in enumerate(texts) if index % HELD_OUT_EVERY]
    held_out = texts[::HELD_OUT_EVERY]
    plain = bytes_a_token(build_tokenizer(BPETokenizerConfig(vocab_size=size), learnt), held_out)
    spans = {}
    seconds = speed = 0.0
    for share in TRANSITIONS:
        config = SuperBPETokenizerConfig(vocab_size=size, transition=share)
        started = time.process_time()
        tokenizer = build_tokenizer(config, learnt)
        spent = time.process_time() - started
        spans[share] = bytes_a_token(tokenizer, held_out)
        if share == SuperBPETokenizerConfig().transition:
            seconds, speed = spent, megabytes_a_second(tokenizer, held_out)
    gain = spans[SuperBPETokenizerConfig().transition] / plain
    numbers = [plain, *spans.values()]
    return [name, f"{size:,}", *(f"{n:.2f}" for n in numbers), f"{gain:.3f}x", f"{seconds:.1f}", f"{speed:.1f}"]


def bytes_a_token(tokenizer: Tokenizer, texts: list[str]) -> float:
    """Return how many bytes of these texts a token holds on average."""
    return sum(len(text.encode()) for text in texts) / sum(map(len, tokenizer.encode_batch(texts)))


def megabytes_a_second(tokenizer: Tokenizer, texts: list[str]) -> float:
    """Return the speed of encoding, by processor time, once the fast path is found."""
    started = time.process_time()
    tokenizer.encode_batch(texts)
    return sum(len(text.encode()) for text in texts) / 1e6 / (time.process_time() - started)


@dataclass(frozen=True)
class Runs:
    """What the runs of a comparison share."""

    folder: Path
    data: Path
    vocabulary: int
    steps: int

    def settings(self, kind: str) -> list[str]:
        """Return the settings of a run but its context and seed."""
        every = [f"{name}={self.steps}" for name in ("training.steps", "evaluation.every_steps")]
        where = [f"data.path={self.data}", f"data.folder={self.folder}/prepared"]
        return [
            *MODEL,
            *TRAINING,
            *every,
            *where,
            f"tokenizer.kind={kind}",
            f"tokenizer.vocab_size={self.vocabulary}",
        ]


def comparison(runs: Runs, seeds: int) -> str:
    """Train models with both kinds of tokens and return the table of what they reach."""
    rows: list[list[str]] = []
    differences = []
    tokens = {kind: train_tokens(runs.settings(kind)) for kind in ("bpe", "superbpe")}
    total = sum(len(text.encode()) for text in parquet_documents(runs.data))
    for seed in range(seeds):
        reached = {}
        for kind, own in tokens.items():
            context = round(CONTEXT * own / tokens["bpe"])
            read = runs.steps * ROWS * context
            where = runs.folder / f"{kind}-{seed}"
            settings = [f"model.context={context}", f"training.batch_tokens={ROWS * context}"]
            settings += [f"training.seed={seed}", f"run.folder={where}"]
            if not hornbook.train("text", [*runs.settings(kind), *settings]).finished:
                raise SystemExit(f"{where} was interrupted; with --folder the same command continues")
            reached[kind], cells = reading(where, read)
            seen = read * (1 - VALIDATION) * total / own / 1e6
            rows.append([kind, str(seed), f"{context}", f"{seen:.1f} MB", *cells])
        differences.append(reached["superbpe"] - reached["bpe"])
    columns = [
        "tokens",
        "seed",
        "context",
        "read",
        "seconds",
        "parameters",
        "PFLOP",
        "loss a token",
        "bits a byte",
    ]
    mean = statistics.mean(differences)
    better = "superbpe" if mean < 0 else "plain BPE"
    return (
        f"llama, vocabulary {runs.vocabulary:,}, {runs.steps:,} steps; validated on the same whole documents.\n\n"
        + table(columns, rows)
        + f"\n- superbpe minus plain: **{mean:+.4f}** bits a byte, mean of {seeds} seed(s): {better} is better here\n"
    )


def train_tokens(settings: list[str]) -> int:
    """Prepare the data of a run and count its tokens."""
    return prepare(make_run("text", settings), report=lambda line: None).train.num_tokens


def reading(folder: Path, tokens: int) -> tuple[float, list[str]]:
    """Return the bits a byte a run reached, and the last cells of its row."""
    artifact, events = load_artifact(folder / "model"), read_events(folder / "events.jsonl")
    last = [event for event in events if isinstance(event, Validation)][-1]
    model = artifact.model.config
    speeds = [event.tokens_per_second for event in events if isinstance(event, Progress)]
    cells = [
        f"{tokens / statistics.median(speeds):.0f}",
        f"{model.num_parameters():,}",
        f"{tokens * model.training_flops_per_token() / 1e15:.2f}",
        f"{last.loss:.4f}",
        f"{last.bits_per_byte:.4f}",
    ]
    return last.bits_per_byte, cells


if __name__ == "__main__":
    main()
