"""Every command and Python example in the documents runs, shrunk to a few tiny steps on made-up text.

A page is played from top to bottom in a folder of its own, where two trained runs and some files already lie. Blocks
marked `sh` or `python`, and indented blocks, are run; other blocks are not, but comments before any block may say:

    <!-- file: NAME -->   the block is the content of that file, for the commands after it
    <!-- exit: 2 -->      the commands below leave with this exit code
    <!-- skip: reason --> the block is not run
"""

import gzip
import io
import json
import random
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.parquet
import pytest

from hornbook import cli
from hornbook.commands.demo import small
from hornbook.errors import HornbookError
from hornbook.models.catalog import CONFIGS
from hornbook.run import make_run

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
}

TINY = [
    "model.width=32",
    "model.num_layers=1",
    "model.num_heads=4",
    "training.steps=2",
    "training.micro_batch_rows=none",
    "precision.dtype=fp32",
    "precision.attention=sdpa",
    "evaluation.problems=5",
    "evaluation.max_tokens=1024",
    "sampling.max_tokens=4",
    "data.problems=400",
    "data.workers=1",
]
TINY_WHERE_FREE = ["model.context=32", "training.batch_tokens=128"]
"""Made small where the example does not choose them itself."""

NOT_OURS = {
    "cd": "the test has its own folder",
    "git": "needs the network",
    "python3": "set-up, see tests/test_packaging.py",
    "py": "set-up, see tests/test_packaging.py",
    "source": "changes the reader's shell",
}
"""Programs in examples that are not run, and why; programs of the environment are set-up too."""

WITH_SETTINGS = ("demo", "plan", "prepare", "train", "bench-step")


class Block(NamedTuple):
    """One block of a page: its first line's number, its language ("" if indented), its text and its marks."""

    line: int
    language: str
    text: str
    marks: dict[str, str]


FENCE = re.compile(r"```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^\n|\A)((?: {4}.*\n(?:\n(?= {4}))?)+)", re.MULTILINE)
MARKS = re.compile(r"((?:<!-- \w+: .*? -->\s*)+)\Z")


def blocks(text: str) -> list[Block]:
    """Find the blocks of a page, in order."""
    fenced = [(found, found[1], found[2]) for found in FENCE.finditer(text)]
    without = FENCE.sub(lambda found: re.sub(r"[^\n]", ".", found[0]), text)
    indented = [
        (found, "", re.sub(r"^ {4}", "", found[1], flags=re.MULTILINE)) for found in INDENTED.finditer(without)
    ]
    return [
        Block(text[: found.start()].count("\n") + 1, language, body, marks_before(text[: found.start()]))
        for found, language, body in sorted(fenced + indented, key=lambda one: one[0].start())
    ]


def marks_before(text: str) -> dict[str, str]:
    found = MARKS.search(text)
    return dict(re.findall(r"<!-- (\w+): (.*?) -->", found[1])) if found else {}


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the commands of a shell block as words; output and Python that stand indented are none."""
    for line in block.text.replace("\\\n", " ").splitlines():
        windows = "\\" in line and "'" not in line
        words = shlex.split(line.replace("\\", "/") if windows else line, comments=True)
        if words:
            yield words


def hornbook_words(words: list[str]) -> list[str] | None:
    """Return the words after `hornbook`, or None if the command is another's."""
    return words[1:] if Path(words[0]).name == "hornbook" else None


def is_shell(block: Block) -> bool:
    if block.language:
        return block.language == "sh"
    programs = ("hornbook", "make", ".venv", ".bench", *NOT_OURS)
    return block.text.startswith(programs)


def shrunk(words: list[str]) -> list[str]:
    """Add settings that make a command tiny; they stand last, so they win."""
    if words[0] not in WITH_SETTINGS:
        return words
    said = {word.partition("=")[0] for word in words}
    free = [setting for setting in TINY_WHERE_FREE if setting.partition("=")[0] not in said]
    end = next((number for number, word in enumerate(words) if word.startswith("--")), len(words))
    return [*words[:end], *fitting(words, [*TINY, *free]), *words[end:]]


def fitting(words: list[str], settings: list[str]) -> list[str]:
    """Leave out what the architecture that these words ask for does not have."""
    recipe = words[1] if words[0] != "demo" else "demo"
    if "--recipe" in words:
        recipe = small(words[words.index("--recipe") + 1])
    try:
        run = make_run(recipe, [word for word in words[1:] if re.match(r"\w+\.\w+=", word)], environment={})
    except HornbookError:
        return settings  # an example of a mistake
    foreign = {f"model.{name}" for config in CONFIGS.values() for name in config.model_fields}
    foreign -= {f"model.{name}" for name in type(run.model).model_fields}
    return [setting for setting in settings if setting.partition("=")[0] not in foreign]


HUB_LINES = {
    "openhermes": '{"conversations": [{"from": "human", "value": "%d + %d?"}, {"from": "gpt", "value": "%d"}]}\n',
    "platypus": '{"instruction": "What is %d plus %d?", "input": "", "output": "It is %d."}\n',
    "openthoughts": '{"system": null, "conversations": [{"from": "user", "value": "%d + %d?"}, '
    '{"from": "assistant", "value": "<think>I add.</think>It is %d."}]}\n',
}
"""A record of each set of the hub, as if its files had been placed by hand."""


