"""Runs commands in forked children with little memory and time, and says what they used.

Reads one JSON object a line from standard input and answers with one: {"status": exit status or -signal,
"stdout", "stderr", "cpu_seconds", "peak_bytes"}. The imports are paid once, so that a table of commands is cheap.

    words         the command line
    seconds       kill the child after this long
    memory        most address space, in bytes
    user          become this user id first
"""

import json
import os
import resource
import signal
import sys
import tempfile
from typing import Any

import hornbook.data.prepare  # noqa: F401  (the children find it loaded)
from hornbook.cli import run
from hornbook.config.recipes import shipped_recipes


def child(request: dict[str, Any], output: int, errors: int) -> None:
    """Become a command."""
    os.dup2(output, 1)
    os.dup2(errors, 2)
    if "user" in request:
        os.setuid(request["user"])
    resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(request["seconds"])
    code = run(request["words"])
    sys.stdout.flush()
    os._exit(code)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Fork a command and say how it ended."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        pid = os.fork()
        if pid == 0:
            try:
                child(request, output.fileno(), errors.fileno())
            finally:
                os._exit(99)
        _, status, used = os.wait4(pid, 0)
        output.seek(0)
        errors.seek(0)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "stdout": output.read().decode(errors="replace"),
            "stderr": errors.read().decode(errors="replace"),
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_bytes": used.ru_maxrss * 1024,
        }


if __name__ == "__main__":
    shipped_recipes()  # a child of another user could not import what reading them needs
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)
