import pytest
import torch
from torch import nn

from hornbook.errors import ProofError
from hornbook.models.build import build_model
from hornbook.models.contract import LanguageModel
from hornbook.models.gpt.config import GPTConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.nn.state import DecodeState, KeyValue
from hornbook.proofs.model import prove_model
from hornbook.proofs.proof import require

CPU = torch.device("cpu")
SMALL = LlamaConfig(vocab_size=40, width=16, num_heads=2, num_layers=2, context=24)


class LeakyEncoder(LanguageModel):
    """Torch's own encoder as a language model, its mask forgotten: what the original Water trained."""

    def __init__(self, *, masked: bool = False) -> None:
        super().__init__()
        self.config = GPTConfig(vocab_size=40, width=16, num_heads=2, num_layers=2, context=24)
        self.masked = masked
        self.embedding = nn.Embedding(40, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def hidden(self, tokens, state=None, documents=None):
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1]) if self.masked else None
        return self.encoder(self.embedding(tokens), mask=mask)

    def head_weight(self):
        return self.embedding.weight

    def init_state(self, rows, tokens, *, dtype=None):
        return DecodeState([])


class ShiftedEncoder(LeakyEncoder):
    """Sees exactly one token ahead, through a convolution padded on the wrong side."""

    def __init__(self) -> None:
        super().__init__(masked=True)
        self.ahead = nn.Conv1d(16, 16, 2)

    def hidden(self, tokens, state=None, documents=None):
        x = self.embedding(tokens)
        x = x + 1e-6 * self.ahead(nn.functional.pad(x.mT, (0, 1))).mT
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.encoder(x, mask=mask)


class FiniteMask(LeakyEncoder):
    """Masks by a large finite number, which larger scores outvote."""

    def hidden(self, tokens, state=None, documents=None):
        T = tokens.shape[1]
        return self.encoder(self.embedding(tokens), mask=torch.full((T, T), -1e4).triu(1))


class LeakyInTraining(LeakyEncoder):
    """Forgets its mask in training mode only."""

    def hidden(self, tokens, state=None, documents=None):
        self.masked = not self.training
        return super().hidden(tokens)


def proofs(model, dtype=torch.float32):
    return {proof.name: proof for proof in prove_model(model, device=CPU, dtype=dtype)}


def small(**changes):
    return build_model(SMALL.model_copy(update=changes), seed=0)


# torch's encoder warns that it prefers nested tensors; its fast path is irrelevant here.
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("leak", [LeakyEncoder, ShiftedEncoder, FiniteMask, LeakyInTraining])
def test_a_model_that_sees_its_future_is_refused_by_name(leak):
    with pytest.raises(ProofError, match=rf"{leak.__name__} sees the future: ") as caught:
        require(prove_model(leak(), device=CPU, dtype=torch.float32), subject=f"{leak.__name__} on cpu")
    assert caught.value.exit_code == 1


def test_a_leak_smaller_than_rounding_is_found_by_its_gradient():
    seen = proofs(ShiftedEncoder())
    assert not seen["causality by gradient"].passed


def test_a_finite_mask_is_found_by_large_weights():
    seen = proofs(FiniteMask())["causality by perturbation"]
    assert not seen.passed
    assert "times as large" in seen.detail


def test_a_leak_in_training_mode_alone_is_found():
    assert "training mode" in proofs(LeakyInTraining())["causality by perturbation"].detail


def test_a_masked_encoder_is_causal_but_sees_other_documents_and_forgets():
    passed = {name: proof.passed for name, proof in proofs(LeakyEncoder(masked=True)).items()}
    assert passed == {
        "causality by perturbation": True,
        "causality by gradient": True,
        "document isolation by perturbation": False,
        "document isolation by gradient": False,
        "one call equals many": False,
        "rows and states are independent": False,
    }


def test_a_leak_behind_a_zero_projection_is_found():
    model = small(residual_init="zero")
    for block in model.blocks:
        block.attention.attend.forward = lambda q, k, v, mask=None, state=None: v.flip(2)
    assert not proofs(model)["causality by perturbation"].passed


def test_states_that_share_memory_are_found(monkeypatch):
    monkeypatch.setattr(KeyValue, "clone", lambda self: KeyValue(self.keys, self.values, self.length))
    assert not proofs(small())["rows and states are independent"].passed


def test_a_model_without_an_embedding_cannot_be_proved_by_gradient():
    class OneHot(LeakyEncoder):
        def hidden(self, tokens, state=None, documents=None):
            return nn.functional.one_hot(tokens, 40).float() @ self.embedding.weight

    seen = proofs(OneHot())["causality by gradient"]
    assert not seen.passed
    assert "OneHot has no nn.Embedding" in seen.detail


def test_a_model_that_reads_nothing_makes_the_gradient_proof_fail():
    class Deaf(LeakyEncoder):
        def hidden(self, tokens, state=None, documents=None):
            return self.embedding(tokens) * 0.0

    seen = proofs(Deaf())["causality by gradient"]
    assert not seen.passed
    assert "proves nothing" in seen.detail


def test_numbers_that_are_none_do_not_pass():
    model = small()
    with torch.no_grad():
        model.norm.weight.fill_(torch.nan)
    assert not proofs(model)["causality by perturbation"].passed


def test_the_model_is_left_as_it_was():
    model = small().train()
    model.blocks[0].eval()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.random.get_rng_state()
    prove_model(model, device=CPU, dtype=torch.bfloat16)
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), random)


def test_a_context_of_one_token_has_no_future_to_see():
    assert all(proof.passed for proof in proofs(small(context=1)).values())
