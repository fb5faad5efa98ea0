"""Will it fit, how long will it take: parameters, memory, disk, hours, all before anything is allocated.

No torch here, and nothing is measured here either: what is known of the data and of the machine is an argument.
Memory is what the process holds at the worst moment, early in the backward pass, when the activations of every
layer and gradients exist together.
"""

from dataclasses import asdict, dataclass
from typing import Any

from hornbook.config.model import ModelConfig
from hornbook.config.optimizing import LionConfig, MuonConfig, SGDConfig
from hornbook.config.tokenizers import BytesTokenizerConfig, ExternalTokenizerConfig
from hornbook.run import RunConfig

BYTES_VOCABULARY = 268  # 256 byte values and 12 specials
FLOAT_BYTES = 4
TOKEN_BYTES = 8
PREFETCHED_BATCHES = 2
"""Batches made ahead of the step that uses them."""

TRAINING_PROCESS_BYTES = 440 * 2**20
"""Python, torch, its kernels and what proving the model left behind, before the first step; measured on Linux."""

DECODING_PROCESS_BYTES = 330 * 2**20
"""The same of a process that only talks."""

WORKING_LAYERS = 2
"""Layers' worth of gradients and of values in between that the backward pass holds at once; measured."""

CHUNKED_LOSS_FROM, CHUNK_ROWS = 16_384, 1024
"""From this vocabulary on, only the logits of this many positions exist at once (hornbook.nn.losses)."""

STATED_FLOPS_PER_CORE = 40e9
"""Training speed of a core nobody has measured: an unhurried laptop's."""

REACHED_SHARE = 0.7
"""Share of the measured matrix rate that the products of a training step reach."""

TRAFFIC_PER_ACTIVATION = 6
"""Bytes of memory traffic for each byte that a float32 step keeps for its backward pass: most is made in passes."""

RECOMPUTED_PASSES = 4 / 3
"""What a step costs, as a share of a plain one, whose blocks are computed again: forward, forward, backward."""

STATED_BANDWIDTH_PER_CORE = 10e9
"""Bytes a second a core moves in element-wise work. With the two constants above it predicts three shapes, 0.8 to
110 million parameters, within 12 % of what was measured on one core (4 x 128, 6 x 384, 12 x 768; bf16)."""


@dataclass(frozen=True)
class Known:
    """What is known before a run; all may be absent.

    Args:
        vocab_size: of the prepared data's tokenizer.
        train_tokens: tokens of the prepared training data.
        set_tokens: tokens of each set of a curriculum.
        sets_note: what these rest on, if nothing is prepared yet.
        tokens_per_second: as this very run measured it.
        matmul_flops: matrix products a second this machine was measured to do, in the run's number format.
        bandwidth: bytes a second memory moves; none where it does not limit, as on accelerators.
        dtype: the number format auto would choose here: fp32, bf16 or fp16.
        attention: the way auto would choose here: sdpa or matmul.
        cores: processor cores.
    """

    vocab_size: int | None = None
    train_tokens: int | None = None
    set_tokens: tuple[int, ...] | None = None
    sets_note: str = ""
    tokens_per_second: float | None = None
    matmul_flops: float | None = None
    bandwidth: float | None = None
    dtype: str | None = None
    attention: str | None = None
    cores: int = 1


@dataclass(frozen=True)
class PlannedPhase:
    """A phase of a curriculum; rows and steps are about what packing makes of the tokens, None if these are unknown."""

    name: str
    reads: tuple[str, ...]
    epochs: float
    rows: int | None
    batch_rows: int
    steps: int | None
    lr: float


CARDS_GB = (4, 6, 8, 12, 16, 24, 32, 48, 80, 141)
"""Sizes that graphics cards come in, from the smallest a run of Hornbook is planned for."""


@dataclass(frozen=True)
class Plan:
    """What a run will take. Sizes in bytes, keyed by part in reading order."""

    recipe: str
    arch: str
    vocab_size: int
    vocab_note: str
    parameters: dict[str, int]
    flops_per_token: int
    dtype: str
    attention: str
    recompute_activations: bool
    training_memory: dict[str, int]
    decoding_memory: dict[str, int]
    disk: dict[str, int]
    tokens: int
    train_tokens: int | None
    tokens_per_second: float
    rate_note: str
    phases: tuple[PlannedPhase, ...] = ()
    phases_note: str = ""

    @property
    def card_gb(self) -> int | None:
        """The smallest card that holds training, with everything counted that the process holds; None if none does."""
        needed = sum(self.training_memory.values())
        return next((size for size in CARDS_GB if needed < size * 10**9), None)

    @property
    def num_parameters(self) -> int:
        """All parameters."""
        return sum(self.parameters.values())

    @property
    def epochs(self) -> float | None:
        """How often the training data is read, None before it is prepared."""
        return self.tokens / self.train_tokens if self.train_tokens else None

    @property
    def seconds(self) -> float:
        """Time the optimizer steps take."""
        return self.tokens / self.tokens_per_second

    def as_dict(self) -> dict[str, Any]:
        """Return everything, totals included, for JSON."""
        totals = {
            "num_parameters": self.num_parameters,
            "training_memory_bytes": sum(self.training_memory.values()),
            "card_gb": self.card_gb,
            "decoding_memory_bytes": sum(self.decoding_memory.values()),
            "disk_bytes": sum(self.disk.values()),
            "epochs": self.epochs,
            "seconds": self.seconds,
            "hours": self.seconds / 3600,
        }
        return asdict(self) | totals


