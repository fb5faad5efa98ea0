"""What every optimizer must obey, over OPTIMIZERS: a new one is held to all of it by being listed."""

from typing import get_args

import pytest
import torch
from torch import nn

from hornbook.config.optimizing import LionConfig, OptimizerConfig, PlainAdamConfig, SGDConfig
from hornbook.errors import CheckpointError, ConfigError
from hornbook.models.build import build_model
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn.losses import next_token_loss
from hornbook.planning import optimizer_bytes
from hornbook.run import RunConfig
from hornbook.storage.tensors import read_tensors, write_tensors
from hornbook.training.optimizers import OPTIMIZERS, build_optimizers

KINDS = {kind.model_fields["name"].default: kind for kind in get_args(get_args(OptimizerConfig)[0])}

VARIANTS = {
    "sgd": [SGDConfig(), SGDConfig(momentum=0.0), SGDConfig(nesterov=True)],
    "plain_adam": [PlainAdamConfig(), PlainAdamConfig(decoupled=True, weight_decay=0.1)],
    "lion": [LionConfig(), LionConfig(weight_decay=0.0)],
}
"""Settings under which the laws are tried besides the defaults; an optimizer need not be here."""

CASES = [
    pytest.param(config, id=f"{name}-{number}")
    for name in OPTIMIZERS
    for number, config in enumerate(VARIANTS.get(name, [KINDS[name]()]))
]
each = pytest.mark.parametrize("config", CASES)

SIZE = LlamaConfig(vocab_size=11, context=8, width=16, num_layers=2, num_heads=2)
GO, SKIP = torch.tensor(0.0), torch.tensor(1.0)


def tiny(seed: int = 0):
    return build_model(SIZE, seed=seed)


def give_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def built(model, config):
    return build_optimizers(model, config, matrix_dtype=torch.float32)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def test_the_settings_and_the_table_name_the_same_optimizers():
    assert set(KINDS) == set(OPTIMIZERS)


@each
def test_it_learns_a_sentence_by_heart(config):
    model, sentence = tiny(), torch.tensor([[1, 5, 2, 9, 2, 5, 7, 3]])
    # Lion and SGD keep their own rates; those that normalise by the gradient take one that suits so small a model.
    rate = {"lion": 3e-3, "sgd": 0.1}.get(config.name, 2e-2)
    optimizers = built(model, config.model_copy(update={"lr": rate}))
    losses = []
    for _ in range(120):
        loss = next_token_loss(model(sentence[:, :-1]), sentence[:, 1:])[0] / 7
        loss.backward()
        optimizers.step(GO)
        optimizers.clear_gradients()
        losses.append(loss.item())
    assert losses[0] > 2.0
    assert losses[-1] < 0.1


@each
def test_a_restored_optimizer_goes_on_bit_for_bit(config, tmp_path):
    model = tiny()
    optimizers = built(model, config)
    for seed in range(3):
        give_gradients(model, seed)
        optimizers.step(GO)
    write_tensors(tmp_path / "optimizer.safetensors", optimizers.state())
    twin = tiny(seed=5)
    twin.load_state_dict(model.state_dict())
    restored = built(twin, config)
    restored.load_state(read_tensors(tmp_path / "optimizer.safetensors"))
    for seed in range(3, 6):
        for each_model, its in ((model, optimizers), (twin, restored)):
            give_gradients(each_model, seed)
            its.step(GO)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)
    assert optimizers.state().keys() == restored.state().keys()


@each
@pytest.mark.parametrize(
    "steps", [(SKIP, GO, GO), (GO, SKIP, GO), (GO, GO, SKIP)], ids=["first", "middle", "last"]
)
def test_a_skipped_update_changes_no_bit(config, steps):
    model, twin = tiny(), tiny()
    ours, others = built(model, config), built(twin, config)
    for seed, skip in enumerate(steps):
        give_gradients(model, seed)
        if skip is SKIP:
            for parameter in model.parameters():
                parameter.grad *= torch.inf
                parameter.grad.view(-1)[0] = torch.nan
            before = weights(model)
            ours.step(SKIP)
            assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
        else:
            give_gradients(twin, seed)
            ours.step(GO)
            others.step(GO)
    for (name, a), b in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b), f"{name}: the skipped step left a trace"


@each
def test_its_state_is_named_by_parameter_and_planned_to_the_byte(config):
    model = tiny()
    optimizers = built(model, config)
    give_gradients(model, 0)
    optimizers.step(GO)
    names = dict(model.named_parameters())
    assert {name.rpartition("/")[0] for name in optimizers.state()} <= set(names)
    counters = [value for value in optimizers.state().values() if value.ndim == 0]
    planned = optimizer_bytes(RunConfig(model=SIZE, optimizer=config))
    total = sum(value.numel() * value.element_size() for value in optimizers.state().values())
    assert total - 4 * len(counters) == planned


@each
def test_vectors_never_decay(config):
    model = tiny()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = weights(model)
    decaying = config.model_copy(update={"weight_decay": 0.5, "lr": 0.1})
    built(model, decaying).step(GO)
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    matrices = {name for name, parameter in model.named_parameters() if parameter.ndim >= 2}
    # Muon's embeddings belong to AdamW, which there has no decay.
    assert changed == {name for name in matrices if config.name != "muon" or name.startswith("blocks.")}


@each
def test_one_that_forgets_goes_on_like_a_new_one(config):
    model = tiny()
    old = built(model, config)
    give_gradients(model, 0)
    old.step(GO)
    old.forget()
    twin = tiny()
    twin.load_state_dict(model.state_dict())
    new = built(twin, config)
    for seed in (1, 2):
        for each_model, its in ((model, old), (twin, new)):
            give_gradients(each_model, seed)
            its.step(GO)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)


@each
def test_every_rate_is_a_share_of_its_peak(config):
    optimizers = built(tiny(), config)
    peaks = [group["lr"] for part in optimizers.parts for group in part.param_groups]
    optimizers.set_rate(0.25)
    assert [g["lr"] for part in optimizers.parts for g in part.param_groups] == [0.25 * peak for peak in peaks]
    assert optimizers.lr == 0.25 * config.lr


@each
def test_state_of_another_model_is_refused_by_name(config):
    with pytest.raises(CheckpointError, match="'blocks.9.weight/exp_avg', which is no parameter"):
        built(tiny(), config).load_state({"blocks.9.weight/exp_avg": torch.zeros(1)})


@each
def test_a_device_without_fused_kernels_is_said_or_served(config):
    model = tiny().to("meta")
    if config.name in ("lion", "plain_adam"):
        assert built(model, config).parts
    else:
        with pytest.raises(ConfigError, match="meta devices lack.\nfix: set optimizer.name = 'plain_adam'"):
            built(model, config)
