"""Sums over the rows of a CSR, and their gradient."""

import itertools

import pytest
import torch

from spx.graph.segments import segment_sum


@pytest.mark.parametrize("trailing", [(), (2,), (2, 3)])
def test_segment_sum_has_the_right_gradient(trailing: tuple[int, ...]) -> None:
    values = torch.randn(7, *trailing, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    indptr = torch.tensor([0, 0, 3, 4, 4, 7, 7])
    expected = torch.stack([values[a:b].sum(0) for a, b in itertools.pairwise(indptr)])
    torch.testing.assert_close(segment_sum(values, indptr), expected)
    assert torch.autograd.gradcheck(lambda v: segment_sum(v, indptr), values.requires_grad_())


def test_segment_sum_takes_strided_values() -> None:
    values = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).t()
    torch.testing.assert_close(
        segment_sum(values, torch.tensor([0, 5, 8])), torch.stack([values[:5].sum(0), values[5:].sum(0)])
    )


def test_under_autocast_ten_thousand_ones_sum_to_ten_thousand() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        total = segment_sum(torch.ones(10_000, 2), torch.tensor([0, 10_000]))
    torch.testing.assert_close(total, torch.full((1, 2), 1e4), rtol=1e-3, atol=0)
