"""Train, validation, test: fixed by the loader, or drawn as a pure function of labels, shares and a seed."""

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from spx.datasets.types import GraphTensors, Split
from spx.errors import DatasetError

Shares = tuple[float, float, float]


def random_split(labelled: Tensor, shares: Shares, seed: int) -> Split:
    """Cut a random order of the nodes `labelled` ([n] int64) by the shares of train, validation and test.

    The first two parts have floor(share * n) nodes, the test part has the rest.
    Raises ValueError for shares that are negative or don't sum to 1.
    """
    _check_shares(shares)
    num_train, num_val = (_part(share, labelled.numel()) for share in shares[:2])
    order = labelled[torch.randperm(labelled.numel(), generator=_generator(seed))]
    return _sorted(order[:num_train], order[num_train : num_train + num_val], order[num_train + num_val :])


def stratified_split(y: Tensor, shares: Shares, seed: int) -> Split:
    """Cut each class by the shares of train, validation and test, in a random order of its nodes.

    y  [N] int64 class labels; the nodes with y >= 0 are split
    Of a class of n nodes each part has floor(share * n) or one more, and train has one before any other part has. What
    the floors leave goes to the parts that lack most over all classes so far; sizes do not depend on the seed.
    Raises ValueError for shares that are negative or don't sum to 1.
    """
    _check_shares(shares)
    labelled = _labelled(y)
    order = labelled[torch.randperm(labelled.numel(), generator=_generator(seed))]
    order = order[y[order].sort(stable=True).indices]
    counts_C = torch.bincount(y[order])
    sizes_C3 = _stratified_sizes(counts_C, shares)
    start_C = counts_C.cumsum(0) - counts_C
    place = torch.arange(order.numel()) - start_C[y[order]]  # of each node within its class
    part = (place[:, None] >= sizes_C3.cumsum(1)[y[order], :2]).sum(1)
    return _sorted(*(order[part == number] for number in range(3)))


def _stratified_sizes(counts_C: Tensor, shares: Shares) -> Tensor:
    """[C, 3] int64: how many nodes of each class go to train, validation and test."""
    lack = [0.0, 0.0, 0.0]
    sizes_C3 = []
    for count in counts_C.tolist():
        sizes = [_part(share, count) for share in shares]
        rests = [share * count - size for share, size in zip(shares, sizes, strict=True)]
        lack = [before + rest for before, rest in zip(lack, rests, strict=True)]
        open_parts = [part for part in range(3) if rests[part] > 1e-9]
        open_parts.sort(key=lambda part: (part != 0 or sizes[0] > 0, -lack[part]))
        for part in open_parts[: count - sum(sizes)]:
            sizes[part] += 1
            lack[part] -= 1
        sizes_C3.append(sizes)
    return torch.tensor(sizes_C3, dtype=torch.int64).view(-1, 3)


def balanced_split(y: Tensor, train_share: float, val_share: float, seed: int) -> Split:
    """Train on equally many nodes of each class: round(train_share * n / C), or all of a smaller class.

    y  [N] int64 class labels; the n nodes with y >= 0 are split, C is the largest label + 1.
    Validation takes round(val_share * n) of the others at random, the test part has the rest.

    The numbers are drawn in the order of the code behind Spexphormer's published figures (one permutation for each
    class, one for the others, from torch's generator at `seed`), so that seed 0 gives the very split of its tables.
    """
    generator = torch.Generator().manual_seed(seed)  # not `_generator`: see above
    num_labelled = int((y >= 0).sum())
    num_classes = int(y.max()) + 1 if num_labelled else 1
    per_class = round(train_share * num_labelled / num_classes)
    orders = [_shuffled((y == label).nonzero().flatten(), generator) for label in range(num_classes)]
    others = _shuffled(torch.cat([order[per_class:] for order in orders]), generator)
    num_val = round(val_share * num_labelled)
    return _sorted(torch.cat([order[:per_class] for order in orders]), others[:num_val], others[num_val:])


def _check_shares(shares: Shares) -> None:
    if min(shares) < 0 or not math.isclose(sum(shares), 1.0):
        raise ValueError(f"shares {shares} must be non-negative and sum to 1")


def _shuffled(nodes: Tensor, generator: torch.Generator) -> Tensor:
    return nodes[torch.randperm(nodes.numel(), generator=generator)]


@dataclass(frozen=True)
class SplitRule:
    """How a protocol splits a dataset.

    kind    fixed: shipped with the data; random: by shares; balanced: equal counts per class in train
    num     how many splits there are; None: as many as there are seeds
    shares  of train, validation and test, where drawn
    seed    of split 0, where drawn; split i is drawn from seed + i
    """

    kind: Literal["fixed", "random", "balanced"]
    num: int | None = None
    shares: Shares = (0.6, 0.2, 0.2)
    seed: int = 0

    def split(self, graph: GraphTensors, index: int) -> Split:
        """Split number `index` of this graph. Raises DatasetError where the data ships fewer fixed splits."""
        if self.kind == "fixed":
            return _fixed_split(graph, index)
        if self.kind == "balanced":
            return balanced_split(graph.y, self.shares[0], self.shares[1], self.seed + index)
        return random_split(_labelled(graph.y), self.shares, self.seed + index)

    def origin(self, index: int) -> str:
        """Where split number `index` is from, in words."""
        if self.kind == "fixed":
            several = self.num is not None and self.num > 1
            return "given with the data" + (f", number {index} of {self.num} (from 0)" if several else "")
        shares, seed = ", ".join(f"{share:.4g}" for share in self.shares), self.seed + index
        equal = "as many training nodes of each class" if self.kind == "balanced" else "over all labelled nodes"
        return f"drawn at random, {equal}, shares {shares}, seed {seed}"


def _fixed_split(graph: GraphTensors, index: int) -> Split:
    masks = (graph.train_mask, graph.val_mask, graph.test_mask)
    available = min(0 if mask is None else mask.size(0) for mask in masks)
    if index >= available:
        raise DatasetError(f"split {index} is not in the raw files, which hold {available}")
    return Split(*(mask[index].nonzero().flatten() for mask in masks))


def _labelled(y: Tensor) -> Tensor:
    return (y >= 0).nonzero().flatten() if y.dim() == 1 else torch.arange(y.size(0))


def _part(share: float, total: int) -> int:
    """floor(share * total), unharmed by 0.1 + 0.2 being a little more than 0.3."""
    return math.floor(share * total + 1e-9)


def _generator(seed: int) -> torch.Generator:
    """A stream for splits alone: one shared with a generated dataset would tie its labels to its split."""
    digest = hashlib.sha256(f"spx-split/{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def _sorted(train: Tensor, val: Tensor, test: Tensor) -> Split:
    return Split(train.sort().values, val.sort().values, test.sort().values)
