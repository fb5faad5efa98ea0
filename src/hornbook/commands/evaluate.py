"""`hornbook evaluate`: how good a trained model is, on text and problems it has not seen."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hornbook.commands.display import AsJson, Run, show, show_json, show_rows

if TYPE_CHECKING:
    from hornbook.data.builtin.course import Course
    from hornbook.evaluation.perplexity import Measured
    from hornbook.inference.speak import Speaker
    from hornbook.run import RunConfig
    from hornbook.storage.artifact import Artifact


def evaluate(
    folder: "str | Path",
    *,
    data: str | None = None,
    device: str = "auto",
    suite: bool = False,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure a trained model.

    Without `data`: the run's own validation set, and, for a model trained on a built-in course (a source in
    evaluation.exam.EXAMS), its held-out problems; what is found is also written to evaluation.json in the run. With
    `data`: that text alone.

    Args:
        folder: a run; a model folder is enough where `data` is given.
        data: a file or folder to measure on instead, as data.path.
        device: auto, cpu, cuda, mps or xpu.
        suite: also ask the eight prompts of evaluation.prompts.SUITE, each timed.
        say: receives what is done, line by line; nothing is printed without it.

    Returns:
        `validation` or `data` with loss, perplexity, bits_per_byte, accuracy, targets and bytes; and for a
        course `skills`, `mean_exact_match`, `tasks`, `samples`, `difficulty` and `exam`, as evaluation.exam.ExamResult;
        `suite` is a list of evaluation.prompts.SuiteResult.

    Raises:
        CheckpointError: if the folder holds no model, or no run where one is needed.
        DataError: if the data is gone or cannot be used.
    """
    from hornbook.device import pick_device
    from hornbook.evaluation.exam import courses_of, join_courses
    from hornbook.inference.speak import Speaker
    from hornbook.run import load_run
    from hornbook.runlog.paths import RunFolder
    from hornbook.storage.artifact import load_artifact
    from hornbook.storage.atomic import write_text

    tell, started = say or (lambda line: None), time.monotonic()
    artifact = load_artifact(Path(folder), device=pick_device(device))
    result: dict[str, Any] = {"model": str(artifact.folder), "step": artifact.about.get("step")}
    if data is not None:
        tell(f"reading {data}")
        result["data"] = _figures(_score_file(artifact, data, Path(folder)))
        return {**result, "suite": _ask_suite(Speaker(artifact), tell)} if suite else result
    run = RunFolder(Path(folder))
    config = load_run(run.config)
    tell("scoring the validation set")
    result["validation"] = _figures(_score_validation(artifact, config, str(folder)))
    courses = courses_of(config.paths)
    if courses:
        tell(f"asking {config.evaluation.problems} held-out problems of each skill")
        result.update(_examine(Speaker(artifact), join_courses(courses), config))
    if suite:
        result["suite"] = _ask_suite(Speaker(artifact), tell)
    result["seconds"] = time.monotonic() - started
    write_text(run.evaluation, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return result


def _examine(speaker: "Speaker", course: "Course", config: "RunConfig") -> Mapping[str, Any]:
    """Ask held-out problems of every skill; answers are the likeliest, as long as the context allows."""
    from hornbook.evaluation.exam import run_exam

    return run_exam(
        lambda asked: speaker.reply(asked, max_tokens=config.model.context),
        course=course,
        problems=config.evaluation.problems,
        difficulty=config.data.difficulty,
    )


def _ask_suite(speaker: "Speaker", tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Ask the eight prompts; answers are the likeliest, and whether to think first is the model's choice."""
    from dataclasses import asdict

    from hornbook.evaluation.prompts import ask_suite

    tell("asking eight prompts")
    return [asdict(result) for result in ask_suite(speaker)]


def _score_validation(artifact: "Artifact", config: "RunConfig", folder: str) -> "Measured":
    from hornbook.data.loader import validation_batches
    from hornbook.data.prepare import find_prepared
    from hornbook.errors import DataError
    from hornbook.evaluation.perplexity import score

    prepared = find_prepared(config)
    if prepared is None:
        raise DataError(
            f"The data of {folder} is no longer in {config.data.folder}, or its sources have changed.",
            fix=f"restore the sources and run hornbook prepare {config.recipe} with the run's settings, "
            "or measure on a file: --data FILE.",
        )
    batches = validation_batches(prepared, config, rows=config.micro_batch_rows)
    return score(artifact.model, batches, token_bytes=artifact.tokenizer.token_bytes())


def _score_file(artifact: "Artifact", path: str, folder: Path) -> "Measured":
    """Score a file, read with the run's own data settings where there are any."""
    from hornbook.config.sections import DataConfig
    from hornbook.data.sources import open_source
    from hornbook.evaluation.perplexity import score_documents
    from hornbook.run import load_run
    from hornbook.runlog.paths import RunFolder

    settings = RunFolder(folder).config
    of_a_run = settings.is_file() and artifact.folder != folder
    config = load_run(settings).data if of_a_run else DataConfig()
    return score_documents(artifact, open_source(path, config).documents())


def _figures(measured: "Measured") -> dict[str, float | int | None]:
    """Return the figures as JSON values: what is not finite is null."""
    from math import isfinite

    figures: dict[str, float] = {
        "loss": measured.loss,
        "perplexity": measured.perplexity,
        "bits_per_byte": measured.bits_per_byte,
        "accuracy": measured.accuracy,
    }
    finite = {name: value if isfinite(value) else None for name, value in figures.items()}
    return {**finite, "targets": measured.targets, "bytes": measured.bytes}


def command(
    run: Run,
    data: Annotated[str | None, typer.Option(help="Measure on this file or folder instead.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps or xpu.")] = "auto",
    suite: Annotated[bool, typer.Option("--suite", help="Also ask eight prompts, each timed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a trained model on what it has not seen."""
    result = evaluate(run, data=data, device=device, suite=suite, say=None if as_json else show)
    if as_json:
        show_json(result)
    else:
        show_evaluation(result)
        if data is None:
            show(f"\nwritten to {Path(run) / 'evaluation.json'}")


def show_evaluation(result: dict[str, Any]) -> None:
    """Print an evaluation for people."""
    figures = result.get("data") or result["validation"]
    show(f"\n{result['model']}, {'step ' + str(result['step']) if result['step'] is not None else 'no step'}")
    show_rows(
        [name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:.4f}"]
        for name, value in figures.items()
        if value is not None
    )
    if "skills" in result:
        show_skills(result)
    if "suite" in result:
        show_suite(result["suite"])


def show_suite(asked: list[dict[str, Any]]) -> None:
    """Print what was said to each prompt of the suite, then a table of it all."""
    verdicts = {True: "right", False: "wrong", None: "read it yourself"}
    for one in asked:
        show(f"\n> {one['prompt']}")
        show_rows([[f"thinks: {line}"] for line in one["thinking"].splitlines()])
        show(f"  says: {one['answer'].strip()}")
    show("\nthe eight prompts")
    table = [["", "thinks", "tokens", "seconds", "ended", "verdict"]]
    for one in asked:
        counts = [f"{one['tokens']:,}", f"{one['seconds']:.2f}"]
        thinks = "yes" if one["thought"] else "no"
        table.append([one["prompt"], thinks, *counts, one["stopped"], verdicts[one["passed"]]])
    show_rows(table)
    marked = [one["passed"] for one in asked if one["passed"] is not None]
    show(f"  {sum(marked)} of the {len(marked)} with a known answer right")


def show_skills(result: dict[str, Any]) -> None:
    """Print the marks of every skill, and one worked sample of each."""
    from hornbook.units import percent_text

    show("\nexact match on held-out problems, with 95 % intervals")
    rows = [
        [
            skill,
            percent_text(mark["exact_match"]),
            f"{percent_text(mark['low'])} to {percent_text(mark['high'])}",
            f"{mark['count']} problems",
        ]
        for skill, mark in result["skills"].items()
    ]
    show_rows([*rows, ["mean", percent_text(result["mean_exact_match"])]])
    for sample in result["samples"]:
        verdict = "right" if sample["correct"] else f"wrong, it is {sample['expected']}"
        show(f"\n{sample['skill']}: {sample['question']}")
        show_rows([[f"thinks: {line}"] for line in sample["thinking"].splitlines()])
        show(f"  says: {sample['answer']}  ({verdict})")
