"""Sets of the hub: placed by hand or fetched from a hub of our own, kept, counted, and refused with a way out.

The hub here is a small HTTP server that answers what the `datasets` library asks the real one. Commands that reach
for it run in a process of their own, because that library reads its environment when it is imported.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.cli import run as run_command
from hornbook.commands.prepare import prepare_hub
from hornbook.config.sections import DataConfig
from hornbook.data.hub import HUB, folder_of, hub_set
from hornbook.data.sources import open_source
from hornbook.errors import ConfigError, DataError
from hornbook.text.records import FORMATS

SOLVED = (
    "<|begin_of_thought|>\n\nTwo and {n}.\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\nIt is {n}.\n\n<|end_of_solution|>"
)
ROWS = {
    "openhermes": [
        {
            "conversations": [
                {"from": "human", "value": f"What is {n}?", "weight": None},
                {"from": "gpt", "value": f"A number, {n}.", "weight": None},
                {"from": "human", "value": "Sure?", "weight": None},
                {"from": "gpt", "value": "Yes.", "weight": None},
            ],
            "system_prompt": "Be brief." if n == 0 else None,
            "source": "made up",
        }
        for n in range(40)
    ],
    "platypus": [
        {"input": "", "output": f"{n} apples", "instruction": f"Count {n} apples.", "data_source": "made up"}
        for n in range(40)
    ],
    "openthoughts": [
        {
            "system": "Put it between <|begin_of_thought|> and <|end_of_thought|>.",
            "conversations": [
                {"from": "user", "value": f"What is 2 + {n}?"},
                {"from": "assistant", "value": SOLVED.format(n=n) if n % 2 else f"<think>{n}</think>It is {n}."},
            ],
        }
        for n in range(40)
    ],
}
"""A few rows in each set's own layout."""


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=10)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A function that puts a set's rows into its folder by hand, in an empty workplace."""
    monkeypatch.chdir(tmp_path)

    def put(name, file="train.jsonl", rows=None):
        write_rows(tmp_path / "hub" / name / file, ROWS[name] if rows is None else rows)
        return f"hub:{name}"

    return put


def contents(path, **settings):
    return [document.content for document in open_source(path, DataConfig(**settings)).documents()]


def said(content):
    return [(message.role, message.text) for message in content]


# Names.


def test_every_named_set_has_a_format_that_is_known():
    assert {"openhermes", "platypus", "openthoughts", "tinystories", "fineweb-edu"} <= set(HUB)
    assert all(one.format in {"auto", *FORMATS} for one in HUB.values())
    assert HUB["openhermes"].page == "https://huggingface.co/datasets/teknium/OpenHermes-2.5"


def test_any_other_set_is_named_by_owner_and_name():
    found = hub_set("hub:some-one/A.set:a-subset@refs/convert/parquet")
    assert (found.repository, found.subset, found.revision) == (
        "some-one/A.set",
        "a-subset",
        "refs/convert/parquet",
    )
    assert folder_of("hub:some-one/A.set:a-subset", DataConfig()) == Path("hub/some-one--A.set--a-subset")


@pytest.mark.parametrize("name", ["openhermse", "", "../up", "a/b/c"])
def test_a_name_of_no_set_is_an_error_with_the_nearest(name):
    with pytest.raises(ConfigError, match=rf"There is no hub set named '{name}'\.\nfix: .*Known: .*openhermes"):
        hub_set(f"hub:{name}")


# Files placed by hand: no library and no connection.


@pytest.mark.parametrize("file", ["train.parquet", "openhermes2_5.json", "deep/down/part.jsonl"])
@pytest.mark.parametrize("name", ROWS)
def test_files_placed_by_hand_are_read_in_the_set_s_layout(place, name, file):
    read = contents(place(name, file), max_documents=7)
    assert len(read) == 7
    first = {
        "openhermes": [("system", "Be brief."), ("user", "What is 0?"), ("assistant", "A number, 0.")],
        "platypus": [("user", "Count 0 apples."), ("assistant", "0 apples")],
        "openthoughts": [("user", "What is 2 + 0?"), ("think", "0"), ("assistant", "It is 0.")],
    }[name]
    assert said(read[0])[:3] == first
    assert name != "openthoughts" or said(read[1])[1:] == [("think", "Two and 1."), ("assistant", "It is 1.")]


def test_the_limit_counts_rows_so_that_a_bad_one_takes_its_place(place):
    rows = [{"instruction": "no answer"}, *ROWS["platypus"]]
    path = place("platypus", rows=rows)
    assert len(contents(path, max_documents=5, max_bad_fraction=0.5)) == 4


