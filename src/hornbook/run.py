"""The whole run as one value: every section of the settings and the model, checked against each other.

This is where a reader starts. A `RunConfig` is made once, from a recipe and overrides
(`hornbook.config.sources`), saved whole beside the run, and never changed; everything else is built from it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from hornbook.config.model import Section
from hornbook.config.optimizing import AdamWConfig, CosineScheduleConfig, OptimizerConfig, ScheduleConfig
from hornbook.config.sections import (
    CheckpointConfig,
    DataConfig,
    EvaluationConfig,
    LoggingConfig,
    PrecisionConfig,
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

    @property
    def folder(self) -> str:
        """The run's folder."""
        return self.run.folder or f"runs/{self.recipe}"

    @property
    def batch_rows(self) -> int:
        """Rows of `model.context` tokens in one optimizer step, over all devices."""
        return self.training.batch_tokens // self.model.context

    @property
    def micro_batch_rows(self) -> int:
        """Rows computed at once."""
        return self.training.micro_batch_rows or self.batch_rows

    @model_validator(mode="after")
    def _sections_agree(self) -> "RunConfig":
        context, batch = self.model.context, self.training.batch_tokens
        if batch % context:
            below, above = batch // context * context, -(-batch // context) * context
            near = f"{below} or {above}" if below else str(above)
            raise ValueError(
                f"training.batch_tokens = {batch} is not a multiple of model.context = {context}; set it to {near}"
            )
        if self.batch_rows % self.micro_batch_rows:
            raise ValueError(
                f"training.micro_batch_rows = {self.micro_batch_rows} does not divide the "
                f"{self.batch_rows} rows of a step (training.batch_tokens / model.context)"
            )
        if self.data.path and self.data.sources:
            raise ValueError("data.path and data.sources are both set; give one of them")
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
    return gather(RunConfig, recipe, settings, environment)[0]


def require_data(config: RunConfig) -> None:
    """Raise ConfigError if the run names no data."""
    if not config.data.path and not config.data.sources:
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
