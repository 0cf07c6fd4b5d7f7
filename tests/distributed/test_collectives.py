"""Sums, gathers and norms over ranks: values and gradients are those of one process that holds everything."""

from typing import Any

import pytest
import torch
from daily import every_day
from torch import Tensor, nn

from spx.nn.collectives import gather_rows, num_ranks, sum_over_ranks
from spx.nn.norms import make_norm, normalize_over_ranks

from .ranks import on_ranks

BOUNDS = {2: (0, 7, 12), 3: (0, 5, 5, 12)}
"""Rows of each rank; the second of three has none, and still the norms' statistics of all."""


def everything() -> tuple[Tensor, Tensor]:
    """Inputs [12, 4] and what their outputs are weighed by in the loss."""
    stream = torch.Generator().manual_seed(0)
    return tuple(torch.randn(12, 4, generator=stream, dtype=torch.float64) * 3 + 1 for _ in range(2))


def own_rows(rank: int, ranks: int) -> slice:
    return slice(*BOUNDS[ranks][rank : rank + 2])


def gathered(rank: int, ranks: int) -> tuple[Tensor, Tensor]:
    rows = own_rows(rank, ranks)
    x = everything()[0][rows].clone().requires_grad_()
    whole = gather_rows(x, BOUNDS[ranks], rank)
    (whole * weight_of(rank)).sum().backward()
    return whole.detach(), x.grad


def weight_of(rank: int) -> Tensor:
    """Another for each rank and each of the rows as it holds them."""
    return torch.arange(48, dtype=torch.float64).view(12, 4) * (rank + 1)


def own_first(rank: int, ranks: int) -> Tensor:
    rows = own_rows(rank, ranks)
    others = [place for place in range(12) if not rows.start <= place < rows.stop]
    return torch.tensor([*range(rows.start, rows.stop), *others])


@every_day("ranks", (2, 3), (3,))
def test_gathered_rows_and_their_gradients(ranks: int) -> None:
    x, _ = everything()
    gradient = torch.zeros_like(x)
    for rank in range(ranks):
        gradient.index_add_(0, own_first(rank, ranks), weight_of(rank))
    for rank, (whole, of_rank) in enumerate(on_ranks(ranks, gathered)):
        assert whole.equal(x[own_first(rank, ranks)]), "its own rows first"
        assert of_rank.equal(gradient[own_rows(rank, ranks)])


def summed(rank: int, ranks: int) -> tuple[Tensor, Tensor, int]:
    x = (torch.arange(3.0) + rank).requires_grad_()
    total = sum_over_ranks(x)
    (total * (rank + 1)).sum().backward()
    return total.detach(), x.grad, num_ranks()


def test_sums_and_their_gradients() -> None:
    for total, gradient, ranks in on_ranks(3, summed):
        assert total.tolist() == [3, 6, 9]
        assert gradient.tolist() == [6, 6, 6]
        assert ranks == 3


def test_one_process_needs_no_group() -> None:
    x = torch.ones(3)
    assert num_ranks() == 1
    assert sum_over_ranks(x) is x


def made_norm(name: str) -> nn.Module:
    norm = make_norm(name, 4).double()
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.randn(4, generator=stream))
    return norm


def outcome(norm: nn.Module, x: Tensor, weight: Tensor) -> dict[str, Any]:
    x = x.clone().requires_grad_()
    out = norm(x)
    (out.square() * weight).sum().backward()
    gradients = {name: parameter.grad for name, parameter in norm.named_parameters()}
    return {"out": out.detach(), "x": x.grad, **gradients, **dict(norm.named_buffers())}


def normalised(rank: int, ranks: int, name: str) -> dict[str, Any]:
    norm, rows = made_norm(name), own_rows(rank, ranks)
    normalize_over_ranks(norm)
    return outcome(norm, *(tensor[rows] for tensor in everything()))


@every_day("ranks", (2, 3), (3,))
@pytest.mark.parametrize("name", ["graph", "batch"])
def test_norms_over_ranks_are_those_of_one_process(name: str, ranks: int) -> None:
    whole = outcome(made_norm(name), *everything())
    parts = on_ranks(ranks, normalised, name)
    close = {"rtol": 1e-12, "atol": 1e-12}
    for key, value in whole.items():
        of_ranks = [part[key] for part in parts]
        if key in ("out", "x"):
            torch.testing.assert_close(torch.cat(of_ranks), value, **close)
        elif key in ("weight", "bias", "mean_scale"):
            torch.testing.assert_close(torch.stack(of_ranks).sum(0), value, **close)
        else:
            for each in of_ranks:
                torch.testing.assert_close(each, value, **close)


def of_nothing(rank: int, ranks: int, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    norm = made_norm(name)
    normalize_over_ranks(norm)
    before = {key: buffer.clone() for key, buffer in norm.named_buffers()}
    return before, outcome(norm, *(tensor[:0] for tensor in everything()))


@every_day("name", ("graph", "batch", "layer"), ("batch",))
def test_no_node_on_any_rank_is_nothing(name: str) -> None:
    for before, after in on_ranks(2, of_nothing, name):
        assert after["out"].shape == after["x"].shape == (0, 4)
        assert all(after[key].equal(buffer) for key, buffer in before.items()), "no statistic"
        assert all(not value.any() for key, value in after.items() if key in ("weight", "bias", "mean_scale"))
