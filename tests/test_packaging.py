"""Setting up from a fresh clone: the set-up script's sentences, the pins, the Makefile, what is committed."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

OUTSIDE_MAKE = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
"""What a make that is not started by another sees; `make test` runs these tests too."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SETUP = ROOT / "scripts" / "setup.py"
CONSTRAINTS = [ROOT / "constraints.txt", ROOT / "benchmarks" / "constraints.txt"]
TARGETS = ("setup", "demo", "test", "test-all", "check", "bench", "compare", "lock")
GIB = 2**30

# Written in pieces, so that this file does not find itself.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:wo" r"rk|ro" r"ot|ho" r"me/\w|Us" r"ers/\w|o" r"pt|tm" r"p)/")
REGISTRY_HOSTS = re.compile("pypi\\.org|pythonhosted\\.org|download\\.pytorch\\.org|registry\\.npmjs")


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hornbook_script_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


setup = load_script("setup")
check = load_script("check")


def pins(path: Path) -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            requirement = Requirement(line)
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def committed_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of committed files")
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def other_pythons() -> list[str]:
    """Interpreters older than Hornbook supports, oldest first, where this machine has any."""
    homes = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    versions = {str(path): setup.python_version(path) for path in homes.glob("3.*/bin/python3")}
    return sorted((path for path in versions if [] < versions[path] < [3, 11]), key=versions.__getitem__)


def test_the_setup_script_parses_on_python_3_6():
    ast.parse(SETUP.read_text(), feature_version=(3, 6))


def test_an_old_python_gets_a_sentence_and_exit_code_2():
    pythons = other_pythons()
    if not pythons:
        pytest.skip("this machine has no Python older than 3.11")
    for python in {pythons[0], pythons[-1]}:
        done = subprocess.run([python, SETUP, "--this-python"], capture_output=True, text=True)
        version = ".".join(map(str, setup.python_version(python)))
        assert done.returncode == 2, done.stderr
        problem, fix = done.stderr.strip().splitlines()
        assert problem == f"Hornbook needs Python 3.11 or newer; this is {version}."
        assert fix.startswith("fix: ") and "make setup PYTHON=python3." in fix


def test_an_old_python_is_told_to_install_a_newer_one_where_there_is_none():
    assert str(setup.version_error("3.10.13", None)) == (
        "Hornbook needs Python 3.11 or newer; this is 3.10.13.\n"
        "fix: install Python 3.12 (python.org, or your system's packages), then run make setup PYTHON=python3.12"
    )


def test_an_old_python_is_told_the_newer_one_that_is_there():
    assert str(setup.version_error("3.10.13", "python3.13")).endswith("fix: run make setup PYTHON=python3.13")


def test_a_command_that_does_not_run_is_no_python(tmp_path):
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert setup.python_version(shim) == []
    assert setup.python_version(tmp_path / "absent") == []


def test_too_little_disk_space_says_how_much_is_needed_and_free(tmp_path):
    with pytest.raises(setup.SetupError) as caught:
        setup.require_space(tmp_path, needed=10 * GIB, free=3.25 * GIB)
    assert str(caught.value) == (
        f"Setting up needs about 10 GiB of disk in {tmp_path}; 3.2 GiB are free.\n"
        "fix: free some space, or clone Hornbook onto a larger disk."
    )


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            "NewConnectionError('...: Failed to establish a new connection')",
            "The package registry cannot be reached",
        ),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "The disk is full: "),
        (
            "ERROR: No matching distribution found for torch==2.13.0",
            "There is no build of torch==2.13.0 for Python 3",
        ),
        ("ERROR: something new", "ERROR: something new\nwhile installing"),
    ],
)
def test_what_pip_complains_of_becomes_a_sentence_with_a_way_out(output, sentence):
    message = str(setup.pip_error(output, "while installing"))
    assert message.startswith(sentence)
    assert "\nfix: " in message


def test_without_a_network_the_setup_says_so(tmp_path):
    environment = setup.Environment(tmp_path, CONSTRAINTS[0], extras=[], peers=[])
    environment.python = Path(sys.executable)
    nowhere = ["--isolated", "--index-url", "http://127.0.0.1:9/simple"]
    with pytest.raises(setup.SetupError, match="The package registry cannot be reached"):
        setup.pip(environment, "download", *nowhere, "--dest", str(tmp_path), "torch==2.13.0")


def stamped(folder: Path, extras: list[str]) -> object:
    environment = setup.Environment(folder, CONSTRAINTS[0], extras=extras, peers=[])
    environment.python = Path(sys.executable)
    environment.stamp.write_text(setup.json.dumps(environment.recipe()))
    return environment


def test_a_finished_setup_is_not_repeated(tmp_path):
    assert stamped(tmp_path, ["dev"]).ready()


