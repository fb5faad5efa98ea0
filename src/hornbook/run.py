"""The whole run as one value: every section of the settings and the model, checked against each other.

This is where a reader starts. A `RunConfig` is made once, from a recipe and overrides
(`hornbook.config.sources`), saved whole beside the run, and never changed; everything else is built from it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from hornbook.config.curriculum import CurriculumConfig, PhaseConfig, locate, read_plan
from hornbook.config.model import Section
from hornbook.config.optimizing import AdamWConfig, CosineScheduleConfig, OptimizerConfig, ScheduleConfig
from hornbook.config.sections import (
    CheckpointConfig,
    DataConfig,
    EvaluationConfig,
    LoggingConfig,
    PrecisionConfig,
    ProfileConfig,
    RunSection,
    SamplingConfig,
    TrainingConfig,
)
from hornbook.config.sources import gather
from hornbook.config.tokenizers import BytesTokenizerConfig, TokenizerConfig
from hornbook.errors import CheckpointError, ConfigError
from hornbook.models.catalog import AnyModelConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.storage.atomic import write_text


class RunConfig(Section):
    """Every setting of a run."""

    recipe: str = "custom"
    """Name of the recipe this started from; it also names the run's folder."""

    run: RunSection = RunSection()
    data: DataConfig = DataConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    tokenizer: TokenizerConfig = BytesTokenizerConfig()
    model: AnyModelConfig = Field(default=LlamaConfig(), discriminator="arch")
    training: TrainingConfig = TrainingConfig()
    optimizer: OptimizerConfig = AdamWConfig()
    schedule: ScheduleConfig = CosineScheduleConfig()
    precision: PrecisionConfig = PrecisionConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    sampling: SamplingConfig = SamplingConfig()
    logging: LoggingConfig = LoggingConfig()
    profile: ProfileConfig = ProfileConfig()

    @property
    def folder(self) -> str:
        """The run's folder."""
        return self.run.folder or f"runs/{self.recipe}"

    @property
    def batch_rows(self) -> int:
        """Rows of `model.context` tokens in one optimizer step, over all devices, unless its phase says otherwise."""
        return self.training.batch_tokens // self.model.context

    @property
    def largest_batch_rows(self) -> int:
        """Rows of the largest step of all phases."""
        return max(
            (phase.batch_rows or self.batch_rows for phase in self.curriculum.phases), default=self.batch_rows
        )

    @property
    def micro_batch_rows(self) -> int:
        """Rows computed at once."""
        return self.training.micro_batch_rows or self.largest_batch_rows

    @property
    def paths(self) -> tuple[str, ...]:
        """Everything the run trains on: files, folders and built-in sources; none if nothing is named."""
        path = self.data.path
        named = (path,) if isinstance(path, str) else path
        return self.curriculum.paths or tuple(one.path for one in self.data.sources) or tuple(filter(None, named))

    @property
    def reading(self) -> DataConfig:
        """How the data is read: a curriculum holds out by hash, so that no phase trains on what another holds out."""
        if self.curriculum.phases and self.data.split == "auto":
            return self.data.model_copy(update={"split": "documents"})
        return self.data

    @model_validator(mode="after")
    def _sections_agree(self) -> "RunConfig":
        context, batch = self.model.context, self.training.batch_tokens
        if batch % context:
            below, above = batch // context * context, -(-batch // context) * context
            near = f"{below} or {above}" if below else str(above)
            raise ValueError(
                f"training.batch_tokens = {batch} is not a multiple of model.context = {context}; set it to {near}"
            )
        phases, micro = self.curriculum.phases, self.micro_batch_rows
        if not phases and self.batch_rows % micro:
            raise ValueError(
                f"training.micro_batch_rows = {micro} does not divide the "
                f"{self.batch_rows} rows of a step (training.batch_tokens / model.context)"
            )
        for rows in (phase.batch_rows or self.batch_rows for phase in phases):
            if micro < rows and rows % micro:
                raise ValueError(f"training.micro_batch_rows = {micro} does not divide the {rows} rows of a phase")
        if self.data.invalid_utf8 == "keep" and (self.tokenizer.kind != "bytes" or self.data.clean):
            raise ValueError("data.invalid_utf8 = keep needs tokenizer.kind = bytes, and no data.clean")
        if self.data.path and self.data.sources:
            raise ValueError("data.path and data.sources are both set; give one of them")
        if phases and self.data.sources:
            raise ValueError("curriculum.phases and data.sources are both set; give one of them")
        return self


