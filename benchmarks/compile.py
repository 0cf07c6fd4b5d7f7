"""An epoch of both stages' networks with and without torch.compile, by turns, and what compiling takes."""

import copy
import time
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from benchmarks.common import arguments, generated_dataset, medians, report
from spx.data.batch import NodeBatch
from spx.data.core_nodes import CoreNodeBatches
from spx.datasets import NodeDataset
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import sample_neighbors
from spx.nn.compiled import compile_layers
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

ESTIMATOR = {"width": 8, "num_layers": 4, "norm": "graph", "normalize_values": True}
WIDE = {"width": 64, "num_layers": 4, "num_heads": 4, "dropout": 0.3}
K = (5, 5, 5, 5)


def epoch(network: GraphTransformer, batches: list[NodeBatch]) -> Callable[[], None]:
    """Training steps on all batches, and one pass over each in evaluation mode."""
    optimizer = torch.optim.AdamW(network.parameters())

    def run() -> None:
        for batch in batches:
            network.train()
            optimizer.zero_grad()
            cross_entropy(network(batch.x, batch.neighborhoods)[batch.targets], batch.y).backward()
            optimizer.step()
        with torch.no_grad():
            network.eval()
            for batch in batches:
                network(batch.x, batch.neighborhoods)

    return run


def whole_graph(dataset: NodeDataset, graph: AttentionGraph) -> list[NodeBatch]:
    nodes = dataset.split.train
    return [NodeBatch(dataset.x, (graph,), nodes, dataset.y[nodes], nodes)]


def core_nodes(dataset: NodeDataset, graph: AttentionGraph, size: int) -> list[NodeBatch]:
    tables = tuple(sample_neighbors(graph, None, k, layer, "uniform") for layer, k in enumerate(K))
    source = CoreNodeBatches(dataset.split.train, [tables], dataset.x, dataset.y)
    return [source.__getitems__(part.tolist())[0] for part in torch.arange(len(source)).split(size)]


def measure(name: str, settings: dict, dataset: NodeDataset, batches: list[NodeBatch], repeats: int) -> dict:
    torch.manual_seed(0)
    plain = GraphTransformer(dataset.num_features, dataset.num_classes, TransformerSettings(**settings))
    compiled = copy.deepcopy(plain)
    compile_layers(compiled)
    functions = {"eager": epoch(plain, batches), "compiled": epoch(compiled, batches)}
    started = time.perf_counter()
    functions["compiled"]()
    first = time.perf_counter() - started
    seconds = medians(functions, repeats)
    return {
        "network": name,
        "nodes": dataset.num_nodes,
        "batches": len(batches),
        "first epoch s": first,
        **{f"{kind} s": value for kind, value in seconds.items()},
        "eager / compiled": seconds["eager"] / seconds["compiled"],
    }


def main() -> None:
    small = arguments(__doc__).small
    num_nodes, repeats = (2_000, 3) if small else (20_000, 11)
    dataset = generated_dataset(num_nodes, 10)
    graph = augment(dataset.edge_index, num_nodes, build_expander(num_nodes, 5, 0), self_loops=True)
    rows = [measure("estimator, whole graph", ESTIMATOR, dataset, whole_graph(dataset, graph), repeats)]
    if not small:
        batches = core_nodes(dataset, graph, num_nodes // 20)
        rows.append(measure("wide, batches of core nodes", WIDE, dataset, batches, repeats))
    report("compile", rows, {row["network"]: row["eager / compiled"] for row in rows}, small)


if __name__ == "__main__":
    main()
