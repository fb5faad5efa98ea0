"""Builds every part of a run from its settings, in ten steps, and proves the result before it may train.

Call it with the run's folder locked. What comes back is a `Run`: values and parts, no behaviour; the loop is in
`training/loop.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from hornbook.config.model import ModelConfig
from hornbook.data.loader import Loader
from hornbook.data.prepare import PreparedData, prepare
from hornbook.device import pick_device
from hornbook.errors import CheckpointError
from hornbook.heap import keep_freed_memory, return_freed_memory
from hornbook.models.build import build_model
from hornbook.models.contract import LanguageModel
from hornbook.nn.attention import use_attention
from hornbook.nn.recompute import recompute_blocks
from hornbook.nn.recurrence import use_delta_rule
from hornbook.proofs.health import prove_start
from hornbook.proofs.honest import prove_honest
from hornbook.proofs.proof import require
from hornbook.run import RunConfig, load_run, save_run
from hornbook.runlog.paths import RunFolder
from hornbook.storage.receipt import compare_receipts, make_receipt, write_receipt
from hornbook.training.checkpoint import Checkpoint, Saver, find_newest
from hornbook.training.choices import Choices, choose, keep
from hornbook.training.compiling import compile_loss
from hornbook.training.identity import check_same_run
from hornbook.training.optimizers import build_optimizers
from hornbook.training.plateau import Plateau
from hornbook.training.precision import DTYPES, LossScale, Precision, allow_tf32
from hornbook.training.profiling import Profiler
from hornbook.training.randomness import derive
from hornbook.training.step import Stepper
from hornbook.training.stopping import Patience


@dataclass
class Run:
    """The parts of a run, and the few counters that move while it trains.

    Attributes:
        patience: validations since the best one of the run.
        phase_patience: the same within the phase of a curriculum.
        plateau: what the schedule of that name remembers; its rate is whole under any other.
        phase_ends: the steps at which validation ended a phase early; the loader's curriculum is cut there.
    """

    config: RunConfig
    folder: RunFolder
    prepared: PreparedData
    loader: Loader
    model: LanguageModel
    stepper: Stepper
    precision: Precision
    choices: Choices
    saver: Saver
    profiler: Profiler

    step: int = 0
    seconds: float = 0.0
    skipped_in_a_row: int = 0
    val_loss: float | None = None
    judged: bool = False
    patience: Patience = field(default_factory=Patience)
    phase_patience: Patience = field(default_factory=Patience)
    plateau: Plateau = field(default_factory=Plateau)
    phase_ends: list[int] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """Return the counters a checkpoint keeps; everything else is a function of the step."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "skipped_in_a_row": self.skipped_in_a_row,
            "val_loss": self.val_loss,
            "judged": self.judged,
            "patience": self.patience.to_dict(),
            "phase_patience": self.phase_patience.to_dict(),
            "plateau": self.plateau.to_dict(),
            "phase_ends": self.phase_ends,
        }


def assemble(config: RunConfig, *, accept_changes: bool, tell: Callable[[str], None]) -> Run:
    """Build the run of `config`, continuing what its folder holds.

    Args:
        config: every setting.
        accept_changes: go on although settings differ from those the run was started with.
        tell: receives warnings and what is being prepared, one sentence at a time.

    Raises:
        CheckpointError: if the folder holds another run, or nothing in it is whole.
        ProofError: if the model, the tokenizer or the template fails a proof.
    """
    # 1. The device, which may not be here; the folder, its newest whole checkpoint, and whether these are its settings.
    device, folder = pick_device(config.training.device), RunFolder(Path(config.folder))
    checkpoint = find_newest(folder, warn=tell)
    if checkpoint is None:
        _forget_attempts(folder)
    else:
        _check_settings(folder, config, accept_changes=accept_changes, tell=tell)

    # 2. The data: rows of tokens, the tokenizer that made them, and what to learn of each.
    prepared = prepare(config, report=tell)
    loader = Loader(prepared, config)

    # 3. The model's size, now that the vocabulary is known.
    model_config = config.model.with_vocabulary(prepared.tokenizer.vocab_size)

    # 4. The machine, and what is fast on it: measured once, and kept with the run.
    _set_up_machine(config, device)
    choices = choose(config, model_config, device, recorded=folder.choices)
    precision = Precision(device, DTYPES[choices.dtype])

    # 5. The model: its first weights are a function of the seed.
    model = _build_model(config, model_config, choices).to(device)

    # 6. The optimizers, and the step that uses them.
    stepper = _build_stepper(config, model, precision)

    # 7. The proofs: no future, no neighbour, no lost text, a stop token that is learnt.
    subject = f"{type(model).__name__} on {device} in {choices.dtype}"
    proofs = prove_honest(model, prepared.tokenizer, prepared.template, device=device, dtype=precision.dtype)
    require(proofs, subject=subject)

    # 8. The receipt: what this run is made of, compared with what it was made of.
    saver = Saver(folder, prepared.tokenizer, prepared.template, config.checkpoint.keep_last)
    profiler = Profiler(config.profile, folder.profile)
    run = Run(config, folder, prepared, loader, model, stepper, precision, choices, saver, profiler)
    _check_receipt(run, tell)

    # 9. The start: where the checkpoint left off, or proved to be a healthy one; then how a step is taken.
    if checkpoint is None:
        require(prove_start(model, loader.batch(0).to(device), precision.autocast), subject=subject)
    else:
        _continue_from(checkpoint, run)
    _set_up_step(run, tell)

    # 10. The settings, kept beside the run for whoever continues it.
    save_run(config, folder.config)
    return run


