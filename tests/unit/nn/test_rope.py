import math

import torch

from hornbook.nn.rope import Rotary, rotate

K, CONTEXT = 8, 64
ROTARY = Rotary(K, CONTEXT, base=10_000.0)


def at(x, position):
    """Rotate one head vector (K) as if it stood at `position`."""
    return rotate(x.view(1, 1, 1, K), ROTARY(slice(position, position + 1), dtype=x.dtype)).flatten()


def test_each_pair_turns_by_its_own_angle():
    x, position = torch.randn(K), 5
    expected = torch.empty(K)
    for pair in range(K // 2):
        angle = position * 10_000.0 ** (-2 * pair / K)
        a, b = float(x[pair]), float(x[pair + K // 2])
        expected[pair] = a * math.cos(angle) - b * math.sin(angle)
        expected[pair + K // 2] = a * math.sin(angle) + b * math.cos(angle)
    torch.testing.assert_close(at(x, position), expected)


def test_position_zero_does_not_turn():
    x = torch.randn(K)
    assert torch.equal(at(x, 0), x)


def test_turning_keeps_lengths():
    x = torch.randn(K)
    torch.testing.assert_close(at(x, 41).norm(), x.norm())


def test_products_depend_on_the_distance_alone():
    q, k = torch.randn(K), torch.randn(K)
    torch.testing.assert_close(at(q, 7) @ at(k, 3), at(q, 50) @ at(k, 46))


def test_positions_given_one_by_one_equal_a_slice():
    x = torch.randn(2, 4, 3, K)
    positions = torch.arange(4).expand(2, 4)
    sliced = rotate(x, ROTARY(slice(0, 4), dtype=x.dtype))
    assert torch.equal(rotate(x, ROTARY(positions, dtype=x.dtype)), sliced)


def test_tables_come_in_the_dtype_asked_for_and_are_never_saved():
    assert ROTARY(slice(0, 2), dtype=torch.bfloat16)[0].dtype == torch.bfloat16
    assert not ROTARY.state_dict()
