"""Optimizers agree with torch's, decay what should decay, skip what must be skipped, and come back from disk."""

import pytest
import torch
from torch import nn

from hornbook.config.optimizing import AdamWConfig, MuonConfig
from hornbook.errors import CheckpointError
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.training.optimizers import OPTIMIZERS, build_optimizers
from hornbook.training.optimizers.muon import Muon, orthogonalise

CONFIGS = [AdamWConfig(), MuonConfig()]
GO, SKIP = torch.tensor(0.0), torch.tensor(1.0)


def tiny(seed: int = 0):
    return build_model(LlamaConfig(vocab_size=11, context=8, width=16, num_layers=2, num_heads=2), seed=seed)


def give_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def built(model, config):
    return build_optimizers(model, config, matrix_dtype=torch.float32)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


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


def test_only_matrices_decay():
    model = tiny()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = weights(model)
    built(model, AdamWConfig(lr=0.1, weight_decay=0.5)).step(GO)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (parameter.ndim < 2), name


def test_rates_are_shares_of_each_groups_peak():
    optimizers = built(tiny(), MuonConfig(lr=0.02, adam_lr=0.004))
    optimizers.set_rate(0.5)
    assert [part.param_groups[0]["lr"] for part in optimizers.parts] == [0.01, 0.002]
    assert optimizers.lr == 0.01


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_skipped_update_changes_no_bit(config):
    model, twin = tiny(), tiny()
    ours, others = built(model, config), built(twin, config)
    for seed, skip in ((1, GO), (2, SKIP), (3, GO)):
        give_gradients(model, seed)
        if skip is SKIP:
            next(model.parameters()).grad[0, 0] = torch.nan
            for parameter in model.parameters():
                parameter.grad *= torch.inf
            before = weights(model)
            ours.step(SKIP)
            assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
        else:
            give_gradients(twin, seed)
            ours.step(GO)
            others.step(GO)
    for (name, a), b in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b), f"{name}: the skipped step left a trace"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_restored_optimizer_goes_on_bit_for_bit(config):
    model = tiny()
    optimizers = built(model, config)
    for seed in range(3):
        give_gradients(model, seed)
        optimizers.step(GO)
    twin = tiny(seed=5)
    twin.load_state_dict(model.state_dict())
    restored = built(twin, config)
    restored.load_state({name: value.clone() for name, value in optimizers.state().items()})
    for seed in range(3, 5):
        for each, its in ((model, optimizers), (twin, restored)):
            give_gradients(each, seed)
            its.step(GO)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)


def test_state_of_another_model_is_refused_by_name():
    optimizers = built(tiny(), AdamWConfig())
    with pytest.raises(CheckpointError, match="'blocks.9.weight/exp_avg', which is no parameter"):
        optimizers.load_state({"blocks.9.weight/exp_avg": torch.zeros(1)})


def test_the_settings_and_the_table_name_the_same_optimizers():
    assert sorted(config.name for config in CONFIGS) == sorted(OPTIMIZERS)
