"""What is held out, and what is reported."""

import numpy as np
import pytest

from hornbook.data.hygiene import (
    Hygiene,
    Split,
    choose_split,
    content_hash,
    count_characters,
    count_duplicates,
    is_held_out,
    packing_line,
)
from hornbook.text.conversation import exchange


def test_hashes_follow_the_content():
    assert content_hash("a") == content_hash("a") != content_hash("b")
    assert content_hash(exchange("q", "a")) == content_hash(exchange("q", "a")) != content_hash(exchange("q", "b"))
    assert content_hash(np.array([1, 2], "<u2")) == content_hash(np.array([1, 2], "<u4"))


def test_the_hash_never_changes():
    assert content_hash("First Citizen:") == 11629918327298611257


def test_by_documents_about_the_fraction_is_held_out():
    held = sum(is_held_out(content_hash(str(number)), 0.1) for number in range(20_000))
    assert held == pytest.approx(2000, abs=130)  # three standard deviations of a binomial


def test_a_larger_fraction_holds_out_the_same_documents_and_more():
    hashes = [content_hash(str(number)) for number in range(1000)]
    small, large = ({h for h in hashes if is_held_out(h, fraction)} for fraction in (0.05, 0.2))
    assert small < large


def test_by_documents_equal_documents_land_on_one_side():
    split = Split("documents", 0.5)
    sides = {split.assign("same", content_hash("same"), start)[0][0] for start in (0, 10, 10**9)}
    assert len(sides) == 1


@pytest.mark.parametrize(
    ("kind", "documents", "expected"),
    [("auto", 31, "tail"), ("auto", 32, "documents"), ("tail", 99, "tail"), ("documents", 2, "documents")],
)
def test_auto_takes_the_tail_below_32_documents(kind, documents, expected):
    assert choose_split(kind, fraction=0.1, documents=documents, characters=1000).kind == expected


def divide(contents, fraction):
    """Divide by the tail and return both sides, and the sides of each document."""
    total = sum(map(count_characters, contents))
    split = choose_split("tail", fraction=fraction, documents=len(contents), characters=total)
    sides, start = {"train": [], "validation": []}, 0
    for content in contents:
        for side, piece in split.assign(content, content_hash(content), start):
            sides[side].append(piece)
        start += count_characters(content)
    return sides


@pytest.mark.parametrize("length", [10, 99, 1_115_394])
def test_the_tail_of_one_file_is_nanogpts(length):
    text = ("0123456789ü" * (length // 11 + 1))[:length]
    assert divide([text], 0.1) == {"train": [text[: int(length * 0.9)]], "validation": [text[int(length * 0.9) :]]}


def test_the_tail_loses_no_text_whatever_the_documents():
    texts = ["abc", "d", "efghij", "kl", "mnopq"]
    for fraction in (0.05, 0.2, 0.31, 0.49):
        sides = divide(texts, fraction)
        assert "".join(sides["train"] + sides["validation"]) == "".join(texts)
        assert len("".join(sides["train"])) == int(17 * (1 - fraction))


def test_the_tail_does_not_cut_conversations():
    talks = [exchange("question?", "answer") for _ in range(4)]
    assert {side: len(found) for side, found in divide(talks, 0.3).items()} == {"train": 2, "validation": 2}
    assert divide(talks[:1], 0.3) == {"train": talks[:1], "validation": []}


def test_the_tail_cuts_ids_too():
    sides = divide([np.arange(10)], 0.2)
    assert [piece.tolist() for piece in (*sides["train"], *sides["validation"])] == [list(range(8)), [8, 9]]


def test_duplicates_are_counted_without_the_first():
    assert count_duplicates(np.array([5, 3, 5, 5, 7, 3], np.uint64)) == 3


def test_the_report_mentions_what_was_found_and_nothing_else():
    assert Hygiene(documents=12_000, characters=3_500_000).lines() == ["12.0k documents, 3.50M characters"]
    report = Hygiene(
        10,
        20,
        conversations=3,
        duplicates=1,
        empty=2,
        overlap=4,
        dropped=5,
        bad={"too long": 6},
        notes={"x seen": 7},
    )
    assert report.lines() == [
        "10 documents, 20 characters, 3 of them conversations",
        "empty documents left out: 2",
        "x seen: 7",
        "documents equal to an earlier one, kept: 1",
        "training documents left out because they stand in data.validation_path: 5",
        "records left out, too long: 6",
        "validation documents that stand in the training data too: 4",
    ]
    assert report.warnings() == report.lines()[-2:]


def test_documents_longer_than_a_row_are_counted(write_set):
    shards = write_set([[1] * 10, [1] * 11, [1] * 3, [1] * 30])
    assert packing_line(shards, 10) == "2 of 4 documents (50.0 %) longer than a row of 10"
