import os

import pytest

from hornbook.runlog.events import Sample, Step
from hornbook.runlog.samples import SampleFile, as_text

STEP = Step(step=1, loss=1.0, targets=1, lr=0.1, grad_norm=1.0)


def sample(step, text="Once more.", prompt="Say it"):
    return Sample(step=step, prompt=prompt, text=text)


def test_a_sample_says_its_step_and_its_prompt():
    assert as_text(sample(500, 'a "b"\nc', 'Ö "x"')) == '--- step 500, after "Ö \\"x\\""\na "b"\nc\n\n'


def test_the_file_is_written_from_the_events_and_then_appended_to(tmp_path):
    file = SampleFile(tmp_path / "samples.txt", [STEP, sample(1)])
    file.take(sample(2))
    assert (tmp_path / "samples.txt").read_text() == as_text(sample(1))
    file.flush()
    file.flush()
    assert (tmp_path / "samples.txt").read_text() == as_text(sample(1)) + as_text(sample(2))


def test_what_a_killed_session_wrote_stands_there_once(tmp_path):
    path = tmp_path / "samples.txt"
    path.write_text(as_text(sample(1)) + as_text(sample(2)) + "--- step 3, aft")
    file = SampleFile(path, [sample(1)])
    file.take(sample(2))
    file.flush()
    assert path.read_text() == as_text(sample(1)) + as_text(sample(2))


def test_without_samples_there_is_no_file(tmp_path):
    path = tmp_path / "samples.txt"
    path.write_text("of a run that came before")
    SampleFile(path, [STEP]).flush()
    assert not path.exists()


@pytest.mark.skipif(
    os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="the superuser may write anywhere"
)
def test_what_the_disk_refuses_waits(tmp_path):
    path = tmp_path / "samples.txt"
    file = SampleFile(path, [sample(1)])
    file.take(sample(2))
    path.chmod(0o400)
    with pytest.raises(OSError):
        file.flush()
    path.chmod(0o600)
    file.flush()
    assert path.read_text() == as_text(sample(1)) + as_text(sample(2))
