import pytest
import torch

from hornbook.nn.state import DecodeState, KeyValue


def filled(rows=2):
    layer = KeyValue.empty((rows, 1, 4, 3), device=torch.device("cpu"), dtype=torch.float32)
    layer.append(torch.randn(rows, 1, 2, 3), torch.randn(rows, 1, 2, 3))
    return DecodeState([layer], length=2)


def test_append_returns_only_what_is_filled():
    layer = filled().layers[0]
    keys, values = layer.append(torch.ones(2, 1, 1, 3), torch.ones(2, 1, 1, 3))
    assert keys.shape == values.shape == (2, 1, 3, 3)
    assert keys[:, :, 2].eq(1).all()


def test_more_than_the_capacity_breaks_an_invariant():
    with pytest.raises(AssertionError, match="5 tokens in a state of 4"):
        filled().layers[0].append(torch.ones(2, 1, 3, 3), torch.ones(2, 1, 3, 3))


def test_a_clone_goes_its_own_way():
    state = filled()
    clone = state.clone()
    clone.layers[0].append(torch.ones(2, 1, 1, 3), torch.ones(2, 1, 1, 3))
    assert (state.layers[0].length, clone.layers[0].length) == (2, 3)
    clone.layers[0].keys.zero_()
    assert state.layers[0].keys[:, :, :2].any()


def test_rows_repeat_and_reorder():
    state = filled()
    chosen = state.rows(torch.tensor([1, 1, 0]))
    assert torch.equal(chosen.layers[0].keys[:, :, :2], state.layers[0].keys[[1, 1, 0], :, :2])
    assert chosen.length == 2


def test_bytes_are_those_of_both_buffers():
    assert filled().num_bytes() == 2 * 2 * 1 * 4 * 3 * 4
