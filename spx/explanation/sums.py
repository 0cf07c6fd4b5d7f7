"""Means and spreads over draws of values that not every draw has."""

from typing import NamedTuple

import torch
from torch import Tensor


class Statistics(NamedTuple):
    """Of n keys over R draws, where a draw that doesn't have a key counts as 0.

    Args:
        keys: [n] int64, ascending.
        mean: [n] float64.
        spread: [n] float64, sample standard deviation; None for one draw.
        drawn: [n] float64, share of the draws that have the key.
    """

    keys: Tensor
    mean: Tensor
    spread: Tensor | None
    drawn: Tensor


class SumsByKey:
    """Adds up draws; what it holds grows with the distinct keys, not with the draws."""

    def __init__(self) -> None:
        self.num_draws = 0
        self._keys = torch.empty(0, dtype=torch.int64)
        self._sums = torch.empty(0, 3, dtype=torch.float64)

    def add(self, keys: Tensor, values: Tensor) -> None:
        """Count one draw: values [n] of keys [n] int64; those of one key are added up."""
        self.num_draws += 1
        keys, values = _coalesced(keys.cpu(), values.cpu().double()[:, None])
        rows = torch.cat((values, values.square(), torch.ones_like(values)), 1)
        self._keys, self._sums = _coalesced(torch.cat((self._keys, keys)), torch.cat((self._sums, rows)))

    def statistics(self) -> Statistics:
        """Over all draws so far."""
        total, squares, count = self._sums.T
        mean, spread = total / self.num_draws, None
        if self.num_draws > 1:
            spread = ((squares - total * mean).clamp(min=0) / (self.num_draws - 1)).sqrt()
        return Statistics(self._keys, mean, spread, count / self.num_draws)


def largest(owner: Tensor, value: Tensor, most: int) -> Tensor:
    """Places of the `most` largest values [n] of each owner [n] int64, owners ascending, values falling; of equal
    ones the first."""
    order = value.argsort(descending=True, stable=True)
    order = order[owner[order].argsort(stable=True)]
    sorted_owner = owner[order]
    first = torch.searchsorted(sorted_owner, sorted_owner)
    return order[torch.arange(order.numel()) - first < most]


def _coalesced(keys: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    distinct, place = keys.unique(return_inverse=True)
    return distinct, rows.new_zeros(distinct.numel(), rows.shape[1]).index_add_(0, place, rows)
