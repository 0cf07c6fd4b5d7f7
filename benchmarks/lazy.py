"""Work follows what is asked for: a few nodes' predictions, and epochs of few labelled nodes, on a large graph.

Drawn lazily (the rows that are reached) beside drawn whole, by turns in one process. `first` is the first call after
the graph is loaded and the kernels are: what a whole draw costs a run that predicts once.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

import spx.data.resampled as resampled
from benchmarks.common import arguments, power_law_edges, report, resident, settle
from benchmarks.models import InMemory
from spx.data import ResampledGraphData
from spx.datasets import NodeDataset
from spx.datasets.types import Split
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.scores import AttentionScores
from spx.inference.run import TrainedRun
from spx.training import Spexphormer

K, CORE, LABELLED = [10, 10], 1000, 0.01
WIDTH, FEATURES, CLASSES = 64, 32, 10
MEAN_DEGREE, EXPANDER_DEGREE = 50, 8


class Loaded(InMemory, ResampledGraphData):
    """A dataset and scores that are in memory already."""

    scores: AttentionScores | None = None


def large_graph(num_nodes: int) -> AttentionGraph:
    """Graph edges by a power law, expander, self-loops: 67 attention edges a node."""
    edges = power_law_edges(num_nodes, MEAN_DEGREE * num_nodes)
    return augment(edges, num_nodes, build_expander(num_nodes, EXPANDER_DEGREE, seed=0))


def random_scores(graph: AttentionGraph) -> AttentionScores:
    """As uneven as an estimator's; how good they are costs no time."""
    stream = torch.Generator().manual_seed(0)
    return AttentionScores(graph, torch.rand(len(K), graph.num_edges, generator=stream).pow_(4))


def few_labels(num_nodes: int) -> NodeDataset:
    """One node in a hundred is trained on."""
    stream = torch.Generator().manual_seed(0)
    order, labelled = torch.randperm(num_nodes, generator=stream), int(LABELLED * num_nodes)
    return NodeDataset(
        name="generated",
        protocol="public",
        x=torch.randn(num_nodes, FEATURES, generator=stream),
        edge_index=torch.empty(2, 0, dtype=torch.int64),
        y=torch.randint(0, CLASSES, (num_nodes,), generator=stream),
        split=Split(order[:labelled], order[-200:-100], order[-100:]),
        split_index=0,
        num_classes=CLASSES,
        task="multiclass",
        metric="accuracy",
    )


@contextlib.contextmanager
def drawn(how: str) -> Iterator[None]:
    """Within it every draw is "whole", or "lazy" where that is less work."""
    decide = resampled.lazy_layers
    if how == "whole":
        resampled.lazy_layers = lambda rows, degrees, *_: [False] * len(degrees)
    try:
        yield
    finally:
        resampled.lazy_layers = decide


class Bench:
    """The graph, and what is measured on it."""

    def __init__(self, num_nodes: int):
        self.dataset, self.scores = few_labels(num_nodes), random_scores(large_graph(num_nodes))

    def data(self) -> Loaded:
        data = Loaded("generated", K, batch_size=CORE)
        data._given, data.scores = self.dataset, self.scores
        return data

    def run(self) -> TrainedRun:
        """A run that was just loaded."""
        data = self.data()
        from_data = {"num_features": FEATURES, "num_outputs": CLASSES, "task": "multiclass", "metric": "accuracy"}
        model = Spexphormer(WIDTH, len(K), 4, **from_data)
        return TrainedRun(Path(), model.eval(), data, tuple(map(str, range(CLASSES))))

    def predict(self, count: int) -> Callable[[], Callable[[], Any]]:
        """What makes, for a run that was just loaded, a call that predicts so many nodes."""
        nodes = torch.randperm(self.dataset.num_nodes, generator=torch.Generator().manual_seed(1))[:count]
        return lambda: partial(self.run().predict, nodes=nodes, draws=1, batch_size=CORE)

    def epoch(self) -> Callable[[], Any]:
        """All batches of an epoch with their features, without the network."""
        data = self.data()
        return lambda: sum(batch.x.shape[0] for batch in data.train_dataloader())


def compare(name: str, make: Callable[[], Callable[[], Any]], repeats: int) -> list[dict]:
    """A row for each way: medians of the first call and of a second one, by turns, and memory at the peak."""
    found: dict[str, list[tuple[float, ...]]] = {"lazy": [], "whole": []}
    for _ in range(repeats):
        for how, values in found.items():
            with drawn(how):
                call = make()
                settle()
                before = resident("VmRSS")
                seconds = []
                for _ in range(2):
                    started, worked = time.perf_counter(), time.process_time()
                    call()
                    seconds += [time.perf_counter() - started, time.process_time() - worked]
                values.append((*seconds, (resident("VmHWM") - before) / 1e6))
    rows = []
    columns = ("first s", "first CPU s", "again s", "again CPU s", "MB")
    for how, values in found.items():
        medians = map(statistics.median, zip(*values, strict=True))
        rows.append({"what": name, "drawn": how, **dict(zip(columns, medians, strict=True))})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    options = arguments(__doc__, large="2.4M nodes and 160M attention edges: 8 GB of memory, three turns")
    small, repeats = options.small, 3 if options.large else 1
    bench = Bench(100_000 if small else 2_400_000 if options.large else 200_000)
    compare("warm-up", Bench(2000).predict(10), 1)  # kernels are loaded
    rows = []
    for count in (1, 100, 10_000):
        rows += compare(f"predict {count:,}", bench.predict(count), repeats)
    rows += compare(f"epoch of {bench.dataset.split.train.numel():,} training nodes", bench.epoch, repeats)
    size = {"nodes": bench.dataset.num_nodes, "edges": bench.scores.graph.num_edges}
    rows = [{**size, **row} for row in rows]
    all_nodes = Bench(5000 if small else 20_000)
    size = {"nodes": all_nodes.dataset.num_nodes, "edges": all_nodes.scores.graph.num_edges}
    rows += [{**size, **row} for row in compare("predict all", all_nodes.predict(size["nodes"]), repeats)]
    by = {(row["what"], row["drawn"]): row for row in rows}
    epoch = next(what for what, _ in by if what.startswith("epoch"))
    headline = {
        "one_node_seconds": by["predict 1", "lazy"]["first s"],
        "one_node_cpu_seconds": by["predict 1", "lazy"]["first CPU s"],
        "one_node_vs_whole": by["predict 1", "lazy"]["first s"] / by["predict 1", "whole"]["first s"],
        "epoch_vs_whole": by[epoch, "lazy"]["first s"] / by[epoch, "whole"]["first s"],
        "epoch_memory_vs_whole": by[epoch, "lazy"]["MB"] / by[epoch, "whole"]["MB"],
        "all_nodes_vs_whole": by["predict all", "lazy"]["first s"] / by["predict all", "whole"]["first s"],
    }
    if options.large:
        report("lazy-large", rows, headline, small, "python -m benchmarks.lazy --large")
    else:
        report("lazy", rows, headline, small)


if __name__ == "__main__":
    main()
