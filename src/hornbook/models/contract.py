"""What every model is: tokens in, logits out, an optional state, and nothing else."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from hornbook.config.model import ModelConfig
from hornbook.nn.state import DecodeState


class LanguageModel(nn.Module, ABC):
    """The only base class: a causal language model.

    Laws, proved for every architecture by `hornbook.proofs.model`: (a) any split of a sequence into calls with a
    state gives the logits of one call; (b) later tokens, and other documents of a packed row, never change earlier
    logits; (c) `state.rows` and `state.clone` give independent states.
    """

    config: ModelConfig

    @abstractmethod
    def hidden(self, tokens: Tensor, state: DecodeState | None = None, documents: Tensor | None = None) -> Tensor:
        """Return what the head reads.

        Args:
            tokens: (B, T) int64.
            state: memory of the tokens before these, advanced in place; none starts a sequence.
            documents: (B, T) int, which document of its row each position belongs to, never falling along T;
                positions restart and attention stops at each change. None: a row is one document.
                Never given together with a state.

        Returns:
            (B, T, D).
        """

    @abstractmethod
    def head_weight(self) -> Tensor:
        """Return the (V, D) matrix that turns `hidden` into logits; the chunked loss reads it."""

    def forward(self, tokens: Tensor, state: DecodeState | None = None, documents: Tensor | None = None) -> Tensor:
        """Return the logits, (B, T, V); the arguments are those of `hidden`."""
        return nn.functional.linear(self.hidden(tokens, state, documents), self.head_weight())

    @abstractmethod
    def init_state(self, rows: int, tokens: int, *, dtype: torch.dtype | None = None) -> DecodeState:
        """Return an empty state for `rows` rows of at most `tokens` tokens.

        `dtype` is that of its buffers, float32 if none; it lives on the device of the parameters.
        """
