"""The one loop: step, judge, save, stop. Pretraining, instruction data and tuning are all this.

What the loop does at step N is a function of the settings and N. A run that is killed at any moment and continued
therefore ends with the same weights and the same events as one that was left alone. Two orders matter for that:
the events of a step reach the disk before a checkpoint of that step, and the last weights are saved before they are
judged, because judging takes time and memory of its own and may fail.
"""

import math
import time
from collections.abc import Callable
from contextlib import closing

from hornbook.data.loader import prefetch, validation_batches
from hornbook.errors import CheckpointError, HornbookError
from hornbook.evaluation.perplexity import score
from hornbook.inference.sampler import SamplingSettings
from hornbook.inference.speak import Speaker
from hornbook.runlog.events import Checkpoint, Event, Finished, Sample, Validation, Warning
from hornbook.runlog.reader import read_events
from hornbook.runlog.writer import EventWriter
from hornbook.storage.artifact import Artifact
from hornbook.training.assemble import Run
from hornbook.training.checkpoint import publish_model, saved_steps
from hornbook.training.logbook import Logbook
from hornbook.training.metrics import Speedometer
from hornbook.training.randomness import derive
from hornbook.training.stopping import StopSignals


def train(run: Run, tell: Callable[[Event], None], signals: StopSignals) -> str:
    """Train `run` to its end or to a signal, telling every event as it happens.

    Args:
        run: the parts, at whatever step they are.
        tell: receives every event, to show it.
        signals: asked between steps.

    Returns:
        Why it stopped: "steps", "patience" or "minutes", and then the model is published; or the name of a
        signal, and then the same command continues the run.

    Raises:
        CheckpointError: if the last state could not be saved.
        HornbookError: if the gradient stays not finite.
    """
    log = open_logbook(run, tell)
    signals.wait_for_steps()
    with closing(log.writer):
        if run.step and not run.judged:
            judge(run, log)
            save(run, log, must=True)
        reason = reason_to_end(run) or take_steps(run, log, signals)
        if reason:
            finish(run, log, reason)
        log.session("ended" if reason else "interrupted", step=run.step)
        log.flush()
    return reason or str(signals.received)


def take_steps(run: Run, log: Logbook, signals: StopSignals) -> str | None:
    """Take steps until there is a reason to end, which is returned, or a signal; saved either way."""
    config, last_save = run.config, time.monotonic()
    for batch in prefetch(run.loader, run.step, config.training.steps, device=run.precision.device):
        report = run.stepper.step(batch, run.step)
        run.step, run.judged, run.seconds = run.step + 1, False, log.speed.seconds
        log.add(run.step, report)
        if reason_to_end(run):
            save(run, log, must=True)
        improved = judge(run, log)
        reason = reason_to_end(run)
        stop = bool(reason or signals.received)
        if stop or improved or save_is_due(run, minutes=(time.monotonic() - last_save) / 60):
            save(run, log, must=stop)
            last_save = time.monotonic()
        if stop or run.step % config.logging.every_steps == 0:
            read_steps(run, log)
            log.progress(run.step)
            log.flush()
        if stop:
            return reason
    return reason_to_end(run)


def reason_to_end(run: Run) -> str | None:
    """Say why the run is complete, if it is. Derived, never stored: a later command may allow more."""
    training = run.config.training
    if run.step >= training.steps:
        return "steps"
    if training.patience is not None and run.patience.worse_in_a_row >= training.patience:
        return "patience"
    if training.max_minutes is not None and run.seconds >= training.max_minutes * 60:
        return "minutes"
    return None


def save_is_due(run: Run, *, minutes: float) -> bool:
    """Say whether to save now, `minutes` after the last save; time counts too, or frequent kills would undo all."""
    every = run.config.checkpoint
    return run.step % every.every_steps == 0 or (
        every.every_minutes is not None and minutes >= every.every_minutes
    )


def judge(run: Run, log: Logbook) -> bool:
    """Validate and write samples if this step is due for them; return whether validation was the best so far."""
    config, last = run.config, reason_to_end(run) is not None
    validation_is_due = last or run.step % config.evaluation.every_steps == 0
    samples = config.sampling.every_steps
    samples_are_due = samples > 0 and (last or run.step % samples == 0)
    if validation_is_due or samples_are_due:
        read_steps(run, log)  # the events of the steps come before what is said of their weights
    improved = validate(run, log) if validation_is_due else False
    if samples_are_due:
        write_samples(run, log)
    run.judged = True
    return improved


