"""Data sets of the Hugging Face hub: `hub:NAME` as files in a folder of its own, fetched once.

    data.hub_folder/openhermes/
      first-1000.jsonl     the first rows as the hub has them, the columns of text only; all.jsonl without a limit
      .first-1000.json     where they come from: repository, commit, rows
      anything else        files of yours in the set's layout: then nothing is fetched

A set is read row by row through the `datasets` library, so the first thousand rows of a large one are a small
download. What comes of the rows is the matter of `hornbook.text.records`, whoever put the files there.
"""

import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hornbook.config.sections import DataConfig
from hornbook.data.columns import KNOWN_COLUMNS
from hornbook.data.files import find_files
from hornbook.errors import ConfigError, DataError
from hornbook.lookup import suggest
from hornbook.storage.atomic import PARTIAL, FolderLock, fsync_folder, remove_leftovers, write_text
from hornbook.units import duration_text

PREFIX = "hub:"

REPORT_SECONDS = 10.0
"""How often a long download says how far it is."""


@dataclass(frozen=True)
class HubSet:
    """A data set of the hub.

    Args:
        repository: OWNER/NAME.
        what: one line about it; "" for a set that is not in HUB.
        subset: its configuration; "" is the default one.
        split: which split is read.
        revision: branch, tag or commit; "" is the main branch.
        files: files of the repository to read, as a pattern; "" leaves the choice to its card.
        format: layout of its records, as data.format.
    """

    repository: str
    what: str = ""
    subset: str = ""
    split: str = "train"
    revision: str = ""
    files: str = ""
    format: str = "auto"

    @property
    def page(self) -> str:
        """Where its card and files are, for people."""
        return f"https://huggingface.co/datasets/{self.repository}"


HUB: dict[str, HubSet] = {
    # The set itself is one JSON array of 1.9 GB, which cannot be read row by row; the hub's own copy in parquet can.
    "openhermes": HubSet(
        "teknium/OpenHermes-2.5",
        "1,001,551 conversations of instructions and answers, some of several turns",
        revision="refs/convert/parquet",
        files="default/train/*.parquet",
        format="openhermes",
    ),
    "platypus": HubSet(
        "garage-bAInd/Open-Platypus",
        "24,926 questions of science and mathematics with worked answers",
        format="platypus",
    ),
    "openthoughts": HubSet(
        "open-thoughts/OpenThoughts-114k",
        "113,957 questions of mathematics, science and code with long thinking",
        format="openthoughts",
    ),
    "tinystories": HubSet("roneneldan/TinyStories", "2.1 million short stories in simple English"),
    "fineweb-edu": HubSet(
        "HuggingFaceFW/fineweb-edu", "educational web pages, a sample of 10 billion tokens", subset="sample-10BT"
    ),
}
"""Sets by name. Any other is hub:OWNER/NAME, with :SUBSET and @REVISION behind it where needed."""

_REPOSITORY = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?::([\w.+-]+))?(?:@([\w./-]+))?")
_OURS = re.compile(r"(?:first-\d+|all)\.jsonl")


def hub_set(path: str) -> HubSet:
    """Return the set that `hub:NAME` or `hub:OWNER/NAME[:SUBSET][@REVISION]` names.

    Raises:
        ConfigError: if it names none.
    """
    name = path.removeprefix(PREFIX)
    if name in HUB:
        return HUB[name]
    if found := _REPOSITORY.fullmatch(name):
        return HubSet(found[1], subset=found[2] or "", revision=found[3] or "")
    raise ConfigError(f"There is no hub set named '{name}'.", fix=f"{suggest(name, HUB)} Or write hub:OWNER/NAME.")


def folder_of(path: str, data: DataConfig) -> Path:
    """Return the folder in which the files of `hub:NAME` lie, whether it is there or not."""
    name = re.sub(r"[^\w.-]+", "--", path.removeprefix(PREFIX))
    return Path(data.hub_folder).expanduser() / name


def find_hub_files(path: str, data: DataConfig, kinds: Collection[str]) -> list[Path]:
    """List the files of a set: yours in its folder if there are any, else what was fetched for this limit.

    Raises:
        DataError: if there are none, with how to get them.
        ConfigError: if there is no such set.
    """
    found, folder = hub_set(path), folder_of(path, data)
    if yours := _placed(folder, kinds):
        return yours
    fetched = folder / _fetched_name(data.max_documents)
    if not fetched.is_file():
        limit = f" --limit {data.max_documents}" if data.max_documents else ""
        raise DataError(
            f"{path} is not there: {fetched} is absent.",
            fix=f"run hornbook prepare {path}{limit}, or {_by_hand(found, folder)}.",
        )
    return [fetched]


