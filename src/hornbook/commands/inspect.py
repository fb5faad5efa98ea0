"""`hornbook inspect`: what a run or model folder is, and whether it is honest."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hornbook.commands.display import AsJson, Run, show, show_json, show_rows

if TYPE_CHECKING:
    from hornbook.proofs.proof import Proof


@dataclass(frozen=True)
class Inspection:
    """What a folder holds.

    Args:
        folder: as given.
        model_folder: where the model lies.
        arch: its architecture.
        config: its numbers.
        parameters: counts by part.
        template: how it was taught conversations.
        tokenizer: kind, vocab_size and hash.
        about: what was written down with the model: step, validation loss.
        hashes: sha256 of every file of the model, by name.
        recipe: of the run, none for a model folder alone.
        state: "finished" or "not finished" for a run, none for a model folder alone.
    """

    folder: str
    model_folder: str
    arch: str
    config: dict[str, Any]
    parameters: dict[str, int]
    template: str
    tokenizer: dict[str, Any]
    about: dict[str, Any]
    hashes: dict[str, str]
    recipe: str | None
    state: str | None


def inspect(folder: "str | Path") -> Inspection:
    """Say what a run or model folder is; every file is checked against its hash.

    Raises:
        CheckpointError: if it holds no model, or a file is missing or damaged.
    """
    from hornbook.run import load_run
    from hornbook.runlog.paths import RunFolder
    from hornbook.storage.artifact import load_artifact, read_record

    root = Path(folder)
    artifact = load_artifact(root)
    record = read_record(artifact.folder)
    run = RunFolder(root)
    of_a_run = artifact.folder != root and run.config.is_file()
    tokenizer = artifact.tokenizer
    return Inspection(
        folder=str(root),
        model_folder=str(artifact.folder),
        arch=artifact.config.arch,
        config=artifact.config.model_dump(mode="json"),
        parameters=artifact.config.parameters(),
        template=artifact.template,
        tokenizer={"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size, "hash": tokenizer.hash},
        about=artifact.about,
        hashes=dict(record["hashes"]),
        recipe=load_run(run.config).recipe if of_a_run else None,
        state=("finished" if run.model.is_dir() else "not finished") if of_a_run else None,
    )


def prove(folder: "str | Path", *, device: str = "auto") -> "list[Proof]":
    """Prove the model, the tokenizer and the template of a folder honest, here and now.

    Returns:
        Every proof, passed or failed.

    Raises:
        CheckpointError: if it holds no model, or a file is missing or damaged.
    """
    import torch

    from hornbook.device import pick_device
    from hornbook.proofs.honest import prove_honest
    from hornbook.storage.artifact import load_artifact

    where = pick_device(device)
    artifact = load_artifact(Path(folder), device=where)
    return prove_honest(artifact.model, artifact.tokenizer, artifact.template, device=where, dtype=torch.float32)


def command(
    run: Run,
    prove_it: Annotated[bool, typer.Option("--prove", help="Prove model, tokenizer and template honest.")] = False,
    as_json: AsJson = False,
) -> int:
    """Say what a run or model is; --prove proves it honest."""
    found = inspect(run)
    proofs = prove(run) if prove_it else []
    if as_json:
        proved = {"proofs": [asdict(proof) for proof in proofs]} if prove_it else {}
        show_json({**asdict(found), "num_parameters": sum(found.parameters.values()), **proved})
    else:
        show_inspection(found)
        show_proofs(proofs)
    return 0 if all(proof.passed for proof in proofs) else 1


def show_inspection(found: Inspection) -> None:
    """Print an inspection for people."""
    from hornbook.units import count_text

    total = sum(found.parameters.values())
    run = f"{found.state} run of recipe {found.recipe}, " if found.recipe else ""
    show(f"{found.folder}: {run}{found.arch}, {count_text(total)} parameters ({total:,})\n")
    about = [[name.replace("_", " "), _text(value)] for name, value in found.about.items()]
    show_rows([["model", found.model_folder], ["template", found.template], *about])
    show("\ntokenizer")
    show_rows([[name.replace("_", " "), _text(value)] for name, value in found.tokenizer.items()])
    show("\nparameters")
    show_rows([part, f"{count:,}"] for part, count in found.parameters.items() if count)
    show("\nsettings of the model")
    show_rows([name, _text(value)] for name, value in found.config.items() if name != "arch")
    show("\nfiles, all whole (sha256)")
    show_rows([name, digest[:16]] for name, digest in found.hashes.items())


def show_proofs(proofs: "list[Proof]") -> None:
    """Print proofs, one a line."""
    if proofs:
        show("\nproofs")
        show_rows(["passed" if proof.passed else "FAILED", proof.name, proof.detail] for proof in proofs)


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) and 0.001 < abs(value) < 1000 else str(value)
