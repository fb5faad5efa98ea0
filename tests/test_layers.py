"""The house stands: imports go down, some floors know no torch, files stay short, nothing dangerous is called.

CONTRIBUTING.md draws the floors and says why. Every failure names the file, the line and the way out.
"""

import ast
import functools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from hornbook.models.build import MODELS
from hornbook.models.catalog import CONFIGS, AnyModelConfig

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
FILES = sorted(SRC.rglob("*.py"))

# Lowest first; the longest matching prefix decides. `storage.atomic` needs nothing but the standard library
# and is used from far below the rest of its package, so it has a floor of its own.
FLOORS = (
    "errors",
    "lookup units machine",
    "storage.atomic",
    "config runlog",
    "text models.*.config",
    "models.catalog",
    "run",
    "planning monitoring directml",
    "nn device heap",
    "models.contract",
    "models",
    "models.build",
    "data storage",
    "inference exchange",
    "evaluation proofs",
    "training serving",
    "commands",
    "cli",
    "__main__",
)
NO_FLOOR = len(FLOORS)
RANK = {prefix: rank for rank, floor in enumerate(FLOORS) for prefix in floor.split()}
LIGHT_RANKS = {rank for rank in RANK.values() if rank < RANK["nn"] or rank >= RANK["commands"]}
HEAVY = {"torch", "numpy"}
DOORS = {"commands", "cli"}  # they print, and import the work inside functions, so that --help loads nothing
PLATFORM_MODULES = {"fcntl", "msvcrt", "resource", "winreg"}  # not on every system, so imported where used

MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 400, 60, 7

DANGEROUS_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "yaml.load", "os.system", "os.popen"}
DANGEROUS_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
RUN_APART = {"pickle_child.py"}  # a process of its own that refuses every class and function; never imported


class Import(NamedTuple):
    """One name imported: `target` is dotted; `typing_only` stands under `if TYPE_CHECKING`."""

    target: str
    line: int
    typing_only: bool


def module_name(path: Path) -> str:
    """Dotted name below `hornbook`, "" for the package itself; a folder's __init__ has the folder's name."""
    parts = path.relative_to(SRC).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts and parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def rank(module: str) -> int:
    """Floor of a module, given without the leading `hornbook.`."""
    parts = module.split(".")
    if parts[0] == "models" and parts[-1] == "config":
        return RANK["models.*.config"]
    prefixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((RANK[prefix] for prefix in prefixes if prefix in RANK), NO_FLOOR)


# hornbook/__init__.py stands on no floor: it resolves its names on first use, and test_cli_light.py watches it.
PLACED = [path for module, path in MODULES.items() if module]
LIGHT = [path for path in PLACED if rank(module_name(path)) in LIGHT_RANKS]
LIBRARY = [path for path in PLACED if module_name(path).split(".")[0] not in DOORS]


def imports_of(nodes: list[ast.stmt], *, typing_only: bool = False) -> Iterator[Import]:
    """Imports that run when the module is imported: the top level, with its `if` and `try` blocks."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from from_imports(node, typing_only=typing_only)
        elif isinstance(node, ast.If):
            guarded = typing_only or "TYPE_CHECKING" in ast.unparse(node.test)
            yield from imports_of(node.body, typing_only=guarded)
            yield from imports_of(node.orelse, typing_only=typing_only)
        elif isinstance(node, ast.Try):
            handlers = [statement for handler in node.handlers for statement in handler.body]
            yield from imports_of([*node.body, *handlers, *node.orelse, *node.finalbody], typing_only=typing_only)


def from_imports(node: ast.ImportFrom, *, typing_only: bool = False) -> Iterator[Import]:
    """`from hornbook.a import b` imports hornbook.a.b when that is a module, else hornbook.a."""
    module = node.module or ""
    for alias in node.names:
        inner = f"{module}.{alias.name}"
        known = inner.removeprefix("hornbook.") in MODULES
        yield Import(inner if known else module, node.lineno, typing_only)


@functools.cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path, line: int) -> str:
    """How a failure names a line, so that an editor can jump there."""
    return f"{path.relative_to(ROOT)}:{line}"


def own(target: str) -> str | None:
    """The module below `hornbook` that an import names, or None for anyone else's."""
    return target.removeprefix("hornbook.") if target.startswith("hornbook.") else None


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, nested ones too."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def each(files: list[Path]) -> pytest.MarkDecorator:
    """Run a test once a file, under the file's name."""
    return pytest.mark.parametrize("path", files, ids=lambda path: str(path.relative_to(SRC)))


