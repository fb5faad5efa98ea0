"""Bits per byte are the same for any micro-batch size, and a model for which they are not is refused."""

import pytest
import torch

from hornbook.config.tokenizers import BytesTokenizerConfig
from hornbook.models.build import build_model
from hornbook.models.catalog import CONFIGS
from hornbook.models.llama.config import LlamaConfig
from hornbook.models.llama.model import Llama
from hornbook.proofs.balance import prove_balance
from hornbook.text.tokenizer_kinds import build_tokenizer

TOKENIZER = build_tokenizer(BytesTokenizerConfig(), [])
NUMBERS = {"vocab_size": TOKENIZER.vocab_size, "context": 16, "width": 16, "num_layers": 1, "num_heads": 2}


class LooksAround(Llama):
    """A model whose rows see each other: the mean over the batch is taken off."""

    def forward(self, tokens, state=None, documents=None):
        logits = super().forward(tokens, state, documents)
        return logits - logits.mean(dim=0, keepdim=True)


@pytest.mark.parametrize("arch", sorted(CONFIGS))
def test_every_architecture_balances(arch):
    numbers = {name: number for name, number in NUMBERS.items() if name in CONFIGS[arch].model_fields}
    model = build_model(CONFIGS[arch](**numbers), seed=0)
    assert [proof.passed for proof in prove_balance(model, TOKENIZER)] == [True]


def test_a_model_whose_rows_see_each_other_is_found_out():
    model = LooksAround(LlamaConfig(**NUMBERS), generator=torch.Generator().manual_seed(0))
    (proof,) = prove_balance(model, TOKENIZER)
    assert not proof.passed
    assert "with micro-batches of 1" in proof.detail
