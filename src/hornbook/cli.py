"""The command line: words in, one command out, and every failure as two lines and an exit code.

Exit codes: 0 good, 1 failure, 2 wrong usage or settings, 75 stopped by a signal with a state to resume from,
130 a second Ctrl-C. Nothing heavy is imported here: a command imports its work when it is called.
"""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import typer

from hornbook.commands import (
    bench_step,
    compare,
    demo,
    doctor,
    evaluate,
    generate,
    import_,
    inspect,
    lens,
    plan,
    prepare,
    recipes,
    tokenizer,
    train,
)
from hornbook.errors import HornbookError, SettingsError

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo.command,
    "recipes": recipes.command,
    "plan": plan.command,
    "prepare": prepare.command,
    "import": import_.command,
    "tokenizer": tokenizer.command,
    "train": train.command,
    "generate": generate.command,
    "evaluate": evaluate.command,
    "compare": compare.command,
    "inspect": inspect.command,
    "lens": lens.command,
    "bench-step": bench_step.command,
    "doctor": doctor.command,
}
"""Every command by name, in the order of --help."""

FAILURE, USAGE, INTERRUPTED = 1, 2, 130

SPINS = 2_000
"""Turns a waiting thread of GNU OpenMP spins before it sleeps; its own default is 300,000."""

_DISK_TROUBLE = {
    errno.ENOSPC: "free some space, or put run.folder and data.folder on another disk.",
    errno.EDQUOT: "your quota is used up: free some space, or put run.folder and data.folder elsewhere.",
    errno.EROFS: "the disk is read-only: put run.folder and data.folder on another.",
    errno.EACCES: "give yourself permission to read or write it, or name another place.",
    errno.EPERM: "give yourself permission to read or write it, or name another place.",
    errno.EMFILE: "raise the limit of open files (ulimit -n 4096).",
}
"""What to do about failures of the machine rather than of the program."""


def make_app() -> typer.Typer:
    """Build the typer application from COMMANDS."""
    app = typer.Typer(
        name="hornbook",
        help="Teach a small language model on the machine you have. Start with: hornbook demo",
        epilog="--debug, before or after a command, shows the traceback of a failure.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, function in COMMANDS.items():
        app.command(name)(function)

    @app.callback(invoke_without_command=True)
    def hornbook(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
        if version:
            from hornbook import __version__

            typer.echo(f"hornbook {__version__}")
            raise typer.Exit()

    return app


def main() -> NoReturn:
    """Run the command line of this process and leave with its exit code."""
    share_the_processor()
    sys.exit(run(sys.argv[1:]))


def share_the_processor() -> None:
    """Let threads that wait for each other sleep soon, unless the user has said how they should wait.

    GNU OpenMP, which torch brings on Linux, otherwise spins for milliseconds at every product. On a processor that
    somebody else uses too, that is time taken from the very thread that is waited for: docs/decisions/0008.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


def run(words: Sequence[str]) -> int:
    """Run one command and return its exit code; failures are told on standard error."""
    words, debug = _take_debug(list(words))
    try:
        code = make_app()(words or ["--help"], prog_name="hornbook", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return FAILURE
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _tell(error)


def _tell(error: Exception) -> int:
    """Print what went wrong and what to do about it; return the exit code."""
    if isinstance(error, SettingsError):
        for problem in error.problems:
            _two_lines(problem.problem, problem.fix)
        return error.exit_code
    if isinstance(error, HornbookError):
        _two_lines(error.problem, error.fix)
        return error.exit_code
    # typer's own complaints about words it cannot place; its classes moved between versions, the method stayed.
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "hornbook"
        _two_lines(error.format_message(), f"see {command} --help.")
        return USAGE
    if isinstance(error, OSError) and error.errno in _DISK_TROUBLE:
        place = f": {error.filename}" if error.filename else ""
        _two_lines(f"{error.strerror}{place}.", _DISK_TROUBLE[error.errno])
        return FAILURE
    if isinstance(error, MemoryError):
        _two_lines(
            "There is not enough memory.", "see hornbook plan RECIPE, then lower training.micro_batch_rows."
        )
        return FAILURE
    kind, text = type(error).__name__, " ".join(str(error).split())
    _two_lines(
        f"This is a bug in Hornbook: {kind}: {text}",
        "run the same command with --debug and report what it prints.",
    )
    return FAILURE


def _two_lines(problem: str, fix: str) -> None:
    print(f"error: {problem}\nfix: {fix}", file=sys.stderr, flush=True)


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    """Take --debug out of the words before a `--`, wherever it stands."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def _silence_stdout() -> None:
    """Whoever read our output has left: let the last flush at exit go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