def write_samples(folder: Path) -> None:
    """Write the files that examples read: what the pages call input.txt, chats.jsonl and so on."""
    chance = random.Random(0)
    sentences = [
        f"{chance.choice(['Ana', 'Ben', 'Cleo'])} saw {chance.randint(2, 99)} {chance.choice(['boats', 'cards'])}.\n"
        for _ in range(300)
    ]
    for name in ("input.txt", "story.txt", "your.txt", "tinyshakespeare.txt"):
        (folder / name).write_text("".join(sentences))
    sums = [(chance.randint(2, 99), chance.randint(2, 99)) for _ in range(120)]
    asked = [{"question": f"What is {a} plus {b}?", "answer": f"It is {a + b}."} for a, b in sums]
    quiz = [{"qText": one["question"], "answers": [one["answer"], one["answer"].split()[-1]]} for one in asked]
    told = [
        {
            "messages": [
                {"role": "user", "content": one["question"]},
                {"role": "assistant", "content": one["answer"]},
            ]
        }
        for one in asked
    ]
    for name, records in (
        ("questions.jsonl", asked),
        ("chats.jsonl", told),
        ("quiz.jsonl", quiz),
        ("gsm8k/train.jsonl", asked),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    for name in ("gsm8k/train.jsonl", "wikitext2-valid.txt", "wikitext2-test.txt"):
        source = folder / name if name.endswith("l") else folder / "story.txt"
        (folder / f"{name}.gz").write_bytes(gzip.compress(source.read_bytes()))
    for name, line in HUB_LINES.items():
        (folder / "hub" / name).mkdir(parents=True)
        (folder / "hub" / name / "rows.jsonl").write_text("".join(line % (a, b, a + b) for a, b in sums))
    (folder / "books").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"text": sentences}), folder / "books" / "0.parquet")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder with the samples and the runs that pages speak of without training them first."""
    folder = tmp_path_factory.mktemp("workshop")
    write_samples(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for words in (
            ["demo"],
            *(
                ["train", "text", f"data.path={data}", f"run.folder=runs/{name}"]
                for name, data in (("text", "input.txt"), ("b-lm-bpe", "input.txt"), ("chats", "chats.jsonl"))
            ),
        ):
            assert cli.run(shrunk(words)) == 0, words
    return folder


class Page:
    """A page being played."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.names: dict[str, object] = {}
        self.trained: set[Path] = set()

    def play(self, block: Block) -> None:
        if "file" in block.marks:
            Path(block.marks["file"]).write_text(block.text)
        elif "skip" in block.marks:
            return
        elif block.language == "python":
            with pytest.MonkeyPatch.context() as patch:
                for setting in (*TINY, *TINY_WHERE_FREE):
                    name, _, value = setting.partition("=")
                    patch.setenv(f"HORNBOOK_{name.replace('.', '__')}".upper(), value)
                exec(compile(block.text, f"{self.name}, line {block.line}", "exec"), self.names)
        elif is_shell(block):
            for words in commands(block):
                self.run(words, block)

    def run(self, words: list[str], block: Block) -> None:
        where = f"{self.name}, line {block.line}: {shlex.join(words)}"
        ours = hornbook_words(words)
        if ours is None:
            check_other_program(words, where)
        else:
            self.make_room(ours)
            assert cli.run(shrunk(ours)) == int(block.marks.get("exit", 0)), where

    def make_room(self, words: list[str]) -> None:
        """Take away a run that lay ready, where the page itself trains one of that name."""
        if words[0] in ("train", "demo"):
            named = [word.partition("=")[2] for word in words if word.startswith("run.folder=")]
            folder = Path(named[-1] if named else f"runs/{Path(words[1] if words[0] == 'train' else 'demo').stem}")
            if folder not in self.trained and folder.exists():
                shutil.rmtree(folder)
            self.trained.add(folder)


def check_other_program(words: list[str], where: str) -> None:
    """Check what can be checked of a command that is not run: make's target, a script's path."""
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        targets = [word for word in words[1:] if "=" not in word]
        assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), where
        return
    program = Path(words[0]).name if words[0].startswith((".venv", ".bench")) else words[0]
    known = program in NOT_OURS or program == "python"
    assert known, f"{where}: say in NOT_OURS why {words[0]} is not run"
    for word in words[1:]:
        if word.endswith(".py"):
            assert (ROOT / word).is_file(), where


def examples(name: str) -> list[Block]:
    """Return the blocks of a page that are more than text to look at."""
    found = blocks(PAGES[name].read_text(encoding="utf-8"))
    return [block for block in found if block.marks or block.language == "python" or is_shell(block)]


@pytest.mark.parametrize("name", [name for name in PAGES if examples(name)])
def test_the_examples_of_a_page_run(name, workshop, tmp_path, monkeypatch, capsys):
    shutil.copytree(workshop, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(workshop / "cache"))
    # Whoever asks the reader something hears that nobody is there.
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    page = Page(name)
    for block in examples(name):
        page.play(block)


def test_a_renamed_command_would_be_noticed(tmp_path, monkeypatch):
    """The test above can fail."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="a page, line 1: hornbook recepies"):
        Page("a page").play(blocks("```sh\nhornbook recepies\n```\n")[0])