def validate(run: Run, log: Logbook) -> bool:
    """Score the fixed validation set; return whether it is the best so far."""
    start = time.monotonic()
    batches = validation_batches(run.prepared, run.config, rows=run.config.micro_batch_rows)
    token_bytes = run.prepared.tokenizer.token_bytes()
    result = score(run.model, batches, token_bytes=token_bytes, autocast=run.precision.autocast)
    best = run.patience.update(result.loss, step=run.step, min_improvement=run.config.training.min_improvement)
    run.val_loss = result.loss if math.isfinite(result.loss) else None
    log.event(
        Validation(
            step=run.step,
            loss=result.loss,
            perplexity=result.perplexity,
            bits_per_byte=result.bits_per_byte,
            accuracy=result.accuracy,
            targets=result.targets,
            best=best,
            seconds=time.monotonic() - start,
        )
    )
    return best


def write_samples(run: Run, log: Logbook) -> None:
    """Let the model continue the prompts of the settings; the same weights always write the same."""
    artifact = Artifact(run.model, run.prepared.tokenizer, run.prepared.template, {}, run.folder.model)
    settings = SamplingSettings.from_config(
        run.config.sampling, seed=derive(run.config.training.seed, "samples", run.step) % 2**31
    )
    for prompt in run.config.sampling.prompts:
        try:
            spoken = Speaker(artifact).complete(
                prompt, settings=settings, max_tokens=run.config.sampling.max_tokens
            )
        except HornbookError as error:  # weights that cannot speak are the training's to report, not the sample's
            log.event(Warning(step=run.step, message=f"No sample: {error.problem}"))
            return
        log.event(Sample(step=run.step, prompt=prompt, text=spoken.text))


def read_steps(run: Run, log: Logbook) -> None:
    """Read the steps taken since the last reading from the device and write their events."""
    run.skipped_in_a_row = log.read_steps(run.skipped_in_a_row)


def save(run: Run, log: Logbook, *, must: bool) -> None:
    """Save a checkpoint. A full disk is a warning and the run goes on, unless it `must` be saved now.

    Raises:
        CheckpointError: if it must be saved and cannot be.
    """
    read_steps(run, log)
    log.flush()
    start = time.monotonic()
    try:
        size = run.saver.save(run.model, run.stepper.optimizer_tensors(), run.state())
    except OSError as error:
        if must:
            raise CheckpointError(
                f"Step {run.step} of {run.folder.root} could not be saved: {error}.",
                fix="free the disk and give the same command again; it continues from the newest checkpoint.",
            ) from None
        log.event(Warning(step=run.step, message=f"Checkpoint not saved, trying again at the next: {error}."))
        return
    path = run.folder.checkpoint(run.step).relative_to(run.folder.root).as_posix()
    log.event(Checkpoint(step=run.step, path=path, bytes=size, seconds=time.monotonic() - start))


def finish(run: Run, log: Logbook, reason: str) -> None:
    """Publish the model and say so; once only, however often the command is given."""
    best, steps = run.patience.best_step, saved_steps(run.folder)
    wanted = best if run.config.checkpoint.final == "best" and best is not None else run.step
    if wanted not in steps:
        log.event(Warning(step=run.step, message=f"The checkpoint of step {wanted} is gone; using the last one."))
        wanted = steps[-1]
    said = any(isinstance(event, Finished) and event.step == run.step for event in read_events(run.folder.events))
    if said and run.folder.model.exists():
        return
    publish_model(run.folder, wanted)
    if not said:
        finished = Finished(step=run.step, reason=reason, best_step=best, best_loss=run.patience.best_loss)
        log.event(finished)
        log.flush()


def open_logbook(run: Run, tell: Callable[[Event], None]) -> Logbook:
    """Open the events of `run`, note that this session begins, and start the clock."""
    speed = Speedometer(
        flops_per_token=run.model.config.training_flops_per_token(),
        peak_rate=run.choices.peak_rate,
        seconds=run.seconds,
    )
    log = Logbook(
        EventWriter(run.folder.events, step=run.step, judged=run.judged),
        tell=tell,
        speed=speed,
        batch_tokens=run.config.training.batch_tokens,
        last_step=run.config.training.steps,
        device=run.precision.device,
    )
    log.session("resumed" if run.step else "started", step=run.step, details=run.choices.to_dict())
    log.flush()
    return log
