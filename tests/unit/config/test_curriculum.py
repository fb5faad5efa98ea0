"""Plans in one line a phase, and the settings that say the same."""

import pytest

from hornbook.config.curriculum import COMBINED, CurriculumConfig, PhaseConfig, read_plan
from hornbook.errors import ConfigError, SettingsError
from hornbook.run import load_run, make_run, save_run

ORIGINAL = """# dataset_name.jsonl | epochs | optional: lr | optional: batch_size

# === Phase 1 ===
math_reasoning.jsonl     | 3 | 3e-4 | 32
logic_qa.jsonl           | 3 | 3e-4 | 32

# === (Optional) ===
combined.jsonl         | 1 | 1e-4 | 16   # all of it again
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two sets and the plan beside them, which is also where we are."""
    monkeypatch.chdir(tmp_path)
    for name in ("math_reasoning.jsonl", "logic_qa.jsonl"):
        (tmp_path / name).write_text('{"input": "1", "output": "2"}\n')
    (tmp_path / "train_plan.txt").write_text(ORIGINAL)
    return tmp_path


def plan(folder, text):
    (folder / "plan.txt").write_text(text)
    return read_plan(folder / "plan.txt")


def test_a_plan_of_the_original_is_read_as_it_is(folder):
    assert read_plan(folder / "train_plan.txt") == (
        PhaseConfig(
            path=f"{folder}/math_reasoning.jsonl", name="math_reasoning", epochs=3, lr=3e-4, batch_rows=32
        ),
        PhaseConfig(path=f"{folder}/logic_qa.jsonl", name="logic_qa", epochs=3, lr=3e-4, batch_rows=32),
        PhaseConfig(path=COMBINED, name="combined", epochs=1, lr=1e-4, batch_rows=16),
    )


def test_rate_and_rows_may_be_left_out_or_empty(folder):
    (short,) = plan(folder, "logic_qa.jsonl|2")
    (empty,) = plan(folder, "logic_qa.jsonl | 2 | | 8")
    assert (short.lr, short.batch_rows) == (None, None)
    assert (empty.lr, empty.batch_rows) == (None, 8)


def test_a_byte_order_mark_windows_lines_and_a_hash_in_a_name_are_read(folder):
    (folder / "c#.jsonl").write_text("")
    (folder / "plan.txt").write_bytes(b"\xef\xbb\xbfc#.jsonl | 1\r\n\r\n")
    assert [phase.name for phase in read_plan(folder / "plan.txt")] == ["c#"]


def test_a_file_called_combined_is_that_file(folder):
    (folder / "combined.jsonl").write_text("")
    assert read_plan(folder / "train_plan.txt")[2].path == f"{folder}/combined.jsonl"


