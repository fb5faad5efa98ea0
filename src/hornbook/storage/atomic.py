"""Files that are whole or absent: write beside, flush to disk, rename; and a lock on a folder.

Standard library only; every file-system call ends in `os`, so that a test can stop the process before each one.
A crash at any point leaves the old file or the new one, and at worst a leftover whose name starts with PARTIAL.
"""

import os
import shutil
import socket
import sys
from pathlib import Path
from types import TracebackType

from hornbook.errors import CheckpointError
from hornbook.units import bytes_text

PARTIAL = ".partial-"
"""Names that start so are work in progress of a live process or the leftovers of a dead one."""

LOCK_NAME = ".lock"


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8, newlines as given), durably and all at once."""
    beside = path.with_name(f"{PARTIAL}{path.name}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    fsync_folder(path.parent)


def fsync_file(path: Path) -> None:
    """Wait until the contents of `path` are on disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(path: Path) -> None:
    """Wait until the entries of the folder `path` are on disk; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(partial: Path, final: Path) -> None:
    """Give the finished folder `partial` its name `final`, after everything in it is on disk.

    Raises:
        OSError: if `final` exists and is not empty, or the disk refuses.
    """
    for folder, _, names in os.walk(partial):
        for name in names:
            fsync_file(Path(folder) / name)
        fsync_folder(Path(folder))
    partial.rename(final)
    fsync_folder(final.parent)


def retire(folder: Path) -> None:
    """Delete `folder` so that a crash in between leaves no half of it under its name."""
    away = folder.with_name(f"{PARTIAL}old-{folder.name}")
    if away.exists():
        shutil.rmtree(away)
    folder.rename(away)
    shutil.rmtree(away)


def remove_leftovers(folder: Path) -> list[str]:
    """Delete what dead processes left half-made in `folder`; return the names. Call it under the folder's lock."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.startswith(PARTIAL))
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return names


def require_space(folder: Path, needed_bytes: int) -> None:
    """Raise OSError before writing what will not fit.

    Raises:
        OSError: naming what is needed and what is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise OSError(f"no space: {bytes_text(needed_bytes)} needed, {bytes_text(free)} free in {folder}")


class FolderLock:
    """Exclusive use of a folder by one process, released by leaving the block or by dying.

    Args:
        folder: an existing folder; the lock file in it names the holder.
        what: what the holder does, for the message: "training", "preparing".

    Raises:
        CheckpointError: on entry, if another process holds it (naming its pid and host) or the folder is read-only.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.path, self.what = folder / LOCK_NAME, what
        self.descriptor = -1

    def __enter__(self) -> "FolderLock":
        try:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise CheckpointError(
                f"{self.path.parent} cannot be written to: {error.strerror}.",
                fix="give write permission, free the disk, or choose another folder.",
            ) from None
        if not _try_lock(self.descriptor):
            holder = self.path.read_text(errors="replace").strip() or "an unknown process"
            os.close(self.descriptor)
            raise CheckpointError(
                f"{self.path.parent} is in use by {holder}.",
                fix="wait for it or stop it, or choose another folder.",
            )
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        os.write(self.descriptor, f"pid {os.getpid()} on {socket.gethostname()} ({self.what})".encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        """Lock one byte far behind the holder's name, so that others can still read the name."""
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        """Lock the whole file; the kernel frees it when the process ends, however it ends."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
