"""Set up an environment from nothing but Python: torch first, the rest at the pinned versions, then Hornbook.

    python3 scripts/setup.py            .venv, enough to train, talk and run the demo
    python3 scripts/setup.py --dev      .venv with the test tools as well
    python3 scripts/setup.py --bench    .bench, with the libraries the benchmarks compare against

A second run compares a stamp and ends at once. This file must parse and report on Python 3.6, so that an old
Python meets a sentence instead of a SyntaxError: standard library only, newer annotations in quotes.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
GIB = 2**30

# Room on disk, downloads included. On Linux the registry's torch brings its CUDA libraries along.
CUDA_BYTES, CPU_BYTES, REST_BYTES = 10 * GIB, 2 * GIB, GIB

NETWORK_WORDS = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|Network is unreachable"
    r"|getaddrinfo failed|ConnectTimeoutError|ProxyError|Connection refused|No route to host|ReadTimeoutError"
)


class SetupError(Exception):
    """What stops the set-up, and the way out; the two lines of `hornbook.errors`, which is not installed yet."""

    def __init__(self, problem: str, *, fix: str) -> None:
        super().__init__(f"{problem}\nfix: {fix}")


class Environment:
    """One virtual environment: where it is, and what belongs in it."""

    def __init__(self, folder: Path, constraints: Path, *, extras: "list[str]", peers: "list[Path]") -> None:
        self.folder = folder
        self.constraints = constraints
        self.extras = extras
        self.peers = peers
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.stamp = folder / "hornbook-setup.json"

    def recipe(self) -> "dict[str, object]":
        """Return everything the result follows from; an equal stamp needs no set-up."""
        files = [ROOT / "pyproject.toml", self.constraints, Path(__file__).resolve(), *self.peers]
        return {
            "root": str(ROOT),
            "python": python_version(self.python),
            "files": [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
            "extras": self.extras,
        }

    def ready(self) -> bool:
        """Tell whether the last finished set-up covers this one; more extras than asked for do no harm."""
        try:
            done = json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return False
        missing = set(self.extras) - set(done.get("extras", []))
        return {**done, "extras": self.extras} == self.recipe() and not missing

    def requirements(self) -> "list[str]":
        """Return what pip is asked for besides torch; it runs in ROOT."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        peers = [part for file in self.peers for part in ("--requirement", str(file))]
        return ["--editable", f".{extras}", *peers]


def main(arguments: "list[str]") -> int:
    """Set up what the arguments ask for and return the exit code."""
    parser = argparse.ArgumentParser(description="Set up Hornbook's environment.")
    parser.add_argument("--dev", action="store_true", help="install the test tools as well")
    parser.add_argument("--bench", action="store_true", help="set up .bench for the benchmarks instead of .venv")
    parser.add_argument("--this-python", action="store_true", help="do not look for a newer Python")
    options = parser.parse_args(arguments)
    try:
        if sys.version_info[:2] < OLDEST:
            return hand_over(arguments, look=not options.this_python)
        set_up(environment(dev=options.dev, bench=options.bench), keep_minor=options.this_python)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on.", file=sys.stderr)
        return 130
    return 0


def environment(*, dev: bool, bench: bool) -> Environment:
    """Name the environment for a purpose."""
    if bench:
        folder = ROOT / "benchmarks"
        peers = [folder / "requirements.txt"]
        return Environment(ROOT / ".bench", folder / "constraints.txt", extras=[], peers=peers)
    return Environment(ROOT / ".venv", ROOT / "constraints.txt", extras=["dev"] if dev else [], peers=[])


def hand_over(arguments: "list[str]", *, look: bool) -> int:
    """Run this file again under a new enough Python, if the machine has one and `look` allows it."""
    newer, this = newer_python(), platform.python_version()
    if newer and look:
        print(f"Python {this} is too old; using {newer}.", flush=True)
        return subprocess.call([newer, str(Path(__file__).resolve()), "--this-python", *arguments])
    raise version_error(this, newer)


def version_error(this: str, newer: "str | None") -> SetupError:
    """Say that Python `this` is too old, and which command to take instead."""
    install = "install Python 3.12 (python.org, or your system's packages), then run make setup PYTHON=python3.12"
    return SetupError(
        f"Hornbook needs Python 3.11 or newer; this is {this}.",
        fix=f"run make setup PYTHON={newer}" if newer else install,
    )


def newer_python() -> "str | None":
    """Find a command that runs Python 3.11 or newer; each is tried, because pyenv's shims may fail."""
    for name in NEWER_PYTHONS:
        if shutil.which(name) and python_version(name)[:2] >= list(OLDEST):
            return name
    return None


