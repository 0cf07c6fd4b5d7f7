"""A small random graph in place of a dataset's files, and score files for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lightning as L
import pytest
import torch

from spx.data import GraphData, graph_data
from spx.datasets import NodeDataset, OwnSettings, Split
from spx.errors import DatasetError
from spx.graph.scores import ArtifactHeader, AttentionScores, save_scores
from spx.training import Spexphormer

NUM_NODES, NUM_FEATURES = 90, 5
TASKS = {
    "toy": ("multiclass", "accuracy", 3),
    "toy-binary": ("multiclass", "roc_auc", 2),
    "toy-labels": ("multilabel", "roc_auc", 4),
}


def toy_dataset(
    name: str = "toy",
    data_dir: str = "data",
    protocol: str = "public",
    split: int = 0,
    own: OwnSettings | None = None,
    schema: None = None,
    features: str = "auto",
) -> NodeDataset:
    """A graph whose labels follow from a node's own and its neighbours' features; in place of `load_dataset`."""
    if name not in TASKS:
        raise DatasetError(f"unknown dataset {name!r}")
    task, metric, num_classes = TASKS[name]
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(NUM_NODES, NUM_FEATURES, generator=generator)
    edge_index = torch.randint(NUM_NODES, (2, 300), generator=generator)
    seen = x.index_add(0, edge_index[1], x[edge_index[0]])
    y = (seen[:, :num_classes] > 0.5).float() if task == "multilabel" else seen[:, :num_classes].argmax(1)
    order = torch.randperm(NUM_NODES, generator=generator.manual_seed(10 * split + len(protocol)))
    parts = Split(*(part.sort().values for part in order.split((40, 30, 20))))
    return NodeDataset(name, protocol, x, edge_index, y, parts, split, num_classes, task, metric)


@pytest.fixture(params=["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device that is here."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def load_toy() -> Callable[..., NodeDataset]:
    """What stands in for `load_dataset`: knows "toy", "toy-binary" and "toy-labels"."""
    return toy_dataset


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> NodeDataset:
    """DataModules now load toy graphs. Gives the one named "toy"."""
    monkeypatch.setattr(graph_data, "load_dataset", toy_dataset)
    return toy_dataset()


@pytest.fixture(scope="session")
def write_scores() -> Callable[..., Path]:
    """write_scores(path, data, scores_LM=None, num_layers=2, **header): a score file for the data's graph."""

    def write(
        path: Path, data: GraphData, scores_LM: torch.Tensor | None = None, num_layers: int = 2, **header: object
    ) -> Path:
        graph = data.graph
        if scores_LM is None:
            mass_LM = torch.rand(num_layers, graph.num_edges, generator=torch.Generator().manual_seed(5)) ** 4 + 0.01
            sums = torch.zeros(num_layers, graph.num_nodes).index_add_(1, graph.rows(), mass_LM)
            scores_LM = mass_LM / sums[:, graph.rows()]
        made_from = ArtifactHeader(
            dataset=data.dataset_name,
            protocol=data.protocol,
            split=data.split,
            seed=data.seed,
            data_fingerprint=data.data_fingerprint,
            width=4,
            num_heads=1,
            metric=data.metric,
            val_metric=0.5,
            epoch=0,
            temperature=1.0,
        )
        return save_scores(path, AttentionScores(graph, scores_LM), replace(made_from, **header))

    return write


def fit_toy(
    data: GraphData, folder: str | Path, max_epochs: int = 3, **settings: object
) -> tuple[Spexphormer, L.Trainer]:
    """A wide network of two layers after a fit on the toy graph, always from the same seed, with its Trainer."""
    L.seed_everything(0, verbose=False)
    model = Spexphormer(8, 2, 2, dropout=0.5, num_features=5, num_outputs=3, task="multiclass", metric="accuracy")
    trainer = L.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=folder,
        **settings,
    )
    trainer.fit(model, datamodule=data)
    return model, trainer
