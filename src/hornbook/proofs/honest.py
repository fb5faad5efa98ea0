"""Every proof that needs no data: what must hold before a model is trained, and of one that comes from elsewhere."""

import torch

from hornbook.models.contract import LanguageModel
from hornbook.proofs.balance import prove_balance
from hornbook.proofs.model import prove_model
from hornbook.proofs.proof import Proof
from hornbook.proofs.tokenizer import prove_template, prove_tokenizer
from hornbook.text.tokenizer import Tokenizer


def prove_honest(
    model: LanguageModel, tokenizer: Tokenizer, template: str, *, device: torch.device, dtype: torch.dtype
) -> list[Proof]:
    """Prove a model, its tokenizer and its template; see each module of this package for what and how.

    Args:
        model: on `device`; left as it was.
        tokenizer: the one that belongs to it.
        template: how it is spoken to.
        device: where it will run.
        dtype: format its matrix products will run in.
    """
    return [
        *prove_model(model, device=device, dtype=dtype),
        *prove_balance(model, tokenizer),
        *prove_tokenizer(tokenizer),
        *prove_template(template, tokenizer),
    ]
