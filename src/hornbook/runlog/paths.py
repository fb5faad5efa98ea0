"""The name of every file in a run folder, in one place."""

from dataclasses import dataclass
from pathlib import Path

CHECKPOINT_PREFIX = "step-"


@dataclass(frozen=True)
class RunFolder:
    """A run's folder. Nothing here touches the disk but `create`."""

    root: Path

    @property
    def config(self) -> Path:
        """Every setting, defaults included."""
        return self.root / "config.json"

    @property
    def events(self) -> Path:
        """One JSON object a line; all that monitors read."""
        return self.root / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the terminal showed."""
        return self.root / "train.log"

    @property
    def samples(self) -> Path:
        """The texts the model wrote while it was trained."""
        return self.root / "samples.txt"

    @property
    def receipt(self) -> Path:
        """Hashes of code, data, tokenizer and environment."""
        return self.root / "receipt.json"

    @property
    def choices(self) -> Path:
        """What was chosen by measurement when the run began, reused ever after."""
        return self.root / "choices.json"

    @property
    def best(self) -> Path:
        """Which checkpoint validated best."""
        return self.root / "best.json"

    @property
    def model(self) -> Path:
        """The finished model folder."""
        return self.root / "model"

    @property
    def evaluation(self) -> Path:
        """What `hornbook evaluate` found."""
        return self.root / "evaluation.json"

    @property
    def profile(self) -> Path:
        """The folder of what a profiler recorded."""
        return self.root / "profile"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.root / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint taken after `step` optimizer steps."""
        return self.checkpoints / f"{CHECKPOINT_PREFIX}{step:08d}"

    def create(self) -> None:
        """Make the folder and its checkpoints folder."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)


def checkpoint_step(path: Path) -> int | None:
    """Return the step in a checkpoint's name, or None if `path` is not so named."""
    number = path.name.removeprefix(CHECKPOINT_PREFIX)
    return int(number) if path.name.startswith(CHECKPOINT_PREFIX) and number.isdecimal() else None
