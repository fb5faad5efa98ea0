"""Every failure is two lines and an exit code; a traceback needs --debug."""

import errno
import os
import subprocess
import sys

import pytest

from hornbook import cli
from hornbook.errors import DataError, ProofError


@pytest.fixture
def failing(monkeypatch):
    """Put a command on the line that raises what it is given."""

    def install(error):
        def command() -> None:
            """Fail."""
            raise error

        monkeypatch.setitem(cli.COMMANDS, "fail", command)

    return install


def told(capsys):
    return capsys.readouterr().err


def test_an_error_of_ours_is_two_lines_and_its_exit_code(failing, capsys):
    failing(DataError("a.txt is empty.", fix="give text."))
    assert cli.run(["fail"]) == 2
    assert told(capsys) == "error: a.txt is empty.\nfix: give text.\n"


def test_a_failed_proof_leaves_with_1(failing, capsys):
    failing(ProofError("It looks ahead.", fix="mask it."))
    assert cli.run(["fail"]) == 1


def test_any_other_exception_is_called_a_bug(failing, capsys):
    failing(ValueError("two\nlines"))
    assert cli.run(["fail"]) == 1
    assert told(capsys) == (
        "error: This is a bug in Hornbook: ValueError: two lines\n"
        "fix: run the same command with --debug and report what it prints.\n"
    )


@pytest.mark.parametrize("words", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback(failing, capsys, words):
    failing(ValueError("odd"))
    assert cli.run(words) == 1
    assert "Traceback (most recent call last)" in told(capsys)


def test_debug_after_two_dashes_is_a_word_like_any_other(failing, capsys):
    failing(ValueError("odd"))
    assert cli.run(["fail", "--", "--debug"]) == 2
    assert "Traceback" not in told(capsys)


def test_a_full_disk_is_no_bug(failing, capsys):
    failing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/x"))
    assert cli.run(["fail"]) == 1
    assert told(capsys) == (
        "error: No space left on device: runs/x.\n"
        "fix: free some space, or put run.folder and data.folder on another disk.\n"
    )


def test_too_little_memory_is_no_bug(failing, capsys):
    failing(MemoryError())
    assert cli.run(["fail"]) == 1
    assert "training.micro_batch_rows" in told(capsys)


def test_an_interrupt_leaves_with_130(failing, capsys):
    failing(KeyboardInterrupt())
    assert cli.run(["fail"]) == 130
    assert told(capsys) == ""


def test_the_exit_code_of_a_command_is_the_process_s(monkeypatch):
    def command() -> int:
        """Stop."""
        return 75

    monkeypatch.setitem(cli.COMMANDS, "stop", command)
    assert cli.run(["stop"]) == 75


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert cli.run(["pln"]) == 2
    assert "error: No such command 'pln'. Did you mean 'plan'?\nfix: see hornbook --help." in told(capsys)


def test_a_missing_argument_names_the_command_s_help(capsys):
    assert cli.run(["plan"]) == 2
    assert "'RECIPE'" in (text := told(capsys))
    assert "fix: see hornbook plan --help." in text


def test_no_words_at_all_is_a_call_for_help(capsys):
    assert cli.run([]) == 0
    assert "hornbook demo" in " ".join(capsys.readouterr().out.split())


def test_the_version_is_one_line(capsys):
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hornbook 0.")


def test_a_reader_who_leaves_early_meets_silence():
    code = "import sys; from hornbook.cli import run; sys.exit(run(['plan', 'demo', '--json']))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_module_is_a_command_too():
    done = subprocess.run([sys.executable, "-m", "hornbook", "plan", "dmeo"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "did you mean 'demo'?" in done.stderr


@pytest.mark.parametrize(
    ("said", "spins"),
    [({}, str(cli.SPINS)), ({"GOMP_SPINCOUNT": "9"}, "9"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(monkeypatch, said, spins):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    cli.share_the_processor()
    assert os.environ.get("GOMP_SPINCOUNT") == spins
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
