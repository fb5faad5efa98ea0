"""What the documents name exists: pages, files, tests, commands, options, settings, events."""

import dataclasses
import re
from pathlib import Path

import pytest
import typer

from hornbook import cli
from hornbook.config.describe import list_settings
from hornbook.run import RunConfig
from hornbook.runlog.events import KINDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *sorted(DOCS.glob("**/*.md")),
    ]
}
GONE = {
    "data/lion.py",
    "plan.py",
    "hornbook/plan.py",
    "nn/embedding.py",
    "inference/thinking.py",
    "storage/migrate.py",
}
"""Files that decisions speak of because they are not there."""

APP = typer.main.get_command(cli.make_app())
OPTIONS = {
    name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for name, command in APP.commands.items()
}


def inline_code(text: str) -> list[str]:
    """Return what stands between backticks, outside of blocks."""
    return re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def headings(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def section(text: str, heading: str) -> str:
    """Return what stands under a heading of the second rank."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading '## {heading}'"
    return found[1]


def codes(pattern: str) -> list[tuple[str, str]]:
    """Return page and text of all inline code that is of this form."""
    return [
        (name, code) for name, text in PAGES.items() for code in inline_code(text) if re.fullmatch(pattern, code)
    ]


def test_every_link_leads_somewhere():
    broken = []
    for name, text in PAGES.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            page, _, anchor = target.partition("#")
            path = (ROOT / name).parent / page if page else ROOT / name
            if target.startswith(("http://", "https://")):
                continue
            if not path.exists() or (anchor and anchor not in headings(path.read_text(encoding="utf-8"))):
                broken.append(f"{name} -> {target}")
    assert not broken


def test_every_page_is_reached_from_the_index():
    pages = [name.removeprefix("docs/") for name in PAGES if name.startswith("docs/") and name != "docs/README.md"]
    assert [page for page in pages if f"({page})" not in PAGES["docs/README.md"]] == []


def test_every_file_that_is_named_exists():
    # A chain such as `data/files.py`, `lines.py` names the folder once; only whole paths are checked.
    named = [(name, code) for name, code in codes(r"[\w./-]+/[\w-]+\.(py|toml)") if code not in GONE]
    places = (ROOT, ROOT / "src", ROOT / "src" / "hornbook")
    assert [one for one in named if not any((place / one[1]).exists() for place in places)] == []
    assert len(named) > 50


def test_every_test_that_is_named_exists():
    sources = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
    named = codes(r"test_\w+")
    assert [one for one in named if f"def {one[1]}(" not in sources] == []
    assert len(named) > 8


def test_every_command_that_is_named_exists_with_its_options():
    wrong = []
    for name, code in codes(r"hornbook [a-z-].*"):
        command, *words = code.split()[1:]
        known = OPTIONS.get(command, set()) | {"--debug", "--help", "--version"}
        said = [word for word in (command, *words) if re.fullmatch(r"--[a-z-]+", word)]
        if (command not in OPTIONS and not said) or not known.issuperset(said):
            wrong.append(f"{name}: {code}")
    assert not wrong


def test_every_setting_that_is_named_exists():
    known = {setting.name for setting in list_settings(RunConfig)}
    sections = "|".join({setting.partition(".")[0] for setting in known})
    named = codes(rf"({sections})\.(?!py$|jsonl?$)[a-z_]+([ =].*)?")
    assert [one for one in named if re.split("[ =]", one[1])[0] not in known] == []
    assert len(named) > 50


def test_the_reference_of_commands_names_every_option():
    page = PAGES["docs/reference/commands.md"]
    for name, options in OPTIONS.items():
        said = section(page, name)
        missing = [option for option in options if option.startswith("--") and option not in said]
        assert not missing, f"{name} {missing}"


def test_the_reference_of_events_names_every_field():
    page = PAGES["docs/reference/events.md"]
    said = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert said == list(KINDS)
    for kind, event in KINDS.items():
        first_cells = re.findall(r"^\| (`.*?) \|", section(page, kind), re.MULTILINE)
        fields = [field for cell in first_cells for field in re.findall(r"`(\w+)`", cell)]
        assert sorted(fields) == sorted(field.name for field in dataclasses.fields(event)), kind
        assert ("Replayed" in section(page, kind)) == event.REPLAYED, kind


def test_the_pages_name_no_path_of_a_machine():
    for name, text in PAGES.items():
        assert not re.search(r"/(work|tmp|root|home)/", text), name


def test_the_comparisons_can_fail():
    assert "--start-over" in OPTIONS["train"] and "--begin-again" not in OPTIONS["train"]
    with pytest.raises(AssertionError, match="no heading '## chat'"):
        section(PAGES["docs/reference/commands.md"], "chat")