def fetch_missing(
    paths: Iterable[str], data: DataConfig, kinds: Collection[str], say: Callable[[str], None]
) -> None:
    """Fetch every `hub:NAME` among the paths that is not there yet.

    Raises:
        DataError, ConfigError: as `fetch`.
    """
    for path in paths:
        if path.startswith(PREFIX):
            fetch(path, data, kinds, say)


def fetch(path: str, data: DataConfig, kinds: Collection[str], say: Callable[[str], None]) -> None:
    """Bring the first `data.max_documents` rows of a set here, or all; what is there is not fetched again.

    Raises:
        DataError: if the library is not installed, the hub cannot be reached, the set does not exist or has no
            column of text; with how to place the files by hand.
        ConfigError: if there is no such set.
        CheckpointError: if another process is fetching it.
    """
    found, folder = hub_set(path), folder_of(path, data)
    wanted = folder / _fetched_name(data.max_documents)
    if _placed(folder, kinds) or wanted.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder, "fetching"):
        if wanted.is_file():
            return
        remove_leftovers(folder)
        columns = KNOWN_COLUMNS | {name.split(".")[0] for name in data.fields.values()} | set(data.fields.values())
        longer = _longer(folder, data.max_documents)
        if longer is not None:
            say(f"{path}: the first {data.max_documents:,} rows of {longer.name}")
            _write(wanted, (json.loads(line) for line in _lines(longer)), data.max_documents, _about(longer))
            return
        say(f"{path}: fetching {_count(data.max_documents)} of {found.repository}")
        rows, about = _open(path, found, folder)
        try:
            told = _told(_texts(rows, columns, path, found), path, say)
            _write(wanted, told, data.max_documents, about)
        except DataError:
            raise
        except OSError as error:
            if error.errno is not None and error.filename is not None:
                raise  # the disk, which the command line explains
            raise _refused(path, found, folder, error) from error
        except Exception as error:
            raise _refused(path, found, folder, error) from error


def _open(path: str, found: HubSet, folder: Path) -> tuple[Iterator[Mapping[str, Any]], dict[str, Any]]:
    """Open a set as a stream of rows, and say where it comes from; without the hub, from this user's cache."""
    datasets = _library(path, found, folder)
    about: dict[str, Any] = {"repository": found.repository, "subset": found.subset, "split": found.split}
    try:
        commit = _commit(found)
        files = {found.split: found.files} if found.files else None
        stream = datasets.load_dataset(
            found.repository,
            found.subset or None,
            data_files=files,
            split=found.split,
            revision=commit,
            streaming=True,
        )
    except Exception as error:  # the library lets through whatever its own libraries raise
        kept = _kept(datasets, found) if _is_unreached(error) else None
        if kept is None:
            raise _refused(path, found, folder, error) from error
        return iter(kept), about | {"revision": "as in the Hugging Face cache"}
    return iter(stream), about | {"revision": commit}


def _commit(found: HubSet) -> str | None:
    """Ask the hub which commit a revision is today, so that what is read can be named."""
    from huggingface_hub import HfApi

    return HfApi().dataset_info(found.repository, revision=found.revision or None).sha


def _library(path: str, found: HubSet, folder: Path) -> Any:
    """Import the datasets library, quiet."""
    try:
        import datasets
        import huggingface_hub
    except ImportError as error:
        raise DataError(
            f"{path} cannot be fetched: the datasets library is not installed.",
            fix='install it: python -m pip install --editable ".[hub]" --constraint constraints.txt; or '
            f"{_by_hand(found, folder)}.",
        ) from error
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    quiet: Any = huggingface_hub.logging.set_verbosity_error  # it has no types
    quiet()
    return datasets


def _kept(datasets: Any, found: HubSet) -> Any:
    """Open what `hf download` or an earlier `load_dataset` of this user left in HF_HOME; None if there is nothing."""
    from huggingface_hub import snapshot_download

    files = {found.split: found.files} if found.files else None
    for place, chosen in ((None, files), (found.repository, None)):
        try:
            where = place or snapshot_download(
                found.repository, repo_type="dataset", revision=found.revision or None, local_files_only=True
            )
            return datasets.load_dataset(
                where, found.subset or None, data_files=chosen, split=found.split, streaming=True
            )
        except Exception:  # not there, in whatever words: the caller's own error says that the hub is not reached
            continue
    return None