def optional_packages() -> set[str]:
    """Import names of what pyproject.toml lists as extras, the test tools apart."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {row.split(">")[0] for extra, rows in extras.items() if extra != "dev" for row in rows}
    import_names = {"pygame-ce": "pygame", "flash-linear-attention": "fla"}
    # torch_directml pins an old torch, so it is no extra: it is used where the user's own environment has it.
    return {import_names.get(name, name) for name in names} | {"torch_directml"}


@each(PLACED)
def test_every_module_stands_on_a_floor(path):
    module = module_name(path)
    assert rank(module) != NO_FLOOR, f"{path.relative_to(ROOT)}: add {module} to FLOORS in {Path(__file__).name}"


@each([path for path in PLACED if rank(module_name(path)) != NO_FLOOR])
def test_imports_point_down(path):
    module = module_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for target, line, _ in imports_of(tree(path).body):
        imported = own(target)
        if imported is None or rank(imported) == NO_FLOOR:
            continue
        same_folder = bool(package) and imported.startswith(f"{package}.") and rank(imported) <= rank(module)
        assert same_folder or rank(imported) < rank(module), (
            f"{place(path, line)}: {module} (floor '{FLOORS[rank(module)]}') may not import {imported} "
            f"(floor '{FLOORS[rank(imported)]}'); move what is shared down, or pass it in as a value"
        )


@each(LIGHT)
def test_light_floors_load_no_torch_and_no_numpy(path):
    for target, line, typing_only in imports_of(tree(path).body):
        assert typing_only or target.split(".")[0] not in HEAVY, (
            f"{place(path, line)}: no {target} on this floor: --help and plan would wait for it; "
            "import it inside the command's function, or move the code above 'nn'"
        )


@each(LIGHT)
def test_importing_a_light_module_loads_light_packages_only(path):
    """Importing a.b runs a/__init__.py first, so that file must be as light as a.b."""
    module = module_name(path)
    parents = [parent for parent in MODULES if parent and module.startswith(f"{parent}.")]
    for parent in parents:
        for target, line, typing_only in imports_of(tree(MODULES[parent]).body):
            imported = own(target)
            heavy = target.split(".")[0] in HEAVY or (imported is not None and rank(imported) not in LIGHT_RANKS)
            assert typing_only or not heavy, (
                f"{place(MODULES[parent], line)}: loads {target} for everyone who imports {module}; empty it"
            )


@each(FILES)
def test_imports_are_absolute(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path, node.lineno)}: write the absolute import, from hornbook..."


def test_no_import_cycle_at_module_level():
    graph = {
        module: {
            imported
            for target, _, typing_only in imports_of(tree(path).body)
            if not typing_only and (imported := own(target)) in MODULES and imported != module
        }
        for module, path in MODULES.items()
    }
    settled: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"import cycle: {' -> '.join([*trail[trail.index(module) :], module])}"
        if module not in settled:
            for imported in sorted(graph[module]):
                visit(imported, (*trail, module))
            settled.add(module)

    for module in graph:
        visit(module, ())


@each(LIBRARY)
def test_functions_import_nothing_but_optional_packages(path):
    allowed = optional_packages() | PLATFORM_MODULES
    for function in functions(path):
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                targets = [node.module or ""]
            else:
                continue
            for target in targets:
                assert target.split(".")[0] in allowed, (
                    f"{place(path, node.lineno)}: {function.name} imports {target} late; move it to the top "
                    "of the file. Only packages of an extra, and commands/ and cli.py, import inside functions"
                )


@each(FILES)
def test_no_file_is_longer_than_a_reader_bears(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines, over {MOST_LINES}; split it by idea"


@each(FILES)
def test_no_function_is_longer_than_a_screen(path):
    for function in functions(path):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        assert lines <= MOST_FUNCTION_LINES, (
            f"{place(path, function.lineno)}: {function.name} has {lines} lines, over {MOST_FUNCTION_LINES}; "
            "give its parts names"
        )


@each(LIBRARY)
def test_no_function_takes_more_parameters_than_one_remembers(path):
    for function in functions(path):
        arguments = function.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        count = len([name for name in names if name not in {"self", "cls"}])
        assert count <= MOST_PARAMETERS, (
            f"{place(path, function.lineno)}: {function.name} takes {count} parameters, over {MOST_PARAMETERS}; "
            "some of them are one value"
        )


@each(FILES)
def test_nothing_runs_or_unpickles_what_a_file_says(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in DANGEROUS_CALLS, f"{place(path, node.lineno)}: {name}() can run code found in data"
            risky = [word for word in node.keywords if word.arg in {"shell", "allow_pickle"}]
            refused = [word.arg for word in risky if ast.unparse(word.value) != "False"]
            assert not refused, f"{place(path, node.lineno)}: {refused[0]}= can run code found in data"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found = DANGEROUS_MODULES & {name.split(".")[0] for name in names}
            if path.name in RUN_APART:
                continue
            assert not found, f"{place(path, node.lineno)}: {found.pop()} runs code found in files"


@each(LIBRARY)
def test_only_commands_print(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
            pytest.fail(f"{place(path, node.lineno)}: return a value or write an event; commands print")


@each(FILES)
def test_no_file_is_named_for_nothing(path):
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}, (
        f"{path.relative_to(ROOT)}: name the file after what it owns"
    )


def test_the_two_lists_of_architectures_agree():
    assert set(get_args(AnyModelConfig)) == set(CONFIGS.values()), (
        "models/catalog.py: AnyModelConfig and CONFIGS list different architectures; a recipe could not name one"
    )
    assert set(MODELS) == set(CONFIGS), (
        "MODELS (models/build.py) and CONFIGS (models/catalog.py) differ in their keys"
    )
    for name, config in CONFIGS.items():
        assert config.model_fields["arch"].default == name, f"CONFIGS['{name}'] says arch = another name"