CONFIG_FORMAT = 1
"""Version of the file `save_run` writes."""


def make_run(
    recipe: str, settings: Sequence[str] = (), *, environment: Mapping[str, str] | None = None
) -> RunConfig:
    """Make a run's settings from a recipe, the environment and "section.name=value" settings.

    Args:
        recipe: name of a shipped recipe, or path of a .toml or .yaml file.
        settings: what the command line says; later ones win.
        environment: variables to read HORNBOOK_SECTION__NAME from; the process's own if none.

    Raises:
        SettingsError: naming every problem, where it was written and what to write instead.
        ConfigError: if there is no such recipe or it cannot be read.
    """
    config, origins = gather(RunConfig, recipe, settings, environment)
    limited = "training.steps" in origins and "curriculum.max_steps" not in origins
    return _with_phases(config, max_steps=config.training.steps if limited else config.curriculum.max_steps)


def _with_phases(config: RunConfig, *, max_steps: int | None) -> RunConfig:
    """Read the plan, find the files of the phases and say where they end.

    Raises:
        ConfigError: if the plan cannot be used, or data.path has nothing to do with the phases.
    """
    curriculum, where = config.curriculum, config.data.path
    folder = Path(where).expanduser() if isinstance(where, str) and where else None
    if curriculum.plan:
        curriculum = curriculum.model_copy(
            update={"phases": read_plan(Path(curriculum.plan).expanduser(), folder)}
        )
    if not curriculum.phases:
        return config
    phases = tuple(_found(phase, folder) for phase in curriculum.phases)
    curriculum = curriculum.model_copy(update={"phases": phases, "max_steps": max_steps})
    found = config.model_copy(update={"curriculum": curriculum})
    if where and not any(folder and Path(path).is_relative_to(folder) for path in found.curriculum.paths):
        raise ConfigError(
            f"data.path = {where} is not read: the phases of the curriculum name what is, and none lies in it.",
            fix="unset it with data.path='\"\"', name a plan with curriculum.plan=FILE, or set curriculum.phases=[].",
        )
    return RunConfig.model_validate(found.model_dump())


def _found(phase: PhaseConfig, folder: Path | None) -> PhaseConfig:
    """Look for the files of a phase here, then in `folder`; what is nowhere stays as it is named."""
    places = (Path(), *([folder] if folder else []))
    paths = tuple(locate(path, places) or path for path in phase.paths)
    return phase.model_copy(update={"path": paths[0] if isinstance(phase.path, str) else paths})


def require_data(config: RunConfig) -> None:
    """Raise ConfigError if the run names no data."""
    if not config.paths:
        raise ConfigError(
            f"Recipe {config.recipe} needs data of yours: data.path is not set.",
            fix="add data.path=FILE, a file or folder of text, JSONL, CSV or parquet.",
        )


def save_run(config: RunConfig, path: Path) -> None:
    """Write every setting, defaults included, as JSON; a crash leaves the old file or the new one, whole."""
    content = {"format": CONFIG_FORMAT, "settings": config.model_dump(mode="json")}
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def load_run(path: Path) -> RunConfig:
    """Read the settings `save_run` wrote.

    Raises:
        CheckpointError: if the file is absent, damaged, or of a newer format, naming it.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no run in {path.parent}: {path.name} is absent.", fix="check the folder.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != CONFIG_FORMAT:
            raise CheckpointError(
                f"{path} has format {content['format']}; this Hornbook knows {CONFIG_FORMAT}.",
                fix="use the Hornbook version that wrote the run, or a newer one.",
            )
        if "settings" not in content and "arch" in content:
            raise CheckpointError(
                f"{path.parent} is a model folder, not a run.", fix="name the run's folder, the one above it."
            )
        return RunConfig.model_validate(content["settings"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise CheckpointError(
            f"{path} is damaged: {reason}.", fix="restore the file, or start over in another run.folder."
        ) from error
