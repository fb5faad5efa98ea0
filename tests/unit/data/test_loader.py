"""Batches: functions of seed and step alone, the same for any ranks, complete over an epoch."""

import threading
import time
from collections import Counter

import numpy as np
import pytest
import torch

from hornbook.config.curriculum import CurriculumConfig
from hornbook.data.loader import Loader, prefetch, validation_batches, validation_sets
from hornbook.data.order import BLOCK
from hornbook.errors import DataError
from hornbook.nn.losses import IGNORE
from hornbook.run import RunConfig

CPU = torch.device("cpu")


def settings(*, context=8, rows=4, seed=0, max_tokens=None, **data):
    return RunConfig.model_validate(
        {
            "model": {"arch": "llama", "context": context},
            "training": {"batch_tokens": rows * context, "seed": seed},
            "evaluation": {"max_tokens": max_tokens},
            "data": data,
        }
    )


def mixture(*weights):
    return {"sources": [{"path": f"{index}", "weight": weight} for index, weight in enumerate(weights)]}


def stream(length):
    return [[position % 256 for position in range(length)]]


def same(one, other):
    documents = one.documents is other.documents or torch.equal(one.documents, other.documents)
    targets = torch.equal(one.targets, other.targets)
    return torch.equal(one.tokens, other.tokens) and targets and documents and one.rows == other.rows


@pytest.fixture
def prepared(write_set, prepared_with):
    return prepared_with(write_set(stream(1000), [[9] * 30, [8] * 31]))


def test_a_batch_is_the_same_from_a_new_loader_and_in_any_order(prepared):
    config = settings(isolate_documents=True)
    forwards, backwards = Loader(prepared, config), Loader(prepared, config)
    later = {step: backwards.batch(step) for step in reversed(range(90))}
    assert all(same(forwards.batch(step), later[step]) for step in range(90))


def test_a_batch_is_the_same_after_the_data_are_opened_again(write_set, prepared_with):
    batches = [
        Loader(prepared_with(write_set(stream(500), per_shard=shard)), settings()).batch(7) for shard in (1, 99)
    ]
    assert same(*batches)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_batch_of_one(prepared, world):
    loader = Loader(prepared, settings())
    whole, parts = loader.batch(3), [loader.batch(3, rank=rank, world=world) for rank in range(world)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.tokens, whole.tokens[rank::world])
        assert torch.equal(part.targets, whole.targets[rank::world])
        assert part.rows == whole.rows[rank::world]


def test_the_size_of_a_batch_does_not_change_the_order(prepared):
    small, large = Loader(prepared, settings(rows=2)), Loader(prepared, settings(rows=4))
    assert small.batch(6).rows + small.batch(7).rows == large.batch(3).rows


@pytest.mark.parametrize("rank, world", [(2, 2), (-1, 2), (0, 5)])
def test_a_rank_that_cannot_be_is_refused(prepared, rank, world):
    with pytest.raises(AssertionError, match=f"no rank {rank} of {world} for 4 rows"):
        Loader(prepared, settings()).batch(0, rank=rank, world=world)


def test_shapes_and_types_are_those_of_the_contract(prepared):
    batch = Loader(prepared, settings(isolate_documents=True)).batch(0)
    assert batch.tokens.shape == batch.targets.shape == batch.documents.shape == (4, 8)
    assert (batch.tokens.dtype, batch.targets.dtype) == (torch.int64, torch.int64)
    assert batch.documents.dtype == torch.int32
    assert Loader(prepared, settings()).batch(0).documents is None


def test_an_epoch_predicts_every_token_but_the_first_of_a_part_once(write_set, prepared_with):
    prepared = prepared_with(write_set(stream(129), [[200] * 65]))
    loader = Loader(prepared, settings())  # 16 + 8 rows: 6 batches of 4 are an epoch
    for epoch in range(3):
        targets = torch.cat([loader.batch(step).targets.flatten() for step in range(6 * epoch, 6 * epoch + 6)])
        expected = Counter(range(1, 129)) + Counter({200: 64})
        assert Counter(targets.tolist()) == expected