def _is_unreached(error: BaseException | None) -> bool:
    """Tell whether the hub was not reached at all, whatever the library made of it."""
    while error is not None:
        names = {kind.__name__ for kind in type(error).__mro__}
        if names & {
            "OfflineModeIsEnabled",
            "ConnectError",
            "ConnectionError",
            "TimeoutException",
            "ConnectTimeout",
        }:
            return True
        error = error.__cause__ or error.__context__
    return False


def _texts(
    rows: Iterable[Mapping[str, Any]], columns: Collection[str], path: str, found: HubSet
) -> Iterator[dict[str, Any]]:
    """Keep of each row what is known as text."""
    for row in rows:
        kept = {name: value for name, value in row.items() if name in columns}
        if not kept:
            raise DataError(
                f"{path} has no column that is known as text (it has {', '.join(map(str, row))}).",
                fix='say which: data.fields={text = "..."}, or input and output.',
            )
        yield kept


def _told(rows: Iterable[dict[str, Any]], path: str, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Pass rows on, and say now and then how many there were."""
    started = last = time.monotonic()
    for number, row in enumerate(rows, 1):
        yield row
        if time.monotonic() - last > REPORT_SECONDS:
            last = time.monotonic()
            say(f"{path}: {number:,} rows in {duration_text(last - started)}")


def _write(wanted: Path, rows: Iterable[Mapping[str, Any]], limit: int | None, about: dict[str, Any]) -> None:
    """Write rows as JSON lines; the file is there when it is whole, its description before it."""
    beside, count = wanted.with_name(f"{PARTIAL}{wanted.name}"), 0
    with beside.open("w", encoding="utf-8", newline="\n") as file:
        for row in islice(rows, limit):
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    if not count:
        raise DataError(
            f"{about['repository']} holds no rows.", fix="look at its page; name a subset or a revision."
        )
    write_text(_about_path(wanted), json.dumps({**about, "rows": count}, indent=2) + "\n")
    beside.replace(wanted)
    fsync_folder(wanted.parent)


def _longer(folder: Path, limit: int | None) -> Path | None:
    """Return a file that begins with the rows that are asked for, if one was fetched before."""
    for other in sorted(folder.glob("*.jsonl")):
        if _OURS.fullmatch(other.name) and _about_path(other).is_file():
            rows, whole = _about(other)["rows"], other.name == _fetched_name(None)
            if whole or rows < _limit_of(other) or (limit is not None and rows >= limit):
                return other
    return None


def _limit_of(fetched: Path) -> int:
    return int(fetched.stem.removeprefix("first-"))


def _about(fetched: Path) -> dict[str, Any]:
    try:
        about = json.loads(_about_path(fetched).read_text(encoding="utf-8"))
        return {**about, "rows": int(about["rows"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{_about_path(fetched)} cannot be read: {error}.",
            fix=f"delete it and {fetched.name}, and fetch again.",
        ) from error


def _about_path(fetched: Path) -> Path:
    return fetched.with_name(f".{fetched.stem}.json")


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from file


def _fetched_name(limit: int | None) -> str:
    return "all.jsonl" if limit is None else f"first-{limit}.jsonl"


def _count(limit: int | None) -> str:
    return "all rows" if limit is None else f"the first {limit:,} rows"


def _placed(folder: Path, kinds: Collection[str]) -> list[Path]:
    """List the files of a set's folder that were not fetched but put there."""
    try:
        files, _ = find_files(folder, kinds)
    except DataError:
        return []
    return [file for file in files if file.parent != folder or not _OURS.fullmatch(file.name)]


def _refused(path: str, found: HubSet, folder: Path, error: Exception) -> DataError:
    reason = f"{type(error).__name__}: {_said(error)}"
    if _is_unreached(error):
        reason = "the hub cannot be reached" + (
            " (HF_HUB_OFFLINE is set)" if "HF_HUB_OFFLINE" in os.environ else ""
        )
    return DataError(f"{path} cannot be fetched: {reason}.", fix=f"{_by_hand(found, folder)}; or try again later.")


def _by_hand(found: HubSet, folder: Path) -> str:
    """Say how to place the files of a set."""
    which = f" (branch {found.revision}, {found.files})" if found.files else ""
    return (
        f"download the .parquet, .json or .jsonl files of {found.page}{which} on a machine with a connection and put "
        f"them in {folder}{os.sep}"
    )


def _said(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300] or "no reason given"