def test_a_folder_elsewhere_is_read_with_data_format(tmp_path):
    write_rows(tmp_path / "mine.jsonl", ROWS["openhermes"])
    read = contents(str(tmp_path / "mine.jsonl"), format="openhermes", max_documents=1)
    assert said(read[0])[0] == ("system", "Be brief.")


def test_a_set_that_is_not_there_says_how_to_get_it(place):
    with pytest.raises(DataError) as caught:
        open_source("hub:openthoughts", DataConfig(max_documents=50))
    absent, folder = Path("hub/openthoughts/first-50.jsonl"), f"{Path('hub/openthoughts')}{os.sep}"
    assert str(caught.value) == (
        f"hub:openthoughts is not there: {absent} is absent.\n"
        "fix: run hornbook prepare hub:openthoughts --limit 50, or download the .parquet, .json or .jsonl files of "
        "https://huggingface.co/datasets/open-thoughts/OpenThoughts-114k on a machine with a connection and put them "
        f"in {folder}."
    )


# The command.


def test_every_set_is_counted_and_shown(place, capsys):
    rows = [*ROWS["platypus"][:9], {"instruction": "a"}, {"instruction": "b"}, {"instruction": "c", "output": " "}]
    names = [place("openhermes"), place("openthoughts", "train.parquet"), place("platypus", rows=rows)]
    assert run_command(["prepare", *names, "--limit", "30"]) == 0
    shown = capsys.readouterr().out
    table = [line.split() for line in shown.splitlines() if line.startswith("  hub:")]
    assert table == [
        ["hub:openhermes", "30", "30", "0", "30", "0"],
        ["hub:openthoughts", "30", "30", "0", "0", "30"],
        ["hub:platypus", "12", "9", "3", "0", "0"],
    ]
    assert "  1 empty\n" in shown
    assert "  2 skipped: no field 'output' (it has instruction).\n" in shown
    assert "first: <|bos|>↵<|user|>What is 2 + 0?<|/user|>↵<|think|>↵0↵<|/think|>↵" in shown
    assert 'train forge-nano \'data.path=["hub:openhermes", "hub:openthoughts", "hub:platypus"]\'' in shown


def test_one_set_s_failure_is_told_and_stops_no_other(place, capsys):
    bad = place("openhermes", rows=[{"conversations": [{"from": "gpt", "value": "Hello"}]}])
    assert run_command(["prepare", bad, place("platypus"), "--limit", "3"]) == 1
    out, err = capsys.readouterr()
    assert "hub:openhermes  -     -     -        -              FAILED, see below" in out
    assert "hub:platypus    3     3" in out
    assert 'data.path=["hub:platypus"]' in out
    assert err.startswith(
        "error: hub:openhermes: none of 1 records can be used: Message 1 has role 'assistant' after 'start'.\nfix: "
    )


def test_nothing_usable_is_exit_code_2(place, capsys):
    bad = place("platypus", rows=[{"instruction": "alone"}])
    assert run_command(["prepare", bad]) == 2
    assert "none of 1 records can be used: no field 'output'" in capsys.readouterr().err


