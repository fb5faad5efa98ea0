"""Preparing: the shards say what the sources said; done once, whole or not at all, continued after a kill."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hornbook.data.prepare import find_prepared, prepare
from hornbook.errors import CheckpointError, ConfigError, DataError
from hornbook.run import make_run
from hornbook.storage.atomic import FolderLock

TEXT = "".join(f"Line {n}: the cat sat on the mat.\n" for n in range(400))


class Workplace:
    """A folder with data and a way to prepare it."""

    def __init__(self, root):
        self.root = root
        self.said = []

    def config(self, *settings):
        small = ("model.context=16", "training.batch_tokens=16", "tokenizer.kind=bytes")
        return make_run("text", [*small, f"data.folder={self.root}/prepared", *settings], environment={})

    def prepare(self, *settings):
        self.said.clear()
        return prepare(self.config(*settings), report=self.said.append)

    def rows(self, name, rows):
        path = self.root / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return f"data.path={path}"

    def texts(self, name="texts.jsonl", count=200):
        return self.rows(name, [{"text": f"text number {n} of {name}"} for n in range(count)])

    def folders(self):
        """The finished sets."""
        return sorted(path.name for path in (self.root / "prepared").glob("text-*"))


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def text_of(prepared, shards, *, specials=False):
    return prepared.tokenizer.decode(shards.tokens(0, shards.num_tokens).tolist(), specials=specials)


def test_one_text_file_is_divided_as_nanogpt_does(place):
    (place.root / "a.txt").write_text(TEXT)
    prepared = place.prepare(f"data.path={place.root}/a.txt", "data.validation_fraction=0.1")
    border = int(len(TEXT) * 0.9)
    assert text_of(prepared, prepared.train) == TEXT[:border]
    assert text_of(prepared, prepared.validation) == TEXT[border:]
    assert prepared.train.tokens(border, border + 1).tolist() == [prepared.tokenizer.eos_id]
    assert prepared.template == "text"
    assert prepared.manifest["divided"] == ["tail"]


@pytest.mark.parametrize("kind", ["chars", "words", "bpe"])
def test_every_tokenizer_keeps_every_character(place, kind):
    (place.root / "a.txt").write_text(TEXT + "ünseen 🙂\r\n")
    prepared = place.prepare(f"data.path={place.root}/a.txt", f"tokenizer.kind={kind}", "tokenizer.vocab_size=400")
    assert text_of(prepared, prepared.train) + text_of(prepared, prepared.validation) == TEXT + "ünseen 🙂\r\n"


def test_the_split_by_documents_never_overlaps_and_ends_each_with_the_stop_token(place):
    prepared = place.prepare(place.texts(), "data.validation_fraction=0.2")
    train, validation = (
        text_of(prepared, s, specials=True).split("<|eos|>") for s in (prepared.train, prepared.validation)
    )
    assert not set(train[:-1]) & set(validation[:-1])
    assert sorted(train[:-1] + validation[:-1]) == sorted(f"text number {n} of texts.jsonl" for n in range(200))
    assert prepared.validation.num_documents == pytest.approx(40, abs=17)  # three standard deviations


def test_conversations_get_the_template_and_the_mask(place):
    path = place.rows("talk.jsonl", [{"prompt": f"What is {n}+1?", "response": str(n + 1)} for n in range(100)])
    prepared = place.prepare(path)
    assert prepared.template == "forge1"
    stop = int(prepared.train.documents[1])
    shown = prepared.tokenizer.decode(prepared.train.tokens(0, stop).tolist(), specials=True)
    assert shown.startswith("<|bos|>\n<|user|>What is 0+1?<|/user|>\n<|no_think|>")
    learnt = prepared.train.tokens(0, stop)[prepared.train.learn(0, stop)]
    assert prepared.tokenizer.decode(learnt.tolist(), specials=True).startswith("<|no_think|>")


def test_learning_everything_needs_no_mask_file(place):
    path = place.rows("talk.jsonl", [{"prompt": f"What is {n}+1?", "response": str(n + 1)} for n in range(100)])
    masked, whole = place.prepare(path), place.prepare(path, "data.learn=everything")
    assert any("learn" in name for name in masked.manifest["files"])
    assert not any("learn" in name for name in whole.manifest["files"])


def test_documents_and_conversations_may_stand_in_one_source(place):
    rows = [{"text": "plain"}, {"prompt": "q", "response": "a"}] * 10
    prepared = place.prepare(place.rows("mixed.jsonl", rows))
    shown = text_of(prepared, prepared.train, specials=True)
    assert shown.startswith("plain<|eos|><|bos|>\n<|user|>q<|/user|>")


def test_several_sources_are_parts_with_weights(place):
    one, two = (place.texts(name).removeprefix("data.path=") for name in ("one.jsonl", "two.jsonl"))
    prepared = place.prepare(f"data.sources=[{{path='{one}', weight=3}}, {{path='{two}'}}]")
    assert [(part.name, part.weight) for part in prepared.train.parts] == [(one, 3.0), (two, 1.0)]
    assert "of two" not in text_of(prepared, prepared.train.parts[0])
    assert sum(part.num_tokens for part in prepared.train.parts) == prepared.train.num_tokens
    again = place.prepare(f"data.sources=[{{path='{one}', weight=5}}, {{path='{two}'}}]")
    assert again.folder == prepared.folder
    assert again.train.parts[0].weight == 5.0


def test_a_list_of_paths_is_one_part(place):
    one, two = (place.texts(name).removeprefix("data.path=") for name in ("one.jsonl", "two.jsonl"))
    prepared = place.prepare(f"data.path=['{one}', '{two}']")
    assert len(prepared.train.parts) == 1
    assert "of one" in text_of(prepared, prepared.train)
    assert "of two" in text_of(prepared, prepared.train)


def test_a_separate_validation_set_is_whole_and_not_trained_on(place):
    data = place.texts()
    held = place.rows("held.jsonl", [{"text": "text number 7 of texts.jsonl"}, {"text": "new words"}])
    prepared = place.prepare(data, held.replace("path", "validation_path"))
    assert text_of(prepared, prepared.validation, specials=True).split("<|eos|>")[1] == "new words"
    assert "text number 7 of" not in text_of(prepared, prepared.train)
    assert prepared.train.num_documents == 199
    assert prepared.manifest["hygiene"]["dropped"] == 1


def test_the_second_time_nothing_is_done(place):
    data = place.texts()
    first = place.prepare(data)
    assert place.said
    second = place.prepare(data)
    assert not place.said
    assert (second.folder, second.hash) == (first.folder, first.hash)
    assert find_prepared(place.config(data)).hash == first.hash


def test_what_changes_the_content_makes_another_set(place):
    data = place.texts()
    changes = [
        "data.learn=everything",
        "data.validation_fraction=0.3",
        "tokenizer.kind=chars",
        "data.max_documents=99",
    ]
    hashes = {place.prepare(data, *([change] if change else [])).hash for change in ["", *changes]}
    assert len(hashes) == 5
    assert len(place.folders()) == 5


def test_what_changes_no_content_keeps_the_set(place):
    data = place.texts()
    changes = ["data.workers=2", "data.packing=documents", "data.isolate_documents=true", "training.seed=7"]
    assert len({place.prepare(data, *([change] if change else [])).hash for change in ["", *changes]}) == 1


def test_a_changed_file_is_prepared_again(place):
    first = place.prepare(place.texts())
    assert find_prepared(place.config(place.texts(count=201))) is None
    assert place.prepare(place.texts(count=201)).hash != first.hash


def test_the_shards_do_not_depend_on_the_number_of_threads(place):
    place.texts(count=3000)
    hashes = []
    for workers in (1, 3):
        config = place.config(
            f"data.path={place.root}/texts.jsonl", f"data.workers={workers}", f"data.folder={place.root}/{workers}"
        )
        hashes.append(prepare(config, report=place.said.append).manifest["files"])
    assert hashes[0] == hashes[1]


def test_a_vocabulary_is_found_once_for_the_same_text(place):
    data = place.texts()
    settings = (data, "tokenizer.kind=bpe", "tokenizer.vocab_size=300")
    first = place.prepare(*settings)
    assert any("finding a bpe vocabulary" in line for line in place.said)
    second = place.prepare(*settings, "data.learn=everything")
    assert not any("finding" in line for line in place.said)
    assert first.tokenizer.hash == second.tokenizer.hash


def test_the_manifest_proves_every_file(place):
    prepared = place.prepare(place.texts())
    on_disk = {p.relative_to(prepared.folder).as_posix() for p in prepared.folder.rglob("*") if p.is_file()}
    assert on_disk == {*prepared.manifest["files"], "manifest.json"}
    assert prepared.damaged() == []
    path = prepared.folder / "train/0-00000.tokens.bin"
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    assert prepared.damaged() == ["train/0-00000.tokens.bin"]


def test_the_manifest_counts(place):
    prepared = place.prepare(place.texts())
    (part,) = prepared.manifest["splits"]["train"]
    assert (part["documents"], part["tokens"]) == (prepared.train.num_documents, prepared.train.num_tokens)
    assert prepared.manifest["sources"]["parts"][0][0]["files"][0]["name"] == "texts.jsonl"
    assert prepared.manifest["dtype"] == "uint16"
    tokens, documents = prepared.train.num_tokens, prepared.train.num_documents
    assert prepared.summary(16)[0].startswith(f"{tokens:,} train tokens in {documents} documents, ")


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff"])
def test_a_damaged_manifest_is_not_trusted(place, damage):
    data = place.texts()
    (place.prepare(data).folder / "manifest.json").write_bytes(damage)
    with pytest.raises(DataError, match=r"manifest\.json cannot be read") as caught:
        place.prepare(data)
    assert caught.value.fix.startswith("delete ")


def test_a_cut_shard_is_not_trusted(place):
    data = place.texts()
    path = place.prepare(data).folder / "train/0-00000.tokens.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"tokens\.bin holds \d+ bytes instead of"):
        place.prepare(data)


def test_nanogpts_tokens_are_taken_as_they_are(place):
    ids = np.frombuffer(TEXT.encode(), np.uint8).astype("<u2")
    ids.tofile(place.root / "train.bin")
    ids[:500].tofile(place.root / "val.bin")
    prepared = place.prepare(f"data.path={place.root}/train.bin", f"data.validation_path={place.root}/val.bin")
    assert text_of(prepared, prepared.train) == TEXT
    assert text_of(prepared, prepared.validation) == TEXT[:500]


def test_tokens_need_the_tokenizer_they_were_made_with(place):
    np.arange(100).astype("<u2").tofile(place.root / "train.bin")
    with pytest.raises(DataError, match=r"cannot be used with tokenizer\.kind = bpe") as caught:
        place.prepare(f"data.path={place.root}/train.bin", "tokenizer.kind=bpe")
    assert caught.value.fix == "set tokenizer.kind = external and tokenizer.path to that tokenizer."


def test_too_little_text_says_how_much_there_is(place):
    (place.root / "a.txt").write_text("short text")
    with pytest.raises(
        DataError, match=r"a\.txt has 10 training tokens, too few for one row of model\.context = 16"
    ) as e:
        place.prepare(f"data.path={place.root}/a.txt")
    assert e.value.fix == "give more text, or a smaller model.context."


def test_a_validation_split_of_nothing_is_refused(place):
    data = place.texts(count=3)
    with pytest.raises(DataError, match=r"validation split is empty: all 3 documents are for training") as caught:
        place.prepare(data, "data.split=documents", "data.validation_fraction=0.001")
    assert "data.split = tail" in caught.value.fix
    with pytest.raises(DataError, match=r"data\.validation_fraction = 0 holds nothing out"):
        place.prepare(data, "data.validation_fraction=0")


def test_no_data_is_a_mistake_of_the_settings(place):
    with pytest.raises(ConfigError, match="No data is given"):
        place.prepare()


def test_another_process_is_refused_while_a_set_is_built(place):
    data = place.texts()
    name = place.prepare(data).folder.name
    (place.root / "prepared" / name).rename(place.root / "away")
    with (
        FolderLock(place.root / "prepared/.locks" / name, "preparing"),
        pytest.raises(CheckpointError, match=f"pid {os.getpid()}"),
    ):
        place.prepare(data)


def test_a_folder_that_cannot_be_made_is_named(place):
    data = place.texts()
    (place.root / "prepared").write_text("in the way")
    with pytest.raises(DataError, match=r"prepared cannot be written to: ") as caught:
        place.prepare(data)
    assert "data.folder" in caught.value.fix


def test_a_full_disk_is_named_and_nothing_half_made_is_trusted(place):
    resource = pytest.importorskip("resource")
    data = place.texts(count=5000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(DataError, match="prepared cannot be written to: File too large"):
            place.prepare(data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert place.folders() == []
    assert place.prepare(data).damaged() == []


KILLED = """
import sys, time
import hornbook.data.building as building
from hornbook.data.prepare import prepare
from hornbook.run import make_run
building.SHARD_TOKENS = 20_000
finished = building._SideWriter.close
def slow_close(self):
    finished(self)
    time.sleep(0.05)