def vocabulary(config: RunConfig, prepared: int | None = None) -> tuple[int, bool]:
    """Return the vocabulary's size and whether it is exact; otherwise it is the most it may be.

    Args:
        config: the run.
        prepared: size of the tokenizer the data was prepared with, if it was.
    """
    if config.model.vocab_size:
        return config.model.vocab_size, True
    if prepared:
        return prepared, True
    if isinstance(config.tokenizer, BytesTokenizerConfig):
        return BYTES_VOCABULARY, True
    if isinstance(config.tokenizer, ExternalTokenizerConfig):
        return 0, False
    return config.tokenizer.vocab_size, config.tokenizer.kind in ("bpe", "superbpe")


def make_plan(config: RunConfig, known: Known) -> Plan:
    """Plan a run from its settings and what is known."""
    vocab_size, exact = vocabulary(config, known.vocab_size)
    model = config.model.with_vocabulary(vocab_size)
    dtype = config.precision.dtype if config.precision.dtype != "auto" else known.dtype or "fp32"
    attention = config.precision.attention if config.precision.attention != "auto" else known.attention or "sdpa"
    planned = config.model_copy(update={"model": model})
    rate, rate_note = training_rate(planned, known)
    phases = plan_phases(config, known.set_tokens)
    return Plan(
        recipe=config.recipe,
        arch=model.arch,
        vocab_size=vocab_size,
        vocab_note=_vocabulary_note(config, known, exact),
        parameters=model.parameters(),
        flops_per_token=model.training_flops_per_token(),
        dtype=dtype,
        attention=attention,
        recompute_activations=config.training.recompute_activations,
        training_memory=training_memory(planned, dtype, attention),
        decoding_memory=decoding_memory(planned),
        disk=disk(planned),
        tokens=planned_tokens(config, phases) if phases else config.training.steps * config.training.batch_tokens,
        train_tokens=known.train_tokens,
        tokens_per_second=rate,
        rate_note=rate_note,
        phases=phases,
        phases_note=known.sets_note,
    )


