"""The events of a run: what can happen, as dataclasses, each one JSON line.

Some events follow from the settings alone (the loss of step 40); a resumed run writes them again, bit for bit.
Others tell of this machine and this session (speed, saves, warnings) and are never the same twice. `REPLAYED` says
which is which, and within a replayed event `MEASURED` names the fields that are not.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hornbook.errors import DataError

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened after `step` optimizer steps."""

    kind: ClassVar[str]
    REPLAYED: ClassVar[bool] = False
    MEASURED: ClassVar[frozenset[str]] = frozenset()

    step: int


@dataclass(frozen=True, kw_only=True)
class Session(Event):
    """A process began or ended work on the run: `what` is started, resumed, interrupted or ended."""

    kind: ClassVar[str] = "session"
    what: str
    pid: int
    host: str
    time: float
    schema: int = SCHEMA
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Step(Event):
    """One optimizer step: mean loss of its counted tokens in nats, before the update; `skipped` if not finite."""

    kind: ClassVar[str] = "step"
    REPLAYED: ClassVar[bool] = True
    loss: float
    targets: int
    lr: float
    grad_norm: float
    skipped: bool = False


@dataclass(frozen=True, kw_only=True)
class Phase(Event):
    """A phase of a curriculum begins: `step` is its first one.

    `index` counts from 1 up to `count`; `steps` is what the phase is planned for, of `batch_rows` rows each, over
    `rows` rows an epoch; `lr` is its peak rate and `optimizer` says whether its state was carried over or reset.
    """

    kind: ClassVar[str] = "phase"
    REPLAYED: ClassVar[bool] = True
    index: int
    count: int
    name: str
    rows: int
    batch_rows: int
    steps: int
    lr: float
    optimizer: str


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """How fast it goes: over the steps since the last such event.

    `steps` is the whole run's number of them; `epoch` counts those of the phase, or of a run without any, that are
    complete.
    """

    kind: ClassVar[str] = "progress"
    loss: float
    tokens: int
    tokens_per_second: float
    utilisation: float | None
    memory_bytes: int
    eta_seconds: float
    steps: int = 0
    phase: str = ""
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class Validation(Event):
    """The fixed validation set was scored.

    `losses` has the loss over the held-out share of each phase's own data; `train_accuracy` is that over the training
    batch of the step, scored as the validation set is.
    """

    kind: ClassVar[str] = "validation"
    REPLAYED: ClassVar[bool] = True
    MEASURED: ClassVar[frozenset[str]] = frozenset({"seconds"})
    loss: float
    perplexity: float
    bits_per_byte: float
    accuracy: float
    targets: int
    best: bool
    seconds: float
    train_accuracy: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    lr_share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Sample(Event):
    """A text the model wrote."""

    kind: ClassVar[str] = "sample"
    REPLAYED: ClassVar[bool] = True
    prompt: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Event):
    """State was saved."""

    kind: ClassVar[str] = "checkpoint"
    path: str
    bytes: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Warning(Event):
    """Something the user should know; the run goes on."""

    kind: ClassVar[str] = "warning"
    message: str


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """The run is complete: `reason` is steps, patience or minutes."""

    kind: ClassVar[str] = "finished"
    REPLAYED: ClassVar[bool] = True
    reason: str
    best_step: int | None
    best_loss: float | None


KINDS: dict[str, type[Event]] = {
    kind.kind: kind for kind in (Session, Step, Phase, Progress, Validation, Sample, Checkpoint, Warning, Finished)
}


def to_line(event: Event) -> str:
    """Write `event` as one JSON line, its newline included. NaN and infinity become null."""
    values = {"kind": event.kind, **dataclasses.asdict(event)}
    return json.dumps(_finite(values), ensure_ascii=False, allow_nan=False) + "\n"


def from_line(line: str) -> Event:
    """Read one JSON line.

    Raises:
        DataError: if it is no event of this schema.
    """
    try:
        values = json.loads(line)
        kind = KINDS[values.pop("kind")]
        return kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"Not an event: {line.strip()[:80]!r} ({error}).", fix="delete the line.") from None


def replayed_part(event: Event) -> dict[str, Any] | None:
    """Return what of `event` any run with these settings writes, or None if nothing."""
    if not event.REPLAYED:
        return None
    values = {"kind": event.kind, **dataclasses.asdict(event)}
    return {name: value for name, value in values.items() if name not in event.MEASURED}


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return value
