"""From an architecture's numbers to a model with its starting weights."""

from collections.abc import Callable

import torch
from torch import nn

from hornbook.config.model import ModelConfig
from hornbook.errors import ConfigError
from hornbook.lookup import lookup
from hornbook.models.brahma.model import Brahma
from hornbook.models.contract import LanguageModel
from hornbook.models.gpt.model import GPT
from hornbook.models.grug.model import Grug
from hornbook.models.llama.model import Llama
from hornbook.models.rnn.model import RNN

MODELS: dict[str, Callable[..., LanguageModel]] = {
    "llama": Llama,
    "gpt": GPT,
    "grug": Grug,
    "rnn": RNN,
    "brahma": Brahma,
}
"""The model class of each architecture; a test compares the keys with CONFIGS."""


def build_model(config: ModelConfig, *, seed: int) -> LanguageModel:
    """Build a model on the CPU in float32, its weights a function of `config` and `seed` alone.

    Torch's global generator is neither read nor advanced.

    Raises:
        ConfigError: if the architecture is unknown or the vocabulary size was never filled in.
    """
    model_class = lookup(MODELS, config.arch, what="architecture (model.arch)")
    if config.vocab_size == 0:
        raise ConfigError(
            "model.vocab_size is 0: nobody has filled in the tokenizer's size.",
            fix="build from config.with_vocabulary(tokenizer.vocab_size), or set model.vocab_size.",
        )
    return model_class(config, generator=torch.Generator().manual_seed(seed))


def count_parameters(model: nn.Module) -> int:
    """Count the numbers that training changes; tied weights count once."""
    return sum(parameter.numel() for parameter in model.parameters())
