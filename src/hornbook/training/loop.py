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

from hornbook.config.optimizing import PlateauScheduleConfig
from hornbook.data.batch import Batch
from hornbook.data.curriculum import Place
from hornbook.data.loader import prefetch, validation_sets
from hornbook.errors import CheckpointError, HornbookError
from hornbook.evaluation.perplexity import score_sets
from hornbook.inference.sampler import SamplingSettings
from hornbook.inference.speak import Speaker
from hornbook.runlog.events import Checkpoint, Event, Finished, Phase, Sample, Validation, Warning
from hornbook.runlog.reader import read_events
from hornbook.runlog.samples import SampleFile
from hornbook.runlog.writer import EventWriter
from hornbook.storage.artifact import Artifact
from hornbook.training.assemble import Run
from hornbook.training.checkpoint import publish_model, saved_steps
from hornbook.training.logbook import Logbook
from hornbook.training.metrics import Speedometer
from hornbook.training.parts import part_by_part
from hornbook.training.plateau import Plateau
from hornbook.training.randomness import derive
from hornbook.training.schedules import rate_share
from hornbook.training.stopping import Patience, StopSignals


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
    with closing(log.writer), closing(run.profiler):
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
    last_save = time.monotonic()
    run.profiler.start()
    while not reason_to_end(run):
        curriculum = run.loader.curriculum
        batches = prefetch(run.loader, run.step, curriculum.steps, device=run.precision.device)
        with closing(batches):
            for batch in part_by_part(batches):
                take_step(run, log, batch)
                if reason_to_end(run):
                    save(run, log, must=True)
                improved = judge(run, log)
                reason = reason_to_end(run)
                stop = bool(reason or signals.received)
                if stop or improved or save_is_due(run, minutes=(time.monotonic() - last_save) / 60):
                    save(run, log, must=stop)
                    last_save = time.monotonic()
                if stop or log_is_due(run):
                    read_steps(run, log)
                    log.progress(run.step, run.loader.curriculum)
                    log.flush()
                if stop:
                    return reason
                if run.loader.curriculum is not curriculum:
                    break  # validation ended the phase: what was made ahead belongs to it
    return reason_to_end(run)


def take_step(run: Run, log: Logbook, batch: Batch) -> None:
    """Take one step, at the beginning of a phase with what belongs to that."""
    place = run.loader.curriculum.at(run.step)
    if place.step == 0 and run.config.curriculum.phases:
        begin_phase(run, log, place)
    report = run.stepper.step(batch, run.step, share=rate_at(run, place))
    run.step, run.judged, run.seconds = run.step + 1, False, log.speed.seconds
    log.add(run.step, report)
    run.profiler.step()


def begin_phase(run: Run, log: Logbook, place: Place) -> None:
    """Begin a phase of a curriculum. A function of the step: a run killed here does it again, with the same result."""
    run.phase_patience, run.plateau = Patience(), Plateau()
    reset = place.index > 0 and run.config.curriculum.optimizer == "reset"
    if reset:
        run.stepper.optimizers.forget()
    read_steps(run, log)
    log.event(
        Phase(
            step=run.step + 1,
            index=place.index + 1,
            count=len(run.loader.curriculum.phases),
            name=place.phase.name,
            rows=place.phase.rows,
            batch_rows=place.phase.batch_rows,
            steps=place.phase.steps,
            lr=place.phase.lr or run.config.optimizer.lr,
            optimizer="reset" if reset else "carried" if place.index else "new",
        )
    )


def rate_at(run: Run, place: Place) -> float:
    """Return the learning rate's share of optimizer.lr: the schedule goes by the steps of the phase, to its peak."""
    peak = 1.0 if place.phase.lr is None else place.phase.lr / run.config.optimizer.lr
    return peak * run.plateau.share * rate_share(run.config.schedule, place.step, place.phase.steps)


def reason_to_end(run: Run) -> str | None:
    """Say why the run is complete, if it is. Derived, never stored: a later command may allow more."""
    training, curriculum = run.config.training, run.loader.curriculum
    if run.step >= curriculum.steps:
        return "steps"
    patience = current_patience(run)
    ends_the_run = patience is run.patience or curriculum.is_last(max(0, run.step - 1))
    if training.patience is not None and ends_the_run and patience.worse_in_a_row >= training.patience:
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


