"""Records what torch does in a few steps and in one validation, as traces that TensorBoard and Perfetto open.

Off unless `profile.enabled` is set. Recording changes no number of the run: it only listens, and nothing of it is
kept in a checkpoint. A session that continues a run records its own first steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.profiler import ProfilerAction, profile, record_function, schedule, tensorboard_trace_handler

from hornbook.config.sections import ProfileConfig


class Profiler:
    """Records the steps that the settings say, and the first validation outside of them.

    Args:
        config: the settings.
        folder: where the traces go: train.TIME.pt.trace.json, evaluation.TIME.pt.trace.json.
    """

    def __init__(self, config: ProfileConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self._steps: profile | None = None
        self._evaluated = False

    def start(self) -> None:
        """Begin to count steps."""
        if not self.config.enabled:
            return
        when = schedule(
            wait=self.config.wait, warmup=self.config.warmup, active=self.config.active, repeat=self.config.repeat
        )
        self._steps = profile(
            schedule=when,
            on_trace_ready=tensorboard_trace_handler(str(self.folder), worker_name="train"),
            profile_memory=self.config.memory,
        )
        self._steps.start()

    def step(self) -> None:
        """Say that a step is over."""
        if self._steps is not None:
            self._steps.step()

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Label a validation, and record the first that falls into no recorded steps: torch records one at once."""
        idle = self._steps is not None and self._steps.current_action == ProfilerAction.NONE
        if not idle or self._evaluated:
            with record_function("evaluation"):
                yield
            return
        self._evaluated = True
        handler = tensorboard_trace_handler(str(self.folder), worker_name="evaluation")
        with profile(on_trace_ready=handler, profile_memory=self.config.memory), record_function("evaluation"):
            yield

    def close(self) -> None:
        """Write what was recorded of steps that never came to their end."""
        if self._steps is not None:
            self._steps.stop()
            self._steps = None