def test_files_are_looked_for_beside_the_plan_and_then_in_the_data_folder(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "code.jsonl").write_text("")
    (elsewhere / "logic_qa.jsonl").write_text("")
    (folder / "plan.txt").write_text("logic_qa.jsonl | 1\ncode.jsonl | 1\nbuiltin:maths | 1\nhub:a/b | 1")
    found = [phase.path for phase in read_plan(folder / "plan.txt", elsewhere)]
    assert found == [f"{folder}/logic_qa.jsonl", f"{elsewhere}/code.jsonl", "builtin:maths", "hub:a/b"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("logic_qa.jsonl", "'logic_qa.jsonl' is no phase."),
        ("a | 1 | 2 | 3 | 4", "'a | 1 | 2 | 3 | 4' is no phase."),
        ("| 3", "'| 3' is no phase."),
        ("logic_qa.jsonl | many", "EPOCHS, how often it is read, must be a number above 0, not 'many'."),
        ("logic_qa.jsonl | 0", "EPOCHS, how often it is read, must be a number above 0, not '0'."),
        ("logic_qa.jsonl | 1 | fast", "RATE, its learning rate, must be a number above 0, not 'fast'."),
        ("logic_qa.jsonl | 1 | nan", "RATE, its learning rate, must be a number above 0, not 'nan'."),
        ("logic_qa.jsonl | 1 | 1e-3 | 2.5", "ROWS, the rows of a step, must be whole, not '2.5'."),
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_what_is_expected(folder, line, problem):
    with pytest.raises(ConfigError) as caught:
        plan(folder, f"# first\n\n{line}\n")
    assert caught.value.problem == f"{folder}/plan.txt, line 3: {problem}"
    assert caught.value.fix.startswith(
        "write FILE | EPOCHS | RATE | ROWS, as in math_reasoning.jsonl | 3 | 3e-4 | 32"
    )


def test_a_file_that_is_nowhere_is_named_with_the_line_and_the_places(folder):
    with pytest.raises(ConfigError) as caught:
        plan(folder, "code.jsonl | 3")
    assert caught.value.problem == f"{folder}/plan.txt, line 1: there is no code.jsonl (looked in {folder})."
    assert "data.path" in caught.value.fix


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"# nothing\n", "plan.txt names no phase."),
        (b"combined | 1\n", "the first phase combines those before it, and there are none."),
        (b"\xff\xfe\x00", "plan.txt cannot be read: "),
    ],
)
def test_a_plan_without_use_says_why(folder, content, problem):
    (folder / "plan.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        read_plan(folder / "plan.txt")


def test_a_plan_that_is_nowhere_is_named(folder):
    with pytest.raises(ConfigError, match=r"There is no plan nowhere.txt \(curriculum.plan\)"):
        make_run("text", ["curriculum.plan=nowhere.txt"], environment={})


def test_phases_know_their_sets_and_their_names():
    described = [{"path": "x/a.jsonl"}, {"path": ("b", "builtin:c")}, {"path": "x/a.jsonl"}, {"path": COMBINED}]
    curriculum = CurriculumConfig.model_validate({"phases": described})
    assert curriculum.paths == ("x/a.jsonl", "b", "builtin:c")
    assert curriculum.members == ((0,), (1, 2), (0,), (0, 1, 2))
    assert curriculum.names == ("a", "b+c", "a 2", "combined")


def test_steps_go_through_every_row_and_fill_the_last_batch():
    assert PhaseConfig(path="a", epochs=3).steps(rows=10, batch_rows=4) == 8
    assert PhaseConfig(path="a", epochs=0.1).steps(rows=30, batch_rows=1) == 3
    assert PhaseConfig(path="a", epochs=0.001).steps(rows=10, batch_rows=4) == 1


def test_a_plan_on_the_command_line_takes_the_place_of_the_phases_of_a_recipe(folder):
    (folder / "mine.toml").write_text('[[curriculum.phases]]\npath = "builtin:code"\n')
    run = make_run("mine.toml", ["curriculum.plan=train_plan.txt", "training.steps=7"], environment={})
    assert run.curriculum.names == ("math_reasoning", "logic_qa", "combined")
    assert run.curriculum.max_steps == 7
    assert run.paths == ("math_reasoning.jsonl", "logic_qa.jsonl")
    assert make_run("mine.toml", environment={}).curriculum.max_steps is None


def test_what_a_plan_said_is_saved_with_the_run(folder):
    run = make_run("text", ["curriculum.plan=train_plan.txt"], environment={})
    save_run(run, folder / "config.json")
    (folder / "train_plan.txt").unlink()
    assert load_run(folder / "config.json") == run


def test_phases_find_their_files_in_the_data_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    settings = ["curriculum.phases=[{path='logic_qa.jsonl'}]", f"data.path={folder}"]
    assert make_run("text", settings, environment={}).paths == (f"{folder}/logic_qa.jsonl",)


def test_a_curriculum_holds_out_by_hash_unless_told_otherwise(folder):
    plan = "curriculum.plan=train_plan.txt"
    assert make_run("text", [plan], environment={}).reading.split == "documents"
    assert make_run("text", [plan, "data.split=tail"], environment={}).reading.split == "tail"
    assert make_run("text", environment={}).reading.split == "auto"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["curriculum.phases=[{path='combined'}]"], "phase 1 of curriculum.phases reads nothing."),
        (["curriculum.phases=[{path=''}]"], "phase 1 of curriculum.phases reads nothing."),
        (
            ["curriculum.phases=[{path='a'}]", "data.sources=[{path='b'}]"],
            "curriculum.phases and data.sources are both set.",
        ),
        (
            ["curriculum.phases=[{path='a', batch_rows=6}]", "training.micro_batch_rows=4"],
            "training.micro_batch_rows = 4 does not divide the 6 rows of a phase.",
        ),
        (["curriculum.phases=[{path='a', epochs=0}]"], "curriculum.phases[0].epochs"),
    ],
)
def test_phases_that_cannot_be_are_refused(folder, settings, problem):
    with pytest.raises(SettingsError) as caught:
        make_run("text", settings, environment={})
    assert problem in caught.value.problem


def test_data_that_no_phase_reads_is_refused(folder):
    with pytest.raises(ConfigError) as caught:
        make_run("text", ["curriculum.phases=[{path='builtin:code'}]", "data.path=logic_qa.jsonl"], environment={})
    assert caught.value.problem.startswith("data.path = logic_qa.jsonl is not read")
    assert "data.path='\"\"'" in caught.value.fix


def test_micro_batches_are_the_largest_batch_unless_named(folder):
    settings = ["curriculum.phases=[{path='builtin:code', batch_rows=96}, {path='builtin:code'}]"]
    assert make_run("text", settings, environment={}).micro_batch_rows == 96
