"""A folder of text becomes a byte stream that is the files themselves, whatever their encoding, in bounded memory."""

import subprocess
import sys

import numpy as np
import pytest

from hornbook.data.prepare import prepare
from hornbook.errors import DataError, SettingsError
from hornbook.run import make_run

END = 257  # <|eos|> of the bytes tokenizer
TEXTS = {
    "a.txt": ("Grüße aus Köln.\n" * 30).encode("latin-1"),
    "b/c.txt": ("Привет, мир.\n" * 30).encode("cp1251"),
    "b/d/e.txt": ("Ordinary text.\n" * 30).encode(),
}


def settings(folder, *more):
    small = (
        "model.context=16",
        "training.batch_tokens=16",
        "tokenizer.kind=bytes",
        f"data.folder={folder}/prepared",
    )
    return make_run("text", [*small, f"data.path={folder}/texts", *more], environment={})


@pytest.fixture
def folder(tmp_path):
    for name, data in TEXTS.items():
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def test_bytes_that_are_no_utf_8_are_kept_as_bytes(folder):
    config = settings(folder, "data.invalid_utf8=keep", "data.validation_fraction=0.1")
    prepared = prepare(config, report=lambda line: None)
    stream = [shards.tokens(0, shards.num_tokens) for shards in (prepared.train, prepared.validation)]
    ids = np.concatenate(stream)
    assert ids[ids < 256].astype(np.uint8).tobytes() == b"".join(TEXTS.values())
    assert (ids >= 256).sum() == (ids == END).sum() == 4  # the border of the tail cuts the last document in two
    assert "documents that are not UTF-8, kept as bytes: 2" in prepared.summary(16)


def test_otherwise_they_are_refused_with_the_setting_that_keeps_them(folder):
    with pytest.raises(DataError, match="is not UTF-8") as caught:
        prepare(settings(folder), report=lambda line: None)
    assert "data.invalid_utf8=keep" in caught.value.fix


@pytest.mark.parametrize("more", [["tokenizer.kind=bpe"], ['data.clean=["lower"]']])
def test_only_a_byte_model_that_is_given_everything_can_keep_them(folder, more):
    with pytest.raises(SettingsError, match="invalid_utf8 = keep needs tokenizer.kind = bytes, and no data.clean"):
        settings(folder, "data.invalid_utf8=keep", *more)


def test_an_empty_folder_is_an_error_that_names_the_filler_text(tmp_path):
    (tmp_path / "texts").mkdir()
    with pytest.raises(DataError, match="holds nothing") as caught:
        prepare(settings(tmp_path), report=lambda line: None)
    assert "builtin:dummy" in caught.value.fix


MEASURE = """
import resource, sys
from hornbook.data.prepare import prepare
from hornbook.run import make_run

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

small = ["tokenizer.kind=bytes", "data.workers=1", "model.context=64", "training.batch_tokens=64"]
first = make_run("text", [*small, "data.folder=prepared", "data.path=small"], environment={})
prepare(first, report=lambda line: None)
before = megabytes()
whole = make_run("text", [*small, "data.folder=prepared", "data.path=large"], environment={})
prepared = prepare(whole, report=lambda line: None)
print(prepared.train.num_tokens + prepared.validation.num_tokens, megabytes() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the measure of memory is Linux's")
def test_a_folder_of_240_mb_is_prepared_in_less_than_a_third_of_that(tmp_path):
    """Dropped at once, three times the folder's size would not show; held as Python numbers, 8 times would."""
    for folder, files in (("small", 1), ("large", 24)):
        for number in range(files):
            path = tmp_path / folder / f"{number % 5}" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            line = f"File {number} says again and again what it has said before, and then says more of it.\n"
            path.write_text(line * (10**7 // len(line)))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    tokens, grown = done.stdout.split()
    assert int(tokens) > 235 * 10**6
    assert float(grown) < 80
