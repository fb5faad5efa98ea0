"""Tensor files are durable, readable by others, and judged before they are believed."""

import json
import os
import struct

import pytest
import torch
from torch import nn

from hornbook.errors import CheckpointError
from hornbook.storage.tensors import assign_tensors, file_hash, read_tensors, write_tensors


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"weight": torch.arange(6.0).view(2, 3), "bias": torch.zeros(2)})
    return path


def damage(path, header: bytes, size: int | None = None):
    path.write_bytes(struct.pack("<Q", len(header) if size is None else size) + header)


def test_tensors_come_back_bit_for_bit(path):
    tensors = read_tensors(path)
    assert torch.equal(tensors["weight"], torch.arange(6.0).view(2, 3))
    assert sorted(tensors) == ["bias", "weight"]


def test_the_same_tensors_give_the_same_file(path, tmp_path):
    again = tmp_path / "again.safetensors"
    write_tensors(again, {"bias": torch.zeros(2), "weight": torch.arange(6.0).view(2, 3)})
    assert file_hash(again) == file_hash(path)


def test_the_file_has_the_permissions_of_any_other(path, tmp_path):
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert os.access(path, os.R_OK)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="nothing.safetensors cannot be read: No such file"):
        read_tensors(tmp_path / "nothing.safetensors")


def test_a_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="is damaged"):
        read_tensors(path)


def test_a_header_larger_than_the_file_is_refused_before_it_is_read(path):
    damage(path, b"{}", size=2**63)
    with pytest.raises(CheckpointError, match="says its header has"):
        read_tensors(path)


def test_a_header_that_is_no_json_is_refused(path):
    damage(path, b"[" * 100_000)
    with pytest.raises(CheckpointError, match="broken header"):
        read_tensors(path)


def test_a_header_with_too_many_tensors_is_refused(path):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    damage(path, json.dumps({f"t{i}": entry for i in range(100_001)}).encode())
    with pytest.raises(CheckpointError, match="no sensible list of tensors"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("bias"), "lacks tensor 'bias'"),
        (lambda t: t.update(extra=torch.zeros(1)), "has an unknown tensor 'extra'"),
        (
            lambda t: t.update(bias=torch.zeros(3)),
            r"tensor 'bias' is float32 \(3,\), the model needs float32 \(2,\)",
        ),
        (lambda t: t.update(bias=torch.zeros(2).double()), "float64"),
        (lambda t: t.update(bias=torch.tensor([0.0, torch.nan])), "holds NaN or infinity"),
    ],
)
def test_tensors_that_do_not_fit_change_nothing(path, change, message):
    model = nn.Linear(3, 2)
    before = model.weight.clone()
    tensors = read_tensors(path)
    change(tensors)
    with pytest.raises(CheckpointError, match=message):
        assign_tensors(model, tensors, where=path)
    assert torch.equal(model.weight, before)
