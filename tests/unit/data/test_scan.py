"""The first reading counts, divides and samples."""

import json

import pytest

from hornbook.config.sections import DataConfig
from hornbook.data.hygiene import Split, content_hash
from hornbook.data.scan import Part, Scan, TextSample, scan
from hornbook.data.sources import open_source
from hornbook.errors import DataError


def part(tmp_path, name, texts, config):
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return Part(name, 1.0, (open_source(str(path), config),))


def scanned(tmp_path, texts, *, held=None, sample=False, **settings):
    config = DataConfig(**settings)
    validation = part(tmp_path, "held", held, config) if held else None
    return scan(
        [part(tmp_path, "data", texts, config)], validation, config, sample=sample, progress=lambda _: None
    )


def test_documents_characters_and_duplicates_are_counted(tmp_path):
    report = scanned(tmp_path, ["ab", "c", "ab", "", "ab"]).hygiene
    assert (report.documents, report.characters, report.duplicates, report.empty) == (4, 7, 2, 1)


def test_the_overlap_of_the_tail_is_counted(tmp_path):
    found = scanned(tmp_path, ["a" * 10, "b" * 10, "c" * 10, "a" * 10], split="tail", validation_fraction=0.3)
    assert found.splits == [Split("tail", 0.3, 28)]
    assert found.hygiene.overlap == 1


def test_by_documents_there_is_no_overlap(tmp_path):
    found = scanned(tmp_path, ["a", "b"] * 100, validation_fraction=0.4)
    assert found.splits == [Split("documents", 0.4)]
    assert found.hygiene.overlap == 0


def test_documents_of_the_validation_path_are_dropped_from_training(tmp_path):
    found = scanned(tmp_path, ["a", "b", "c", "b"], held=["b", "x"])
    assert found.splits == [Split("none")]
    assert found.hygiene.dropped == 2
    assert found.hygiene.documents == 4
    assert found.held_out == {content_hash("b"), content_hash("x")}


def test_training_data_that_is_all_validation_data_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"data: every document stands in data\.validation_path too"):
        scanned(tmp_path, ["a"], held=["a"])


def test_data_of_nothing_but_empty_documents_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"data holds no text \(empty documents: 2\)"):
        scanned(tmp_path, ["", " "])


def test_a_scan_survives_json(tmp_path):
    found = scanned(tmp_path, ["a", "b"], held=["b"])
    again = Scan.from_json(json.loads(json.dumps(found.to_json())))
    assert (again.hygiene, again.splits, again.held_out) == (found.hygiene, found.splits, found.held_out)


def test_the_sample_is_of_the_training_side_only(tmp_path):
    texts = [f"text {number}" for number in range(200)]
    found = scanned(tmp_path, texts, sample=True, validation_fraction=0.3)
    split = found.splits[0]
    assert found.sample == [t for t in texts if split.assign(t, content_hash(t), 0)[0][0] == "train"]
    assert scanned(tmp_path, ["x" * 100], sample=True, validation_fraction=0.1).sample == ["x" * 90]


def test_a_large_sample_is_thinned_evenly_and_always_the_same():
    def take():
        sample = TextSample(limit=1000)
        for number in range(1000):
            text = f"{number:010}"
            sample.offer(0, content_hash(text), number * 10, text)
        return list(sample.texts([Split("none")]))

    texts = take()
    assert texts == take()
    assert 40 <= len(texts) <= 100
    assert min(map(int, texts)) < 100
    assert max(map(int, texts)) > 900


def test_one_document_above_the_limit_is_a_sample_and_equal_ones_count_once():
    sample = TextSample(limit=10)
    for start in (0, 100):
        sample.offer(0, content_hash("x" * 100), start, "x" * 100)
    assert list(sample.texts([Split("none")])) == ["x" * 100]
