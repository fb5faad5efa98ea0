"""Rows: every token a target exactly once, no target across documents, nothing lost."""

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.packing import (
    NOTHING,
    best_fit,
    build_rows,
    choose_packing,
    cut_documents,
    document_of,
    number_documents,
)

PACKINGS = ["stream", "documents"]
document_lengths = st.lists(st.integers(1, 40), min_size=1, max_size=30).filter(lambda lengths: sum(lengths) > 1)


def numbered(lengths):
    """Documents of these lengths whose ids are their positions: 0, 1, 2, ..."""
    ends = np.cumsum(lengths).tolist()
    return [list(range(end - length, end)) for end, length in zip(ends, lengths, strict=True)]


def whole_epoch(rows, epoch=0):
    every = np.arange(rows.num_rows)
    return rows.places(every, np.full_like(every, epoch))


def predicted_in(places):
    return Counter(places.predicted[places.predicted != NOTHING].tolist())


@settings(deadline=None)
@given(document_lengths, st.integers(1, 20), st.integers(0, 3), st.integers(0, 99))
def test_a_stream_predicts_every_token_but_the_first_once_in_every_epoch(write_set, lengths, context, epoch, seed):
    rows = build_rows(write_set(numbered(lengths)), packing="stream", context=context, seed=seed)
    assert predicted_in(whole_epoch(rows, epoch)) == Counter(range(1, sum(lengths)))


@settings(deadline=None)
@given(document_lengths.filter(lambda lengths: max(lengths) > 1), st.integers(1, 20))
def test_documents_predict_every_token_but_their_first_once(write_set, lengths, context):
    rows = build_rows(write_set(numbered(lengths)), packing="documents", context=context)
    firsts = {document[0] for document in numbered(lengths)}
    assert predicted_in(whole_epoch(rows)) == Counter(set(range(sum(lengths))) - firsts)


@settings(deadline=None)
@given(document_lengths, st.integers(1, 20), st.integers(0, 3), st.sampled_from(PACKINGS))
def test_a_token_is_predicted_where_the_one_before_it_is_read(write_set, lengths, context, epoch, packing):
    places = whole_epoch(build_rows(write_set(numbered(lengths)), packing=packing, context=context), epoch)
    target = places.predicted != NOTHING
    assert (places.predicted[target] == places.read[target] + 1).all()


@settings(deadline=None)
@given(document_lengths, st.integers(1, 20), st.integers(0, 3))
def test_an_isolated_stream_never_predicts_a_document_from_another(write_set, lengths, context, epoch):
    part = write_set(numbered(lengths))
    places = whole_epoch(build_rows(part, packing="stream", context=context, isolate=True), epoch)
    firsts = {document[0] for document in numbered(lengths)}
    assert predicted_in(places) == Counter(set(range(sum(lengths))) - firsts)


@settings(deadline=None)
@given(document_lengths, st.integers(1, 20), st.integers(0, 3), st.sampled_from(PACKINGS))
def test_numbers_separate_exactly_what_is_not_one_run_of_a_document(write_set, lengths, context, epoch, packing):
    part = write_set(numbered(lengths))
    read = whole_epoch(build_rows(part, packing=packing, context=context), epoch).read
    numbers, documents = number_documents(part, read), document_of(part, read)
    assert numbers.dtype == np.int32
    assert (numbers[:, 0] == 0).all()
    for row, document, number in zip(read.tolist(), documents.tolist(), numbers.tolist(), strict=True):
        for place in range(1, context):
            runs_on = document[place] == document[place - 1] and (row[place] in (NOTHING, row[place - 1] + 1))
            assert number[place] == number[place - 1] + (not runs_on)


@settings(deadline=None)
@given(document_lengths, st.integers(1, 20), st.sampled_from(PACKINGS), st.booleans())
def test_the_report_counts_what_the_rows_hold(write_set, lengths, context, packing, isolate):
    part = write_set(numbered(lengths))
    rows = build_rows(part, packing=packing, context=context, isolate=isolate)
    places, report = whole_epoch(rows), rows.report()
    assert (report.rows, report.tokens, report.lost) == (rows.num_rows, sum(lengths), 0)
    assert report.targets == sum(predicted_in(places).values())
    assert report.padding == pytest.approx((places.read == NOTHING).mean() if places.read.size else 0.0)
    homes = [
        set(np.nonzero((places.read >= first) & (places.read < last - 1))[0]) for first, last in spans(lengths)
    ]
    assert report.cut == sum(len(home) > 1 for home in homes)


