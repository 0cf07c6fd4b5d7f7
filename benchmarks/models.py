"""What the training benchmarks train: Spexphormer, its plain formulation, the Exphormer, and PyG's models.

All of them through the same Trainer, LightningModule base, loss, metric and full batch; each on graphs held in memory.
"""

import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import generated_dataset, resident, settle
from benchmarks.sampling import loop_over_nodes
from spx.data import AugmentedGraphData, ResampledGraphData
from spx.data.batch import one_batch_loader
from spx.data.graph_data import GraphData
from spx.datasets import NodeDataset, load_dataset
from spx.graph.csr import AttentionGraph
from spx.graph.features import SparseFeatures
from spx.graph.scores import ArtifactHeader, AttentionScores, load_scores, save_scores
from spx.training import Baseline, NodeTask, Spexphormer
from spx.training.callbacks import BestCheckpoint

CONVOLUTIONS = ("gcn", "gcn-sparse", "gat")
"""PyG's, which take dense features."""
PEERS = ("polynormer", "sgformer")
"""PyG's models as a whole."""
MADE_FROM = ArtifactHeader("generated", "public", 0, 0, "", 4, 1, "accuracy", None, 0, 1.0)


class InMemory:
    """Mixed into a DataModule: the dataset is the one that it is given."""

    _given: NodeDataset

    @cached_property
    def dataset(self) -> NodeDataset:
        return self._given


class Resampled(InMemory, ResampledGraphData):
    """Random scores of the right shape, in a file as those of a run: how good they are costs no time."""

    @cached_property
    def scores(self) -> AttentionScores:
        graph = self.build_rows(range(self.dataset.num_nodes))
        stream = torch.Generator().manual_seed(0)
        values = torch.rand(len(self.k), graph.num_edges, generator=stream).pow_(4)
        with tempfile.TemporaryDirectory() as folder:  # the mapped memory outlives the file's name
            return load_scores(save_scores(Path(folder) / "scores", AttentionScores(graph, values), MADE_FROM))[0]


class Augmented(InMemory, AugmentedGraphData):
    pass


class EdgeIndexData(InMemory, GraphData):
    """The dataset's own edges as PyG takes them: an edge_index, or a sparse adjacency matrix."""

    sparse = False

    @cached_property
    def edges(self) -> Tensor:
        edge_index, num_nodes = self.dataset.edge_index, self.dataset.num_nodes
        if not self.sparse:
            return edge_index
        from torch_geometric.nn.conv.gcn_conv import gcn_norm
        from torch_geometric.utils import to_torch_csr_tensor

        normalised, weight = gcn_norm(edge_index, None, num_nodes)
        return to_torch_csr_tensor(normalised.flip(0), weight, size=(num_nodes, num_nodes))

    def train_dataloader(self):
        return one_batch_loader(self.whole_graph_batch((self.edges,), "train"))

    def evaluation_loader(self, part: str):
        return one_batch_loader([self.whole_graph_batch((self.edges,), part)])


class ConvolutionNetwork(nn.Module):
    """PyG convolutions of one width with batch norm, ReLU and dropout, between a linear encoder and a linear head."""

    def __init__(self, make: Callable[[], nn.Module], num_features: int, num_outputs: int, width: int, num_layers: int):
        super().__init__()
        self.encoder, self.head = nn.Linear(num_features, width), nn.Linear(width, num_outputs)
        self.layers = nn.ModuleList(make() for _ in range(num_layers))
        self.after = nn.ModuleList(
            nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5)) for _ in range(num_layers)
        )

    def forward(self, x: Tensor, neighborhoods: Sequence[Tensor]) -> Tensor:
        (edges,) = neighborhoods
        h = self.encoder(x)
        for layer, after in zip(self.layers, self.after, strict=True):
            h = h + after(layer(h, edges))
        return self.head(h)


