"""Expander graphs: sparse, regular, and with short paths between all nodes (Exphormer, arXiv 2303.06147).

An expander of parameter D is a table [N, 2D] int32: row i lists the 2D expander neighbours of node i.
It is symmetric as a multigraph: j stands in row i as often as i stands in row j.
"""

import math
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import torch
from torch import Tensor

from spx.errors import ConfigError

ExpanderKind = Literal["hamiltonian", "permutation"]

EXPANDER_DEGREE = 15
"""D where nothing else is asked for."""
ALL_PAIRS_NODES = 10  # up to this size the expander is the complete graph
SPECTRAL_CHECK_NODES = 100_000  # above this size the gap is trusted (Friedman's theorem)
MAX_DRAWS = 100
DENSE_NODES = 64  # up to this size all eigenvalues are computed
LANCZOS_TOLERANCE = 1e-4  # relative; a gap is compared with a bound that leaves 0.1 of room


def hamiltonian_cycles(
    num_nodes: int, num_cycles: int, generator: torch.Generator, rows: range | None = None
) -> Tensor:
    """Union of random Hamiltonian cycles, each edge in both directions: [rows, 2 * num_cycles] int32."""
    rows = range(num_nodes) if rows is None else rows
    table = torch.empty(len(rows), 2 * num_cycles, dtype=torch.int32, device=generator.device)

    def fill(cycle: int, order: Tensor) -> None:
        node, place = _values_in(order, rows)
        order = order.to(torch.int32)
        table[:, 2 * cycle].index_copy_(0, node, order.roll(-1)[place])
        table[:, 2 * cycle + 1].index_copy_(0, node, order.roll(1)[place])

    _fill_while_drawing(fill, num_nodes, num_cycles, generator)
    return table


def random_permutations(
    num_nodes: int, num_permutations: int, generator: torch.Generator, rows: range | None = None
) -> Tensor:
    """Random permutations p, each as the edges i - p(i) in both directions: [rows, 2 * num_permutations] int32.

    A fixed point of a permutation stands twice in its own row.
    """
    rows = range(num_nodes) if rows is None else rows
    table = torch.empty(len(rows), 2 * num_permutations, dtype=torch.int32, device=generator.device)

    def fill(permutation: int, image: Tensor) -> None:
        node, place = _values_in(image, rows)
        table[:, 2 * permutation] = image[rows.start : rows.stop].to(torch.int32)
        before = torch.arange(num_nodes, dtype=torch.int32, device=image.device)
        table[:, 2 * permutation + 1].index_copy_(0, node, before[place])

    _fill_while_drawing(fill, num_nodes, num_permutations, generator)
    return table


def _fill_while_drawing(
    fill: Callable[[int, Tensor], None], num_nodes: int, count: int, generator: torch.Generator
) -> None:
    """Draw random orders of the nodes, each of which is put to use in a thread while the next one is drawn."""
    inference = torch.is_inference_mode_enabled()  # threads have a mode of their own, and tensors are of one

    def fill_in_mode(number: int, order: Tensor) -> None:
        with torch.inference_mode(inference):
            fill(number, order)

    with ThreadPoolExecutor(1) as thread:
        filled = None
        for number in range(count):
            order = torch.randperm(num_nodes, generator=generator, device=generator.device)
            if filled is not None:
                filled.result()
            filled = thread.submit(fill_in_mode, number, order)
        if filled is not None:
            filled.result()


def _values_in(order: Tensor, rows: range) -> tuple[Tensor, Tensor | slice]:
    """The values of `order` that lie in `rows`, counted from its start, and their places."""
    if len(rows) == order.numel():
        return order, slice(None)
    place = ((order >= rows.start) & (order < rows.stop)).nonzero().flatten()
    return order[place] - rows.start, place


def all_pairs(num_nodes: int, device: torch.device | str = "cpu") -> Tensor:
    """Every other node: [N, N - 1] int32. The best expander of a tiny graph."""
    nodes = torch.arange(num_nodes, dtype=torch.int32, device=device)
    offsets = torch.arange(1, num_nodes, dtype=torch.int32, device=device)
    return (nodes[:, None] + offsets) % num_nodes