def plan_phases(config: RunConfig, set_tokens: tuple[int, ...] | None) -> tuple[PlannedPhase, ...]:
    """Lay out the phases of a curriculum, of whose sets `set_tokens` may be known."""
    settings, phases = config.curriculum, []
    for phase, name, members in zip(settings.phases, settings.names, settings.members, strict=True):
        rows = sum(-(-set_tokens[part] // config.model.context) for part in members) if set_tokens else None
        batch_rows = phase.batch_rows or config.batch_rows
        steps = None if rows is None else phase.steps(rows, batch_rows)
        lr = phase.lr or config.optimizer.lr
        phases.append(PlannedPhase(name, phase.paths, phase.epochs, rows, batch_rows, steps, lr))
    return tuple(phases)


def planned_tokens(config: RunConfig, phases: tuple[PlannedPhase, ...]) -> int:
    """Count the tokens of all phases, up to curriculum.max_steps; none where their steps are unknown."""
    left, rows = config.curriculum.max_steps, 0
    for phase in phases:
        steps = phase.steps or 0
        taken = steps if left is None else min(left, steps)
        left = None if left is None else left - taken
        rows += taken * phase.batch_rows
    return rows * config.model.context


def training_memory(config: RunConfig, dtype: str, attention: str) -> dict[str, int]:
    """Bytes a training process holds at its worst moment, by part.

    Args:
        config: the run, its vocabulary known.
        dtype: format of the matrix products: fp32, bf16 or fp16.
        attention: how it is computed: sdpa or matmul.
    """
    model, count = config.model, config.model.num_parameters()
    micro_tokens = config.micro_batch_rows * model.context
    compute_bytes = FLOAT_BYTES if dtype == "fp32" else 2
    whole = micro_tokens * model.activation_bytes_per_token(compute_bytes, scores=attention == "matmul")
    block = whole // getattr(model, "num_layers", 1)
    # With activations computed again, every block keeps what it read, and one of them everything.
    kept = whole if not config.training.recompute_activations else micro_tokens * _read_by_blocks(model) + block
    return {
        "process": TRAINING_PROCESS_BYTES,
        "weights": FLOAT_BYTES * count,
        # Autocast keeps one cast copy of every matrix for the length of a micro-batch.
        "weights in the compute format": 0 if dtype == "fp32" else compute_bytes * model.matmul_parameters(),
        "gradients": FLOAT_BYTES * count,
        "optimizer": optimizer_bytes(config),
        "activations": kept,
        "backward pass": WORKING_LAYERS * block,
        "logits": logits_bytes(model.vocab_size, micro_tokens, compute_bytes),
        "batches": (1 + PREFETCHED_BATCHES) * config.largest_batch_rows * model.context * 2 * TOKEN_BYTES,
    }


def _read_by_blocks(model: ModelConfig) -> int:
    """Bytes a token of the residual stream as each block reads it."""
    return FLOAT_BYTES * int(getattr(model, "width", 0)) * int(getattr(model, "num_layers", 1))


def optimizer_bytes(config: RunConfig) -> int:
    """Bytes of the optimizer's state: none to two numbers a parameter; with Muon one for the matrices it moves."""
    model, optimizer = config.model, config.optimizer
    count = model.num_parameters()
    if isinstance(optimizer, MuonConfig):
        head = model.vocab_size * getattr(model, "width", 0)
        return FLOAT_BYTES * (2 * count - (model.matmul_parameters() - head))
    if isinstance(optimizer, SGDConfig):
        return FLOAT_BYTES * (count if optimizer.momentum else 0)
    return FLOAT_BYTES * (count if isinstance(optimizer, LionConfig) else 2 * count)


def logits_bytes(vocab_size: int, tokens: int, compute_bytes: int) -> int:
    """Bytes of the logits with their softmax and gradients while the loss is computed."""
    if vocab_size >= CHUNKED_LOSS_FROM:
        return vocab_size * min(tokens, CHUNK_ROWS) * (2 * FLOAT_BYTES + compute_bytes)
    # Log-softmax, its gradient, and the gradient of the logits: the loss is float32 whatever the products are.
    return vocab_size * tokens * 3 * FLOAT_BYTES


def decoding_memory(config: RunConfig) -> dict[str, int]:
    """Bytes a process that talks holds, one row of a full context, by part."""
    model = config.model
    return {
        "process": DECODING_PROCESS_BYTES,
        "weights": FLOAT_BYTES * model.num_parameters(),
        "state": model.state_bytes_per_token(FLOAT_BYTES) * model.context + model.state_bytes_per_row(FLOAT_BYTES),
    }


def disk(config: RunConfig) -> dict[str, int]:
    """Bytes the run folder will hold, by part: checkpoints kept, the one being written, the finished model."""
    weights = FLOAT_BYTES * config.model.num_parameters()
    checkpoint = weights + optimizer_bytes(config)
    kept = config.checkpoint.keep_last + 1  # the newest and the best
    return {"checkpoints": kept * checkpoint, "checkpoint being written": checkpoint, "model": weights}


def training_rate(config: RunConfig, known: Known) -> tuple[float, str]:
    """Estimate tokens a second, and say what the estimate rests on."""
    if known.tokens_per_second:
        return known.tokens_per_second, "measured by this run"
    passes = RECOMPUTED_PASSES if config.training.recompute_activations else 1.0
    flops = passes * config.model.training_flops_per_token() / config.model.product_speed
    if known.matmul_flops:
        moved = (
            passes * TRAFFIC_PER_ACTIVATION * config.model.activation_bytes_per_token(FLOAT_BYTES, scores=False)
        )
        seconds = flops / (REACHED_SHARE * known.matmul_flops) + (
            moved / known.bandwidth if known.bandwidth else 0.0
        )
        return 1 / seconds, f"estimated from the {known.matmul_flops / 1e9:,.0f} GFLOP/s measured on this machine"
    note = (
        f"stated, not measured: {STATED_FLOPS_PER_CORE / 1e9:.0f} GFLOP/s for each of {known.cores} cores; "
        "hornbook doctor measures"
    )
    return STATED_FLOPS_PER_CORE * known.cores / flops, note


def _vocabulary_note(config: RunConfig, known: Known, exact: bool) -> str:
    if config.model.vocab_size:
        return "set by model.vocab_size"
    if known.vocab_size:
        return "of the prepared data"
    if exact:
        return f"of a {config.tokenizer.kind} tokenizer"
    if isinstance(config.tokenizer, ExternalTokenizerConfig):
        return "unknown before hornbook prepare: everything that depends on it is left out"
    return f"at most; the {config.tokenizer.kind} in the data decide (hornbook prepare)"
