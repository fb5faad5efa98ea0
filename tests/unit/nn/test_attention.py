import pytest
import torch
from torch import nn

from hornbook.errors import ConfigError, ShapeError
from hornbook.nn.attention import (
    PATHS,
    CausalAttention,
    check_length,
    document_mask,
    document_positions,
    use_attention,
)
from hornbook.nn.state import KeyValue

B, H, G, T, K = 2, 4, 2, 7, 8
DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 2, 2], [4, 4, 4, 4, 4, 4, 4]])


def attention(path, **settings):
    module = CausalAttention(**settings)
    use_attention(module, path)
    return module


def heads(groups=G, dtype=torch.float32):
    return tuple(torch.randn(B, n, T, K, dtype=dtype) for n in (H, groups, groups))


def by_loops(q, k, v, may_see):
    """The formula, one query at a time."""
    out = torch.zeros(B, H, T, K)
    for b in range(B):
        for h in range(H):
            g = h * k.shape[1] // H
            for t in range(T):
                seen = [s for s in range(T) if may_see(b, t, s)]
                weights = torch.stack([q[b, h, t] @ k[b, g, s] * K**-0.5 for s in seen]).softmax(0)
                out[b, h, t] = sum(w * v[b, g, s] for w, s in zip(weights, seen, strict=True))
    return out


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("groups", [H, G, 1])
def test_attention_is_the_formula_written_as_loops(path, groups):
    q, k, v = heads(groups)
    expected = by_loops(q, k, v, lambda b, t, s: s <= t)
    torch.testing.assert_close(attention(path)(q, k, v), expected)


@pytest.mark.parametrize("path", PATHS)
def test_a_document_mask_ends_attention_at_its_borders(path):
    q, k, v = heads()
    expected = by_loops(q, k, v, lambda b, t, s: s <= t and DOCUMENTS[b, s] == DOCUMENTS[b, t])
    mask = document_mask(DOCUMENTS, torch.float32)
    torch.testing.assert_close(attention(path)(q, k, v, mask=mask), expected)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cut", [1, 3, 6])
def test_calls_with_a_state_equal_one_call(path, cut):
    q, k, v = heads()
    attend = attention(path)
    state = KeyValue.empty((B, G, T, K), device=torch.device("cpu"), dtype=torch.float32)
    parts = [attend(*(x[:, :, part] for x in (q, k, v)), state=state) for part in (slice(0, cut), slice(cut, T))]
    torch.testing.assert_close(torch.cat(parts, dim=2), attend(q, k, v))
    assert state.length == T


@pytest.mark.parametrize("path", PATHS)
def test_a_state_of_another_dtype_is_read_in_the_queries_dtype(path):
    q, k, v = heads()
    state = KeyValue.empty((B, G, T, K), device=torch.device("cpu"), dtype=torch.bfloat16)
    y = attention(path)(q, k, v, state=state)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, attention(path)(q, k, v), rtol=0, atol=0.05)  # bfloat16 keeps 8 bits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("documents", [None, DOCUMENTS])
def test_the_two_paths_agree_in_result_and_gradient(dtype, documents):
    inputs = [x.requires_grad_() for x in heads(dtype=dtype)]
    mask = None if documents is None else document_mask(documents, dtype)
    results = []
    for path in PATHS:
        y = attention(path)(*inputs, mask=mask)
        results.append((y, *torch.autograd.grad(y.float().square().sum(), inputs)))
    tolerance = 1e-5 if dtype == torch.float32 else 2**-5  # a few roundings to 8 bits
    torch.testing.assert_close(results[0], results[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("path", PATHS)
def test_dropout_acts_in_training_only(path):
    q, k, v = heads()
    attend = attention(path, dropout=0.5)
    assert not torch.equal(attend(q, k, v), attend(q, k, v))
    attend.eval()
    torch.testing.assert_close(attend(q, k, v), attention(path)(q, k, v))


@pytest.mark.parametrize("path", PATHS)
def test_scores_of_any_size_leak_nothing(path):
    q, k, v = heads()
    changed = v.clone()
    changed[:, :, -1] = 1e6
    attend = attention(path)
    assert torch.equal(attend(q * 1e6, k * 1e6, v)[:, :, :-1], attend(q * 1e6, k * 1e6, changed)[:, :, :-1])


def test_masks_are_truly_infinite():
    mask = document_mask(DOCUMENTS, torch.float32)
    assert set(mask.unique().tolist()) == {-torch.inf, 0.0}


def test_positions_restart_at_each_document():
    assert document_positions(DOCUMENTS).tolist() == [[0, 1, 2, 0, 1, 0, 1], list(range(7))]


def test_use_attention_sets_every_attention_inside():
    model = nn.Sequential(CausalAttention(), nn.Sequential(CausalAttention()))
    use_attention(model, "matmul")
    assert [m.path for m in model.modules() if isinstance(m, CausalAttention)] == ["matmul", "matmul"]


def test_an_unknown_path_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no way to compute attention .*'spda'.\nfix: did you mean 'sdpa'\?"):
        use_attention(nn.Identity(), "spda")


def test_going_beyond_the_context_is_refused_with_the_numbers():
    check_length(6, 2, 8)
    with pytest.raises(
        ShapeError, match=r"9 tokens \(6 before, 3 now\) exceed the model's context of 8"
    ) as caught:
        check_length(6, 3, 8)
    assert "at most 8 tokens" in caught.value.fix
