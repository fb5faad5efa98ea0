"""The errors a user can meet: what happened, where, and what to do about it.

HornbookError
├── ConfigError        a setting is unknown, missing or impossible
│   └── SettingsError  several of these, found at once
├── DataError          a file, record or document cannot be used as it is
├── CheckpointError    a run folder, checkpoint or model folder cannot be trusted or does not match
├── DeviceError        this machine cannot do what was asked
├── ShapeError         tensors that must agree do not
└── ProofError         a proof failed: the model, tokenizer or data is not honest (exit code 1)

The command line prints the two lines and leaves with `exit_code`; a traceback needs `--debug`.
"""

from collections.abc import Sequence


class HornbookError(Exception):
    """Something the user can mend.

    Args:
        problem: what happened and where, one sentence, naming the file, line or setting.
        fix: what to do, phrased as a command or an edit.
    """

    exit_code = 2

    def __init__(self, problem: str, *, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem}\nfix: {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problem, self.fix)


def _rebuild(kind: type[HornbookError], problem: str, fix: str) -> HornbookError:
    """Unpickle an error that crossed a process boundary: `fix` is keyword-only."""
    return kind(problem, fix=fix)


class ConfigError(HornbookError):
    """A setting is unknown, missing or impossible."""


class SettingsError(ConfigError):
    """Every problem of a run's settings at once.

    Args:
        problems: at least one; each keeps its own problem and fix.
    """

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        super().__init__(
            "\n".join(error.problem for error in problems), fix="\n".join(error.fix for error in problems)
        )
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.problems)

    def __reduce__(self) -> tuple[object, ...]:
        return SettingsError, (self.problems,)


class DataError(HornbookError):
    """A file, record or document cannot be used as it is."""


class CheckpointError(HornbookError):
    """A run folder, checkpoint or model folder cannot be trusted or does not match."""


class DeviceError(HornbookError):
    """This machine cannot do what was asked."""


class ShapeError(HornbookError):
    """Tensors that must agree do not."""


class ProofError(HornbookError):
    """A proof failed: the model, tokenizer or data is not honest."""

    exit_code = 1