def current_patience(run: Run) -> Patience:
    """Return the patience that training.patience is about: the phase's, or the run's."""
    by_phase = run.config.curriculum.phases and run.config.curriculum.early_stop == "phase"
    return run.phase_patience if by_phase else run.patience


def log_is_due(run: Run) -> bool:
    """Say whether to log now: every logging.every_steps, and at the end of each epoch of a phase."""
    place = run.loader.curriculum.at(run.step - 1)
    epoch_ends = place.phase.epoch(place.step + 1) > place.phase.epoch(place.step)
    return run.step % run.config.logging.every_steps == 0 or bool(epoch_ends and run.config.curriculum.phases)


def judge(run: Run, log: Logbook) -> bool:
    """Validate and write samples if this step is due for them; return whether validation was the best so far.

    The last step of a phase is due for validation, and validation may end a phase.
    """
    config, last = run.config, reason_to_end(run) is not None
    place = run.loader.curriculum.at(run.step - 1)
    phase_ends = place.step + 1 == place.phase.taken
    validation_is_due = last or phase_ends or run.step % config.evaluation.every_steps == 0
    samples = config.sampling.every_steps
    samples_are_due = samples > 0 and (last or run.step % samples == 0)
    if validation_is_due or samples_are_due:
        read_steps(run, log)  # the events of the steps come before what is said of their weights
    with log.speed.paused():
        improved = validate(run, log) if validation_is_due else False
        if validation_is_due and not last:
            end_phase_early(run)
        if samples_are_due:
            write_samples(run, log)
    run.judged = True
    return improved


def end_phase_early(run: Run) -> None:
    """End the phase here if its validation has not improved for training.patience times; the last is the run's end."""
    most, curriculum = run.config.training.patience, run.loader.curriculum
    by_phase = current_patience(run) is run.phase_patience and not curriculum.is_last(run.step - 1)
    if by_phase and most is not None and run.phase_patience.worse_in_a_row >= most:
        run.loader.curriculum = curriculum.cut(run.step)
        run.phase_ends.append(run.step)
        run.phase_patience = Patience()


def validate(run: Run, log: Logbook) -> bool:
    """Score the fixed validation set; return whether it is the best so far."""
    start = time.monotonic()
    rows, context = run.config.micro_batch_rows, run.precision.autocast
    token_bytes = run.prepared.tokenizer.token_bytes()
    sets = validation_sets(run.prepared, run.config, rows=rows)
    with run.profiler.evaluation():
        result, of_sets = score_sets(run.model, sets, token_bytes=token_bytes, autocast=context)
    batch = run.loader.batch(run.step - 1).micro_batches(rows)
    trained = score_sets(run.model, {"": batch}, token_bytes=token_bytes, autocast=context)[1]
    least = run.config.training.min_improvement
    best = run.patience.update(result.loss, step=run.step, min_improvement=least)
    run.phase_patience.update(result.loss, step=run.step, min_improvement=least)
    if isinstance(run.config.schedule, PlateauScheduleConfig):
        run.plateau.update(result.loss, run.config.schedule)
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
            train_accuracy=trained[""].accuracy if trained else None,
            losses={name: one.loss for name, one in of_sets.items() if name},
            lr_share=run.plateau.share,
        )
    )
    return best


def write_samples(run: Run, log: Logbook) -> None:
    """Let the model continue the prompts of the settings; the same weights always write the same."""
    artifact = Artifact(run.model, run.prepared.tokenizer, run.prepared.template, {}, run.folder.model)
    sampling = run.config.sampling.while_training
    seed = derive(run.config.training.seed, "samples", run.step) % 2**31
    settings = SamplingSettings.from_config(sampling, seed=seed)
    for prompt in sampling.prompts:
        try:
            spoken = Speaker(artifact).complete(prompt, settings=settings, max_tokens=sampling.max_tokens)
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
        with log.speed.paused():
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
        SampleFile(run.folder.samples, read_events(run.folder.events)),
        tell=tell,
        speed=speed,
        context=run.model.config.context,
        device=run.precision.device,
    )
    log.session("resumed" if run.step else "started", step=run.step, details=run.choices.to_dict())
    log.flush()
    return log
