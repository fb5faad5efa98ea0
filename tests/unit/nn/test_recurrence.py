import importlib.util

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hornbook.errors import ConfigError
from hornbook.nn.recurrence import Delta, GatedDeltaRule, delta_chunks, delta_steps, use_delta_rule

B, H, T, K, V = 2, 3, 75, 8, 12
DOCUMENTS = torch.tensor([[0] * 20 + [1] * 3 + [2] * 52, [5] * 64 + [6] * 11])


def inputs(tokens=T, dtype=torch.float64, strength=2.0):
    return Delta(
        query=F.normalize(torch.randn(B, H, tokens, K, dtype=dtype), dim=-1),
        key=F.normalize(torch.randn(B, H, tokens, K, dtype=dtype), dim=-1),
        value=torch.randn(B, H, tokens, V, dtype=dtype),
        log_decay=-torch.rand(B, H, tokens, dtype=dtype) * 0.3,
        strength=strength * torch.rand(B, H, tokens, dtype=dtype),
    )


def a_memory(dtype=torch.float64):
    return torch.randn(B, H, K, V, dtype=dtype)


def narrowed(values):
    return None if values is None else values.float()


def part(x, here):
    """The tokens `here` of all rows."""
    return Delta(*(tensor[:, :, here] for tensor in x))


