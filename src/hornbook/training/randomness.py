"""Every random number of a run, from the seed and the place where it is used. Nothing to save, nothing to restore."""

import hashlib

import torch


def derive(seed: int, *place: int | str) -> int:
    """Return a 63-bit seed for `place` of the run with `seed`: the same place always gives the same number."""
    text = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def seed_dropout(seed: int, *, step: int, micro_batch: int, rank: int) -> None:
    """Set torch's generators (CPU and every accelerator) for the dropout of one micro-batch on one rank."""
    torch.manual_seed(derive(seed, "dropout", step, micro_batch, rank))