def python_version(python: "str | Path") -> "list[int]":
    """Return [major, minor, micro] of an interpreter, or [] when it does not run."""
    code = "import sys; print(*sys.version_info[:3])"
    try:
        output = subprocess.check_output([str(python), "-c", code], stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [int(number) for number in output.split()]


def set_up(wanted: Environment, keep_minor: bool) -> None:
    """Bring the environment to the wanted state; nothing is done when its stamp says so.

    Args:
        wanted: what to set up.
        keep_minor: rebuild an environment whose Python is not of the running one's minor version.
    """
    present = python_version(wanted.python)
    usable = present[:2] >= list(OLDEST) and not (keep_minor and present[:2] != list(sys.version_info[:2]))
    if usable and wanted.ready():
        return
    check_space(wanted, has_torch=usable and any(wanted.folder.glob("[lL]ib/**/site-packages/torch")))
    if not usable:
        say(f"Creating {wanted.folder.name} with Python {platform.python_version()}")
        create(wanted.folder)
    wanted.stamp.unlink(missing_ok=True)
    torch = pinned_torch(wanted.constraints)
    # Alone and first: asked for by name and version, pip takes a local CPU build where it is offered one;
    # as somebody's dependency, it takes the registry's newest, with gigabytes of CUDA.
    say(f"Installing {torch} (the largest part)")
    pip(wanted, "install", torch, "--constraint", str(wanted.constraints))
    say("Installing the rest")
    pip(wanted, "install", *wanted.requirements(), "--constraint", str(wanted.constraints))
    wanted.stamp.write_text(json.dumps(wanted.recipe(), indent=1) + "\n")
    say(f"{wanted.folder.name} is ready")


def say(text: str) -> None:
    """Print a step at once, before the work starts."""
    print(f"== {text}", flush=True)


def create(folder: Path) -> None:
    """Create an empty virtual environment, in place of whatever unusable one is there."""
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode == 0:
        return
    output = done.stdout.decode(errors="replace").strip()
    if "ensurepip" in output:
        raise SetupError(
            f"{sys.executable} cannot create virtual environments: its ensurepip module is missing.",
            fix="install it (Debian, Ubuntu: apt install python3-venv), or run make setup PYTHON=python3.12",
        )
    raise pip_error(output, f"{sys.executable} could not create {folder}")


def pinned_torch(constraints: Path) -> str:
    """Return the torch requirement that the constraints pin, such as "torch==2.13.0"."""
    for line in constraints.read_text().splitlines():
        if line.startswith("torch=="):
            return line.split(";")[0].strip()
    raise SetupError(f"{constraints} pins no torch.", fix="restore the file: git checkout constraints.txt")


def check_space(wanted: Environment, has_torch: bool) -> None:
    """Refuse to start what the disk cannot hold."""
    free = shutil.disk_usage(ROOT).free
    if has_torch:
        needed = REST_BYTES
    elif sys.platform != "linux" or free >= CUDA_BYTES or offers_cpu_build(pinned_torch(wanted.constraints)):
        needed = CPU_BYTES
    else:
        needed = CUDA_BYTES
    require_space(ROOT, needed=needed, free=free)


def require_space(folder: Path, *, needed: int, free: int) -> None:
    """Raise SetupError if `free` bytes are fewer than `needed`."""
    if free < needed:
        raise SetupError(
            f"Setting up needs about {needed / GIB:.0f} GiB of disk in {folder}; {free / GIB:.1f} GiB are free.",
            fix="free some space, or clone Hornbook onto a larger disk.",
        )


def offers_cpu_build(torch: str) -> bool:
    """Ask pip which build of torch it would take; only CPU builds carry "+cpu" in their version."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        dry_run = ["-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--report", str(report)]
        command = [sys.executable, *dry_run, torch]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            return False
        return "+cpu" in json.loads(report.read_text())["install"][0]["metadata"]["version"]


def pip(wanted: Environment, *arguments: str) -> None:
    """Run the environment's pip; its progress is shown, its complaints only when it fails."""
    command = [str(wanted.python), "-m", "pip", "--disable-pip-version-check", "--retries", "2", *arguments]
    if not sys.stdout.isatty():
        command += ["--quiet", "--progress-bar", "off"]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise pip_error(done.stderr.decode(errors="replace"), f"pip could not carry out: {' '.join(arguments)}")


def pip_error(output: str, otherwise: str) -> SetupError:
    """Turn what pip wrote into one sentence; what it says otherwise follows its own last lines."""
    again = "then run the same command; it goes on where it stopped."
    if "No space left on device" in output or "Errno 28" in output:
        free = shutil.disk_usage(ROOT).free
        return SetupError(
            f"The disk is full: {free / GIB:.1f} GiB are free in {ROOT}. pip also fills {tempfile.gettempdir()}.",
            fix=f"free some space, {again}",
        )
    if NETWORK_WORDS.search(output):
        return SetupError(
            "The package registry cannot be reached; setting up downloads 0.5 to 4 GB, once.",
            fix=f"connect to the internet (behind a proxy, set HTTPS_PROXY), {again}",
        )
    missing = re.search(r"No matching distribution found for (\S+)", output)
    if missing:
        machine = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
        return SetupError(
            f"There is no build of {missing.group(1)} for {machine}.",
            fix="use 64-bit Python 3.11 to 3.14 on Linux, Windows or a Mac with Apple silicon: "
            "make setup PYTHON=python3.12",
        )
    tail = "\n".join(output.strip().splitlines()[-12:])
    return SetupError(f"{tail}\n{otherwise}", fix=f"mend what pip names above, {again}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
