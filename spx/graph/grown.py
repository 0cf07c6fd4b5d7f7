"""The expander of a graph that has changed since: the old one with nodes taken out of it and put into it.

Both kinds of expander are made of permutations, each node's successor in a cycle being its column 2c of the table. A
node that is gone is skipped: its predecessor is joined to its successor. A new node is put between a random node and
its successor. So each change of a node changes two edges a cycle, and all others keep their neighbours.
"""

import torch
from torch import Tensor

from spx.errors import ConfigError
from spx.graph.expander import (
    ALL_PAIRS_NODES,
    SPECTRAL_CHECK_NODES,
    ExpanderKind,
    build_expander,
    required_gap,
    spectral_gap,
)

MAX_INSERTIONS = 20  # random places of the new nodes that are tried until the gap is the required one


def grown_expander(
    places: Tensor, num_nodes: int, degree: int, seed: int, kind: ExpanderKind = "hamiltonian"
) -> Tensor:
    """The expander of a changed graph, near that of `build_expander` for the graph as it was; the same for the same
    arguments.

    Args:
        places: [N_old] int64, where each node of the old graph is in the new one; -1: it is gone.
        num_nodes: N of the new graph.
        degree: D.
        seed: of the old graph's expander.
        kind: of it.

    Returns:
        [N, 2D] int32. As in `build_expander` graphs of up to 10 nodes have all pairs, and up to 100,000 nodes the new
        nodes are placed anew until the spectral gap is the required one, at most 20 times, keeping the best.

    Raises:
        ConfigError: as `build_expander`; or places that aren't distinct nodes of the new graph.

    Example:
        >>> import torch
        >>> from spx.graph.expander import build_expander
        >>> before = build_expander(100, degree=3, seed=0)
        >>> after = grown_expander(torch.arange(100), 101, degree=3, seed=0)  # node 100 is new
        >>> int((after[:100] != before).sum())  # a successor and a predecessor in each of three cycles
        6
    """
    kept = places[places >= 0]
    if kept.numel() and (int(kept.max()) >= num_nodes or kept.unique().numel() < kept.numel()):
        raise ConfigError(f"places must be distinct nodes below {num_nodes}, or -1.")
    if min(places.numel(), num_nodes) <= ALL_PAIRS_NODES or kept.numel() == 0:
        return build_expander(num_nodes, degree, seed, kind)
    before, stayed = build_expander(places.numel(), degree, seed, kind), (places >= 0).nonzero().flatten()
    next_kept = [_without_gone(before[:, 2 * cycle].long(), places, stayed, num_nodes) for cycle in range(degree)]
    new = (next_kept[0] < 0).nonzero().flatten() if next_kept else kept[:0]
    numbers = torch.arange(num_nodes, dtype=torch.int32)
    generator = torch.Generator().manual_seed(seed)
    required, best, best_gap = required_gap(2 * degree), None, -1.0
    for _ in range(MAX_INSERTIONS):
        table = torch.empty(num_nodes, 2 * degree, dtype=torch.int32)
        for cycle, successor in enumerate(next_kept):
            following = _with_new(successor, kept, new, generator)
            table[:, 2 * cycle] = following.to(torch.int32)
            table[:, 2 * cycle + 1].index_copy_(0, following, numbers)
        if kept.numel() == num_nodes or num_nodes > SPECTRAL_CHECK_NODES or required <= 0:
            return table
        gap = spectral_gap(table)
        if gap > best_gap:
            best, best_gap = table, gap
        if gap >= required:
            break
    return best


def _without_gone(successor: Tensor, places: Tensor, stayed: Tensor, num_nodes: int) -> Tensor:
    """[num_nodes] int64, the successor of each kept node among the kept ones, in the new graph's numbers; -1 of others.

    Runs of nodes that are gone are skipped a step at a time, by the nodes that haven't passed theirs yet: as many steps
    as the longest run has nodes, a few unless nearly all are gone.
    """
    reached = places[successor[stayed]]
    waiting = (reached < 0).nonzero().flatten()
    at = successor[stayed[waiting]]
    while waiting.numel():
        at = successor[at]
        reached[waiting] = places[at]
        still = places[at] < 0
        waiting, at = waiting[still], at[still]
    result = torch.full((num_nodes,), -1)
    result.index_copy_(0, places[stayed], reached)
    return result


def _with_new(successor: Tensor, kept: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
    """The permutation with each new node between a random kept one and its successor; several there in random order."""
    if not new.numel():
        return successor
    new = new[torch.randperm(new.numel(), generator=generator)]
    before = kept[torch.randint(kept.numel(), (new.numel(),), generator=generator)]
    before, order = before.sort(stable=True)
    new = new[order]
    last_there = torch.ones_like(before, dtype=torch.bool)
    torch.ne(before[1:], before[:-1], out=last_there[:-1])
    first_there = last_there.roll(1)  # the very last is the last of its place
    result = successor.clone()
    result[new] = torch.where(last_there, successor[before], new.roll(-1))
    result[before[first_there]] = new[first_there]
    return result
