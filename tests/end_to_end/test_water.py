"""The original Water's own layout, its plan as it is and its six files of real text, through the water recipe."""

import gzip
import json
from itertools import islice

import pytest

import hornbook
from hornbook.runlog.events import Phase, Validation
from hornbook.runlog.reader import read_events

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.timeout(1500)]

PLAN = """# dataset_name.jsonl | epochs | optional: lr | optional: batch_size

math_reasoning.jsonl     | 3 | 3e-4 | 32
logic_qa.jsonl           | 3 | 3e-4 | 32
instructions.jsonl       | 3 | 3e-4 | 32
dialogue.jsonl           | 3 | 2e-4 | 32
code.jsonl               | 3 | 2e-4 | 32
multilingual.jsonl       | 3 | 2e-4 | 32

# === (Optional) ===
combined.jsonl         | 1 | 1e-4 | 32
"""
RECORDS = 80
NAMES = ["math_reasoning", "logic_qa", "instructions", "dialogue", "code", "multilingual", "combined"]


def lines(path):
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    yield from map(json.loads, filter(None, text.split("\n")))


def array(path):
    yield from json.loads(gzip.decompress(path.read_bytes()))


def pairs(data):
    """Question and answer of each of the original's sets, from real text."""
    yield "math_reasoning", ((one["question"], one["answer"]) for one in lines(data / "qa/gsm8k/train.jsonl.gz"))
    yield (
        "logic_qa",
        (
            (" ".join(one["premises"]) + one["conclusion"], one["label"])
            for one in lines(data / "qa/folio/validation.jsonl")
        ),
    )
    yield (
        "instructions",
        ((one["instruction"], one["response"]) for one in array(data / "qa/gpteacher/roleplay_instruct.json.gz")),
    )
    talks = (
        [turn["text"] for turn in one["utterances"]] for one in array(data / "qa/taskmaster4_data_07.json.gz")
    )
    yield "dialogue", ((talk[0], talk[1]) for talk in talks)
    yield "code", ((one["text"], one["code"]) for one in lines(data / "qa/mbpp.jsonl"))
    yield "multilingual", ((one["premise"], one["choice1"]) for one in lines(data / "eval/xcopa/test.th.jsonl"))


@pytest.fixture(scope="module")
def water(shared_data, tmp_path_factory):
    """A folder with the original's plan and files, and the run that was trained on them."""
    folder = tmp_path_factory.mktemp("water")
    (folder / "sets").mkdir()
    (folder / "train_plan.txt").write_text(PLAN)
    keys = [("input", "output"), ("prompt", "response")]  # what its README says, and what its code reads
    for number, (name, rows) in enumerate(pairs(shared_data)):
        ask, answer = keys[number % 2]
        records = ({ask: question, answer: reply} for question, reply in islice(rows, RECORDS))
        (folder / "sets" / f"{name}.jsonl").write_text(
            "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = [
            "curriculum.plan=train_plan.txt",
            "data.path=sets",
            "sampling.every_steps=0",
            "training.threads=1",
        ]
        outcome = hornbook.train("water", settings)
    assert outcome.finished
    return folder


def events(folder, kind):
    return [event for event in read_events(folder / "runs/water/events.jsonl") if isinstance(event, kind)]


def test_the_phases_are_those_of_the_plan(water):
    phases = events(water, Phase)
    assert [phase.name for phase in phases] == NAMES
    assert [phase.lr for phase in phases] == [3e-4] * 3 + [2e-4] * 3 + [1e-4]
    assert {phase.batch_rows for phase in phases} == {32}
    assert phases[-1].rows == sum(phase.rows for phase in phases[:-1])


def test_every_set_is_judged_and_the_mix_is_learnt(water):
    validations = events(water, Validation)
    assert set(validations[-1].losses) == set(NAMES[:-1])
    assert validations[-1].loss < validations[0].loss - 0.5


def test_thai_and_line_breaks_reach_the_model_and_answers_alone_are_learnt(water, monkeypatch):
    monkeypatch.chdir(water)
    begun = {phase.name: phase.step - 1 for phase in events(water, Phase)}
    (thai, *_), (code, *_) = (hornbook.lens("runs/water", begun[name]) for name in ("multilingual", "code"))
    assert any("\u0e01" <= letter <= "\u0e5b" for token in thai.tokens for letter in token.text)
    assert "\n" in "".join(token.text for token in code.tokens)
    learnt = "".join(token.text for token in thai.tokens if token.learnt)
    assert "<|eos|>" in learnt and "<|user|>" not in learnt
