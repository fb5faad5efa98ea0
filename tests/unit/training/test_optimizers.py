"""Optimizers agree with torch's, or with the paper's formula written plainly. Their laws are in tests/laws."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from hornbook.config.optimizing import AdamConfig, AdamWConfig, LionConfig, MuonConfig, PlainAdamConfig, SGDConfig
from hornbook.errors import ConfigError
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.training.optimizers import build_optimizers, hidden_matrices
from hornbook.training.optimizers.muon import Muon, orthogonalise

GO = torch.tensor(0.0)


def tiny(seed: int = 0):
    return build_model(LlamaConfig(vocab_size=11, context=8, width=16, num_layers=2, num_heads=2), seed=seed)


def built(model, config):
    return build_optimizers(model, config, matrix_dtype=torch.float32)


class OneMatrix(nn.Module):
    """A matrix, to be moved by gradients that are given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(start())


def start() -> torch.Tensor:
    return torch.randn(37, 10, generator=torch.Generator().manual_seed(1))


def gradient(number: int) -> torch.Tensor:
    """Gradients whose size varies a thousandfold, as those of a training do."""
    generator = torch.Generator().manual_seed(100 + number)
    return torch.randn(37, 10, generator=generator) * 10 ** (3 * torch.rand(37, 1, generator=generator) - 3)


def moved_by(config, steps: int) -> torch.Tensor:
    model = OneMatrix()
    optimizers = built(model, config)
    for number in range(steps):
        model.weight.grad = gradient(number)
        optimizers.step(GO)
    return model.weight.detach()


def moved_by_torch(optimizer, steps: int, **settings) -> torch.Tensor:
    weight = nn.Parameter(start())
    one = optimizer([weight], **settings)
    for number in range(steps):
        weight.grad = gradient(number)
        one.step()
    return weight.detach()


@pytest.mark.parametrize(
    ("config", "optimizer", "settings"),
    [
        (SGDConfig(lr=0.3), torch.optim.SGD, {"lr": 0.3, "momentum": 0.9}),
        (SGDConfig(lr=0.3, momentum=0.0), torch.optim.SGD, {"lr": 0.3}),
        (
            SGDConfig(lr=0.3, momentum=0.8, nesterov=True, weight_decay=0.1),
            torch.optim.SGD,
            {"lr": 0.3, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        ),
        (AdamConfig(weight_decay=0.1), torch.optim.Adam, {"lr": 1e-3, "weight_decay": 0.1}),
        (AdamWConfig(), torch.optim.AdamW, {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}),
        (PlainAdamConfig(weight_decay=0.1), torch.optim.Adam, {"lr": 1e-3, "weight_decay": 0.1}),
        (PlainAdamConfig(decoupled=True, weight_decay=0.1), torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.1}),
    ],
    ids=["sgd", "sgd-plain", "sgd-nesterov", "adam", "adamw", "plain_adam", "plain_adam-decoupled"],
)
def test_two_hundred_steps_agree_with_torchs_plain_loop(config, optimizer, settings):
    ours = moved_by(config, 200)
    theirs = moved_by_torch(optimizer, 200, **settings, foreach=False, fused=False)
    # Rounding differs between kernels, by units in the last place a step: 200 steps of 1e-3 add up to 0.2, of which
    # a millionth is allowed.
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=2e-7)


def test_a_wrong_beta_would_have_been_noticed():
    """The test above can fail."""
    other = moved_by(PlainAdamConfig(betas=(0.9, 0.998)), 200)
    theirs = moved_by_torch(torch.optim.Adam, 200, lr=1e-3)
    assert (other - theirs).abs().max() > 1e-5


def test_lion_follows_the_paper():
    config = LionConfig(lr=0.01, betas=(0.9, 0.99), weight_decay=0.3)
    weight, momentum = start(), torch.zeros(37, 10)
    for number in range(50):
        g = gradient(number)
        update = torch.sign(0.9 * momentum + 0.1 * g)
        weight = weight - 0.01 * (update + 0.3 * weight)
        momentum = 0.99 * momentum + 0.01 * g
    # Two roundings a step of numbers below 4, each at most 1.2e-7; one sign that differed would be 2e-2.
    torch.testing.assert_close(moved_by(config, 50), weight, rtol=0, atol=50 * 2.4e-7)