def test_contiguous_data_are_read_as_nanogpt_reads_them(write_set, prepared_with):
    prepared = prepared_with(write_set(stream(257)))
    batch = Loader(prepared, settings(rows=32)).batch(0)
    for row, tokens, targets in zip(batch.rows, batch.tokens, batch.targets, strict=True):
        assert tokens.tolist() == [position % 256 for position in range(row * 8, row * 8 + 8)]
        assert targets.tolist() == [position % 256 for position in range(row * 8 + 1, row * 8 + 9)]


def test_only_learnt_tokens_are_targets_in_both_packings(write_set, prepared_with):
    documents = [[(10 * d + i, i > 2) for i in range(5)] for d in range(8)]
    for packing in ("stream", "documents"):
        loader = Loader(prepared_with(write_set(documents)), settings(packing=packing, rows=1))
        rows = loader.reader.counts[0]
        targets = torch.cat([loader.batch(step).targets.flatten() for step in range(rows)])
        learnt = Counter(10 * d + i for d in range(8) for i in (3, 4))
        assert Counter(targets[targets != IGNORE].tolist()) == learnt


def test_padding_reads_the_padding_token_and_predicts_nothing(write_set, prepared_with, byte_tokenizer):
    prepared = prepared_with(write_set([[1, 2, 3]]), template="forge1")
    batch = Loader(prepared, settings(rows=1)).batch(0)
    assert batch.tokens[0].tolist() == [1, 2, 3] + [byte_tokenizer.pad_id] * 5
    assert batch.targets[0].tolist() == [2, 3] + [IGNORE] * 6


def test_isolated_documents_are_numbered_and_predict_nothing_of_each_other(write_set, prepared_with):
    prepared = prepared_with(write_set([[1, 2, 3], [4, 5], [6, 7]]), template="forge1")
    batch = Loader(prepared, settings(rows=1, isolate_documents=True)).batch(0)
    assert batch.documents[0].tolist() == [0, 0, 0, 1, 1, 2, 2, 3]
    assert batch.targets[0].tolist() == [2, 3, IGNORE, 5, IGNORE, 7, IGNORE, IGNORE]


