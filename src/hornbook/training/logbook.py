"""Turns what the loop does into events: read from the device in batches, written to the run, shown to the user."""

import os
import socket
import time
from collections.abc import Callable
from typing import Any

import torch

from hornbook.errors import HornbookError
from hornbook.runlog.events import Event, Progress, Session, Step, Warning
from hornbook.runlog.writer import EventWriter
from hornbook.training.metrics import Speedometer, peak_memory_bytes
from hornbook.training.step import StepReport

MAX_SKIPPED_IN_A_ROW = 10


class Logbook:
    """The events of one session of a run.

    Args:
        writer: where events are kept.
        tell: where events are shown, as they happen.
        speed: measures tokens per second.
        batch_tokens: tokens of a step.
        last_step: steps of the whole run, for the time left.
        device: whose memory is reported.

    Steps wait as tensors until `read_steps`, so that taking one never waits for the device.
    """

    def __init__(
        self,
        writer: EventWriter,
        *,
        tell: Callable[[Event], None],
        speed: Speedometer,
        batch_tokens: int,
        last_step: int,
        device: torch.device,
    ) -> None:
        self.writer, self.tell, self.speed = writer, tell, speed
        self.batch_tokens, self.last_step, self.device = batch_tokens, last_step, device
        self._steps: list[tuple[int, StepReport]] = []
        self._since_progress: list[Step] = []
        self._disk_failed = False

    def event(self, event: Event) -> None:
        """Keep and show `event`."""
        self.writer.write(event)
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

    def progress(self, step: int) -> None:
        """Tell how fast the steps since the last such event went. Call it after `read_steps`."""
        steps, self._since_progress = self._since_progress, []
        if not steps:
            return
        tokens = len(steps) * self.batch_tokens
        rate, utilisation = self.speed.read(tokens)
        targets = sum(event.targets for event in steps)
        self.event(
            Progress(
                step=step,
                loss=sum(event.loss * event.targets for event in steps) / max(1, targets),
                tokens=step * self.batch_tokens,
                tokens_per_second=rate,
                utilisation=utilisation,
                memory_bytes=peak_memory_bytes(self.device),
                eta_seconds=(self.last_step - step) * self.batch_tokens / rate,
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
            self._disk_failed = False
        except OSError as error:
            if not self._disk_failed:
                self.tell(Warning(step=0, message=f"Events wait in memory: {error}."))
            self._disk_failed = True
