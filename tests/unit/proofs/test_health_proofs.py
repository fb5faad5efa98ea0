import math
from contextlib import nullcontext

import pytest
import torch

from hornbook.data.batch import Batch
from hornbook.models.build import build_model
from hornbook.models.gpt.config import GPTConfig
from hornbook.models.grug.config import GrugConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn import feedforward
from hornbook.nn.feedforward import CurvedGELU
from hornbook.nn.losses import IGNORE
from hornbook.proofs.health import FEED_FORWARDS, prove_start

SMALL = LlamaConfig(vocab_size=40, width=16, num_heads=2, num_layers=2, context=24)


def batch(rows=6):
    tokens = torch.randint(40, (rows, 25))
    return Batch(tokens[:, :-1], tokens[:, 1:].clone(), None, tuple(range(rows)))


def proofs(model, data=None, autocast=nullcontext):
    return {proof.name: proof for proof in prove_start(model, data or batch(), autocast)}


def small(**changes):
    return build_model(SMALL.model_copy(update=changes), seed=0)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        SMALL.model_copy(update={"residual_init": "zero"}),
        SMALL.model_copy(update={"activation": "relu2"}),
        GPTConfig(vocab_size=40, width=16, dropout=0.1),
        GrugConfig(vocab_size=40, width=32, num_layers=2, feed_forward="curved", streams="two", norm="post"),
        GrugConfig(vocab_size=40, width=32, num_layers=2, feed_forward="curved", curvature=3.0),
    ],
)
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_fresh_models_are_healthy(config, dtype):
    autocast = (lambda: torch.autocast("cpu", dtype)) if dtype else nullcontext
    seen = proofs(build_model(config, seed=0), autocast=autocast)
    assert [proof.passed for proof in seen.values()] == [True, True, True, True], seen
    assert seen["loss at the start"].figure == pytest.approx(math.log(40), rel=0.1)


def test_logits_that_start_too_large_are_found():
    model = small(tied=False)
    with torch.no_grad():
        model.head.weight.mul_(100)
    seen = proofs(model)["loss at the start"]
    assert not seen.passed
    assert "logits start too large" in seen.detail


def test_a_loss_that_is_too_good_at_the_start_is_found():
    model, data = small(tied=False), batch()
    with torch.no_grad():
        model.embedding.weight.normal_(0.0, 1.0)
        model.head.weight.copy_(model.embedding.weight)
    # The answer is the very token it reads.
    leaked = Batch(data.tokens, data.tokens.clone(), None, data.rows)
    seen = proofs(model, leaked)["loss at the start"]
    assert not seen.passed
    assert "the answer leaks" in seen.detail


def test_a_weight_that_is_never_used_is_named():
    model = small()
    model.forgotten = torch.nn.Linear(3, 3)
    seen = proofs(model)["everything learns"]
    assert not seen.passed
    assert seen.detail.startswith("forgotten.weight is never used") and "1 more" in seen.detail


def test_a_dead_layer_is_named():
    model = small()
    with torch.no_grad():
        model.blocks[1].feed_forward_norm.weight.zero_()
    seen = proofs(model)["everything learns"]
    assert not seen.passed
    assert "blocks.1.feed_forward" in seen.detail and "is dead" in seen.detail


@pytest.mark.parametrize(
    ("factor", "fault"), [(1e9, "explodes"), (0.0, "is silent"), (math.nan, "is not a number")]
)
def test_a_layer_of_insane_size_is_named(factor, fault):
    model = small()
    with torch.no_grad():
        model.blocks[1].attention.output.weight.mul_(factor if factor else 1.0)
        model.embedding.weight.mul_(0.0 if factor == 0.0 else 1.0)
    seen = proofs(model)["activations"]
    assert not seen.passed
    assert f"{fault}" in seen.detail and "blocks." in seen.detail


def test_a_batch_without_targets_is_refused():
    data = batch()
    data.targets.fill_(IGNORE)
    [only] = prove_start(small(), data, nullcontext)
    assert not only.passed
    assert "data.learn" in only.detail


def test_rows_without_targets_are_passed_over():
    data = batch()
    data.targets[:5] = IGNORE
    assert all(proof.passed for proof in proofs(small(), data).values())


def test_the_model_is_left_as_it_was():
    model = small().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    proofs(model)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


class SummedEnergy(CurvedGELU):
    """The original's: the energy summed over the units, and no floor under the denominator."""

    def forward(self, x):
        h = self.up(x)
        energy = h.detach().square().sum(-1, keepdim=True) / 2
        return self.down(torch.nn.functional.gelu(h / (1 + self.curvature * energy)))


def curved(width, *, original):
    model = build_model(GrugConfig(vocab_size=40, width=width, num_layers=2, feed_forward="curved"), seed=0)
    for block in model.blocks if original else ():
        summed = SummedEnergy(width, 4 * width, bias=True, curvature=-1.2)
        summed.load_state_dict(block.feed_forward.state_dict())
        block.feed_forward = summed
    return model


@pytest.mark.parametrize("width", [32, 64, 256])
def test_an_energy_summed_over_the_width_starts_dead_and_only_this_look_sees_it(width):
    seen = proofs(curved(width, original=True))
    assert [name for name, proof in seen.items() if not proof.passed] == ["feed-forwards speak"]
    assert "blocks.0.feed_forward in Grug start dead" in seen["feed-forwards speak"].detail
    assert "summed over the width?" in seen["feed-forwards speak"].detail


@pytest.mark.parametrize("width", [32, 64, 256])
def test_an_energy_of_the_mean_starts_alike_at_every_width(width):
    assert proofs(curved(width, original=False))["feed-forwards speak"].figure == pytest.approx(0.91, rel=0.03)


def test_activations_near_a_pole_are_found():
    model = curved(32, original=False)
    for block in model.blocks:
        block.feed_forward.curvature, block.feed_forward.FLOOR = -4.1, 1e-6
    seen = proofs(model)["feed-forwards speak"]
    assert not seen.passed
    assert "blinding" in seen.detail


def test_a_feed_forward_given_nothing_is_named():
    model = small()
    with torch.no_grad():
        model.blocks[1].feed_forward.up.weight.zero_()
    seen = proofs(model)["feed-forwards speak"]
    assert not seen.passed
    assert "blocks.1.feed_forward in Llama start not a number" in seen.detail


def test_every_feed_forward_is_looked_into():
    kinds = [kind for kind in vars(feedforward).values() if isinstance(kind, type)]
    own = [kind for kind in kinds if kind.__module__ == feedforward.__name__]
    assert own and all(issubclass(kind, FEED_FORWARDS) for kind in own)
