"""Score files of made-up networks over the toy graph, each with an estimator beside it, and their tables."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spx.data import AugmentedGraphData, graph_data
from spx.datasets import NodeDataset
from spx.graph.csr import AttentionGraph
from spx.graph.scores import read_header
from spx.score_study.artifacts import Group, load_groups
from spx.score_study.choice_tables import choice_tables
from spx.score_study.claims import judge
from spx.score_study.networks import untrained_tables
from spx.score_study.tables import Labels, Tables, score_tables
from spx.training import AttentionEstimator, Spexphormer
from spx.training.kept_estimator import keep_estimator

WIDTHS, SEEDS, LAYERS, KS = (4, 8, 16), (0, 1), 3, [1, 2, 4]


def toy_data(graph: str = "augmented", **settings: object) -> AugmentedGraphData:
    """The toy graph: with expander and self-loops, or its edges alone (then some nodes have none)."""
    usual = (
        {"expander_degree": 3, "expander_seed": 0}
        if graph == "augmented"
        else {"expander_degree": 0, "self_loops": False}
    )
    return AugmentedGraphData("toy", **usual | settings)


def made_up_scores(graph: AttentionGraph, width: int, seed: int, num_layers: int = LAYERS) -> torch.Tensor:
    """[L, M]: a common sharp pattern and noise, the less the wider the network; the first layer is nearly uniform."""
    pattern = torch.randn(num_layers, graph.num_edges, generator=torch.Generator().manual_seed(0))
    pattern[0] *= 0.05
    noise = torch.randn(num_layers, graph.num_edges, generator=torch.Generator().manual_seed(100 * width + seed))
    mass = (2 * pattern + noise / width).exp()
    sums = torch.zeros(num_layers, graph.num_nodes).index_add_(1, graph.rows(), mass)
    return mass / sums[:, graph.rows()]


@pytest.fixture(scope="session")
def score_files(
    tmp_path_factory: pytest.TempPathFactory, load_toy: Callable[..., NodeDataset], write_scores: Callable[..., Path]
) -> list[Path]:
    """A file for each graph, width and seed."""
    folder = tmp_path_factory.mktemp("scores")
    files = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_data, "load_dataset", load_toy)
        for kind in ("graph", "augmented"):
            data = toy_data(kind)
            for width in WIDTHS:
                for seed in SEEDS:
                    scores = made_up_scores(data.graph, width, seed)
                    path = folder / f"{kind}-{width}-{seed}.safetensors"
                    files.append(write_scores(path, data, scores, width=width, seed=seed, val_metric=0.9))
                    estimator = AttentionEstimator(width, LAYERS, **data.for_model)
                    keep_estimator(path, estimator, data, read_header(path).fingerprint)
    return files


@pytest.fixture(scope="session")
def groups(score_files: list[Path]) -> list[Group]:
    return load_groups(score_files)


@pytest.fixture(scope="session")
def labels(load_toy: Callable[..., NodeDataset]) -> Labels:
    dataset = load_toy()
    return Labels(dataset.y, dataset.num_classes)


@pytest.fixture(scope="session")
def tables(groups: list[Group], labels: Labels, load_toy: Callable[..., NodeDataset]) -> Tables:
    """All tables, those of a wide network of two layers and two heads among them."""
    torch.manual_seed(0)
    network = Spexphormer(
        width=8, num_layers=2, num_heads=2, num_features=5, num_outputs=3, task="multiclass", metric="accuracy"
    ).network
    group = groups[-1]
    chosen = choice_tables(network, load_toy().x, group.graph, group.networks, KS, draws=2)
    return score_tables(groups, labels, KS, resistance_nodes=1000) | untrained_tables(groups, load_toy().x) | chosen


@pytest.fixture(scope="session")
def claims(tables: Tables) -> list:
    return judge(tables)