def test_a_setup_with_the_test_tools_serves_one_without_but_not_the_reverse(tmp_path):
    environment = stamped(tmp_path, ["dev"])
    environment.extras = []
    assert environment.ready()
    environment = stamped(tmp_path, [])
    environment.extras = ["dev"]
    assert not environment.ready()


def test_changed_pins_ask_for_a_new_setup(tmp_path):
    pinned = tmp_path / "constraints.txt"
    pinned.write_text("torch==2.13.0\n")
    environment = setup.Environment(tmp_path, pinned, extras=[], peers=[])
    environment.python = Path(sys.executable)
    environment.stamp.write_text(setup.json.dumps(environment.recipe()))
    assert environment.ready()
    pinned.write_text("torch==2.13.1\n")
    assert not environment.ready()


def test_a_damaged_stamp_asks_for_a_new_setup(tmp_path):
    environment = stamped(tmp_path, [])
    environment.stamp.write_text('{"root": ')
    assert not environment.ready()


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_pin_is_exact_and_names_no_machine(path):
    lines = path.read_text().splitlines()
    assert lines[1].strip("# ") == "make lock", f"{path.name} was not written by make lock"
    for line in lines[2:]:
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", line), f"{path.name}: '{line}' is no plain pin"
    assert [str(pin) for pin in pins(path)["torch"]] == ["torch==2.13.0"]


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pins_satisfy_what_the_package_asks_for(path):
    wanted = list(PROJECT["dependencies"])
    if path.parent == ROOT:
        wanted += [row for rows in PROJECT["optional-dependencies"].values() for row in rows]
    pinned = pins(path)
    for requirement in map(Requirement, wanted):
        found = pinned.get(canonicalize_name(requirement.name))
        assert found, f"{path.name} does not pin {requirement.name}; run make lock"
        for pin in found:
            version = next(iter(pin.specifier)).version
            assert version in requirement.specifier, f"{pin} does not satisfy {requirement}; run make lock"


def test_the_extras_of_the_design_exist():
    promised = {"hub", "window", "track", "export", "eval", "hf", "cluster", "gpu", "dev"}
    assert promised <= set(PROJECT["optional-dependencies"])


def test_every_requirement_has_a_floor_and_the_extras_a_cap():
    for row in PROJECT["dependencies"]:
        assert ">=" in row, f"pyproject.toml: '{row}' needs a floor"
    for row in (row for rows in PROJECT["optional-dependencies"].values() for row in rows):
        assert re.fullmatch(r"[\w.-]+>=[\d.]+,<[\d.]+", row), f"pyproject.toml: '{row}' needs a floor and a cap"


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target_and_sets_up_for_it(target):
    if not shutil.which("make"):
        pytest.skip("this machine has no make")
    planned = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, env=OUTSIDE_MAKE, capture_output=True, text=True
    )
    assert planned.returncode == 0, planned.stderr
    assert "scripts/setup.py" in planned.stdout.splitlines()[0]


def test_make_help_explains_every_target():
    if not shutil.which("make"):
        pytest.skip("this machine has no make")
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, env=OUTSIDE_MAKE, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[1] for line in shown.splitlines()} == {"help", *TARGETS}


def test_a_python_named_by_the_user_is_taken_as_it_is():
    if not shutil.which("make"):
        pytest.skip("this machine has no make")
    command = ["make", "--dry-run", "demo", "PYTHON=some-python"]
    planned = subprocess.run(
        command, cwd=ROOT, env=OUTSIDE_MAKE, capture_output=True, text=True, check=True
    ).stdout
    assert planned.startswith("some-python") and "--this-python" in planned.splitlines()[0]


def test_the_quick_tests_leave_out_the_long_ones_and_the_whole_run_none():
    assert check.tests(everything=False)[-2:] == ["-m", "not slow and not gpu"]
    assert "-m" not in check.tests(everything=True)


def test_the_checks_are_format_lint_and_types():
    assert [command[0] for command in check.static_checks().values()] == ["ruff", "ruff", "mypy"]


def test_a_failing_check_is_told_from_a_passing_one(capfd):
    assert check.run("lint", ["ruff", "--version"])
    assert not check.run("lint", ["ruff", "check", "no-such-file.py"])
    assert "lint FAILED" in capfd.readouterr().out


def test_continuous_integration_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("exec make test")
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_installation_page_lists_the_steps_without_make():
    page = (ROOT / "docs" / "start" / "install.md").read_text()
    for step in (
        r"py -3.12 scripts\setup.py",
        r".venv\Scripts\hornbook demo",
        r".venv\Scripts\python scripts\check.py",
    ):
        assert step in page, f"docs/start/install.md lacks the step '{step}'"


def test_no_committed_file_names_a_machine_or_a_registry():
    for path in committed_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            found = MACHINE_PATHS.search(line) or REGISTRY_HOSTS.search(line)
            assert not found, f"{path.relative_to(ROOT)}:{number}: '{found[0]}' holds on one machine only"