def test_lion_uses_both_betas():
    reference = moved_by(LionConfig(lr=0.01), 50)
    assert not torch.equal(reference, moved_by(LionConfig(lr=0.01, betas=(0.8, 0.99)), 50))
    assert not torch.equal(reference, moved_by(LionConfig(lr=0.01, betas=(0.9, 0.9)), 50))


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValidationError, match=r"optimizer.nesterov = true needs an optimizer.momentum above 0"):
        SGDConfig(momentum=0.0, nesterov=True)


def test_an_average_that_forgets_nothing_is_refused():
    with pytest.raises(ValidationError, match="less than 1"):
        AdamWConfig(betas=(1.0, 0.9))


def test_orthogonalised_matrices_have_singular_values_near_one():
    for shape in ((3, 8, 8), (2, 4, 32), (2, 32, 4)):
        matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        singular = torch.linalg.svdvals(orthogonalise(matrices, iterations=5, dtype=torch.float32))
        # The published coefficients trade exactness for speed: values end between about 0.7 and 1.2.
        assert singular.min() > 0.5 and singular.max() < 1.3


def test_muon_agrees_with_torchs_muon():
    ours, theirs = (nn.Parameter(torch.randn(6, 10, generator=torch.Generator().manual_seed(1))) for _ in range(2))
    settings = {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.95}
    one = Muon([ours], **settings, iterations=5, dtype=torch.bfloat16)
    two = torch.optim.Muon([theirs], **settings, nesterov=True, adjust_lr_fn="match_rms_adamw")
    for number in range(4):
        ours.grad = torch.randn(6, 10, generator=torch.Generator().manual_seed(number))
        theirs.grad = ours.grad.clone()
        one.step()
        two.step()
    # Both iterate in bfloat16 and divide by norms that differ by 2 %: updates agree to a few per cent.
    moved = (theirs - torch.randn(6, 10, generator=torch.Generator().manual_seed(1))).norm()
    assert (ours - theirs).norm() < 0.05 * moved


def test_matrices_of_one_shape_are_updated_as_if_alone():
    together = [nn.Parameter(torch.randn(4, 6, generator=torch.Generator().manual_seed(i))) for i in range(3)]
    alone = [nn.Parameter(p.detach().clone()) for p in together]
    settings = {"lr": 0.01, "weight_decay": 0.0, "momentum": 0.95, "iterations": 5, "dtype": torch.float32}
    for index, (a, b) in enumerate(zip(together, alone, strict=True)):
        a.grad = torch.randn(4, 6, generator=torch.Generator().manual_seed(10 + index))
        b.grad = a.grad.clone()
        Muon([b], **settings).step()
    Muon(together, **settings).step()
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest():
    model = tiny()
    muon, adamw = built(model, MuonConfig()).parts
    names = {parameter: name for name, parameter in model.named_parameters()}
    hidden = {names[p] for p in muon.param_groups[0]["params"]}
    rest = {names[p] for group in adamw.param_groups for p in group["params"]}
    assert hidden and all(name.startswith("blocks.") for name in hidden)
    assert "embedding.weight" in rest and not any("query.weight" in name for name in rest)
    assert hidden | rest == set(names.values()) and not hidden & rest


def test_muon_leaves_what_only_looks_like_a_matrix_to_adamw():
    model = tiny()
    model.blocks[0].window = nn.Parameter(torch.zeros(16, 4))  # of a convolution: 16 channels, 4 tokens each
    assert all(parameter is not model.blocks[0].window for parameter in hidden_matrices(model))
    adamw = built(model, MuonConfig()).parts[1]
    assert any(p is model.blocks[0].window for group in adamw.param_groups for p in group["params"])


def test_muon_without_matrices_is_refused_by_name():
    with pytest.raises(ConfigError, match="OneMatrix has none.\nfix: set optimizer.name = 'adamw'"):
        built(OneMatrix(), MuonConfig())


def test_rates_are_shares_of_each_groups_peak():
    optimizers = built(tiny(), MuonConfig(lr=0.02, adam_lr=0.004))
    optimizers.set_rate(0.5)
    assert [part.param_groups[0]["lr"] for part in optimizers.parts] == [0.01, 0.002]
    assert optimizers.lr == 0.01
