"""Proof that bits per byte do not depend on how the text is cut into batches.

Bits per byte are nats over bytes. The nats must be the same for any micro-batch size, and the bytes of the tokens
must be the bytes of the text (`hornbook.proofs.tokenizer` proves that, and `prepare` checks it on every document).
"""

import math

import torch

from hornbook.models.contract import LanguageModel
from hornbook.models.modes import only_using
from hornbook.nn.losses import IGNORE, next_token_loss
from hornbook.proofs.proof import Proof
from hornbook.text.tokenizer import Tokenizer

TEXT = "Every number here was counted: 12 + 30 = 42; über café, naïve façade, 数を数える, 🙂🙃.\n" * 3
ROWS, MOST_TOKENS = 4, 32

# float32 sums of a few hundred losses differ in the last bits when a product runs over another number of rows.
TOLERANCE = 1e-5


def prove_balance(model: LanguageModel, tokenizer: Tokenizer) -> list[Proof]:
    """Score one text in batches of every size that divides its rows; the figures must agree.

    Args:
        model: in float32, on any device; neither its weights nor its mode are changed.
        tokenizer: the one that belongs to it.
    """
    width = min(model.config.context, MOST_TOKENS)
    ids = tokenizer.encode(TEXT)
    ids = (ids * (ROWS * width // len(ids) + 1))[: ROWS * width]
    lengths = [len(entry) for entry in tokenizer.token_bytes()]
    tokens = torch.tensor([tokenizer.eos_id, *ids[:-1]], device=model.head_weight().device).view(ROWS, width)
    targets = torch.tensor(ids, device=tokens.device).view(ROWS, width)
    targets[1, : width // 2] = IGNORE  # rows with different numbers of targets show means of means
    size = sum(lengths[index] for index in targets.flatten().tolist() if index != IGNORE)
    figures = {rows: _nats(model, tokens, targets, rows) / math.log(2) / size for rows in (4, 2, 1)}
    spread = (max(figures.values()) - min(figures.values())) / figures[ROWS]
    detail = ", ".join(f"{value:.6f} with micro-batches of {rows}" for rows, value in figures.items())
    return [Proof("bits per byte", spread <= TOLERANCE, f"The same text has bits per byte {detail}.", spread)]


def _nats(model: LanguageModel, tokens: torch.Tensor, targets: torch.Tensor, rows: int) -> float:
    """Sum the loss over micro-batches of `rows` rows."""
    with only_using(model):
        pieces = zip(torch.split(tokens, rows), torch.split(targets, rows), strict=True)
        return math.fsum(float(next_token_loss(model(part), aims)[0]) for part, aims in pieces)
