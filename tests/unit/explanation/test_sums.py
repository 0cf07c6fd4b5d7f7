"""Means over draws of what not every draw has, against the plain computation."""

import torch

from spx.explanation.sums import SumsByKey, largest


def test_a_draw_without_the_key_counts_as_zero() -> None:
    sums = SumsByKey()
    sums.add(torch.tensor([7, 3, 7]), torch.tensor([0.25, 0.5, 0.25]))  # 7 twice: its slots add up
    first = sums.statistics()
    assert first.spread is None
    assert first.mean.tolist() == [0.5, 0.5]
    sums.add(torch.tensor([3, 9]), torch.tensor([0.25, 0.75]))
    sums.add(torch.tensor([], dtype=torch.int64), torch.tensor([]))
    found = sums.statistics()
    dense = torch.tensor([[0.5, 0.25, 0], [0.5, 0, 0], [0, 0.75, 0]], dtype=torch.float64)
    assert found.keys.tolist() == [3, 7, 9]
    torch.testing.assert_close(found.mean, dense.mean(1))
    torch.testing.assert_close(found.spread, dense.std(1))
    torch.testing.assert_close(found.drawn, torch.tensor([2 / 3, 1 / 3, 1 / 3], dtype=torch.float64))


def test_the_largest_of_each_owner() -> None:
    owner, value = torch.tensor([1, 0, 1, 1, 0, 4]), torch.tensor([0.2, 0.1, 0.9, 0.2, 0.3, 0.0])
    assert largest(owner, value, 2).tolist() == [4, 1, 2, 0, 5]
    assert largest(owner, value, 1).tolist() == [4, 2, 5]