def test_a_misspelt_name_is_refused_before_anything_else(place, capsys):
    assert run_command(["prepare", place("platypus"), "hub:platipus"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "did you mean 'platypus'?" in err


def test_json_holds_counts_and_failures(place, capsys):
    bad = place("openhermes", rows=[{"conversations": []}])
    assert run_command(["prepare", place("platypus"), bad, "--limit", "4", "--json"]) == 1
    good, failed = json.loads(capsys.readouterr().out)
    assert (good["path"], good["read"], good["kept"], good["skipped"]) == ("hub:platypus", 4, 4, {})
    assert failed["path"] == "hub:openhermes"
    assert "none of 1 records" in failed["problem"]


@pytest.mark.parametrize(("option", "fix"), [("--limit=5", "data.max_documents=5"), ("--output=x", "data.folder")])
def test_options_of_the_hub_are_refused_for_recipes(option, fix, capsys):
    assert run_command(["prepare", "text", option]) == 2
    assert fix in capsys.readouterr().err


def test_what_is_kept_is_written_in_the_first_forge_s_format_and_read_back(place, capsys):
    forged = {"input": "", "instruction": "Say <|/user|>.", "output": "No."}
    paths = [place("openthoughts"), place("platypus", rows=[*ROWS["platypus"], forged])]
    assert run_command(["prepare", *paths, "--output", "data/train.jsonl"]) == 0
    assert "1 not written: their words spell a special token" in capsys.readouterr().out
    everything = contents(paths[0]) + contents(paths[1])[:-1]
    assert contents("data/train.jsonl", format="forge1") == everything


def test_training_goes_straight_from_a_hub_name(place, capsys):
    settings = [f"data.path={place('openthoughts')}", "data.max_documents=30", "tokenizer.kind=bytes"]
    settings += ["model.context=32", "data.template=forge1"]
    assert run_command(["prepare", "text", *settings]) == 0
    assert "template forge1" in capsys.readouterr().out


# Through the library, from a hub.


class Hub(BaseHTTPRequestHandler):
    """Answers for folders OWNER--NAME below `root` what the hub answers for repositories; counts what it sends."""

    root = Path()
    sent = 0
    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    def log_message(self, *words):
        pass

    def do_GET(self):
        parts = urlparse(unquote(self.path)).path.strip("/").split("/")
        is_api = parts[0] == "api"
        kind, *rest = parts[1:] if is_api else parts
        folder = self.root / "--".join(rest[:2])
        if kind != "datasets" or not folder.is_dir():
            return self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = {path.relative_to(folder).as_posix(): path for path in files}
        if not is_api:
            return self.file(names.get("/".join(rest[4:])))
        what = rest[2] if len(rest) > 2 else "revision"
        if what == "paths-info":
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
            return self.json([entry(name, names[name]) for name in asked if name in names])
        if what == "revision":
            siblings = [{"rfilename": name} for name in names]
            return self.json(
                {"id": "/".join(rest[:2]), "sha": self.COMMIT, "private": False, "siblings": siblings}
            )
        return self.tree(names, "/".join(rest[4:]))

    do_HEAD = do_POST = do_GET

    def tree(self, names, below):
        inside = {name: path for name, path in names.items() if not below or name.startswith(f"{below}/")}
        folders = {str(parent) for name in inside for parent in Path(name).parents if str(parent) != "."}
        entries = [entry(name, path) for name, path in inside.items()]
        entries += [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(folders)]
        return self.json(entries) if inside else self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def file(self, path):
        if path is None:
            return self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.COMMIT})
        data, headers = path.read_bytes(), {"X-Repo-Commit": self.COMMIT, "ETag": f'"{digest(path)}"'}
        if wanted := self.headers.get("Range"):
            first, last = wanted.removeprefix("bytes=").split("-")
            end = min(int(last or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{end}/{len(data)}"
            return self.answer(206, data[int(first) : end + 1], headers)
        return self.answer(200, data, headers)

    def json(self, value):
        return self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer(self, status, body, headers):
        type(self).sent += len(body)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def entry(name, path):
    return {"type": "file", "path": name, "size": path.stat().st_size, "oid": digest(path)}


def digest(path):
    return hashlib.sha1(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(tmp_path):
    """A hub with the sets of ROWS but one, laid out as the real ones are, and how to run a command against it."""
    root = tmp_path / "repositories"
    write_rows(root / "teknium--OpenHermes-2.5" / "default" / "train" / "0000.parquet", ROWS["openhermes"])
    platypus = root / "garage-bAInd--Open-Platypus"
    write_rows(platypus / "data" / "train-00000-of-00001.parquet", ROWS["platypus"])
    card = [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: data/train-*",
    ]
    (platypus / "README.md").write_text("\n".join([*card, "---", ""]))
    write_rows(root / "some-one--lines" / "train.jsonl", [{"text": f"Line {n}."} for n in range(40)])
    write_rows(root / "some-one--numbers" / "train.jsonl", [{"number": n} for n in range(40)])
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Hub,), {"root": root, "sent": 0}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "hf")}
    (tmp_path / "here").mkdir()

    def run(*words, offline=False, program=("-m", "hornbook")):
        environment = {**os.environ, **home, **({"HF_HUB_OFFLINE": "1"} if offline else {})}
        return subprocess.run(
            [sys.executable, *program, *words],
            cwd=tmp_path / "here",
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    run.server, run.here, run.root = server, tmp_path / "here", root
    yield run
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_sets_are_fetched_through_the_library_once(hub):
    sets = ["hub:openhermes", "hub:platypus", "hub:openthoughts"]
    first = hub("prepare", *sets, "--limit", "12")
    assert first.returncode == 1, first.stderr
    assert "hub:openhermes    12    12    0        12             0" in first.stdout
    assert "hub:platypus      12    12    0        0              0" in first.stdout
    assert "error: hub:openthoughts cannot be fetched: RepositoryNotFoundError: 404" in first.stderr
    assert (
        "fix: download the .parquet, .json or .jsonl files of https://huggingface.co/datasets/open-thoughts"
        in (first.stderr)
    )
    folder = hub.here / "hub" / "openhermes"
    rows = [json.loads(line) for line in (folder / "first-12.jsonl").read_text().splitlines()]
    assert [row["conversations"] for row in rows] == [row["conversations"] for row in ROWS["openhermes"][:12]]
    assert rows[0]["system_prompt"] == "Be brief."
    about = json.loads((folder / ".first-12.json").read_text())
    assert (about["repository"], about["revision"], about["rows"]) == ("teknium/OpenHermes-2.5", Hub.COMMIT, 12)

    sent = hub.server.RequestHandlerClass.sent
    again = hub("prepare", *sets[:2], "--limit", "12")
    fewer = hub("prepare", *sets[:2], "--limit", "5")
    assert (again.returncode, fewer.returncode) == (0, 0)
    assert hub.server.RequestHandlerClass.sent == sent, "what is there was fetched again"
    assert "hub:openhermes: the first 5 rows of first-12.jsonl" in fewer.stdout
    assert len((folder / "first-5.jsonl").read_text().splitlines()) == 5


@pytest.mark.slow
def test_any_set_of_the_hub_is_read_by_its_name(hub):
    done = hub("prepare", "hub:some-one/lines@main", "hub:some-one/numbers", "--limit", "50")
    assert done.returncode == 1, done.stderr
    assert "hub:some-one/lines@main  40    40" in done.stdout
    assert "error: hub:some-one/numbers has no column that is known as text (it has number).\nfix: " in done.stderr
    assert (hub.here / "hub" / "some-one--lines--main" / "first-50.jsonl").is_file()
    assert not list((hub.here / "hub" / "some-one--numbers").glob("first*"))


@pytest.mark.slow
def test_training_fetches_what_it_needs(hub):
    words = ["tokenizer.kind=bytes", "model.context=64", "data.path=hub:openhermes", "data.max_documents=40"]
    done = hub("prepare", "text", *words, "data.template=forge1")
    assert done.returncode == 0, done.stderr
    assert "hub:openhermes: fetching the first 40 rows of teknium/OpenHermes-2.5" in done.stdout


@pytest.mark.slow
def test_offline_the_cache_serves_and_its_lack_is_explained(hub):
    load = "import datasets; datasets.load_dataset('garage-bAInd/Open-Platypus')"
    assert hub(program=("-c", load)).returncode == 0
    download = "import huggingface_hub as h; h.snapshot_download('some-one/lines', repo_type='dataset')"
    assert hub(program=("-c", download)).returncode == 0
    sets = ["hub:platypus", "hub:some-one/lines", "hub:openhermes"]
    done = hub("prepare", *sets, "--limit", "4", offline=True)
    assert done.returncode == 1, done.stderr
    assert "hub:platypus        4     4" in done.stdout
    assert "hub:some-one/lines  4     4" in done.stdout
    folder = f"{Path('hub/openhermes')}{os.sep}"
    assert done.stderr == (
        "error: hub:openhermes cannot be fetched: the hub cannot be reached (HF_HUB_OFFLINE is set).\n"
        "fix: download the .parquet, .json or .jsonl files of https://huggingface.co/datasets/teknium/OpenHermes-2.5 "
        "(branch refs/convert/parquet, default/train/*.parquet) on a machine with a connection and put them in "
        f"{folder}; or try again later.\n"
    )
    nothing = hub("prepare", "hub:openhermes", "hub:openthoughts", offline=True)
    assert nothing.returncode == 2
    assert nothing.stderr.count("error: ") == 2


@pytest.mark.slow
def test_without_the_library_it_says_which_extra(hub):
    hidden = "import sys; sys.modules['datasets'] = None; from hornbook.cli import main; main()"
    done = hub("prepare", "hub:platypus", program=("-c", hidden))
    assert done.returncode == 2
    assert "error: hub:platypus cannot be fetched: the datasets library is not installed.\n" in done.stderr
    assert (
        'fix: install it: python -m pip install --editable ".[hub]" --constraint constraints.txt; or'
        in done.stderr
    )


def test_python_gets_the_same_as_values(place):
    done = prepare_hub([place("platypus")], ["data.max_documents=3"])
    assert [(one.path, one.survey.kept, one.failure) for one in done] == [("hub:platypus", 3, None)]
