import math

import pytest
import torch

from hornbook.nn.embedding import POSITIONS, LearnedPositions, SinusoidalPositions


@pytest.mark.parametrize("width", [8, 7])
def test_sines_are_those_of_the_paper(width):
    table = SinusoidalPositions(20, width)(slice(0, 20))
    assert table.shape == (20, width)
    for position in (0, 1, 19):
        for number in range(width):
            angle = position / 10_000 ** (2 * (number // 2) / width)
            expected = math.cos(angle) if number % 2 else math.sin(angle)
            assert table[position, number].item() == pytest.approx(expected, abs=1e-6)


def test_a_longer_table_begins_with_the_shorter_one():
    assert torch.equal(SinusoidalPositions(50, 8)(slice(0, 20)), SinusoidalPositions(20, 8)(slice(0, 20)))


@pytest.mark.parametrize("name", POSITIONS)
def test_a_slice_and_one_number_each_give_the_same(name):
    positions = POSITIONS[name](10, 6)
    for parameter in positions.parameters():
        torch.nn.init.normal_(parameter)
    each = positions(torch.tensor([[2, 3, 4], [4, 0, 9]]))
    assert each.shape == (2, 3, 6)
    assert torch.equal(each[0], positions(slice(2, 5)))
    assert torch.equal(each[1, 2], positions(slice(9, 10))[0])


def test_only_learned_positions_are_learnt_and_saved():
    assert [name for name, _ in LearnedPositions(4, 2).named_parameters()] == ["weight"]
    assert not SinusoidalPositions(4, 2).state_dict()
