"""Folders are listed the same way everywhere, and contents are hashed once."""

import hashlib
import os

import pytest

from hornbook.data.files import ContentHashes, find_files, kind_of
from hornbook.errors import DataError

KINDS = {".txt", ".jsonl"}


def tree(tmp_path, *names):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(tmp_path, root=None):
    files, left_out = find_files(root or tmp_path, KINDS)
    return [path.relative_to(tmp_path).as_posix() for path in files], dict(left_out)


def test_the_kind_of_a_file_is_its_suffix_without_gz(tmp_path):
    assert [kind_of(tmp_path / name) for name in ("a.JSONL.gz", "a.txt", "a", "a.tar.gz")] == [
        ".jsonl",
        ".txt",
        "",
        ".tar",
    ]


def test_a_folder_is_walked_in_order_without_hidden_and_other_files(tmp_path):
    tree(tmp_path, "b.txt", "a/z.txt.gz", "a/y.jsonl", ".hidden.txt", ".git/x.txt", "picture.png", "README")
    assert names(tmp_path) == (["b.txt", "a/y.jsonl", "a/z.txt.gz"], {".png files": 1, "nameless files": 1})


def test_a_named_file_is_taken_whatever_its_suffix(tmp_path):
    tree(tmp_path, "notes.md")
    assert names(tmp_path, tmp_path / "notes.md") == (["notes.md"], {})


def test_a_folder_with_nothing_to_read_says_what_it_holds(tmp_path):
    with pytest.raises(DataError, match=r"holds no file that can be read \(it holds nothing\)"):
        names(tmp_path)
    tree(tmp_path, "a.png", "b.png")
    with pytest.raises(DataError, match=r"\(it holds 2 \.png files\)") as caught:
        names(tmp_path)
    assert caught.value.fix.startswith("give files that end in .jsonl, .txt, some of them also .gz;")


def test_a_missing_path_names_its_neighbours(tmp_path):
    tree(tmp_path, "data/shakespeare.txt", "data/other.txt")
    with pytest.raises(DataError, match=r"shakespear\.txt does not exist") as caught:
        find_files(tmp_path / "data/shakespear.txt", KINDS)
    assert caught.value.fix == f"did you mean {tmp_path}/data/shakespeare.txt?"
    with pytest.raises(DataError) as caught:
        find_files(tmp_path / "dta/shakespeare.txt", KINDS)
    assert caught.value.fix == f"did you mean {tmp_path}/data?"
    with pytest.raises(DataError) as caught:
        find_files(tmp_path / "xyz", KINDS)
    assert caught.value.fix == f"check the spelling; {tmp_path} holds data."


def test_link_loops_end(tmp_path):
    tree(tmp_path, "a/b.txt")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "self.txt").symlink_to("self.txt")
    assert names(tmp_path) == (["a/b.txt"], {"links that lead nowhere": 1})


def test_links_that_leave_the_folder_are_left_out_and_counted(tmp_path):
    tree(tmp_path, "in/a.txt", "out/secret.txt")
    (tmp_path / "in/leak.txt").symlink_to(tmp_path / "out/secret.txt")
    (tmp_path / "in/leaks").symlink_to(tmp_path / "out")
    assert names(tmp_path, tmp_path / "in") == (["in/a.txt"], {"links that lead out of the folder": 2})


def test_a_loop_named_itself_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError, match="cannot be read: Too many levels of symbolic links"):
        find_files(tmp_path / "loop", KINDS)


def old_file(tmp_path, data=b"text"):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    os.utime(path, ns=(10**18, 10**18))
    return path


def test_a_hash_is_remembered_by_size_time_and_inode(tmp_path):
    path = old_file(tmp_path)
    first = ContentHashes(tmp_path / "cache/hashes.json")
    expected = {"size": 4, "sha256": hashlib.sha256(b"text").hexdigest()}
    assert first.describe(path) == expected
    first.save()
    with path.open("r+b") as file:  # same size, inode and time: it is not read again
        file.write(b"TEXT")
    os.utime(path, ns=(10**18, 10**18))
    assert ContentHashes(tmp_path / "cache/hashes.json").describe(path) == expected


def test_a_changed_file_is_hashed_again(tmp_path):
    path = old_file(tmp_path)
    first = ContentHashes(tmp_path / "hashes.json")
    first.describe(path)
    first.save()
    path.write_bytes(b"TEXT")
    assert ContentHashes(tmp_path / "hashes.json").describe(path)["sha256"] == hashlib.sha256(b"TEXT").hexdigest()


def test_a_file_written_just_now_is_not_remembered(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("text")
    hashes = ContentHashes(tmp_path / "hashes.json")
    hashes.describe(path)
    hashes.save()
    assert not (tmp_path / "hashes.json").exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}'])
def test_damaged_memory_is_begun_anew(tmp_path, damage):
    (tmp_path / "hashes.json").write_text(damage)
    assert ContentHashes(tmp_path / "hashes.json").describe(old_file(tmp_path))["size"] == 4
