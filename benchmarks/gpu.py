"""The same questions on a CUDA device; without one every row says so.

Attention beside the plain formula, PyG's GATConv and the floor of bytes moved over measured bandwidth; resampling on
the device; seconds an epoch of whole training.
"""

import json
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.attention import leaves_of, table_of
from benchmarks.common import NOT_MEASURED, arguments, in_fresh_process, medians, report
from benchmarks.models import PEERS, load, train
from benchmarks.plain_attention import plain_attend
from benchmarks.sampling import random_graph
from benchmarks.training import GENERATED_NODES
from spx.graph.csr import AttentionGraph
from spx.graph.sampling import NeighborTable, sample_neighbors
from spx.nn.functional import attend

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def synchronised(function: Callable[[], Any]) -> Callable[[], None]:
    def call() -> None:
        function()
        torch.cuda.synchronize()

    return call


def bandwidth() -> float:
    """Bytes a second of a copy within the device's memory."""
    source = torch.empty(1 << 28, device="cuda")
    target = torch.empty_like(source)
    seconds = medians({"copy": synchronised(lambda: target.copy_(source))}, 5)["copy"]
    return 2 * source.numel() * 4 / seconds


def attention(small: bool) -> list[dict]:
    num_nodes, k, heads, head_width = 100_000 if small else 1_000_000, 10, 4, 16
    if not torch.cuda.is_available():
        names = ("kernel", "plain", "gat")
        return [{"what": "attention", "implementation": name, "seconds": NOT_MEASURED} for name in names]
    from torch_geometric.nn import GATConv

    rate = bandwidth()
    table = NeighborTable(*(tensor.cuda() for tensor in table_of(num_nodes, k)))
    receivers = torch.arange(num_nodes, device="cuda").repeat_interleave(k)
    edge_index = torch.stack((table.neighbors.flatten().long(), receivers))
    rows = []
    for name, dtype in DTYPES.items():
        leaves = [leaf.detach().cuda().requires_grad_() for leaf in leaves_of(num_nodes, heads, head_width)]
        halved = [leaf.detach().to(dtype).requires_grad_() for leaf in leaves[:3]] + leaves[3:]
        gat = GATConv(heads * head_width, head_width, heads, add_self_loops=False).cuda()
        x = torch.randn(num_nodes, heads * head_width, device="cuda", requires_grad=True)
        types, element = table.edge_type, torch.finfo(dtype).bits // 8

        def step(attention, inputs=halved) -> None:
            query, key, value, scale, bias = inputs
            out, _ = attention(query, key, value, table, scale, bias, 0.7)
            torch.autograd.grad(out.sum(), inputs)

        def gat_step(gat=gat, x=x, dtype=dtype) -> None:
            with torch.autocast("cuda", torch.bfloat16, enabled=dtype == torch.bfloat16):
                gat(x, edge_index).sum().backward()

        seconds = medians(
            {
                "kernel": synchronised(lambda step=step: step(attend)),
                "plain": synchronised(lambda step=step, leaves=leaves: step(plain_attend, leaves)),
                "gat": synchronised(gat_step),
            },
            10,
        )
        gathered = table.num_edges * 2 * heads * head_width
        moved = gathered * element * 2 + gathered * 4 + types.numel() * 10  # K and V twice, atomic dK and dV, indices
        rows += [
            {
                "what": f"attention, {name}",
                "implementation": implementation,
                "seconds": value,
                "floor s": moved / rate,
                "speedup": seconds["plain"] / value,
            }
            for implementation, value in seconds.items()
        ]
    return rows


def resampling(small: bool) -> list[dict]:
    if not torch.cuda.is_available():
        return [{"what": "resampling", "implementation": "tensor operations on the device", "seconds": NOT_MEASURED}]
    graph, scores = random_graph(20_000 if small else 1_000_000, 60)
    on_device, scores = AttentionGraph(*(tensor.cuda() for tensor in graph)), scores.cuda()
    seconds = medians({"draw": synchronised(lambda: sample_neighbors(on_device, scores, 10, 0))}, 5)["draw"]
    return [
        {
            "what": f"resampling, {graph.num_edges:,} edges",
            "implementation": "tensor operations on the device",
            "seconds": seconds,
            "M edges/s": graph.num_edges / seconds / 1e6,
        }
    ]


def epochs(small: bool) -> list[dict]:
    rows = []
    for degree in (10,) if small else (10, 50, 250):
        graph = {"name": "generated", "num_nodes": 2000 if small else GENERATED_NODES, "mean_degree": degree}
        for model in ("spexphormer", "gcn", "gat", "exphormer", *PEERS):
            setting = {"k": [5, 5, 5], "width": 64, "heads": 4}
            case = {"model": model, "graph": graph, "setting": setting, "epochs": 12}
            rows.append({"what": f"epoch, degree {degree}", "implementation": model, **in_its_process(case)})
    return rows


def large_epoch(small: bool) -> list[dict]:
    """The size of Amazon2M, with its authors' settings: core nodes in batches, of which all are trained on."""
    num_nodes = 20_000 if small else 2_400_000
    graph = {"name": "generated", "num_nodes": num_nodes, "mean_degree": 50, "num_features": 100}
    setting = {"k": [10, 10], "width": 128, "heads": 1, "batch_size": num_nodes // 240}
    case = {"model": "spexphormer", "graph": graph, "setting": setting, "epochs": 3}
    return [{"what": f"epoch of {num_nodes:,} nodes", "implementation": "spexphormer", **in_its_process(case)}]


def in_its_process(case: dict) -> dict:
    """Seconds an epoch and the device's memory."""
    return in_fresh_process(__file__, case) if torch.cuda.is_available() else {"seconds": NOT_MEASURED}


def main() -> None:
    options = arguments(__doc__)
    if options.case:
        case = json.loads(options.case)
        figures = train(case["model"], load(**case["graph"]), epochs=case["epochs"], **case["setting"])
        print(json.dumps({"seconds": figures["seconds"], "MB": torch.cuda.max_memory_allocated() / 1e6}))
        return
    rows = attention(options.small) + resampling(options.small)
    rows += epochs(options.small) + large_epoch(options.small)
    kernels = {row["what"]: row for row in rows if row["implementation"] == "kernel"}
    headline = {what: row.get("speedup", NOT_MEASURED) for what, row in kernels.items()}
    report("gpu", rows, headline, options.small)


if __name__ == "__main__":
    main()
