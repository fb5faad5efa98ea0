"""Torch's cells give what their equations say, begin as they should, and start afresh at every border."""

import pytest
import torch

from hornbook.nn.cells import CELLS, Borders, Cell
from hornbook.nn.state import Recurrent

KINDS = sorted(CELLS)


def cell(kind, *, inner=5, width=6):
    made = Cell(kind, inner, width)
    made.initialise(torch.Generator().manual_seed(2))
    return made


def by_hand(made, x):
    """The same layer step by step, from the equations of torch's own documentation."""
    w_in, w_rec, b_in, b_rec = (p.detach() for p in made.cell.parameters())
    D = made.width
    h = c = torch.zeros(x.shape[0], D)
    written = []
    for t in range(x.shape[1]):
        read, kept = x[:, t] @ w_in.T + b_in, h @ w_rec.T + b_rec
        if made.cell.mode == "RNN_TANH":
            h = (read + kept).tanh()
        elif made.cell.mode == "GRU":
            reset, update = (read + kept)[:, : 2 * D].sigmoid().chunk(2, dim=1)
            new = (read[:, 2 * D :] + reset * kept[:, 2 * D :]).tanh()
            h = (1 - update) * new + update * h
        else:
            enter, forget, new, out = (read + kept).chunk(4, dim=1)
            c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
            h = out.sigmoid() * c.tanh()
        written.append(h)
    return torch.stack(written, dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_computes_its_equations(kind):
    made, x = cell(kind), torch.randn(3, 7, 5)
    torch.testing.assert_close(made(x), by_hand(made, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_making_a_cell_leaves_torchs_generator_alone(kind):
    before = torch.random.get_rng_state()
    first, again = cell(kind), cell(kind)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_what_multiplies_the_memory_keeps_its_length_in_every_gate(kind):
    for gate in cell(kind).cell.weight_hh_l0.split(6):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6), rtol=0, atol=1e-5)


def test_only_the_forget_gate_begins_open():
    made = cell("lstm").cell
    expected = torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat_interleave(6)
    assert torch.equal(made.bias_ih_l0.detach() + made.bias_hh_l0.detach(), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_documents_of_a_row_run_as_if_alone(kind):
    made, x = cell(kind), torch.randn(2, 9, 5)
    documents = torch.tensor([[0, 0, 0, 0, 1, 2, 2, 2, 2], [3, 3, 4, 4, 4, 4, 4, 5, 6]])
    borders = Borders.of(documents)
    packed = borders.unpack(made(borders.pack(x), borders), rows=2)
    for row in range(2):
        for number in documents[row].unique():
            alone = documents[row] == number
            torch.testing.assert_close(packed[row, alone], made(x[row, alone][None])[0], rtol=1e-5, atol=1e-6)


def test_borders_count_the_documents_that_are_at_least_so_long():
    borders = Borders.of(torch.tensor([[7, 7, 7, 9], [0, 1, 1, 1]]))
    assert borders.batch_sizes.tolist() == [4, 2, 2]
    x = torch.arange(8.0).view(2, 4, 1)
    assert borders.pack(x).flatten().tolist() == [0, 5, 3, 4, 1, 6, 2, 7]
    assert torch.equal(borders.unpack(borders.pack(x), rows=2), x)


def test_the_same_number_in_two_rows_is_two_documents():
    assert Borders.of(torch.zeros(3, 4, dtype=torch.int32)).batch_sizes.tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_on_where_it_was(kind):
    made, x = cell(kind), torch.randn(2, 8, 5)
    state = Recurrent.empty((2, made.memories, 6), device=torch.device("cpu"), dtype=torch.float32)
    parts = torch.cat([made(x[:, :3], state=state), made(x[:, 3:4], state=state), made(x[:, 4:], state=state)], 1)
    torch.testing.assert_close(parts, made(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state.memory[:, 0], parts[:, -1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_narrow_products_on_the_cpu_agree_with_wide_ones(kind, dtype):
    made, x = cell(kind), torch.randn(2, 8, 5)
    state = Recurrent.empty((2, made.memories, 6), device=torch.device("cpu"), dtype=torch.float32)
    with torch.autocast("cpu", dtype=dtype):
        narrow = made(x, state=state)
        narrow.float().sum().backward()
    torch.testing.assert_close(
        narrow.float(), made(x), rtol=0, atol=0.03
    )  # values below 1 in 8 bits, 8 times over
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
    assert state.memory.dtype == torch.float32


def test_float16_on_the_cpu_is_computed_in_float32():
    made, x = cell("lstm"), torch.randn(2, 8, 5)
    with torch.autocast("cpu", dtype=torch.float16):
        assert made(x).dtype == torch.float32
