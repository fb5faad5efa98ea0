"""Water's training plan, with the records it names -> a folder the water recipe trains from."""

from pathlib import Path

from hornbook.config.curriculum import read_plan
from hornbook.errors import DataError
from hornbook.exchange.import_records import import_records
from hornbook.exchange.imported import Imported
from hornbook.storage.atomic import write_text

RECORDS = ".jsonl"


def import_plan(path: Path, folder: Path) -> Imported:
    """Copy a plan as it is to `folder`, and import the JSON lines it names into `folder` as well.

    Raises:
        ConfigError: if a line is no phase, or a file it names is missing.
        DataError: if it is no plan at all, or its records are refused.
    """
    text = _read(path)
    phases = read_plan(path)
    files = dict.fromkeys(Path(one) for phase in phases for one in phase.paths if one.endswith(RECORDS))
    taken = next((folder / file.name for file in files if (folder / file.name).exists()), None)
    if taken is not None:
        raise DataError(f"{taken} is there already.", fix="import into another folder with --to, or delete it.")
    records = [import_records(file, folder) for file in files]
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / path.name
    write_text(target, text)
    optional = sum(line.lstrip().startswith("#") and line.count("|") == 3 for line in text.splitlines()[1:])
    findings = [
        "each phase was validated on a set of its own, and the best of losses over different sets was kept; here one "
        "held-out mix of all phases decides.",
        "the optimizer was made anew at every phase; here it is carried, unless curriculum.optimizer=reset.",
    ]
    if optional:
        findings.append(f"phases commented out, which stay so: {optional}.")
    findings += [f"{one.source.name}: {finding}" for one in records for finding in one.findings]
    written = (target, *(place for one in records for place in one.written))
    return Imported(path, f"plan of {len(phases)} phases", written, f"curriculum.plan={target}", tuple(findings))


def _read(path: Path) -> str:
    """Return the text of a file whose lines are phases.

    Raises:
        DataError: if none of them is.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.", fix="give a readable UTF-8 text file.") from error
    if "|" not in text:
        raise DataError(
            f"{path} is no training plan: no line of it has the form FILE | EPOCHS | RATE | ROWS.",
            fix="a text to learn from needs no import; give it as data.path.",
        )
    return text
