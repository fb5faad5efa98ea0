"""The same small Llama in Hornbook, transformers and litgpt, each as its own documentation trains it.

Equal everywhere: shape, untied head, data, fused AdamW, clipping at 1, eager, matrix products in the named format
over float32 weights. Each rival keeps its own attention, loss and step. `Rival.step` takes one optimizer step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle

import torch
from torch import Tensor, nn

from hornbook.config.optimizing import AdamWConfig, OptimizerConfig
from hornbook.data.batch import Batch
from hornbook.device import measure_attention
from hornbook.models.build import build_model
from hornbook.models.contract import LanguageModel
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn.attention import PATHS, use_attention
from hornbook.training.optimizers import build_optimizers
from hornbook.training.precision import DTYPES, LossScale, Precision
from hornbook.training.step import Stepper

CPU = torch.device("cpu")
OPTIMIZER = AdamWConfig(lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
CLIP_NORM = 1.0


@dataclass(frozen=True)
class Shape:
    """A model and the batch it learns from; `rows` times the context are the tokens of a step."""

    name: str
    model: LlamaConfig
    rows: int

    @property
    def step_tokens(self) -> int:
        """Tokens of one optimizer step."""
        return self.rows * self.model.context

    def batches(self, number: int = 8) -> list[Batch]:
        """Draw random rows; what they say does not change the speed."""
        size = (number, self.rows, self.model.context + 1)
        drawn = torch.randint(self.model.vocab_size, size, generator=torch.Generator().manual_seed(0))
        return [Batch(rows[:, :-1], rows[:, 1:], None, tuple(range(self.rows))) for rows in drawn.contiguous()]


@dataclass(frozen=True)
class Rival:
    """One way to train the shape."""

    name: str
    parameters: int
    step: Callable[[], object]


def hornbook(shape: Shape, dtype: str) -> Rival:
    """Hornbook's own training step, with the attention it measures to be faster here."""
    precision = Precision(CPU, DTYPES[dtype])
    config = shape.model
    model = build_model(config, seed=0)
    attention = measure_attention(
        PATHS,
        CPU,
        rows=shape.rows,
        heads=config.num_heads,
        tokens=config.context,
        head_width=config.head_width,
        dtype=precision.dtype,
    )
    use_attention(model, attention.choice)
    return stepping(f"Hornbook {dtype} ({attention.choice} attention)", model, shape, precision)


def stepping(
    name: str,
    model: LanguageModel,
    shape: Shape,
    precision: Precision,
    *,
    optimizer: OptimizerConfig = OPTIMIZER,
) -> Rival:
    """A model of Hornbook's in Hornbook's own training step."""
    stepper = Stepper(
        model=model,
        optimizers=build_optimizers(model, optimizer, matrix_dtype=precision.matrix_dtype),
        precision=precision,
        loss_scale=LossScale(precision),
        seed=0,
        clip_norm=CLIP_NORM,
        micro_batch_rows=shape.rows,
    )
    batches, numbers = cycle(shape.batches()), count()
    return Rival(name, parameters(model), lambda: stepper.step(next(batches), next(numbers), share=1.0))


def transformers(shape: Shape, dtype: str) -> Rival:
    """LlamaForCausalLM with its own loss, and its default attention (SDPA)."""
    from transformers import LlamaConfig as TheirConfig
    from transformers import LlamaForCausalLM

    config = shape.model
    model = LlamaForCausalLM(
        TheirConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.width,
            intermediate_size=config.inner_width,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.context,
            rms_norm_eps=config.norm_eps,
            tie_word_embeddings=config.tied,
            use_cache=False,
        )
    )
    return plain_rival("transformers", model, dtype, losses(shape, lambda x, _: model(input_ids=x, labels=x).loss))


def litgpt(shape: Shape, dtype: str) -> Rival:
    """litgpt's GPT in its Llama form, with the loss of its pretraining script."""
    from litgpt import GPT, Config
    from litgpt.utils import chunked_cross_entropy

    config = shape.model
    model = GPT(
        Config(
            block_size=config.context,
            vocab_size=config.vocab_size,
            padded_vocab_size=config.vocab_size,
            n_layer=config.num_layers,
            n_head=config.num_heads,
            n_query_groups=config.kv_heads,
            n_embd=config.width,
            intermediate_size=config.inner_width,
            rotary_percentage=1.0,
            parallel_residual=False,
            bias=False,
            norm_class_name="RMSNorm",
            norm_eps=config.norm_eps,
            mlp_class_name="LLaMAMLP",
        )
    )
    return plain_rival(
        "litgpt", model, dtype, losses(shape, lambda x, y: chunked_cross_entropy(model(x), y, chunk_size=0))
    )


def losses(shape: Shape, loss: Callable[[Tensor, Tensor], Tensor]) -> Iterator[Callable[[], Tensor]]:
    """Pair a loss of (tokens, targets) with one batch after the other."""
    return ((lambda b=batch: loss(b.tokens, b.targets)) for batch in cycle(shape.batches()))


def plain_rival(name: str, model: nn.Module, dtype: str, losses: Iterator[Callable[[], Tensor]]) -> Rival:
    """Train a model by the usual PyTorch step."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=OPTIMIZER.lr, betas=OPTIMIZER.betas, weight_decay=OPTIMIZER.weight_decay, fused=True
    )
    model.train()

    def step() -> None:
        compute = next(losses)
        with torch.autocast("cpu", dtype=DTYPES[dtype], enabled=dtype != "fp32"):
            loss = compute()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return Rival(f"{name} {dtype}", parameters(model), step)


def parameters(model: nn.Module) -> int:
    """Count the trained numbers, so that the table can show all rivals have as many."""
    return sum(parameter.numel() for parameter in model.parameters())