def test_weights_decide_how_often_a_source_comes(write_set, prepared_with):
    train = write_set(stream(100), [[9] * 5000], weights=(3.0, 1.0))
    loader = Loader(prepared_with(train), settings(rows=64, **mixture(3, 1)))
    drawn = Counter(sample.source for step in range(BLOCK // 64) for sample in loader.rows_of(step))
    assert drawn == {0: 768, 1: 256}


def test_without_sources_a_part_comes_as_often_as_it_has_rows(write_set, prepared_with):
    loader = Loader(prepared_with(write_set(stream(81), [[9] * 241], weights=(3.0, 1.0))), settings())
    drawn = Counter(sample.source for step in range(10) for sample in loader.rows_of(step))
    assert drawn == {0: 10, 1: 30}


def test_row_numbers_count_over_all_sources(write_set, prepared_with):
    loader = Loader(prepared_with(write_set(stream(81), [[9] * 241])), settings())
    rows = [row for step in range(10) for row in loader.batch(step).rows]
    assert sorted(rows) == list(range(40))


def test_a_weighted_source_without_text_is_named(write_set, prepared_with):
    prepared = prepared_with(write_set(stream(50), [[7]], weights=(1.0, 1.0)))
    with pytest.raises(DataError, match="Source 'part1' has a weight but no token to learn from") as caught:
        Loader(prepared, settings(**mixture(1, 1)))
    assert caught.value.fix == "take it out of data.sources, or give it more text."


def test_data_without_anything_to_predict_are_refused(write_set, prepared_with):
    with pytest.raises(DataError, match=r"no token to predict \(1 documents, 1 tokens\)") as caught:
        Loader(prepared_with(write_set([[7]])), settings())
    assert "data.validation_fraction" in caught.value.fix


@pytest.mark.parametrize("packing", ["stream", "documents"])
@pytest.mark.parametrize("rows", [1, 3, 64])
def test_validation_scores_each_token_once(write_set, prepared_with, packing, rows):
    documents = [list(range(d * 20, d * 20 + 20)) for d in range(5)]
    prepared = prepared_with(write_set(stream(50)), write_set(documents, [[200] * 11]))
    batches = list(validation_batches(prepared, settings(packing=packing), rows=rows))
    targets = torch.cat([batch.targets.flatten() for batch in batches])
    firsts = {0} if packing == "stream" else {0, 20, 40, 60, 80}
    expected = Counter(set(range(100)) - firsts) + Counter({200: 10})
    assert Counter(targets[targets != IGNORE].tolist()) == expected


def test_validation_is_the_same_every_time_and_for_every_seed(prepared):
    once = list(validation_batches(prepared, settings(seed=1), rows=5))
    again = list(validation_batches(prepared, settings(seed=2), rows=5))
    assert all(same(*pair) for pair in zip(once, again, strict=True))


def test_a_limit_keeps_rows_spread_over_the_whole_set(write_set, prepared_with):
    prepared = prepared_with(write_set(stream(801)))
    batches = list(validation_batches(prepared, settings(max_tokens=80), rows=4))
    assert [row for batch in batches for row in batch.rows] == list(range(0, 100, 10))
    smallest = list(validation_batches(prepared, settings(max_tokens=1), rows=4))
    assert [batch.rows for batch in smallest] == [(0,)]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_prefetching_gives_the_batches_of_the_loader(prepared, device):
    loader = Loader(prepared, settings())
    ahead = list(prefetch(loader, 5, 12, device=torch.device(device)))
    assert len(ahead) == 7
    assert all(same(batch, loader.batch(step)) for step, batch in enumerate(ahead, 5))


def test_prefetching_gives_each_rank_its_rows(prepared):
    loader = Loader(prepared, settings())
    (batch,) = prefetch(loader, 0, 1, device=CPU, rank=1, world=2)
    assert same(batch, loader.batch(0, rank=1, world=2))


def test_prefetching_no_steps_gives_nothing(prepared):
    assert not list(prefetch(Loader(prepared, settings()), 4, 4, device=torch.device("meta")))


def prefetching_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_the_thread_ends_with_the_iterator(prepared):
    batches = prefetch(Loader(prepared, settings()), 0, 10**9, device=torch.device("meta"))
    next(batches)
    assert prefetching_threads()
    batches.close()
    assert not prefetching_threads()


def test_a_cpu_needs_no_thread(prepared):
    batches = prefetch(Loader(prepared, settings()), 0, 9, device=CPU)
    next(batches)
    assert not prefetching_threads()


def test_an_error_of_the_thread_reaches_the_caller(prepared):
    batches = prefetch(Loader(prepared, settings()), 0, 9, device=torch.device("meta"), rank=5, world=2)
    with pytest.raises(AssertionError, match="no rank 5 of 2"):
        next(batches)
    assert not prefetching_threads()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_batches_for_cuda_lie_in_pinned_memory(prepared):
    loader = Loader(prepared, settings(isolate_documents=True))
    (batch,) = prefetch(loader, 0, 1, device=torch.device("cuda"))
    assert batch.tokens.is_pinned()
    assert batch.targets.is_pinned()
    assert batch.documents.is_pinned()


def test_a_batch_takes_milliseconds(write_set, prepared_with):
    lengths = np.random.default_rng(0).integers(20, 100, 2000)
    documents = [[7] * length for length in lengths.tolist()]
    loader = Loader(prepared_with(write_set(documents), template="forge1"), settings(context=256, rows=64))
    loader.batch(0)
    start = time.process_time()
    for step in range(20):
        loader.batch(step)
    assert (time.process_time() - start) / 20 < 0.02  # 0.8 ms on an idle core


def course(*phases, **settings_of_phases):
    described = [
        {"path": path, "epochs": epochs, "batch_rows": rows, "name": name} for name, path, epochs, rows in phases
    ]
    return settings(**settings_of_phases).model_copy(
        update={"curriculum": CurriculumConfig.model_validate({"phases": described})}
    )


PHASES = [("one", "a", 2, 4), ("two", "b", 3, 2), ("all", "combined", 1, 8)]


@pytest.fixture
def two_parts(write_set, prepared_with):
    """Eight rows of 1 to 65 and four of 100 to 132, of which the same are held out."""
    return prepared_with(write_set([list(range(1, 66))], [list(range(100, 133))]))


def test_each_phase_goes_through_its_own_rows_as_often_as_it_is_told(two_parts):
    loader = Loader(two_parts, course(*PHASES))
    assert [phase.steps for phase in loader.curriculum.phases] == [4, 6, 2]
    assert [len(loader.rows_of(step)) for step in range(12)] == [4] * 4 + [2] * 6 + [8] * 2
    drawn = [
        Counter((one.source, one.row) for step in steps for one in loader.rows_of(step))
        for steps in (range(4), range(4, 10), range(10, 12))
    ]
    assert drawn[0] == {(0, row): 2 for row in range(8)}
    assert drawn[1] == {(1, row): 3 for row in range(4)}
    assert set(drawn[2]) == set(drawn[0]) | set(drawn[1])
    assert sum(drawn[2].values()) == 16  # the last batch is filled up from the next epoch


def test_phases_over_the_same_rows_have_orders_of_their_own(two_parts):
    loader = Loader(two_parts, course(("one", "a", 1, 8), ("again", "a", 1, 8)))
    first, second = loader.rows_of(0), loader.rows_of(1)
    assert sorted(one.row for one in first) == sorted(one.row for one in second) == list(range(8))
    assert [one.row for one in first] != [one.row for one in second]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_prefetching_crosses_the_borders_of_phases(two_parts, device):
    loader = Loader(two_parts, course(*PHASES))
    ahead = list(prefetch(loader, 2, 12, device=torch.device(device)))
    assert [len(batch.rows) for batch in ahead] == [4] * 2 + [2] * 6 + [8] * 2
    assert all(same(batch, loader.batch(step)) for step, batch in enumerate(ahead, 2))


def test_a_phase_that_is_cut_gives_its_steps_to_the_next(two_parts):
    loader = Loader(two_parts, course(*PHASES))
    second = loader.batch(4)
    loader.curriculum = loader.curriculum.cut(1)
    assert same(loader.batch(1), second)


def test_validation_is_divided_by_the_phases_that_brought_the_text(two_parts):
    config = course(*PHASES)
    sets = {name: list(batches) for name, batches in validation_sets(two_parts, config, rows=3).items()}
    assert list(sets) == ["one", "two"]
    tokens = {
        name: {int(t) for batch in batches for t in batch.targets.flatten()} - {IGNORE}
        for name, batches in sets.items()
    }
    assert tokens == {"one": set(range(2, 66)), "two": set(range(101, 133))}
    rows = sorted(row for batches in sets.values() for batch in batches for row in batch.rows)
    assert rows == sorted(row for batch in validation_batches(two_parts, config, rows=5) for row in batch.rows)


def test_a_phase_that_a_limit_leaves_no_row_of_is_not_judged_alone(two_parts):
    sets = validation_sets(two_parts, course(*PHASES, max_tokens=8), rows=3)
    assert list(sets) == ["one"]


def test_without_phases_validation_is_one_set(two_parts):
    (name,) = validation_sets(two_parts, settings(), rows=3)
    assert name == ""
