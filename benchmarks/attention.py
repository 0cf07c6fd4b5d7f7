"""Attention, forward and backward: the kernels against the formula as autograd differentiates it."""

import math

import torch
from torch import Tensor

from benchmarks.common import arguments, medians, peak_bytes, report
from benchmarks.plain_attention import plain_attend
from benchmarks.sampling import random_graph
from spx.graph.sampling import NeighborTable
from spx.kernels import row_attention, torch_attention
from spx.nn.functional import Neighborhood, attend


def table_of(num_nodes: int, k: int) -> NeighborTable:
    stream = torch.Generator().manual_seed(0)
    neighbors = torch.randint(0, num_nodes, (num_nodes, k), generator=stream, dtype=torch.int32)
    return NeighborTable(neighbors, torch.randint(0, 3, (num_nodes, k), generator=stream, dtype=torch.uint8))


def leaves_of(num_nodes: int, heads: int, head_width: int) -> list[Tensor]:
    stream = torch.Generator().manual_seed(1)
    shapes = [(num_nodes, heads, head_width)] * 3 + [(3, heads, head_width), (3, heads)]
    return [torch.randn(shape, generator=stream).requires_grad_() for shape in shapes]


def measure(layout: str, neighborhood: Neighborhood, heads: int, head_width: int, repeats: int) -> list[dict]:
    leaves = leaves_of(neighborhood.num_nodes, heads, head_width)
    cotangent = torch.randn(neighborhood.num_nodes, heads, head_width, generator=torch.Generator().manual_seed(2))
    chosen = row_attention.implementation

    def step(attention) -> None:
        query, key, value, scale, bias = leaves
        out, _ = attention(query, key, value, neighborhood, scale, bias, 0.7)
        torch.autograd.grad(out, leaves, cotangent)

    def in_tensor_operations() -> None:
        row_attention.implementation = lambda query: torch_attention
        step(attend)
        row_attention.implementation = chosen

    def held(attention) -> int:
        """What is resident between forward and backward, without the output."""
        query, key, value, scale, bias = leaves
        outputs = []
        taken = peak_bytes(lambda: outputs.append(attention(query, key, value, neighborhood, scale, bias, 0.7)))
        return taken - outputs[0][0].numel() * 4

    cases = {
        "plain": lambda: step(plain_attend),
        "tensor operations in ranges": in_tensor_operations,
        "kernel": lambda: step(attend),
    }
    seconds = medians(cases, repeats)
    memory = {name: peak_bytes(case) for name, case in cases.items()}
    forward = {"plain": held(plain_attend), "kernel": held(attend)}
    return [
        {
            "layout": layout,
            "nodes": neighborhood.num_nodes,
            "edges": neighborhood.num_edges,
            "heads x width": f"{heads} x {head_width}",
            "implementation": name,
            "seconds": seconds[name],
            "ns/edge": 1e9 * seconds[name] / neighborhood.num_edges,
            "peak MB": memory[name] / 1e6,
            "forward's MB": forward[name] / 1e6 if name in forward else "",
            "speedup": seconds["plain"] / seconds[name],
            "memory ratio": memory[name] / memory["plain"],
        }
        for name in cases
    ]


def main() -> None:
    small = arguments(__doc__).small
    num_nodes, repeats = (10_000, 3) if small else (100_000, 5)
    rows = []
    shapes = [(10, 4, 16), (2, 4, 16), (5, 4, 16), (20, 4, 16), (10, 4, 8)]
    for k, heads, head_width in shapes[: 1 if small else None]:
        rows += measure(f"regular, K = {k}", table_of(num_nodes, k), heads, head_width, repeats)
    for heads, head_width in ((1, 4),) if small else ((1, 4), (4, 16)):
        graph, _ = random_graph(num_nodes // 5, 60)
        rows += measure("ragged", graph, heads, head_width, repeats)
    first = next(row for row in rows if row["implementation"] == "kernel")
    assert math.isfinite(first["speedup"])
    headline = {"speedup_vs_plain": first["speedup"], "memory_ratio_vs_plain": first["memory ratio"]}
    report("attention", rows, headline, small)


if __name__ == "__main__":
    main()