def spans(lengths):
    ends = np.cumsum(lengths).tolist()
    return [(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def test_a_first_epoch_cuts_contiguous_data_as_nanogpt_does(write_set):
    rows = build_rows(write_set([list(range(100))]), packing="stream", context=8)
    places = whole_epoch(rows)
    assert places.read[3].tolist() == list(range(24, 32))
    assert places.predicted[3].tolist() == list(range(25, 33))


def test_later_epochs_cut_elsewhere_and_seeds_differ(write_set):
    part = write_set([list(range(10_000))])
    rows = {seed: build_rows(part, packing="stream", context=256, seed=seed) for seed in (0, 1)}
    starts = {(seed, epoch): int(whole_epoch(rows[seed], epoch).read[0, 0]) for seed in rows for epoch in range(4)}
    assert starts[0, 0] == starts[1, 0] == 0
    assert len(set(starts.values())) == 7


def test_the_row_that_closes_the_circle_reads_the_end_and_then_the_beginning(write_set):
    part = write_set([list(range(21))])
    rows = build_rows(part, packing="stream", context=10, seed=1)
    places = whole_epoch(rows, epoch=1)
    phase = int(places.read[0, 0])
    assert places.read[-1].tolist() == [*range(phase + 10, 20), *range(phase)]
    assert places.predicted[-1].tolist() == [*range(phase + 11, 21), *range(1, phase + 1)]
    assert number_documents(part, places.read)[-1].tolist() == [0] * (10 - phase) + [1] * phase


def test_the_tail_of_a_stream_is_padded_not_dropped(write_set):
    places = whole_epoch(build_rows(write_set([list(range(12))]), packing="stream", context=8))
    assert places.read.tolist() == [list(range(8)), [8, 9, 10, *[NOTHING] * 5]]
    assert places.predicted.tolist() == [list(range(1, 9)), [9, 10, 11, *[NOTHING] * 5]]


def test_whole_documents_share_a_row_in_their_order(write_set):
    places = whole_epoch(build_rows(write_set(numbered([3, 4, 2])), packing="documents", context=8))
    assert places.read.tolist() == [list(range(8))]
    assert places.predicted.tolist() == [[1, 2, NOTHING, 4, 5, 6, NOTHING, 8]]


def test_padding_is_one_more_document_for_isolation(write_set):
    part = write_set(numbered([3, 2]))
    read = whole_epoch(build_rows(part, packing="documents", context=8)).read
    assert number_documents(part, read).tolist() == [[0, 0, 0, 1, 1, 2, 2, 2]]


def test_a_document_one_longer_than_a_row_fits_it():
    starts, lengths = cut_documents(np.array([0, 9, 18]), 8)
    assert (starts.tolist(), lengths.tolist()) == ([0, 9], [9, 9])


def test_pieces_of_a_long_document_overlap_by_one_token():
    starts, lengths = cut_documents(np.array([0, 5, 26, 27]), 8)
    assert (starts.tolist(), lengths.tolist()) == ([0, 5, 13, 21], [5, 9, 9, 5])


def test_a_piece_goes_where_it_leaves_the_least_room():
    assert best_fit(np.array([6, 7, 3, 4]), 10).tolist() == [0, 1, 1, 0]
    assert best_fit(np.array([6, 8, 2, 2, 2]), 10).tolist() == [0, 1, 1, 0, 0]


def test_the_longer_half_is_placed_first():
    assert best_fit(np.array([2, 3, 9, 8, 8, 1]), 10).tolist() == [2, 3, 0, 1, 2, 0]


def test_documents_of_one_token_take_no_place(write_set):
    part = write_set(numbered([1, 1, 3, 1]))
    rows = build_rows(part, packing="documents", context=4)
    assert whole_epoch(rows).read.tolist() == [[2, 3, 4, NOTHING]]
    assert rows.report().lost == 0


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_part_without_anything_to_predict_has_no_rows(write_set, packing):
    for documents in ([], [[7]]):
        rows = build_rows(write_set(documents), packing=packing, context=4)
        assert rows.num_rows == 0
        assert rows.report().padding == 0.0


@pytest.mark.parametrize("packing", PACKINGS)
def test_rows_reach_over_shards(write_set, packing):
    documents = numbered([5, 9, 30, 2, 2, 17])
    one, many = write_set(documents), write_set(documents, per_shard=1)
    read = [whole_epoch(build_rows(part, packing=packing, context=8)).read for part in (one, many)]
    assert np.array_equal(*read)
    real = read[0][read[0] != NOTHING]
    assert np.array_equal(many.tokens_at(real), real)


def test_masks_are_read_at_any_positions_over_shards(write_set):
    documents = [[(token, token % 3 > 0) for token in document] for document in numbered([5, 9, 30, 2, 17])]
    part = write_set(documents, per_shard=2)
    positions = np.array([[62, 0, 17], [44, 45, 3]])
    assert np.array_equal(part.learn_at(positions), positions % 3 > 0)


def test_auto_keeps_conversations_whole_and_cuts_text():
    chosen = [choose_packing("auto", template) for template in ("text", "forge1", "plain")]
    assert chosen == ["stream", "documents", "documents"]
    assert choose_packing("documents", "text") == "documents"


def test_little_is_padding_and_a_million_documents_take_seconds():
    lengths = np.random.default_rng(0).integers(2, 200, 1_000_000)
    start = time.process_time()
    row_of_piece = best_fit(lengths, 257)
    assert time.process_time() - start < 5  # a quarter of a second on an idle core
    used = np.bincount(row_of_piece, weights=lengths)
    assert used.max() <= 257
    assert used.sum() / (257 * len(used)) > 0.998
