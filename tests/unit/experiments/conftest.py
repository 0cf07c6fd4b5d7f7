"""A small project folder with configurations and overlays, and made-up records of runs."""

from pathlib import Path
from typing import Any

import pytest
import torch

from spx.graph.csr import AttentionGraph
from spx.graph.scores import ArtifactHeader, AttentionScores, save_scores

FILES = {
    "toy/estimator.yaml": "name: estimator\nmodel: {class_path: spx.training.AttentionEstimator}\n",
    "toy/wide.yaml": (
        "name: wide\nmodel: {init_args: {width: 8}}\n"
        "data: {class_path: spx.data.ResampledGraphData, init_args: {dataset: toy, k: [2]}}\n"
    ),
    "toy/gcn.yaml": "name: gcn\ndata: {class_path: spx.data.AugmentedGraphData, init_args: {dataset: toy}}\n",
    "overlays/uniform.wide.yaml": "data: {init_args: {sampler: uniform}}\n",
    "overlays/hot.estimator.yaml": "model: {init_args: {temperature_decay: 1.0}}\n",
    "overlays/short.yaml": "trainer: {max_epochs: 3}\n",
    "overlays/both.yaml": "trainer: {max_epochs: 3}\n",
    "overlays/both.wide.yaml": "trainer: {max_epochs: 5}\n",
}


def write_artifact(path: Path, seed: int = 0) -> Path:
    """A score file of two nodes, as an estimator's run leaves it."""
    graph = AttentionGraph(torch.tensor([0, 1, 2]), torch.tensor([1, 0]).int(), torch.tensor([0, 0]).byte())
    header = ArtifactHeader("toy", "paper", 0, seed, "0" * 64, 4, 1, "accuracy", 0.5, 0, 1.0)
    return save_scores(path, AttentionScores(graph, torch.ones(2, 2)), header)


@pytest.fixture
def configs_dir(tmp_path: Path) -> Path:
    """The dataset `toy` with three configurations, and four overlays."""
    for name, text in FILES.items():
        path = tmp_path / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "configs"


@pytest.fixture
def make_record():
    """Called with what matters to the test, gives a run's record."""

    def make(**changes: Any) -> dict[str, Any]:
        record = {
            "metric": "accuracy",
            "val": 0.5,
            "test": 0.4,
            "seconds": 10.0,
            "seconds_per_epoch": 0.1,
            "peak_rss_mb": 500.0,
            "peak_cuda_mb": None,
            "attention_edges": 100,
            "attention_edge_share": 0.05,
            "folder": "runs/toy/wide/version_0",
            "checkpoint": "runs/toy/wide/version_0/checkpoints/best.ckpt",
            "versions": {"torch": "2.13.0"},
        }
        return record | changes

    return make
