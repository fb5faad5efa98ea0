"""`hornbook plan`: will it fit, how long will it take, before anything is allocated. Never imports torch."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hornbook.commands.display import AsJson, Recipe, Settings, show, show_json, show_rows, show_table

if TYPE_CHECKING:
    from hornbook.config.recipes import Claim
    from hornbook.machine import Machine
    from hornbook.planning import Plan
    from hornbook.run import RunConfig

SHORT_CONTEXT = 256
"""Up to this many tokens two bf16 products were measured to be faster on CPUs than the fused kernel."""


def plan(recipe: str, settings: Sequence[str] = ()) -> "Plan":
    """Plan a run: parameters, memory, disk, tokens and time.

    Raises:
        ConfigError: if the settings are wrong.
    """
    from hornbook.machine import read_machine
    from hornbook.planning import STATED_BANDWIDTH_PER_CORE, Known, make_plan
    from hornbook.run import make_run

    config = make_run(recipe, settings)
    machine, cores = read_machine(config.training.device), os.cpu_count() or 1
    dtype = expected_dtype(config, machine)
    vocab_size, set_tokens = prepared_counts(config)
    guessed, note = (None, "") if set_tokens else guessed_tokens(config)
    known = Known(
        vocab_size=vocab_size,
        train_tokens=sum(set_tokens) if set_tokens else None,
        set_tokens=set_tokens or guessed,
        sets_note=note,
        tokens_per_second=measured_rate(config),
        matmul_flops=machine.matmul_flops(dtype),
        bandwidth=STATED_BANDWIDTH_PER_CORE * cores if machine.device == "cpu" else None,
        dtype=dtype,
        attention=expected_attention(config, machine, dtype),
        cores=cores,
    )
    return make_plan(config, known)


def expected_dtype(config: "RunConfig", machine: "Machine") -> str:
    """Say in which format this machine would train the run, from what was measured for its shape or another."""
    if config.precision.dtype != "auto":
        return config.precision.dtype
    rows, width = min(4096, config.micro_batch_rows * config.model.context), getattr(config.model, "width", 256)
    return machine.choice("precision", rows=rows, width=width) or machine.choice("precision") or "fp32"


def expected_attention(config: "RunConfig", machine: "Machine", dtype: str) -> str:
    """Say how this machine would compute attention; unmeasured, a CPU in a short format does without the kernel."""
    from hornbook.machine import DTYPES

    if config.precision.attention != "auto":
        return config.precision.attention
    context, heads = config.model.context, getattr(config.model, "num_heads", 1)
    torch_dtype = next(name for name, short in DTYPES.items() if short == dtype)
    measured = machine.choice(
        "attention", rows=config.micro_batch_rows, heads=heads, tokens=context, dtype=torch_dtype
    )
    short_and_narrow = machine.device == "cpu" and dtype != "fp32" and context <= SHORT_CONTEXT
    return measured or ("matmul" if short_and_narrow else "sdpa")


def prepared_counts(config: "RunConfig") -> tuple[int | None, tuple[int, ...] | None]:
    """Return vocabulary size and training tokens by source of the newest prepared set of these settings, if any.

    The set's description is believed: whether the files it was made of are still the same, `prepare` checks.
    """
    from pathlib import Path

    newest: tuple[float, dict[str, Any]] | None = None
    for path in Path(config.data.folder).expanduser().glob(f"{config.recipe}-*/manifest.json"):
        try:
            manifest, written = json.loads(path.read_bytes()), path.stat().st_mtime
            if _is_of(manifest, config) and (newest is None or written > newest[0]):
                newest = written, manifest
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half-made or of another format: not known, then
    if newest is None:
        return None, None
    train = newest[1]["splits"]["train"]
    return int(newest[1]["tokenizer"]["vocab_size"]), tuple(int(part["tokens"]) for part in train)


BYTES_PER_TOKEN = {"bytes": 1.0, "chars": 1.0, "words": 2.0, "bpe": 3.0, "superbpe": 4.0, "external": 3.5}
"""What a token holds of text nobody has tokenized yet, roughly."""

TOKENS_AROUND_A_TURN = 4
"""What a template writes besides the text of a turn."""

SAMPLED_PROBLEMS = 200
"""Problems of a built-in source that stand for all of them."""


def guessed_tokens(config: "RunConfig") -> tuple[tuple[int, ...] | None, str]:
    """Guess the training tokens of each set of a curriculum from the size of its text, and say so; or None."""
    a_token, share = BYTES_PER_TOKEN[config.tokenizer.kind], 1 - config.data.validation_fraction
    guesses = [_guess(path, config, a_token) for path in config.curriculum.paths]
    known = [guess for guess in guesses if guess is not None]
    if len(known) < len(guesses):
        return None, "the steps follow from the data: hornbook prepare"
    note = f"estimated at {a_token:g} bytes of text a token; hornbook prepare counts"
    return tuple(int(guess * share) for guess in known), note


def _guess(path: str, config: "RunConfig", bytes_per_token: float) -> float | None:
    """Guess the tokens of a source, None if that takes reading it."""
    from pathlib import Path

    from hornbook.config.curriculum import BUILTIN
    from hornbook.data.builtin import COURSES
    from hornbook.data.files import find_files, kind_of
    from hornbook.errors import DataError

    if path.startswith(BUILTIN):
        course = COURSES.get(path.removeprefix(BUILTIN))
        if course is None:
            return None
        few = config.data.model_copy(update={"problems": min(SAMPLED_PROBLEMS, config.data.problems)})
        turns = [turn.text.encode() for conversation in course.conversations(few) for turn in conversation]
        tokens = sum(map(len, turns)) / bytes_per_token + TOKENS_AROUND_A_TURN * len(turns)
        return tokens * config.data.problems / few.problems
    try:
        files, _ = find_files(Path(path).expanduser(), PLAIN)
        plain = all(kind_of(file) in PLAIN and file.suffix != ".gz" for file in files)
        return sum(file.stat().st_size for file in files) / bytes_per_token if plain else None
    except (DataError, OSError):
        return None


PLAIN = frozenset({".txt", ".jsonl", ".json", ".csv"})
"""Files whose size is about that of their text."""


def _is_of(manifest: dict[str, Any], config: "RunConfig") -> bool:
    """Tell whether a prepared set was made with these settings, as far as its description says."""
    data = json.loads(config.reading.model_dump_json())
    apart = config.curriculum.phases or config.data.sources
    names = list(config.paths) if apart else [", ".join(config.paths)]
    tokenizer = manifest["settings"]["tokenizer"]
    return (
        all(data.get(name) == value for name, value in manifest["settings"]["data"].items())
        and [part["name"] for part in manifest["splits"]["train"]] == names
        and manifest["tokenizer"]["kind"] == config.tokenizer.kind
        and ("hash" in tokenizer or tokenizer == config.tokenizer.model_dump())
        and all(data[key] == value for key, value in _builtin_settings(manifest["sources"]))
    )


def _builtin_settings(described: Any) -> Iterator[tuple[str, Any]]:
    """Yield the settings that built-in sources depend on, wherever they stand in the description."""
    if isinstance(described, dict):
        for key, value in described.items():
            if key in ("problems", "difficulty"):
                yield key, value
            else:
                yield from _builtin_settings(value)
    elif isinstance(described, list):
        for item in described:
            yield from _builtin_settings(item)


def measured_rate(config: "RunConfig") -> float | None:
    """Return the tokens a second this run reached so far, if it ran with the same model and batch."""
    from pathlib import Path
    from statistics import median

    from hornbook.errors import HornbookError
    from hornbook.run import load_run
    from hornbook.runlog.events import Progress
    from hornbook.runlog.paths import RunFolder
    from hornbook.runlog.reader import read_events

    folder = RunFolder(Path(config.folder))
    try:
        before = load_run(folder.config)
        rates = [one.tokens_per_second for one in read_events(folder.events) if isinstance(one, Progress)]
    except (HornbookError, OSError):
        return None  # no run there yet, or one that is not ours to judge here
    same = before.model.model_copy(update={"vocab_size": config.model.vocab_size}) == config.model
    return (
        median(rates) if rates and same and before.training.batch_tokens == config.training.batch_tokens else None
    )


def command(recipe: Recipe, settings: Settings = None, as_json: AsJson = False) -> None:
    """Say what a run will take.

    Parameters, memory, disk, tokens and hours, by arithmetic: nothing is allocated, and nothing is read but
    settings and what earlier runs measured.
    """
    from dataclasses import asdict

    from hornbook.config.recipes import read_recipe

    made = plan(recipe, settings or ())
    claims = read_recipe(recipe).claims
    if as_json:
        show_json(made.as_dict() | {"claims": [asdict(claim) for claim in claims]})
        return
    show_plan(made)
    if claims:
        show_claims(claims)


def show_claims(claims: "Sequence[Claim]") -> None:
    """Print what was published of a recipe's design beside what is true of it."""
    show("\nwhat the original said of it, checked")
    show_table(("said", "where", "true"), ([one.claim, one.original, one.truth] for one in claims))


