"""Turns what the loop does into events: read from the device in batches, written to the run, shown to the user."""

import os
import socket
import time
from collections.abc import Callable
from typing import Any

import torch

from hornbook.data.curriculum import Curriculum
from hornbook.errors import HornbookError
from hornbook.runlog.events import Event, Progress, Sample, Session, Step, Warning
from hornbook.runlog.samples import SampleFile
from hornbook.runlog.writer import EventWriter
from hornbook.training.metrics import Speedometer, peak_memory_bytes
from hornbook.training.step import StepReport

MAX_SKIPPED_IN_A_ROW = 10


class Logbook:
    """The events of one session of a run.

    Args:
        writer: where events are kept.
        samples: where the samples among them are kept for reading.
        tell: where events are shown, as they happen.
        speed: measures tokens per second.
        context: tokens of a row.
        device: whose memory is reported.

    Steps wait as tensors until `read_steps`, so that taking one never waits for the device.
    """

    def __init__(
        self,
        writer: EventWriter,
        samples: SampleFile,
        *,
        tell: Callable[[Event], None],
        speed: Speedometer,
        context: int,
        device: torch.device,
    ) -> None:
        self.writer, self.samples, self.tell, self.speed = writer, samples, tell, speed
        self.context, self.device = context, device
        self._steps: list[tuple[int, StepReport]] = []
        self._since_progress: list[Step] = []
        self._disk_failed = False

    def event(self, event: Event) -> None:
        """Keep and show `event`."""
        self.writer.write(event)
        if isinstance(event, Sample):
            self.samples.take(event)
        self.tell(event)

    def session(self, what: str, *, step: int, details: dict[str, Any] | None = None) -> None:
        """Note that this process began or ended work on the run."""
        self.event(
            Session(
                step=step,
                what=what,
                pid=os.getpid(),
                host=socket.gethostname(),
                time=time.time(),
                details=details or {},
            )
        )

    def add(self, number: int, report: StepReport) -> None:
        """Take the report of the step that made `number` finished ones."""
        self._steps.append((number, report))

    def read_steps(self, skipped_in_a_row: int) -> int:
        """Read the waiting steps from the device and write their events; return the new count of skips in a row.

        Raises:
            HornbookError: if too many steps in a row had no finite gradient.
        """
        for number, report in self._steps:
            skipped = bool(report.skipped)
            skipped_in_a_row = skipped_in_a_row + 1 if skipped else 0
            event = Step(
                step=number,
                loss=float(report.loss),
                targets=report.targets,
                lr=report.lr,
                grad_norm=float(report.grad_norm),
                skipped=skipped,
            )
            self.writer.write(event)
            self._since_progress.append(event)
            if skipped_in_a_row == MAX_SKIPPED_IN_A_ROW:
                self.flush()
                raise HornbookError(
                    f"Steps {number - MAX_SKIPPED_IN_A_ROW + 1} to {number} gave no finite gradient; "
                    "none of them changed the weights.",
                    fix="lower optimizer.lr, raise schedule.warmup_steps, or set precision.dtype=fp32.",
                )
        self._steps.clear()
        return skipped_in_a_row

    def progress(self, step: int, curriculum: Curriculum) -> None:
        """Tell how fast the steps since the last such event went. Call it after `read_steps`."""
        steps, self._since_progress = self._since_progress, []
        if not steps:
            return
        place = curriculum.at(step - 1)
        before, now, end = (
            curriculum.rows_until(number) * self.context for number in (step - len(steps), step, curriculum.steps)
        )
        rate, utilisation = self.speed.read(now - before)
        targets = sum(event.targets for event in steps)
        self.event(
            Progress(
                step=step,
                loss=sum(event.loss * event.targets for event in steps) / max(1, targets),
                tokens=now,
                tokens_per_second=rate,
                utilisation=utilisation,
                memory_bytes=peak_memory_bytes(self.device),
                eta_seconds=(end - now) / rate,
                steps=curriculum.steps,
                phase=place.phase.name,
                epoch=place.phase.epoch(place.step + 1),
            )
        )
        for event in steps:
            if event.skipped:
                self.event(
                    Warning(step=event.step, message=f"Step {event.step} had no finite gradient and was skipped.")
                )

    def flush(self) -> None:
        """Write what waits; a full disk is said once, and what waits is kept for the next time."""
        try:
            self.writer.flush()
            self.samples.flush()
            self._disk_failed = False
        except OSError as error:
            if not self._disk_failed:
                self.tell(Warning(step=0, message=f"Events wait in memory: {error}."))
            self._disk_failed = True
