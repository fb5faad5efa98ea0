import importlib.util
import math

import pytest
import torch
from pydantic import ValidationError

from hornbook.errors import ShapeError
from hornbook.models.brahma.config import SIZES, BrahmaConfig
from hornbook.models.build import build_model, count_parameters
from hornbook.nn.losses import next_token_loss
from hornbook.training.optimizers import decays, hidden_matrices

SMALL = BrahmaConfig(vocab_size=50, width=32, num_heads=4, num_layers=2, context=24, chunk_size=8)


def small(**changes):
    return build_model(SMALL.model_copy(update=changes), seed=0)


def test_the_names_of_the_weights_are_frozen():
    shared = ["query.weight", "key.weight", "value.weight", "convolution.weight", "output.weight"]
    mixers = {
        "D": ["strength_bias", "decay_rate", "decay_bias", *shared, "gates.weight", "norm.weight"],
        "A": [*shared, "query_norm.weight", "key_norm.weight"],
    }
    feed_forward = [
        "feed_forward_norm.weight",
        "feed_forward.gate.weight",
        "feed_forward.up.weight",
        "feed_forward.down.weight",
    ]
    names = ["embedding.weight"]
    for number, letter in enumerate("DA"):
        inside = ["mixer_norm.weight", *(f"mixer.{name}" for name in mixers[letter]), *feed_forward]
        names += [f"blocks.{number}.{name}" for name in inside]
    assert list(small().state_dict()) == [*names, "norm.weight"]


@pytest.mark.parametrize(
    ("pattern", "layers", "mixers"), [("DA", 5, "DADAD"), ("DDDA", 4, "DDDA"), ("D", 3, "DDD"), ("DDDA", 2, "DD")]
)
def test_a_pattern_repeats_to_the_number_of_layers(pattern, layers, mixers):
    config = SMALL.model_copy(update={"pattern": pattern, "num_layers": layers})
    assert config.mixers == mixers
    assert config.num_parameters() == count_parameters(build_model(config, seed=0))


@pytest.mark.parametrize("pattern", ["", "DAX", "da"])
def test_a_pattern_of_other_letters_is_refused(pattern):
    with pytest.raises(ValidationError, match=r"pattern\n  String should match"):
        BrahmaConfig(pattern=pattern)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(
        ValidationError, match=r"model.width = 100 over model.num_heads = 3 gives no even head width"
    ):
        BrahmaConfig(width=100, num_heads=3)


@pytest.mark.parametrize(("name", "millions"), [("1m", 1.0), ("water", 5.0), ("125m", 124.0)])
def test_sizes_are_what_their_names_say(name, millions):
    assert SIZES[name].num_parameters() / 1e6 == pytest.approx(millions, rel=0.03)


def test_the_convolutions_of_attention_start_as_the_identity_those_of_delta_rules_near_it():
    delta, attention = (block.mixer.convolution.weight for block in small().blocks)
    assert torch.equal(attention, torch.tensor([0.0, 0.0, 0.0, 1.0]).expand_as(attention))
    noise = delta - attention
    assert noise.std().item() == pytest.approx(0.1, rel=0.2) and noise.abs().min() > 0


def test_some_heads_turn_over_what_they_hold_from_the_first_step_on_and_all_forget_slowly():
    mixer = small().blocks[0].mixer
    strengths = 2 * torch.sigmoid(mixer.strength_bias)
    assert strengths[0] < 1 < strengths[-1] < 2
    log_decay = mixer.decay_rate.exp() * torch.nn.functional.softplus(mixer.decay_bias)
    assert (1 / log_decay).tolist() == pytest.approx([1000.0, 215.44, 46.416, 10.0], rel=1e-3)


def test_muon_takes_each_projection_and_no_convolution_decays():
    model = small(num_layers=1)
    names = {parameter: name.removeprefix("blocks.0.") for name, parameter in model.named_parameters()}
    mixer = {f"mixer.{name}.weight" for name in ("query", "key", "value", "gates", "output")}
    feed_forward = {f"feed_forward.{name}.weight" for name in ("gate", "up", "down")}
    assert {names[p] for p in hidden_matrices(model)} == mixer | feed_forward
    assert {name for p, name in names.items() if decays(p)} == mixer | feed_forward | {"embedding.weight"}


@pytest.mark.parametrize("pattern", ["D", "DA", "A"])
def test_the_state_holds_what_the_config_says(pattern):
    model = small(pattern=pattern)
    for dtype, value_bytes in ((torch.float32, 4), (torch.bfloat16, 2)):
        said = model.config.state_bytes_per_row(value_bytes) + 10 * model.config.state_bytes_per_token(value_bytes)
        assert model.init_state(rows=3, tokens=10, dtype=dtype).num_bytes() == 3 * said