def show_phases(plan: "Plan") -> None:
    """Print the phases of a curriculum."""
    from hornbook.config.curriculum import COMBINED

    note = f" ({plan.phases_note})" if plan.phases_note else ""
    show(f"\nphases{note}")
    show_table(
        ("phase", "reads", "epochs", "rows", "a step", "steps", "rate"),
        (
            (
                phase.name,
                "all before" if phase.reads == (COMBINED,) else ", ".join(phase.reads),
                f"{phase.epochs:g}",
                "?" if phase.rows is None else f"{phase.rows:,}",
                f"{phase.batch_rows:,}",
                "?" if phase.steps is None else f"{phase.steps:,}",
                f"{phase.lr:g}",
            )
            for phase in plan.phases
        ),
    )


def show_plan(plan: "Plan") -> None:
    """Print a plan for people."""
    from hornbook.units import bytes_text, count_text, duration_text

    show(f"{plan.recipe}: {plan.arch}, {count_text(plan.num_parameters)} parameters ({plan.num_parameters:,})")
    show(f"vocabulary {plan.vocab_size:,} ({plan.vocab_note})\n")
    show("parameters")
    show_rows([part, f"{count:,}"] for part, count in plan.parameters.items() if count)
    show(f"  {count_text(plan.flops_per_token)} floating-point operations a trained token")
    again = ", activations computed again" if plan.recompute_activations else ""
    for title, parts in (
        (f"memory, training ({plan.dtype} products, {plan.attention} attention{again})", plan.training_memory),
        ("memory, talking", plan.decoding_memory),
        ("disk", plan.disk),
    ):
        show(f"\n{title}")
        rows = [[part, bytes_text(size)] for part, size in parts.items() if size]
        show_rows([*rows, ["together", bytes_text(sum(parts.values()))]])
    if plan.card_gb:
        show(f"\ntraining fits in {plan.card_gb} GB, with the process itself counted")
    if plan.phases:
        show_phases(plan)
    epochs = f", {plan.epochs:.1f} times the {count_text(plan.train_tokens or 0)} prepared" if plan.epochs else ""
    show(f"\n{count_text(plan.tokens)} tokens{epochs}")
    show(
        f"{duration_text(plan.seconds)} at {count_text(plan.tokens_per_second)} tokens a second ({plan.rate_note})"
    )
