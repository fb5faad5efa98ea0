"""The sections of a run's settings. The docstring under a field is its help text and its reference page."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from hornbook.config.model import Section

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
HalfFraction = Annotated[float, Field(ge=0.0, lt=0.5)]


class RunSection(Section):
    """Where the run lives."""

    folder: str = ""
    """Folder of the run; empty means runs/RECIPE."""

    note: str = ""
    """Free text kept with the run."""


class SourceConfig(Section):
    """One source of a mixture."""

    path: str
    """File, folder or builtin:NAME."""

    weight: PositiveFloat = 1.0
    """Share of the training rows this source gets, relative to the other weights."""


class DataConfig(Section):
    """What is read, how it becomes rows, what is held out."""

    path: str | tuple[str, ...] = ""
    """File or folder (.txt, .jsonl, .json, .csv, .parquet, text also as .gz), builtin:NAME, a nanoGPT .bin
    file, or a list of these read one after the other. NAME is reasoning, one of its skills (maths, logic,
    instructions, dialogue, code), sixteen, python or dummy."""

    sources: tuple[SourceConfig, ...] = ()
    """Several sources with weights, instead of data.path: [{path = "a.txt", weight = 2}, {path = "b.jsonl"}]."""

    validation_path: str = ""
    """A separate file or folder to validate on; empty holds part of the data out."""

    fields: dict[str, str] = Field(default={})
    """Names of your own JSON keys or columns: {input = "ask", output = "reply.text"}; dots enter nested objects."""

    format: Literal["auto", "openhermes", "platypus", "openthoughts", "forge1"] = "auto"
    """Layout of the records, by the name of a data set: see hornbook.text.records.FORMATS; forge1 is the train.jsonl
    of the first Forge-1; auto recognises the common ones, and knows those of hub sets."""

    seed: NonNegativeInt = 0
    """Which answer is taken where a record offers several, as qText with answers[]: another seed takes others."""

    template: Literal["auto", "text", "forge1", "plain"] = "auto"
    """How a conversation is written: forge1 (special tokens), plain (User:/Assistant:), text (documents as they
    are); auto takes forge1 for conversations and text for documents."""

    learn: Literal["answers", "everything"] = "answers"
    """What of a conversation is learnt: thinking, answers and the stop token, or prompts as well."""

    system: str = ""
    """System prompt given to every conversation that has none; empty gives none."""

    clean: tuple[str, ...] = ()
    """Normalisation steps by name, in order; empty leaves the text untouched."""

    packing: Literal["auto", "stream", "documents"] = "auto"
    """stream cuts one long stream of documents into rows; documents keeps whole documents together in a row
    and cuts only those longer than a row; auto takes documents for conversations."""

    isolate_documents: bool = False
    """Let no position see another document of its row, and restart positions at each document."""

    split: Literal["auto", "documents", "tail"] = "auto"
    """documents holds out whole documents by their hash; tail holds out the end of the data (nanoGPT's way);
    auto takes tail below 32 documents."""

    validation_fraction: HalfFraction = 0.05
    """Share of the data held out for validation."""

    max_documents: PositiveInt | None = None
    """Read at most this many documents of each source."""

    max_line_bytes: PositiveInt = 16 * 2**20
    """A line or record longer than this is skipped and counted."""

    max_bad_fraction: Fraction = 0.01
    """Stop when more than this share of the records had to be skipped."""

    invalid_utf8: Literal["skip", "keep"] = "skip"
    """Text files that are not UTF-8: skip what cannot be read, and count it; or keep it as the bytes it is, which
    tokenizer.kind = bytes can read."""

    problems: PositiveInt = 60_000
    """Built-in courses (reasoning, its skills, sixteen): how many training problems to write."""

    dummy_bytes: PositiveInt = 2 * 10**6
    """builtin:dummy: how much filler text to write."""

    difficulty: Annotated[int, Field(ge=1, le=3)] = 1
    """Built-in courses: 1 easy, 2 longer, 3 hard."""

    hub_folder: str = "hub"
    """Where hub:NAME is fetched to and looked for first: in a folder of its name, files of yours as well."""

    folder: str = "prepared"
    """Where prepared data is kept; each set has a folder of its own, named by its contents and settings."""

    workers: NonNegativeInt = 0
    """Threads that tokenize; 0 uses every core."""


class TrainingConfig(Section):
    """How long, how much at once, from which seed."""

    steps: PositiveInt = 1_000
    """Optimizer steps in total; a resumed run counts the steps it already took."""

    seed: NonNegativeInt = 0
    """Every random number of the run is a function of this seed and of the step it is used at."""

    batch_tokens: PositiveInt = 4_096
    """Tokens per optimizer step, summed over devices; a multiple of model.context."""

    micro_batch_rows: PositiveInt | None = None
    """Rows of model.context tokens computed at once; none takes the whole batch. Never changes the result beyond
    rounding."""

    recompute_activations: bool = False
    """Gradient checkpointing: blocks keep only what they read and are computed again for the backward pass. Less
    memory, a third more time, the same numbers."""

    compile: bool | Literal["auto"] = False
    """Compile the step with torch.compile: faster after a minute of compiling, which needs a C++ compiler on the CPU;
    auto does it where the run is long enough to earn that back. A failure is told, and the run goes on without."""

    clip_norm: NonNegativeFloat = 1.0
    """Largest norm of the gradient; 0 does not clip."""

    max_minutes: PositiveFloat | None = None
    """Stop after this many minutes of training, counted over all sessions of the run."""

    patience: PositiveInt | None = None
    """Stop after this many validations in a row without a better loss."""

    min_improvement: NonNegativeFloat = 0.0
    """How much lower, in nats per token, a validation loss must be to count as better."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, xpu or directml; auto takes the first of cuda, xpu, mps, directml that is here."""

    threads: PositiveInt | None = None
    """CPU threads for tensor work; none uses every core."""


class PrecisionConfig(Section):
    """Number formats and kernels; auto measures once per machine and records the choice in the run."""

    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Format of the matrix products; weights and optimizer stay in fp32."""

    attention: Literal["auto", "sdpa", "matmul"] = "auto"
    """How attention is computed; both give the same result up to rounding."""

    delta_rule: Literal["auto", "plain", "fla"] = "auto"
    """How brahma's delta rule is computed: by torch alone, or by flash-linear-attention's kernels (CUDA, extra gpu)."""

    tf32: bool = False
    """Let CUDA compute what stays in fp32 matrix products with 10 bits after the point (TF32): faster, and other
    devices do not have it."""


class CheckpointConfig(Section):
    """When state is written and what is kept."""

    every_steps: PositiveInt = 500
    """Save every this many optimizer steps."""

    every_minutes: PositiveFloat | None = 10.0
    """Save also when this many minutes have passed since the last save; none saves by steps alone."""

    keep_last: PositiveInt = 2
    """How many of the newest checkpoints to keep; the best by validation is kept besides."""

    final: Literal["best", "last"] = "best"
    """Which weights become the finished model: the best by validation loss, or the last."""


class EvaluationConfig(Section):
    """Validation on one fixed set."""

    every_steps: PositiveInt = 250
    """Validate every this many steps, and after the last."""

    max_tokens: PositiveInt | None = 262_144
    """Validate on at most this many tokens, always the same ones; none takes the whole validation set."""

    problems: PositiveInt = 100
    """Held-out problems per skill that `hornbook evaluate` asks a model trained on a built-in course."""


class SamplingConfig(Section):
    """Texts written during training, and the defaults of `hornbook generate`."""

    every_steps: NonNegativeInt = 500
    """Write samples every this many steps; 0 never does."""

    prompts: tuple[str, ...] = ("",)
    """What the samples continue or answer."""

    max_tokens: PositiveInt = 120
    """Longest sample."""

    temperature: NonNegativeFloat = 0.8
    """0 always takes the likeliest token."""

    top_k: NonNegativeInt = 0
    """Choose among the k likeliest tokens; 0 among all."""

    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Choose among the likeliest tokens that together have this probability."""

    min_p: Fraction = 0.0
    """Drop tokens less likely than this share of the likeliest."""

    repetition_penalty: PositiveFloat = 1.0
    """Above 1 makes tokens already written less likely (Keskar et al., arXiv:1909.05858)."""

    interim_temperature: NonNegativeFloat | None = None
    """Temperature of the texts written during training; none takes sampling.temperature."""

    interim_top_k: NonNegativeInt | None = None
    """top_k of the texts written during training; none takes sampling.top_k."""

    interim_max_tokens: PositiveInt | None = None
    """Longest text written during training; none takes sampling.max_tokens."""

    @property
    def while_training(self) -> "SamplingConfig":
        """How texts are written during training."""
        interim = {
            "temperature": self.interim_temperature,
            "top_k": self.interim_top_k,
            "max_tokens": self.interim_max_tokens,
        }
        return self.model_copy(update={name: value for name, value in interim.items() if value is not None})


class ProfileConfig(Section):
    """Records of what torch does, as traces in the run's folder `profile`; they change no number of the run."""

    enabled: bool = False
    """Record."""

    wait: NonNegativeInt = 5
    """Steps to let pass first, in which memory and caches settle."""

    warmup: PositiveInt = 1
    """Steps that are recorded and thrown away, since beginning to record takes time itself."""

    active: PositiveInt = 3
    """Steps that are recorded."""

    repeat: PositiveInt = 1
    """How often to wait, warm up and record, each time into a trace of its own."""

    memory: bool = False
    """Record allocations as well."""


class LoggingConfig(Section):
    """What is told while training."""

    every_steps: PositiveInt = 10
    """Print a line and flush the events every this many steps."""
