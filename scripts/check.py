"""Check the whole project: format, lint, types, tests. The one command, the same on Windows and in CI.

    python scripts/check.py             everything but the long proofs
    python scripts/check.py --all       the long proofs too, and those for an accelerator
    python scripts/check.py --static    format, lint and types only
    python scripts/check.py --fix       mend format and simple lint first

Every check runs even when an earlier one fails; the tests come last, so that their summary closes the output.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUICK = "not slow and not gpu"
MOST_WORKERS = 8  # each imports torch: about 400 MiB


def main(arguments: list[str]) -> int:
    """Run the checks the arguments ask for and return 0 if all passed, else 1."""
    parser = argparse.ArgumentParser(description="Check the whole project.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="run the long proofs too")
    which.add_argument("--static", action="store_true", help="run no tests")
    parser.add_argument("--fix", action="store_true", help="mend format and simple lint first")
    options = parser.parse_args(arguments)
    if options.fix:
        run("fix", ["ruff", "check", "--fix", "--quiet", "."])
        run("fix", ["ruff", "format", "--quiet", "."])
    checks = static_checks()
    if not options.static:
        checks["tests"] = tests(everything=options.all)
    failed = [name for name, command in checks.items() if not run(name, command)]
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def static_checks() -> dict[str, list[str]]:
    """Return the checks that read the code without running it, by name, each as a module and its arguments."""
    return {
        "format": ["ruff", "format", "--check", "--quiet", "."],
        "lint": ["ruff", "check", "--quiet", "."],
        "types": ["mypy", "--no-error-summary"],
    }


def tests(*, everything: bool) -> list[str]:
    """Return the test command: one worker a core, each with one thread, so that cores are not shared twice."""
    workers = min(cores(), MOST_WORKERS)
    # A module's tests stay on one worker: what its fixtures trained is trained once.
    command = ["pytest", "-n", str(workers), "--dist", "loadscope", "--durations", "10"]
    return command if everything else [*command, "-m", QUICK]


def cores() -> int:
    """Count the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(name: str, command: list[str]) -> bool:
    """Run one check, as a module of this very Python, and tell whether it passed."""
    print(f"== {name}: {' '.join(command)}", flush=True)
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if name != "tests":
        verdict = "passed" if done.returncode == 0 else "FAILED"
        print(f"   {name} {verdict} in {time.monotonic() - started:.1f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
