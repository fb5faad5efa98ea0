"""Files are whole or absent, and a folder has one user at a time."""

import os
import subprocess
import sys

import pytest

from hornbook.errors import CheckpointError
from hornbook.storage.atomic import (
    PARTIAL,
    FolderLock,
    publish,
    remove_leftovers,
    require_space,
    retire,
    write_text,
)

HOLD = """
import sys, time
from pathlib import Path
from hornbook.storage.atomic import FolderLock
with FolderLock(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_text_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "state.json"
    write_text(path, "old")
    write_text(path, "new\r\n")
    assert path.read_bytes() == b"new\r\n"
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_failing_write_leaves_the_old_text(tmp_path):
    path = tmp_path / "state.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"


def test_published_folder_appears_with_everything_in_it(tmp_path):
    partial = tmp_path / f"{PARTIAL}x"
    (partial / "deep").mkdir(parents=True)
    (partial / "deep" / "file").write_text("content")
    publish(partial, tmp_path / "x")
    assert (tmp_path / "x" / "deep" / "file").read_text() == "content"
    assert not partial.exists()


def test_leftovers_are_removed_and_named(tmp_path):
    (tmp_path / f"{PARTIAL}folder").mkdir()
    (tmp_path / f"{PARTIAL}file").touch()
    (tmp_path / "kept").touch()
    assert remove_leftovers(tmp_path) == [f"{PARTIAL}file", f"{PARTIAL}folder"]
    assert os.listdir(tmp_path) == ["kept"]


def test_a_retired_folder_is_gone(tmp_path):
    (tmp_path / "step").mkdir()
    (tmp_path / "step" / "file").touch()
    retire(tmp_path / "step")
    assert os.listdir(tmp_path) == []


def test_space_is_refused_before_writing(tmp_path):
    with pytest.raises(OSError, match=r"needed, .* free in"):
        require_space(tmp_path, 2**60)


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_user_of_a_folder_is_refused_with_the_first_ones_pid(tmp_path, holder):
    with pytest.raises(CheckpointError, match=rf"is in use by pid {holder.pid} on .* \(training\)"):
        FolderLock(tmp_path, "training").__enter__()


def test_a_killed_user_frees_the_folder_at_once(tmp_path, holder):
    holder.kill()
    holder.wait()
    with FolderLock(tmp_path, "training"):
        assert f"pid {os.getpid()}" in (tmp_path / ".lock").read_text()


def test_a_folder_that_cannot_be_written_to_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written to: Not a directory"):
        FolderLock(tmp_path / "file", "training").__enter__()
