import math

import pytest
import torch
import torch.nn.functional as F

from hornbook.errors import ShapeError
from hornbook.nn.losses import IGNORE, chunked_next_token_loss, next_token_loss

B, T, D, V = 3, 5, 8, 11


def case(dtype=torch.float32):
    torch.manual_seed(0)
    hidden = torch.randn(B, T, D, dtype=dtype, requires_grad=True)
    weight = torch.randn(V, D, requires_grad=True)
    targets = torch.randint(0, V, (B, T))
    targets[0, :2] = targets[2] = IGNORE
    return hidden, weight, targets


def test_the_loss_is_the_sum_of_minus_log_probabilities():
    hidden, weight, targets = case()
    logits = hidden @ weight.T
    total, count = next_token_loss(logits, targets)
    kept = [(b, t) for b in range(B) for t in range(T) if targets[b, t] != IGNORE]
    expected = sum(-logits[b, t].log_softmax(-1)[targets[b, t]] for b, t in kept)
    torch.testing.assert_close(total, expected)
    assert count.item() == len(kept) == 8


def test_total_is_float32_and_count_int64_whatever_the_logits():
    total, count = next_token_loss(
        torch.zeros(1, 2, V, dtype=torch.bfloat16), torch.zeros(1, 2, dtype=torch.int64)
    )
    assert (total.dtype, count.dtype) == (torch.float32, torch.int64)
    assert total.item() == pytest.approx(2 * math.log(V))


@pytest.mark.parametrize("chunked", [False, True])
def test_nothing_to_learn_costs_nothing_and_teaches_nothing(chunked):
    hidden, weight, _ = case()
    targets = torch.full((B, T), IGNORE)
    if chunked:
        total, count = chunked_next_token_loss(hidden, weight, targets)
    else:
        total, count = next_token_loss(hidden @ weight.T, targets)
    total.backward()
    assert (total.item(), count.item()) == (0.0, 0)
    assert not hidden.grad.any() and not weight.grad.any()


@pytest.mark.parametrize("chunk_rows", [1, 4, 15, 1000])
def test_chunks_of_any_size_give_the_plain_loss_and_gradients(chunk_rows):
    hidden, weight, targets = case()
    plain, _ = next_token_loss(hidden @ weight.T, targets)
    total, count = chunked_next_token_loss(hidden, weight, targets, chunk_rows=chunk_rows)
    torch.testing.assert_close(total, plain)
    assert count.item() == 8
    expected = torch.autograd.grad(plain / 8, (hidden, weight))
    torch.testing.assert_close(torch.autograd.grad(total / 8, (hidden, weight)), expected)


def test_the_chunked_gradient_survives_a_second_look_in_float64():
    hidden, weight, targets = case(torch.float64)
    weight = weight.detach().double().requires_grad_()

    def loss(h, w):
        return chunked_next_token_loss(h, w, targets, chunk_rows=4)[0].double()

    # The sums are float32, so finite differences are coarse.
    assert torch.autograd.gradcheck(loss, (hidden, weight), eps=1e-2, atol=1e-2)


def test_chunks_agree_with_the_plain_loss_under_autocast():
    hidden, weight, targets = case()
    with torch.autocast("cpu", torch.bfloat16):
        plain, _ = next_token_loss(F.linear(hidden, weight), targets)
        total, _ = chunked_next_token_loss(hidden, weight, targets, chunk_rows=4)
    torch.testing.assert_close(total, plain, rtol=1e-6, atol=0)  # the same bfloat16 logits
    expected = torch.autograd.grad(plain, (hidden, weight))
    gradients = torch.autograd.grad(total, (hidden, weight))
    torch.testing.assert_close(gradients, expected, rtol=0, atol=0.05)  # products of 8 bits
    assert [g.dtype for g in gradients] == [torch.float32, torch.float32]


def test_chunks_without_a_graph_give_the_same_total():
    hidden, weight, targets = case()
    with torch.no_grad():
        total, _ = chunked_next_token_loss(hidden, weight, targets, chunk_rows=4)
    torch.testing.assert_close(total, next_token_loss(hidden @ weight.T, targets)[0].detach())
    assert not total.requires_grad


def test_a_frozen_head_gets_no_gradient():
    hidden, weight, targets = case()
    total, _ = chunked_next_token_loss(hidden, weight.detach(), targets)
    total.backward()
    assert hidden.grad is not None and weight.grad is None


def test_positions_that_disagree_are_refused_with_both_shapes():
    with pytest.raises(
        ShapeError, match=r"logits is \(2, 3, 5\) and targets \(2, 4\).*\nfix: give logits as \(B, T"
    ):
        next_token_loss(torch.zeros(2, 3, 5), torch.zeros(2, 4, dtype=torch.int64))


def test_a_head_of_another_width_is_refused_with_both_shapes():
    with pytest.raises(ShapeError, match=r"hidden is \(2, 3, 5\) and the head \(7, 4\)"):
        chunked_next_token_loss(torch.zeros(2, 3, 5), torch.zeros(7, 4), torch.zeros(2, 3, dtype=torch.int64))
