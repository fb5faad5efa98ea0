"""The order of samples: bijective, even, exact in the long run, a function of its arguments alone."""

import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.order import BLOCK, Order, Sample, locate, permute, scramble, turn, whole_weights

weights_of_sources = st.lists(st.integers(1, 10**6), min_size=1, max_size=9)


@settings(deadline=None)
@given(st.integers(1, 700), st.integers(0, 2**64 - 1))
def test_a_permutation_reaches_every_index_once(size, key):
    assert sorted(permute(index, size, key) for index in range(size)) == list(range(size))


@settings(deadline=None)
@given(st.integers(1, 2**50), st.integers(0, 2**64 - 1), st.data())
def test_a_permutation_of_any_size_stays_inside_it(size, key, data):
    assert 0 <= permute(data.draw(st.integers(0, size - 1)), size, key) < size


def test_every_order_of_a_few_rows_is_about_equally_likely():
    orders = Counter(tuple(permute(index, 4, key) for index in range(4)) for key in range(24_000))
    assert len(orders) == 24
    assert all(abs(count - 1000) < 150 for count in orders.values())  # 4.8 standard deviations


def test_neighbours_end_up_far_apart():
    size = 10_000
    moved = [permute(index, size, key=3) for index in range(size)]
    gaps = [abs(here - after) for here, after in pairwise(moved)]
    assert abs(sum(gaps) / len(gaps) / size - 1 / 3) < 0.01  # two random places are a third of the whole apart


def test_an_index_outside_is_refused():
    with pytest.raises(AssertionError, match=r"index 5 is not in range\(5\)"):
        permute(5, 5, key=0)


def test_the_numbers_of_a_scramble_keep_their_places():
    assert len({scramble(1, 2), scramble(2, 1), scramble(1, 2, 0), scramble(0, 1, 2), scramble(3)}) == 5


def test_the_order_never_changes_between_versions():
    # These numbers are part of every run's identity: a change of order.py that moves them breaks resuming.
    assert scramble(0, 1, 2) == 0x1AAEA31DA7810CA
    assert [permute(index, 10, key=7) for index in range(10)] == [9, 1, 6, 4, 8, 7, 0, 3, 5, 2]
    assert [Order((5, 9), seed=1).sample(n).row for n in range(10)] == [3, 0, 4, 5, 1, 4, 8, 2, 1, 6]


def test_the_order_is_the_same_in_another_process():
    code = "from hornbook.data.order import Order; print([Order((50, 7), 3, (1, 2)).sample(n) for n in range(40)])"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "123"},
    ).stdout
    assert printed.strip() == str([Order((50, 7), 3, (1, 2)).sample(n) for n in range(40)])


def test_the_order_needs_neither_torch_nor_numpy():
    code = "import sys, hornbook.data.order; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(deadline=None)
@given(weights_of_sources)
def test_every_source_takes_its_turns_without_gap(weights):
    taken = [0] * len(weights)
    for place in range(500):
        source, before = turn(place, weights)
        assert before == taken[source]
        taken[source] += 1


@settings(deadline=None)
@given(weights_of_sources, st.integers(0, 10**12))
def test_shares_are_exact_however_long_the_run(weights, place):
    source, before = turn(place, weights)
    exact = Fraction(place * weights[source], sum(weights))
    assert abs(before - exact) <= ceil(log2(len(weights)))


def test_each_block_of_a_mixture_holds_every_source_in_its_proportion():
    order = Order((1000, 1000, 1000), seed=0, weights=(1, 2, 5))
    for block in range(4):
        drawn = Counter(order.sample(block * BLOCK + position).source for position in range(BLOCK))
        assert drawn == {0: 128, 1: 256, 2: 640}


def test_blocks_of_a_mixture_differ_in_their_order():
    order = Order((10**6, 10**6), seed=0, weights=(1, 1))
    first, second = ([order.sample(block * BLOCK + n).source for n in range(BLOCK)] for block in (0, 1))
    assert first != second


def test_a_source_of_a_mixture_is_read_whole_before_it_repeats():
    order = Order((30, 1000), seed=4, weights=(1, 1))
    rows = Counter((sample.epoch, sample.row) for n in range(BLOCK) if (sample := order.sample(n)).source == 0)
    assert set(rows.values()) == {1}
    assert {row for epoch, row in rows if epoch == 0} == set(range(30))


def test_without_weights_an_epoch_is_every_row_of_every_source_once():
    order = Order((5, 0, 9, 1), seed=8)
    for epoch in range(3):
        drawn = [order.sample(epoch * 15 + n) for n in range(15)]
        assert {sample.epoch for sample in drawn} == {epoch}
        rows = sorted((sample.source, sample.row) for sample in drawn)
        assert rows == [(0, row) for row in range(5)] + [(2, row) for row in range(9)] + [(3, 0)]


def test_epochs_and_seeds_differ_in_their_order():
    rows = {tuple(Order((40,), seed).sample(e * 40 + n).row for n in range(40)) for seed in (0, 1) for e in (0, 1)}
    assert len(rows) == 4


def test_a_row_counted_over_all_sources_is_found():
    assert [locate(row, (5, 0, 9)) for row in (0, 4, 5, 13)] == [(0, 0), (0, 4), (2, 0), (2, 8)]


def test_weights_keep_the_proportions_as_they_are_written():
    assert whole_weights((0.1, 2.0, 0.35)) == (2, 40, 7)
    assert whole_weights((1e-7, 1.0)) == (1, 10**7)


def test_a_weighted_source_without_rows_is_refused():
    with pytest.raises(AssertionError, match="no rows"):
        Order((5, 0), seed=0, weights=(1, 1))


def test_a_sample_says_where_it_comes_from():
    assert Order((1,), seed=0).sample(3) == Sample(source=0, epoch=3, row=0)
