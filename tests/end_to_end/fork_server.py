"""Trains in forked children that already have torch loaded, and kills them where it is told to.

Reads one JSON object a line from standard input and answers with one: {"status": exit status or -signal,
"calls": file-system calls of the watched save, "output": what it printed}. Importing torch takes seconds and a tiny
run takes a fraction of one, so that hundreds of kills become affordable.

    recipe        name of a recipe
    settings      list of "section.name=value" for it
    watch_step    count file-system calls while the checkpoint of this step is saved
    kill_at_call  SIGKILL before this call of the watched save (counted from 0)
    wait_for      a file; wait until it holds the event of a step before counting the seconds of `kill_after`
    kill_after    SIGKILL after this many seconds
    at_step       the trainer sends itself SIGKILL before the step that follows so many
    send          a signal number to send instead of SIGKILL
    max_file      no file may grow beyond this many bytes (a full disk)
    user          become this user id first
"""

import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import hornbook.training.loop
from hornbook.cli import run
from hornbook.config.recipes import shipped_recipes
from hornbook.training.checkpoint import Saver

WATCHED = ("open", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir", "chmod")


def watch(request: dict[str, Any]) -> None:
    """Count the file-system calls of one save, and die before one of them."""
    calls = 0
    counting = False

    def counted(function):
        def call(*arguments, **keywords):
            nonlocal calls
            if counting:
                if calls == request.get("kill_at_call"):
                    os.kill(os.getpid(), signal.SIGKILL)
                calls += 1
            return function(*arguments, **keywords)

        return call

    for name in WATCHED:
        setattr(os, name, counted(getattr(os, name)))
    io.open = counted(io.open)
    save = Saver.save

    def watched_save(self, model, optimizer, state):
        nonlocal counting
        counting = state["step"] == request["watch_step"]
        try:
            return save(self, model, optimizer, state)
        finally:
            if counting:
                print(f"CALLS {calls}", flush=True)
            counting = False

    Saver.save = watched_save


def stop_at(step: int, number: int) -> None:
    """Send this process a signal before the step that follows `step` finished ones."""
    take_step = hornbook.training.loop.take_step

    def watched_step(one, log, batch):
        if one.step == step:
            os.kill(os.getpid(), number)
        take_step(one, log, batch)

    hornbook.training.loop.take_step = watched_step


def child(request: dict[str, Any], output: int) -> None:
    """Become a trainer."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    if "user" in request:
        os.setuid(request["user"])
    if "max_file" in request:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["max_file"], request["max_file"]))
    if "watch_step" in request:
        watch(request)
    if "at_step" in request:
        stop_at(request["at_step"], request.get("send", signal.SIGKILL))
    code = run(["train", request["recipe"], *request["settings"], *request.get("options", [])])
    sys.stdout.flush()
    os._exit(code)


def wait_for_a_step(path: str | None, pid: int) -> None:
    """Wait until the run at `path` has taken a step, or the child has ended."""
    while path is not None and not (Path(path).exists() and '"kind": "step"' in Path(path).read_text()):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.01)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Fork a trainer, perhaps kill it, and say how it ended."""
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            try:
                child(request, output.fileno())
            finally:
                os._exit(99)
        if "kill_after" in request:
            wait_for_a_step(request.get("wait_for"), pid)
            time.sleep(request["kill_after"])
            os.kill(pid, request.get("send", signal.SIGKILL))
        _, status = os.waitpid(pid, 0)
        output.seek(0)
        text = output.read().decode()
    counted = [int(line.split()[1]) for line in text.splitlines() if line.startswith("CALLS ")]
    return {"status": os.waitstatus_to_exitcode(status), "calls": counted[-1] if counted else None, "output": text}


if __name__ == "__main__":
    torch.set_num_threads(1)
    shipped_recipes()  # a child of another user could not import what reading them needs
    print(json.dumps({"ready": hornbook.training.loop.__name__}), flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)