def test_without_attention_memory_is_constant_and_the_context_no_limit():
    model = small(pattern="D").eval()
    assert model.config.state_bytes_per_token(4) == 0 and model.config.position_limit is None
    state = model.init_state(1, 1)
    before = state.num_bytes()
    for tokens in (torch.randint(50, (1, 40)), torch.randint(50, (1, 1))):
        assert model(tokens, state).isfinite().all()
    assert state.length == 41 > model.config.context and state.num_bytes() == before


def test_more_tokens_than_the_context_are_refused_where_positions_are_counted():
    model = small()
    state = model.init_state(1, 24)
    model(torch.zeros(1, 20, dtype=torch.int64), state)
    with pytest.raises(ShapeError, match=r"25 tokens \(20 before, 5 now\) exceed the model's context of 24"):
        model(torch.zeros(1, 5, dtype=torch.int64), state)


def test_the_chunk_size_changes_no_number():
    tokens = torch.randint(50, (2, 20))
    torch.testing.assert_close(small(chunk_size=3)(tokens), small(chunk_size=64)(tokens), rtol=1e-4, atol=1e-5)


def test_the_core_is_float32_under_autocast():
    model, tokens = small(), torch.randint(50, (2, 24))
    with torch.autocast("cpu", torch.bfloat16):
        narrow = model(tokens).float()
    torch.testing.assert_close(narrow, model(tokens), rtol=0, atol=0.05)  # logits of size 1 in 8 bits
    state = model.init_state(2, 24, dtype=torch.bfloat16)
    assert state.layers[0]["memory"].memory.dtype == torch.float32


@pytest.mark.parametrize("width", [64, 768])
def test_the_first_loss_is_near_that_of_guessing(width):
    model = build_model(BrahmaConfig(vocab_size=1000, width=width, num_heads=4, num_layers=2), seed=0)
    tokens = torch.randint(1000, (2, 65))
    with torch.no_grad():
        total, count = next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])
    assert (total / count).item() == pytest.approx(math.log(1000), rel=0.12)


@pytest.mark.shared
def test_the_logits_are_those_of_the_reference(shared_data):
    path = shared_data.parent / "reference" / "brahma_prototype.py"
    if not path.is_file():
        pytest.skip("the reference implementation is not beside this checkout (../shared/reference)")
    reference = loaded(path)
    model = small(feedforward_width=40, num_layers=4)
    config = reference.Config(vocab=50, d=32, heads=4, pattern="DADA", ffn=40, chunk=16)
    twin = reference.Brahma(config)
    twin.load_state_dict(renamed(model.state_dict()))
    tokens = torch.randint(50, (2, 24))
    torch.testing.assert_close(model(tokens), twin(tokens), rtol=0, atol=1e-5)


def renamed(ours):
    """Our weights under the reference's names."""
    weights = {"emb.weight": ours["embedding.weight"], "norm.weight": ours["norm.weight"]}
    for number, letter in enumerate("DADA"):
        w = {n.removeprefix(f"blocks.{number}."): t for n, t in ours.items() if n.startswith(f"blocks.{number}.")}
        qkv = torch.cat([w[f"mixer.{name}.weight"] for name in ("query", "key", "value")])
        theirs = {
            "n1.weight": w["mixer_norm.weight"],
            "n2.weight": w["feed_forward_norm.weight"],
            "up.weight": torch.cat([w["feed_forward.gate.weight"], w["feed_forward.up.weight"]]),
            "down.weight": w["feed_forward.down.weight"],
            "mix.conv": w["mixer.convolution.weight"][:, 0],
            "mix.out.weight": w["mixer.output.weight"],
        }
        if letter == "D":
            theirs |= {
                "mix.inp.weight": torch.cat([qkv, w["mixer.gates.weight"]]),
                "mix.norm.weight": w["mixer.norm.weight"],
                "mix.A_log": w["mixer.decay_rate"],
                "mix.dt_bias": w["mixer.decay_bias"],
                "mix.beta_bias": w["mixer.strength_bias"],
            }
        else:
            theirs |= {
                "mix.qkv.weight": qkv,
                "mix.qn.weight": w["mixer.query_norm.weight"],
                "mix.kn.weight": w["mixer.key_norm.weight"],
            }
        weights |= {f"blocks.{number}.{name}": tensor for name, tensor in theirs.items()}
    return weights


def loaded(path):
    """Import a module from its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