def spectral_gap(table: Tensor) -> float:
    """Smallest non-zero Laplacian eigenvalue of the regular graph `table` [N, d] (0 if it falls apart).

    The graph is d-regular, so this is d minus the second largest adjacency eigenvalue, which a Lanczos
    iteration finds. Runs on the CPU.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import LinearOperator, eigsh

    num_nodes, degree = table.shape
    indptr = torch.arange(num_nodes + 1).mul_(degree).numpy()
    ones = torch.ones(num_nodes * degree).double().numpy()
    adjacency = csr_matrix((ones, table.cpu().reshape(-1).numpy(), indptr), shape=(num_nodes, num_nodes))
    if num_nodes <= DENSE_NODES:
        return degree - float(torch.linalg.eigvalsh(torch.from_numpy(adjacency.toarray()))[-2])
    # The constant vector, of eigenvalue d, is moved to -d: what is largest now is the second largest, also where it
    # equals d because the graph falls apart. A plain Lanczos iteration would miss that second copy of d.
    deflated = LinearOperator(
        adjacency.shape, lambda vector: adjacency @ vector - (2 * degree / num_nodes) * vector.sum(), dtype=float
    )
    start = torch.linspace(1, 2, num_nodes).double().numpy()  # fixed: the check draws no random number
    largest = eigsh(deflated, k=1, which="LA", v0=start, tol=LANCZOS_TOLERANCE, return_eigenvectors=False)
    return degree - float(largest[0])


def required_gap(degree: int) -> float:
    """Gap that a random regular graph of this degree reaches with high probability: d - 2 sqrt(d - 1) - 0.1."""
    return degree - 2 * math.sqrt(degree - 1) - 0.1


def build_expander(
    num_nodes: int,
    degree: int,
    seed: int,
    kind: ExpanderKind = "hamiltonian",
    device: torch.device | str = "cpu",
    rows: range | None = None,
) -> Tensor:
    """Random expander, the same for the same arguments.

    Args:
        num_nodes: N. Up to 10 nodes: all pairs, whatever `degree` and `kind` are.
        degree: the paper's D; each node gets 2D neighbours.
        seed: of the draw.
        kind: union of "hamiltonian" cycles or of "permutation"s.
        device: where the table is drawn and lies (the draw differs between kinds of device).
        rows: consecutive nodes, whose rows alone are wanted; default: all N.

    Returns:
        [N, 2D] int32, or those rows of it. Up to 100,000 nodes it is redrawn until its spectral gap reaches
        `required_gap`, at
        most 100 times, keeping the best.

    Raises:
        ConfigError: `degree` below 1, or an unknown `kind`.

    Example:
        >>> table = build_expander(100, degree=3, seed=0)
        >>> table.shape
        torch.Size([100, 6])
    """
    draws = {"hamiltonian": hamiltonian_cycles, "permutation": random_permutations}
    if kind not in draws:
        raise ConfigError(f"The expander '{kind}' is unknown. Choose one of {', '.join(draws)}.")
    if degree < 1:
        raise ConfigError(f"The expander degree is {degree}; it must be at least 1 (0 in the data's settings: none).")
    rows = range(num_nodes) if rows is None else rows
    if num_nodes <= ALL_PAIRS_NODES:
        return all_pairs(num_nodes, device)[rows.start : rows.stop]
    draw = draws[kind]
    generator = torch.Generator(device).manual_seed(seed)
    required = required_gap(2 * degree)
    if num_nodes > SPECTRAL_CHECK_NODES or required <= 0:  # D = 1 is one cycle: its gap is near zero by nature
        return draw(num_nodes, degree, generator, rows)
    return _best_draw(draw, num_nodes, degree, generator, required)[rows.start : rows.stop]


def _best_draw(draw, num_nodes: int, degree: int, generator: torch.Generator, required: float) -> Tensor:
    """The first table whose spectral gap is the required one, or the best of many."""
    best = draw(num_nodes, degree, generator)
    best_gap = spectral_gap(best)
    for _ in range(MAX_DRAWS - 1):
        if best_gap >= required:
            return best
        table = draw(num_nodes, degree, generator)
        gap = spectral_gap(table)
        if gap > best_gap:
            best, best_gap = table, gap
    if best_gap < required:
        warnings.warn(
            f"None of {MAX_DRAWS} expanders of degree {2 * degree} over {num_nodes} nodes reached the spectral gap "
            f"{required:.3f}; the best has {best_gap:.3f}. It is used: small graphs often end so.",
            stacklevel=2,
        )
    return best
