"""The lens shows what the loader gave: every token, its role, its document, its cost."""

import pytest
import torch

from hornbook.config.curriculum import CurriculumConfig
from hornbook.data.lens import Span, explain, lens
from hornbook.data.loader import Loader
from hornbook.nn.losses import IGNORE
from hornbook.run import RunConfig


def settings(*, context=8, rows=1, **data):
    return RunConfig.model_validate(
        {
            "model": {"arch": "llama", "context": context},
            "training": {"batch_tokens": rows * context},
            "data": data,
        }
    )


def seen(prepared, config, step, **losses):
    return lens(Loader(prepared, config), prepared.tokenizer, step, **losses)


def said(text, *, learnt=True):
    return [(byte, learnt) for byte in text.encode()]


@pytest.fixture
def dialogue(write_set, prepared_with, byte_tokenizer):
    """One row: "ab" given and "c" and the end learnt; then "d" given and "e" learnt; the rest padding."""
    end = [(byte_tokenizer.eos_id, True)]
    train = write_set([said("ab", learnt=False) + said("c") + end, said("d", learnt=False) + said("e")])
    return prepared_with(train, template="forge1")


def test_a_row_tells_every_token_and_whether_it_is_learnt(dialogue):
    (row,) = seen(dialogue, settings(), 0)
    assert [token.text for token in row.tokens] == ["a", "b", "c", "<|eos|>", "d", "e"]
    assert [token.learnt for token in row.tokens] == [False, False, True, True, False, True]
    assert [token.document for token in row.tokens] == [0, 0, 0, 0, 1, 1]
    assert [token.boundary for token in row.tokens] == [True, False, False, False, True, False]


def test_a_row_tells_where_it_comes_from(dialogue):
    (row,) = seen(dialogue, settings(), 5)
    assert (row.number, row.source, row.epoch, row.documents, row.padding) == (0, "part0", 5, (0, 1), 2)


def test_losses_stand_with_the_tokens_they_were_paid_for(dialogue):
    (row,) = seen(dialogue, settings(), 0, losses=[[0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]])
    assert [token.loss for token in row.tokens] == [None, None, 1.5, 2.5, None, 4.5]


def test_spans_join_what_is_of_one_kind(dialogue):
    (row,) = seen(dialogue, settings(), 0)
    assert explain(row) == [
        Span("ab", learnt=False, boundary=True, loss=None),
        Span("c<|eos|>", learnt=True, boundary=False, loss=None),
        Span("d", learnt=False, boundary=True, loss=None),
        Span("e", learnt=True, boundary=False, loss=None),
    ]


def test_spans_with_losses_are_single_tokens(dialogue):
    (row,) = seen(dialogue, settings(), 0, losses=[[0.25] * 8])
    assert [(span.text, span.loss) for span in explain(row)] == [
        ("ab", None),
        ("c", 0.25),
        ("<|eos|>", 0.25),
        ("d", None),
        ("e", 0.25),
    ]


@pytest.mark.parametrize("isolate", [False, True])
def test_a_stream_shows_its_documents_one_after_the_other(write_set, prepared_with, isolate):
    prepared = prepared_with(write_set([said("Hello"), said("you")]))
    (row,) = seen(prepared, settings(isolate_documents=isolate), 0)
    assert "".join(token.text for token in row.tokens) == "Helloyou"
    assert [token.boundary for token in row.tokens] == [True] + [False] * 4 + [True] + [False] * 2
    assert [token.learnt for token in row.tokens] == [False] + [True] * 4 + [not isolate] + [True] * 2


def test_the_last_token_predicted_is_shown_though_no_place_reads_it(write_set, prepared_with):
    (row,) = seen(prepared_with(write_set([said("123456789")])), settings(), 0)
    assert "".join(token.text for token in row.tokens) == "123456789"


def test_the_row_that_closes_the_circle_shows_end_and_beginning(write_set, prepared_with):
    prepared, config = prepared_with(write_set([said("abcdefghijklmnopqrstu")])), settings(context=10)
    step = next(step for step in (2, 3) if seen(prepared, config, step)[0].number == 1)
    (row,) = seen(prepared, config, step)
    text = "".join(token.text for token in row.tokens)
    end, beginning = text.split("a")
    assert "abcdefghijklmnopqrstu".endswith(end)
    assert "abcdefghijklmnopqrstu".startswith("a" + beginning)
    assert len(text) == 12  # ten targets, and the first of each run is only read
    assert [token.text for token in row.tokens if token.boundary] == [end[0], "a"]


def test_a_character_of_several_bytes_stands_with_its_last(write_set, prepared_with):
    (row,) = seen(prepared_with(write_set([said("né€!")])), settings(), 0)
    assert [token.text for token in row.tokens] == ["n", "", "é", "", "", "€", "!"]


def test_the_lens_shows_exactly_the_targets_of_the_batch(write_set, prepared_with):
    documents = [[(byte, byte % 3 > 0) for byte in f"document {n}".encode()] for n in range(9)]
    for packing in ("stream", "documents"):
        prepared, config = prepared_with(write_set(documents)), settings(packing=packing, rows=4)
        for step in range(6):
            targets = Loader(prepared, config).batch(step).targets
            shown = [token.id for row in seen(prepared, config, step) for token in row.tokens if token.learnt]
            assert shown == targets[targets != IGNORE].tolist()


def test_losses_may_be_a_tensor(dialogue):
    (row,) = seen(dialogue, settings(), 0, losses=torch.full((1, 8), 0.5).tolist())
    assert {token.loss for token in row.tokens if token.learnt} == {0.5}


def test_a_row_tells_the_phase_of_its_step(dialogue):
    phases = {"phases": [{"path": "part0", "epochs": 2}, {"path": "combined", "name": "again"}]}
    config = settings().model_copy(update={"curriculum": CurriculumConfig.model_validate(phases)})
    assert [seen(dialogue, config, step)[0].phase for step in range(3)] == ["part0", "part0", "again"]
    assert seen(dialogue, settings(), 0)[0].phase == ""