building._SideWriter.close = slow_close
prepare(make_run("text", sys.argv[1:], environment={}), report=print)
"""


def start(place, folder):
    settings = [
        f"data.path={place.root}/texts.jsonl",
        f"data.folder={place.root}/{folder}",
        "tokenizer.kind=bytes",
    ]
    process = [sys.executable, "-c", KILLED, "model.context=16", "training.batch_tokens=16", *settings]
    return subprocess.Popen(process, stdout=subprocess.PIPE, text=True)


def finished_shards(partial):
    try:
        return [
            s for shards in json.loads((partial / "progress.json").read_text())["shards"].values() for s in shards
        ]
    except (OSError, ValueError):
        return []


def test_after_kill_9_the_finished_shards_are_kept_and_the_result_is_the_same(place):
    place.texts(count=20_000)
    assert "wrote" in start(place, "whole").communicate()[0]
    whole = json.loads(next((place.root / "whole").glob("text-*/manifest.json")).read_text())
    process = start(place, "killed")
    deadline = time.monotonic() + 60
    while len(list((place.root / "killed").glob(".partial-text-*"))) == 0 and time.monotonic() < deadline:
        time.sleep(0.005)
    (partial,) = (place.root / "killed").glob(".partial-text-*")
    while len(finished_shards(partial)) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    kept = {
        partial / name: (partial / name).stat().st_ino for s in finished_shards(partial) for name in s["files"]
    }
    assert kept
    assert not list((place.root / "killed").glob("text-*"))
    again = start(place, "killed")
    output = again.communicate()[0]
    assert again.returncode == 0
    assert "continuing in" in output
    (manifest,) = (place.root / "killed").glob("text-*/manifest.json")
    assert json.loads(manifest.read_text())["files"] == whole["files"]
    for path, inode in kept.items():
        assert (manifest.parent / path.relative_to(partial)).stat().st_ino == inode


def test_no_phase_trains_on_what_another_holds_out(place):
    shared = [{"text": f"text number {n}"} for n in range(40)]
    place.rows("first.jsonl", [*shared[:20], {"text": "only here"}])
    place.rows("second.jsonl", shared)
    paths = (place.root / "first.jsonl", place.root / "second.jsonl", "combined")
    phases = ", ".join(f"{{path = '{path}'}}" for path in paths)
    prepared = place.prepare(f"curriculum.phases=[{phases}]", "data.validation_fraction=0.3")
    assert prepared.manifest["divided"] == ["documents", "documents"]
    assert len(prepared.train.parts) == 2
    train, validation = (
        set(text_of(prepared, shards, specials=True).split("<|eos|>")) - {""}
        for shards in (prepared.train, prepared.validation)
    )
    assert train and validation and not train & validation


def test_the_vocabulary_of_a_curriculum_comes_from_all_its_phases(place):
    place.rows("first.jsonl", [{"text": f"apple {n}"} for n in range(40)])
    place.rows("second.jsonl", [{"text": f"pear {n}"} for n in range(40)])
    phases = ", ".join(f"{{path = '{place.root / name}'}}" for name in ("first.jsonl", "second.jsonl"))
    prepared = place.prepare(f"curriculum.phases=[{phases}]", "tokenizer.kind=words")
    assert all(len(prepared.tokenizer.encode(word)) == 1 for word in ("apple", "pear"))


def test_a_very_large_vocabulary_is_mentioned(place, monkeypatch):
    monkeypatch.setattr("hornbook.data.building.LARGE_VOCABULARY", 270)
    place.prepare(place.texts(), "tokenizer.kind=bpe", "tokenizer.vocab_size=280")
    assert any("the vocabulary has 280 entries, over 270" in line for line in place.said)
    place.prepare(place.texts(), "tokenizer.kind=bytes")
    assert not any("the vocabulary has" in line for line in place.said)
