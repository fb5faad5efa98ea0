import pytest

from hornbook.config.sections import DataConfig
from hornbook.data.builtin import dummy


def text(size, **settings):
    return "".join(dummy.documents(DataConfig(dummy_bytes=size, **settings)))


@pytest.mark.parametrize("size", [1, 999, 50_000])
def test_it_is_as_large_as_asked_but_for_a_cut_character(size):
    assert size - 3 <= len(text(size).encode()) <= size


def test_a_larger_one_begins_with_the_smaller_one():
    assert text(30_000).startswith(text(20_000))


def test_every_document_is_a_function_of_its_number():
    assert list(dummy.documents(DataConfig(dummy_bytes=40_000)))[7] == dummy.document(7)
    assert len({dummy.document(number) for number in range(50)}) == 50


def test_it_reads_like_sentences():
    document = dummy.document(3)
    title, *paragraphs = document.strip().split("\n\n")
    assert title.startswith("The ") and title.endswith("day 4")
    assert all(paragraph[-1] in ".?" for paragraph in paragraphs)
    assert 500 < len(document) < 5_000


def test_it_has_characters_of_several_bytes():
    assert not text(20_000).isascii()


def test_what_it_depends_on_is_its_size_and_its_words():
    small, large = (dummy.identity(DataConfig(dummy_bytes=size)) for size in (10, 20))
    assert small["sha256"] == large["sha256"]
    assert small != large
