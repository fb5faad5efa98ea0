"""The whole run as one value: every section of the settings and the model, checked against each other.

This is where a reader starts. A `RunConfig` is made once, from a recipe and overrides
(`hornbook.config.sources`), saved whole beside the run, and never changed; everything else is built from it.
"""

from pydantic import Field, model_validator

from hornbook.config.model import Section
from hornbook.config.sections import (
    AdamWConfig,
    BytesTokenizerConfig,
    CheckpointConfig,
    CosineScheduleConfig,
    DataConfig,
    EvaluationConfig,
    LoggingConfig,
    OptimizerConfig,
    PrecisionConfig,
    RunSection,
    SamplingConfig,
    ScheduleConfig,
    TokenizerConfig,
    TrainingConfig,
)
from hornbook.models.catalog import AnyModelConfig
from hornbook.models.llama.config import LlamaConfig


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
        warmup = self.schedule.warmup_steps
        if warmup > self.training.steps:
            raise ValueError(f"schedule.warmup_steps = {warmup} exceeds training.steps = {self.training.steps}")
        if self.data.path and self.data.sources:
            raise ValueError("data.path and data.sources are both set; give one of them")
        return self