def _set_up_machine(config: RunConfig, device: torch.device) -> None:
    """Set how this process uses the machine."""
    torch.set_num_threads(config.training.threads or torch.get_num_threads())
    (return_freed_memory if config.training.recompute_activations else keep_freed_memory)()
    allow_tf32(device, config.precision.tf32)


def _build_model(config: RunConfig, model_config: ModelConfig, choices: Choices) -> LanguageModel:
    """Build the model with its first weights, computing as was chosen."""
    model = build_model(model_config, seed=derive(config.training.seed, "weights"))
    use_attention(model, choices.attention)
    use_delta_rule(model, choices.delta_rule)
    return model


def _build_stepper(config: RunConfig, model: LanguageModel, precision: Precision) -> Stepper:
    """Build what takes a step, optimizers included."""
    return Stepper(
        model=model,
        optimizers=build_optimizers(model, config.optimizer, matrix_dtype=precision.matrix_dtype),
        precision=precision,
        loss_scale=LossScale(precision),
        seed=config.training.seed,
        clip_norm=config.training.clip_norm,
        micro_batch_rows=config.micro_batch_rows,
    )


def _set_up_step(run: Run, tell: Callable[[str], None]) -> None:
    """Recompute activations and compile, where that is chosen; where compiling fails, note it for later sessions."""
    if run.config.training.recompute_activations:
        recompute_blocks(
            run.model
        )  # after the proofs, which lend the model other weights while they differentiate it
    if not run.choices.compiled:
        return
    tell("compiling the step, which takes a minute")
    batch = run.loader.batch(run.step).micro_batches(run.config.micro_batch_rows)[0]
    loss = compile_loss(run.model, batch.to(run.precision.device), run.precision, tell=tell)
    run.stepper = replace(run.stepper, loss=loss)
    if loss.failed:
        run.choices = replace(run.choices, compiled=False)
        keep(run.choices, run.folder.choices)


def _check_receipt(run: Run, tell: Callable[[str], None]) -> None:
    """Write the receipt of a new run; compare that of an old one and tell what differs."""
    receipt = make_receipt(
        config=run.config.model_dump(mode="json"),
        data=run.prepared.hash,
        tokenizer=run.prepared.tokenizer.hash,
        device=run.precision.device,
    )
    if not run.folder.receipt.exists():
        write_receipt(run.folder.receipt, receipt)
        return
    for warning in compare_receipts(run.folder.receipt, receipt):
        tell(warning)


def _forget_attempts(folder: RunFolder) -> None:
    """Remove what an attempt that never saved a step left: nothing was learnt, so nothing binds this one."""
    for path in (folder.config, folder.receipt, folder.choices):
        path.unlink(missing_ok=True)


def _check_settings(
    folder: RunFolder, config: RunConfig, *, accept_changes: bool, tell: Callable[[str], None]
) -> None:
    """Compare the settings with those the run in the folder was trained with."""
    saved, now = (one.model_dump(mode="json") for one in (load_run(folder.config), config))
    for difference in check_same_run(saved, now, where=str(folder.root), accept=accept_changes):
        tell(f"Accepted: {difference}.")


def _continue_from(checkpoint: Checkpoint, run: Run) -> None:
    """Put weights, optimizer state and counters of `checkpoint` into `run`."""
    run.stepper.load_optimizer_tensors(checkpoint.load(run.model))
    state = checkpoint.state
    try:
        run.step, run.seconds = int(state["step"]), float(state["seconds"])
        run.skipped_in_a_row, run.val_loss = int(state["skipped_in_a_row"]), state["val_loss"]
        run.judged, run.patience = bool(state["judged"]), Patience(**state["patience"])
        run.phase_patience = Patience(**state.get("phase_patience", {}))
        run.plateau = Plateau(**state.get("plateau", {}))
        run.phase_ends = [int(step) for step in state.get("phase_ends", [])]  # absent before there were phases
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{checkpoint.path / 'state.json'} is incomplete: {error}.",
            fix="delete this checkpoint to continue from the one before it.",
        ) from None
    run.loader.curriculum = run.loader.curriculum.cut_all(run.phase_ends)
