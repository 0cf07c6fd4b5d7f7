"""Resampling: edges a second by the compiled row kernel, by tensor operations, and by a plain loop over the nodes."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import arguments, medians, peak_bytes, report
from spx.graph.csr import AttentionGraph
from spx.graph.sampling import NeighborTable, sample_neighbors
from spx.kernels import torch_sampling


def random_graph(num_nodes: int, mean_degree: int, seed: int = 0) -> tuple[AttentionGraph, Tensor]:
    """Rows of power-law degrees with random sources, and scores that sum to one in each row."""
    stream = torch.Generator().manual_seed(seed)
    share = torch.rand(num_nodes, generator=stream).pow_(-0.5)
    degrees = (share * (mean_degree * num_nodes / share.sum())).long().clamp_min_(1)
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), degrees.cumsum(0)))
    num_edges = int(indptr[-1])
    source = torch.randint(0, num_nodes, (num_edges,), generator=stream, dtype=torch.int32)
    edge_type = torch.randint(0, 3, (num_edges,), generator=stream, dtype=torch.uint8)
    scores = torch.rand(num_edges, generator=stream).pow_(4)
    totals = torch.segment_reduce(scores, "sum", offsets=indptr, axis=0)
    scores /= torch.repeat_interleave(totals, degrees, output_size=num_edges)
    return AttentionGraph(indptr, source, edge_type), scores


def loop_over_nodes(graph: AttentionGraph, scores: Tensor, k: int) -> NeighborTable:
    """The baseline: for each node exponential keys over its neighbours, and argpartition."""
    indptr, source, edge_type, weights = (tensor.numpy() for tensor in (*graph, scores))
    stream = np.random.default_rng(0)
    neighbors = np.empty((graph.num_nodes, k), np.int32)
    types = np.empty((graph.num_nodes, k), np.uint8)
    for node in range(graph.num_nodes):
        start, stop = indptr[node], indptr[node + 1]
        p = weights[start:stop]
        if stop - start > k:
            chosen = np.argpartition(stream.exponential(size=stop - start) / p, k - 1)[:k]
        else:
            extra = stream.choice(stop - start, k - (stop - start), p=p / p.sum())
            chosen = np.concatenate((np.arange(stop - start), extra))
        neighbors[node], types[node] = source[start + chosen], edge_type[start + chosen]
    return NeighborTable(torch.from_numpy(neighbors), torch.from_numpy(types))


def measure(graph: AttentionGraph, scores: Tensor, k: int, repeats: int) -> list[dict]:
    threads = torch.get_num_threads()

    def on_one_core() -> None:
        torch.set_num_threads(1)
        sample_neighbors(graph, scores, k, 0)
        torch.set_num_threads(threads)

    seconds = medians(
        {
            "loop over nodes": lambda: loop_over_nodes(graph, scores, k),
            "tensor operations": lambda: torch_sampling.draw(*graph, scores, k, 0),
            "compiled, 1 thread": on_one_core,
            f"compiled, {threads} threads": lambda: sample_neighbors(graph, scores, k, 0),
            f"compiled, {threads} threads, uniform": lambda: sample_neighbors(graph, None, k, 0, "uniform"),
        },
        repeats,
    )
    table_bytes = 5 * graph.num_nodes * k
    memory = {
        "tensor operations": peak_bytes(lambda: torch_sampling.draw(*graph, scores, k, 0)),
        f"compiled, {threads} threads": peak_bytes(lambda: sample_neighbors(graph, scores, k, 0)),
    }
    return [
        {
            "nodes": graph.num_nodes,
            "edges": graph.num_edges,
            "k": k,
            "implementation": name,
            "seconds": value,
            "M edges/s": graph.num_edges / value / 1e6,
            "memory / table": round(memory[name] / table_bytes, 2) if name in memory else "",
        }
        for name, value in seconds.items()
    ]


def main() -> None:
    small = arguments(__doc__).small
    threads = torch.get_num_threads()
    graph, scores = random_graph(20_000 if small else 200_000, 60)
    rows = [row for k in ((10,) if small else (2, 5, 10)) for row in measure(graph, scores, k, 2 if small else 3)]
    of_ten = {row["implementation"]: row for row in rows if row["k"] == 10}
    graph, scores = random_graph(200_000 if small else 2_400_000, 67)
    big = medians(
        {"two layers": lambda: [sample_neighbors(graph, scores, 10, layer) for layer in (0, 1)]}, 1 if small else 3
    )["two layers"]
    rows.append(
        {
            "nodes": graph.num_nodes,
            "edges": graph.num_edges,
            "k": 10,
            "implementation": f"compiled, {threads} threads, two layers",
            "seconds": big,
            "M edges/s": 2 * graph.num_edges / big / 1e6,
        }
    )
    compiled = of_ten[f"compiled, {threads} threads"]
    headline = {
        "speedup_vs_loop": of_ten["loop over nodes"]["seconds"] / compiled["seconds"],
        "edges_per_second_per_core": 1e6 * of_ten["compiled, 1 thread"]["M edges/s"],
        "big_graph_seconds": big,
        "memory_over_table": compiled["memory / table"],
    }
    report("sampling", rows, headline, small)


if __name__ == "__main__":
    main()
