"""One batch of training rows and where each came from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hornbook.nn.losses import IGNORE


@dataclass(frozen=True)
class Batch:
    """Rows of T tokens with the token to predict at each position.

    Args:
        tokens: (B, T) int64.
        targets: (B, T) int64; IGNORE marks positions that do not count.
        documents: (B, T) int32, the document of its row each position belongs to, or None when documents may see
            each other. See LanguageModel.hidden.
        rows: the row numbers in the prepared set, one a row of the batch; `lens` shows them.
    """

    tokens: Tensor
    targets: Tensor
    documents: Tensor | None
    rows: tuple[int, ...]

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on `device`; the copy from pinned memory does not wait."""
        documents = None if self.documents is None else self.documents.to(device, non_blocking=True)
        return Batch(
            self.tokens.to(device, non_blocking=True),
            self.targets.to(device, non_blocking=True),
            documents,
            self.rows,
        )

    def micro_batches(self, rows: int) -> list["Batch"]:
        """Cut the batch into pieces of `rows` rows, as views."""
        pieces = []
        for start in range(0, len(self.rows), rows):
            part = slice(start, start + rows)
            documents = None if self.documents is None else self.documents[part]
            pieces.append(Batch(self.tokens[part], self.targets[part], documents, self.rows[part]))
        return pieces

    def count(self) -> int:
        """Count the positions that count; waits for the device."""
        return int((self.targets != IGNORE).sum())
