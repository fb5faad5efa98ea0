import math
from contextlib import nullcontext

import pytest
import torch

from hornbook.data.batch import Batch
from hornbook.models.build import build_model
from hornbook.models.gpt.config import GPTConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn.losses import IGNORE
from hornbook.proofs.health import prove_start

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
    [SMALL, SMALL.model_copy(update={"residual_init": "zero"}), GPTConfig(vocab_size=40, width=16, dropout=0.1)],
)
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_fresh_models_are_healthy(config, dtype):
    autocast = (lambda: torch.autocast("cpu", dtype)) if dtype else nullcontext
    seen = proofs(build_model(config, seed=0), autocast=autocast)
    assert [proof.passed for proof in seen.values()] == [True, True, True], seen
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
