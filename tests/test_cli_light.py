"""The command line imports nothing heavy until it must, and says what is wrong in an instant."""

import json
import keyword
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hornbook import FUNCTIONS
from hornbook.cli import COMMANDS

MOST_SECONDS = 0.5
"""Of processor time: on a busy machine the clock on the wall says more about its other programs."""

MOST_TRIES = 4
"""A core shared with another program also takes more processor time; the least of a few runs is the command's own."""

PROBE = """
import json, resource, sys
from hornbook.cli import run
code = run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
heavy = [name for name in ("torch", "numpy", "pydantic", "rich", "pyarrow", "tokenizers") if name in sys.modules]
print(json.dumps({"code": code, "seconds": used.ru_utime + used.ru_stime, "heavy": heavy}), file=sys.stderr)
"""


def probe(*words: str, folder: Path) -> tuple[dict[str, object], str, str]:
    """Run a command in a fresh process; return exit code, seconds and heavy modules; standard output; errors."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HORNBOOK_")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment, "XDG_CACHE_HOME": str(folder)},
    )
    *errors, last = done.stderr.splitlines()
    return json.loads(last), done.stdout, "\n".join(errors)


def starts_at_once(*words: str, folder: Path) -> bool:
    """Tell whether a command ends within the limit in at least one of a few runs."""
    return any(probe(*words, folder=folder)[0]["seconds"] < MOST_SECONDS for _ in range(MOST_TRIES))


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join
)
def test_help_loads_nothing_heavy(words, tmp_path):
    seen, output, _ = probe(*words, folder=tmp_path)
    assert seen["code"] == 0
    # typer itself asks pydantic to read the words of a command.
    assert set(seen["heavy"]) <= ({"pydantic"} if words != ["--help"] else set())
    assert output
    assert starts_at_once(*words, folder=tmp_path)


@pytest.mark.parametrize(
    "words", [["recipes"], ["recipes", "--json"], ["plan", "demo"], ["plan", "demo", "--json"]]
)
def test_recipes_and_plan_load_no_torch(words, tmp_path):
    seen, _, _ = probe(*words, folder=tmp_path)
    assert seen["code"] == 0
    assert not {"torch", "numpy"} & set(seen["heavy"])
    assert starts_at_once(*words, folder=tmp_path)


@pytest.mark.parametrize("command", ["plan", "train", "prepare"])
def test_a_misspelt_setting_fails_at_once_and_without_torch(command, tmp_path):
    seen, output, errors = probe(command, "demo", "training.stesp=100", folder=tmp_path)
    assert seen["code"] == 2
    assert not {"torch", "numpy", "pyarrow"} & set(seen["heavy"])
    assert starts_at_once(command, "demo", "training.stesp=100", folder=tmp_path)
    assert output == ""
    assert errors == (
        "error: training.stesp (argument 'training.stesp=100'): unknown setting.\n"
        "fix: did you mean training.steps?"
    )


def test_every_problem_is_two_lines(tmp_path):
    seen, _, errors = probe("plan", "demo", "lr=1", "training.steps=-1", folder=tmp_path)
    assert seen["code"] == 2
    assert [line.partition(":")[0] for line in errors.splitlines()] == ["error", "fix"] * 2


def test_importing_the_package_loads_neither_torch_nor_pydantic():
    code = "import sys, hornbook; print([m for m in ('torch', 'pydantic', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_is_a_function_of_the_package():
    names = {f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_") for name in COMMANDS}
    assert names <= set(FUNCTIONS)
    code = f"import hornbook; print(all(callable(getattr(hornbook, n)) for n in {list(FUNCTIONS)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_the_package_names_what_it_has_not():
    import hornbook

    with pytest.raises(AttributeError, match="module 'hornbook' has no attribute 'trian'"):
        _ = hornbook.trian
    assert "load" in dir(hornbook)


def test_an_old_python_gets_one_sentence():
    source = (Path(__file__).parents[1] / "src" / "hornbook" / "__init__.py").read_text(encoding="utf-8")
    pretend = f"import sys; sys.version_info = (3, 10, 4, 'final', 0)\nexec({source!r})"
    done = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "error: Hornbook needs Python 3.11 or newer; this is Python 3.10.\n"
        "fix: make the environment with a newer Python: python3.11 -m venv .venv\n"
    )
