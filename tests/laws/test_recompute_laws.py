"""Activations that are computed again change no bit of a gradient, in any architecture."""

import copy

import pytest
import torch

from hornbook.models.build import build_model
from hornbook.models.catalog import CONFIGS
from hornbook.nn.losses import next_token_loss
from hornbook.nn.recompute import recompute_blocks

TINY = {"vocab_size": 40, "context": 16, "width": 32, "num_layers": 2}


def config_of(arch: str):
    """A tiny model of `arch`, with dropout where it has any."""
    dropout = {"dropout": 0.3} if "dropout" in CONFIGS[arch].model_fields else {}
    return CONFIGS[arch](**TINY, **dropout)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("arch", sorted(CONFIGS))
def test_gradients_are_the_same_to_the_last_bit(arch, isolated, dtype):
    tokens = torch.randint(40, (2, 17))
    documents = (torch.arange(16) > 9).int().expand(2, -1) if isolated else None

    def gradients(*, recomputed: bool):
        model = build_model(config_of(arch), seed=0)
        if recomputed:
            recompute_blocks(model)
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            loss = next_token_loss(model(tokens[:, :-1], documents=documents), tokens[:, 1:])[0]
        loss.backward()
        after = torch.rand(1)  # the generator is where it would have been
        return [loss.detach(), after, *(parameter.grad for parameter in model.parameters())]

    for kept, recomputed in zip(gradients(recomputed=False), gradients(recomputed=True), strict=True):
        assert torch.equal(kept, recomputed)


@pytest.mark.parametrize("arch", sorted(CONFIGS))
def test_weights_keep_their_names_and_copies_are_independent(arch):
    model, plain = (build_model(config_of(arch), seed=0) for _ in range(2))
    recompute_blocks(model)
    assert list(model.state_dict()) == list(plain.state_dict())
    twin = copy.deepcopy(model)
    tokens = torch.randint(40, (1, 8))
    before = twin.eval()(tokens)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(twin(tokens), before)
