import pytest
import torch

from hornbook.errors import ConfigError
from hornbook.models.build import MODELS, build_model, count_parameters
from hornbook.models.catalog import CONFIGS
from hornbook.models.llama.config import LlamaConfig

SMALL = LlamaConfig(vocab_size=50, width=16, num_heads=2, num_layers=2)


def test_every_config_has_its_model():
    assert sorted(MODELS) == sorted(CONFIGS)


def test_weights_are_a_function_of_the_seed():
    first, again, other = (build_model(SMALL, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_building_leaves_torchs_generator_alone():
    before = torch.random.get_rng_state()
    build_model(SMALL, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_model_is_built_in_float32_on_the_cpu():
    assert {(p.dtype, p.device.type) for p in build_model(SMALL, seed=0).parameters()} == {(torch.float32, "cpu")}


def test_tied_weights_count_once():
    tied, untied = (build_model(SMALL.model_copy(update={"tied": t}), seed=0) for t in (True, False))
    assert count_parameters(untied) - count_parameters(tied) == 50 * 16


def test_a_vocabulary_nobody_filled_in_is_refused():
    with pytest.raises(ConfigError, match=r"vocab_size is 0.*\nfix: build from config.with_vocabulary"):
        build_model(LlamaConfig(), seed=0)


def test_an_unknown_architecture_is_refused_by_name():
    config = SMALL.model_copy(update={"arch": "lama"})
    with pytest.raises(ConfigError, match=r"no architecture .*'lama'.\nfix: did you mean 'llama'"):
        build_model(config, seed=0)
