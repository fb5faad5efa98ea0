"""Reads one pickled vocabulary in a process of its own, which can do nothing else.

Run by path, never imported: `python -I -S pickle_child.py FILE`. It prints the entries as JSON pairs, or fails.
A pickle is a program; this one may build lists, dicts, texts and numbers, and every other instruction (naming any
class or function, whatever it is) ends the process. Where the system has limits, memory, time and files are bounded
before the first byte is read.
"""

import io
import json
import pickle
import sys
from pathlib import Path

MEMORY_BYTES = 512 * 2**20
SECONDS = 10


class Refusing(pickle.Unpickler):
    """An unpickler for which no class and no function exists."""

    def find_class(self, module_name: str, global_name: str) -> object:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")

    def persistent_load(self, pid: object) -> object:
        raise pickle.UnpicklingError("it refers to something outside itself")


def main() -> int:
    """Print the vocabulary of the file named on the command line, or what it is instead."""
    data = Path(sys.argv[1]).read_bytes()
    limit()
    try:
        found = Refusing(io.BytesIO(data)).load()
    except Exception as error:  # a hostile pickle may raise anything
        sys.stderr.write(f"{error}")
        return 1
    if type(found) is not dict or any(
        type(key) is not str or type(value) is not int for key, value in found.items()
    ):
        sys.stderr.write("it is not a dict of str to int")
        return 1
    json.dump(list(found.items()), sys.stdout)
    return 0


def limit() -> None:
    """Bound memory and time, and forbid opening files, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock and the size of the file are the limits there
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