def by_formula(x, memory):
    """S_t = exp(g) (I - b k k^T) S + b k v^T and o = S^T q, written with that matrix."""
    seen = torch.zeros(B, H, x.query.shape[2], V, dtype=torch.float64)
    last = torch.zeros(B, H, K, V, dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            S = torch.zeros(K, V, dtype=torch.float64) if memory is None else memory[b, h]
            for t in range(x.query.shape[2]):
                q, k, v, g, strength = (tensor[b, h, t] for tensor in x)
                S = g.exp() * (torch.eye(K) - strength * torch.outer(k, k)) @ S + strength * torch.outer(k, v)
                seen[b, h, t] = S.T @ q
            last[b, h] = S
    return seen, last


@pytest.mark.parametrize("memory", [None, a_memory()], ids=["empty", "given"])
def test_the_steps_are_the_formula(memory):
    x = inputs(tokens=10)
    torch.testing.assert_close(delta_steps(x, memory), by_formula(x, memory), rtol=0, atol=1e-12)


@pytest.mark.parametrize("memory", [None, a_memory()], ids=["empty", "given"])
@pytest.mark.parametrize("chunk_size", [1, 2, 7, 16, 32, 64, 128])
def test_chunks_equal_steps(chunk_size, memory):
    x = inputs()
    expected = delta_steps(x, memory)
    torch.testing.assert_close(delta_chunks(x, memory, chunk_size=chunk_size), expected, rtol=0, atol=1e-12)
    narrow = delta_chunks(Delta(*map(narrowed, x)), narrowed(memory), chunk_size=chunk_size)
    torch.testing.assert_close(narrow, tuple(map(narrowed, expected)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("tokens", [1, 2, 63, 64, 65, 128])
def test_any_number_of_tokens_can_be_cut_into_chunks(tokens):
    x = inputs(tokens)
    torch.testing.assert_close(delta_chunks(x), delta_steps(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("memory", [None, a_memory()], ids=["empty", "given"])
def test_both_forms_have_one_gradient(memory):
    weights = torch.randn(B, H, 20, V, dtype=torch.float64), a_memory()
    leaves = [tensor.requires_grad_() for tensor in inputs(tokens=20)]
    if memory is not None:
        leaves.append(memory.requires_grad_())
    gradients = []
    for form in (delta_steps, lambda *given: delta_chunks(*given, chunk_size=7)):
        seen, last = form(Delta(*leaves[:5]), memory)
        total = (seen * weights[0]).sum() + (last * weights[1]).sum()
        gradients.append(torch.autograd.grad(total, leaves))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk_size", [7, 16, 64, 128])
def test_documents_do_not_share_a_memory(chunk_size):
    x = inputs()
    seen, last = delta_chunks(x, documents=DOCUMENTS, chunk_size=chunk_size)
    for row in range(B):
        for document in DOCUMENTS[row].unique():
            here = DOCUMENTS[row] == document
            alone, end = delta_steps(part(x, here))
            torch.testing.assert_close(seen[row][:, here], alone[row], rtol=0, atol=1e-12)
        torch.testing.assert_close(last[row], end[row], rtol=0, atol=1e-12)


def test_documents_have_no_gradient_across_their_borders():
    leaves = [tensor.requires_grad_() for tensor in inputs(dtype=torch.float32)]
    seen, _ = delta_chunks(Delta(*leaves), documents=DOCUMENTS, chunk_size=16)
    for row in range(B):
        here = DOCUMENTS[row] == DOCUMENTS[row, -1]
        for gradient in torch.autograd.grad(seen[row][:, here].sum(), leaves, retain_graph=True):
            assert not gradient[row][:, ~here].any() and gradient[row][:, here].any()


def test_a_token_that_forgets_everything_breaks_no_number():
    x = inputs(dtype=torch.float32)
    x.log_decay[:, :, 30] = -1e6
    leaves = [tensor.requires_grad_() for tensor in x]
    seen, last = delta_chunks(Delta(*leaves))
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(seen.sum() + last.sum(), leaves))
    after, _ = delta_steps(part(x, slice(30, None)))
    torch.testing.assert_close(seen[:, :, 30:31], after[:, :, :1], rtol=0, atol=1e-5)


def test_a_strength_of_two_turns_what_is_held_over():
    """Parity: a key written with strength 2 and value 0 flips the sign of what lies under it."""
    bits = torch.tensor([0, 1, 1, 0, 1, 0, 1, 1, 1, 0], dtype=torch.float64)
    key = torch.ones(1, 1, len(bits), 1, dtype=torch.float64)
    zeros = torch.zeros(1, 1, len(bits), dtype=torch.float64)
    x = Delta(key, key, zeros[..., None], log_decay=zeros, strength=2 * bits[None, None])
    seen, _ = delta_chunks(x, torch.ones(1, 1, 1, 1, dtype=torch.float64), chunk_size=4)
    assert seen.flatten().tolist() == pytest.approx((1 - 2 * (bits.cumsum(0) % 2)).tolist())


@pytest.mark.shared
@pytest.mark.parametrize("memory", [None, a_memory()], ids=["empty", "given"])
def test_the_numbers_are_those_of_the_reference(shared_data, memory):
    path = shared_data.parent / "reference" / "brahma_prototype.py"
    if not path.is_file():
        pytest.skip("the reference implementation is not beside this checkout (../shared/reference)")
    reference = loaded(path)
    x = inputs()
    expected = reference.delta_recurrent(*x, memory)
    torch.testing.assert_close(delta_steps(x, memory), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(delta_chunks(x, memory), expected, rtol=0, atol=1e-12)


def loaded(path):
    """Import a module from its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_rule_is_float32_under_autocast():
    x, rule = inputs(dtype=torch.float32), GatedDeltaRule(chunk_size=16)
    with torch.autocast("cpu", torch.bfloat16):
        seen, _ = rule(x, narrow=torch.bfloat16)
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen, delta_steps(x)[0], rtol=0, atol=1e-4)


def test_use_delta_rule_sets_every_rule_inside():
    model = nn.Sequential(GatedDeltaRule(chunk_size=4), nn.Sequential(GatedDeltaRule(chunk_size=4)))
    use_delta_rule(model, "fla")
    assert [m.path for m in model.modules() if isinstance(m, GatedDeltaRule)] == ["fla", "fla"]


def test_an_unknown_path_is_refused_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"no way to compute the delta rule .*'plane'.\nfix: did you mean 'plain'\?"
    ):
        use_delta_rule(nn.Identity(), "plane")
