"""builtin:python: the standard library's own source."""

import sysconfig
from itertools import islice
from pathlib import Path

import pytest

from hornbook.config.sections import DataConfig
from hornbook.data.builtin.python_source import documents, identity, read_source, source_files
from hornbook.errors import DataError


def test_the_source_files_are_sorted_and_leave_out_tests_and_packages():
    files = source_files()
    parts = {part for path in files for part in path.relative_to(sysconfig.get_path("stdlib")).parts}
    assert files == sorted(files)
    assert len(files) > 100
    assert not parts & {"test", "tests", "idlelib", "site-packages", "__pycache__"}
    assert "argparse.py" in parts


def test_every_document_is_text_and_none_is_empty():
    assert all(islice(documents(DataConfig()), 40))


def test_the_whole_library_can_be_read():
    assert sum(map(len, documents(DataConfig()))) > 1_000_000


def test_a_file_is_read_in_the_encoding_it_declares(tmp_path):
    path = tmp_path / "old.py"
    path.write_bytes("# -*- coding: latin-1 -*-\r\nname = 'José'\r\n".encode("latin-1"))
    assert read_source(path) == "# -*- coding: latin-1 -*-\nname = 'José'\n"


def test_a_file_that_cannot_be_decoded_is_named(tmp_path):
    path = tmp_path / "bad.py"
    path.write_bytes(b"x = '\xff'\n")
    with pytest.raises(DataError, match=r"bad\.py: this file of the standard library cannot be read"):
        read_source(path)


def test_a_vanished_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.py"):
        read_source(tmp_path / "gone.py")


def test_a_python_without_source_files_says_so(tmp_path):
    with pytest.raises(DataError, match="carries no source files") as caught:
        source_files(tmp_path)
    assert "data.path" in caught.value.fix


def test_pipes_and_broken_links_are_left_out(tmp_path):
    (tmp_path / "real.py").write_text("x = 1\n")
    (tmp_path / "link.py").symlink_to(tmp_path / "nowhere.py")
    assert source_files(tmp_path) == [Path(tmp_path / "real.py")]


def test_the_identity_names_the_python_version():
    assert set(identity(DataConfig())) == {"python", "sha256"}
