"""Shards give back what was written, whatever the block sizes and shard borders."""

import numpy as np
import pytest

from hornbook.data.shards import Block, ShardSet, ShardWriter, token_dtype
from hornbook.errors import DataError

U16 = np.dtype("<u2")


def write(root, documents, *, stem="train/0-00000", learn=None, dtype=U16):
    """Write one shard, each document a block of its own."""
    (root / "train").mkdir(exist_ok=True)
    writer = ShardWriter(root, stem, dtype)
    for index, ids in enumerate(documents):
        mask = None if learn is None else np.array(learn[index], bool)
        writer.append(Block(np.array(ids), np.array([len(ids)]), mask))
    return writer.close()


def part(name, *infos, weight=1.0):
    return {"name": name, "weight": weight, "shards": [info.to_json() for info in infos]}


def test_vocabularies_up_to_65536_take_two_bytes_a_token():
    assert [token_dtype(size).itemsize for size in (268, 65_536, 65_537)] == [2, 2, 4]


def test_a_shard_gives_back_tokens_and_documents(tmp_path):
    info = write(tmp_path, [[1, 2, 3], [4], [5, 6]])
    shards = ShardSet.open(tmp_path, [part("a", info)], name="train", dtype=U16)
    assert shards.tokens(0, 6).tolist() == [1, 2, 3, 4, 5, 6]
    assert shards.documents.tolist() == [0, 3, 4, 6]
    assert (shards.num_tokens, shards.num_documents) == (6, 3)


def test_there_is_no_mask_file_when_everything_is_learnt(tmp_path):
    info = write(tmp_path, [[1, 2], [3]], learn=[[1, 1], [1]])
    assert sorted(info.files) == ["train/0-00000.documents.bin", "train/0-00000.tokens.bin"]
    assert info.learnt == 3
    shards = ShardSet.open(tmp_path, [part("a", info)], name="train", dtype=U16)
    assert shards.learn(1, 3).tolist() == [True, True]


@pytest.mark.parametrize("before", range(0, 20, 3))
def test_the_mask_is_right_wherever_the_first_unlearnt_token_stands(tmp_path, before):
    mask = [True] * before + [False, True, False] + [True] * 9
    cuts = [mask[:before], mask[before:][:5], mask[before:][5:]]
    learn = [cut for cut in cuts if cut]
    info = write(tmp_path, [list(range(len(cut))) for cut in learn], learn=learn)
    shards = ShardSet.open(tmp_path, [part("a", info)], name="train", dtype=U16)
    for start in range(len(mask)):
        assert shards.learn(start, len(mask)).tolist() == mask[start:]
    assert info.learnt == sum(mask)


def test_reading_crosses_shards_and_parts(tmp_path):
    first = write(tmp_path, [[1, 2], [3]])
    second = write(tmp_path, [[4, 5]], stem="train/0-00001", learn=[[0, 1]])
    third = write(tmp_path, [[6]], stem="train/1-00000")
    parts = [part("a", first, second, weight=2.0), part("b", third)]
    shards = ShardSet.open(tmp_path, parts, name="train", dtype=U16)
    assert shards.tokens(1, 6).tolist() == [2, 3, 4, 5, 6]
    assert shards.learn(2, 6).tolist() == [True, False, True, True]
    assert shards.documents.tolist() == [0, 2, 3, 5, 6]
    assert [(p.name, p.weight, p.num_tokens) for p in shards.parts] == [("a", 2.0, 5), ("b", 1.0, 1)]
    assert shards.parts[1].tokens(0, 1).tolist() == [6]
    assert shards.parts[1].documents.tolist() == [0, 1]


def test_a_set_of_nothing_is_empty_and_readable(tmp_path):
    shards = ShardSet.open(tmp_path, [part("a")], name="validation", dtype=U16)
    assert shards.num_tokens == 0
    assert shards.documents.tolist() == [0]
    assert shards.tokens(0, 0).tolist() == []


def test_an_empty_span_has_no_tokens(tmp_path):
    shards = ShardSet.open(tmp_path, [part("a", write(tmp_path, [[1, 2]]))], name="train", dtype=U16)
    assert shards.tokens(2, 2).tolist() == []
    assert shards.learn(1, 1).tolist() == []


def test_a_block_of_several_documents_equals_the_documents_one_by_one(tmp_path):
    block = Block(np.arange(6), np.array([3, 1, 2]), np.array([1, 0, 1, 1, 1, 0], bool))
    together = ShardWriter(tmp_path, "a", U16)
    together.append(block)
    apart = ShardWriter(tmp_path, "b", U16)
    for document in block.split():
        apart.append(document)
    hashes = [[file["sha256"] for file in writer.close().files.values()] for writer in (together, apart)]
    assert hashes[0] == hashes[1]


def test_a_cut_file_is_refused_by_name(tmp_path):
    info = write(tmp_path, [[1, 2, 3]])
    path = tmp_path / "train/0-00000.tokens.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"0-00000\.tokens\.bin holds 5 bytes instead of 6") as caught:
        ShardSet.open(tmp_path, [part("a", info)], name="train", dtype=U16)
    assert caught.value.fix == f"delete {tmp_path} and prepare again."


def test_a_missing_file_is_refused_by_name(tmp_path):
    info = write(tmp_path, [[1, 2, 3]])
    (tmp_path / "train/0-00000.documents.bin").unlink()
    with pytest.raises(DataError, match=r"0-00000\.documents\.bin cannot be opened \(No such file"):
        ShardSet.open(tmp_path, [part("a", info)], name="train", dtype=U16)