class EpochTimes(L.Callback):
    """Seconds of each epoch: resampling, training, validation and what the Trainer does between."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.ends.append(time.perf_counter())

    @property
    def median(self) -> float:
        return float(np.median(np.diff(self.ends)))


def convolution(name: str, width: int, heads: int) -> Callable[[], nn.Module]:
    from torch_geometric.nn import GATConv, GCNConv

    if name == "gat":
        return lambda: GATConv(width, width // heads, heads)
    return lambda: GCNConv(width, width, normalize=name == "gcn")  # the sparse matrix comes normalised


def build(model: str, dataset: NodeDataset, k: list[int], width: int, heads: int, **settings: Any):
    """DataModule and LightningModule of a model of this name; `k` gives the number of layers too."""
    from_data = {"num_features": dataset.num_features, "num_outputs": dataset.num_classes}
    from_data |= {"task": dataset.task, "metric": dataset.metric}
    transformer = {"width": width, "num_layers": len(k), "num_heads": heads, "dropout": 0.5}
    if model in CONVOLUTIONS:
        make = convolution(model, width, heads)
        network = ConvolutionNetwork(make, dataset.num_features, dataset.num_classes, width, len(k))
        task = NodeTask(network, dataset.num_classes, dataset.task, dataset.metric, 0.01, 1e-3, 5)
        data = EdgeIndexData(dataset.name)
        data.sparse = model == "gcn-sparse"
    elif model in PEERS:
        data = Augmented(dataset.name, expander_degree=0, self_loops=False)
        task = Baseline(width, len(k), 0.5, kind=model, num_heads=heads, local_epochs=0, **from_data)
    elif model == "exphormer":
        data, task = Augmented(dataset.name), Spexphormer(**transformer, **from_data)
    else:
        data = Resampled(dataset.name, k, **settings)
        task = Spexphormer(**transformer, **from_data)
    data._given = dataset
    return data, task


def without_kernels() -> None:
    """Make Spexphormer its plain formulation in this process: gathers by autograd, a draw by a loop over the nodes."""
    import spx.graph.sampling as sampling
    import spx.nn.attention as attention
    import spx.nn.network as network
    from benchmarks.plain_attention import plain_attend

    def draw(graph: AttentionGraph, weights: Tensor, k: int, seed: int, *_how: Any):
        return loop_over_nodes(graph, weights, k)

    def attend(query, key, value, neighborhood, edge_scale, edge_bias, temperature, need_weights):
        return plain_attend(query, key, value, neighborhood, edge_scale, edge_bias, temperature)

    replaced: list[tuple[ModuleType, str, Callable]] = [
        (sampling, "sample_neighbors", draw),
        (attention, "attend", attend),
        (network, "dropout", lambda x, p, seed: torch.nn.functional.dropout(x, p)),
    ]
    for module, name, function in replaced:
        setattr(module, name, function)
    sampling.PART_EDGES = sys.maxsize  # the loop is over all nodes


def load(name: str, **generated: Any) -> NodeDataset:
    """A dataset of the table, or a generated one."""
    return generated_dataset(**generated) if name == "generated" else load_dataset(name, "data", "paper", 0)


def train(model: str, dataset: NodeDataset, k: list[int], width: int, heads: int, epochs: int, **settings: Any) -> dict:
    """Median seconds an epoch, and peak memory beyond that of the loaded dataset and libraries."""
    logging.getLogger("lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    if model in CONVOLUTIONS and isinstance(dataset.x, SparseFeatures):
        dataset = dataset._replace(x=dataset.x.to_dense())
    if model == "plain":
        without_kernels()
    small = generated_dataset(200, 4, dataset.num_features, dataset.num_classes)
    _fit(model, small._replace(metric=dataset.metric), k, width, heads, 2, **settings)  # code is loaded and compiled
    settle()
    before = resident("VmRSS")
    seconds = _fit(model, dataset, k, width, heads, epochs, **settings)
    return {"seconds": seconds, "MB": (resident("VmHWM") - before) / 1e6}


def _fit(model: str, dataset: NodeDataset, k: list[int], width: int, heads: int, epochs: int, **settings: Any) -> float:
    L.seed_everything(0, verbose=False)
    data, task = build(model, dataset, k, width, heads, **settings)
    times = EpochTimes()
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            max_epochs=epochs,
            callbacks=[times, BestCheckpoint(folder)],
            reload_dataloaders_every_n_epochs=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            logger=False,
        )
        trainer.fit(task, data)
    return times.median
