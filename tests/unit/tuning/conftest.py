"""A small space of its own, and trials that are made up: what they reach follows from their values alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from spx.experiments.plan import Study
from spx.graph.csr import AttentionGraph
from spx.graph.scores import ArtifactHeader, AttentionScores, save_scores
from spx.tuning.space import Parameter, Recipe, Space
from spx.tuning.trials import Outcome, Trials

SPACE = Space(
    base="wide",
    recipes=(Recipe("wide", "wide"),),
    epochs=16,
    parameters=(
        Parameter("model.layer", values=("concat", "residual"), default="concat"),
        Parameter("model.lr", low=0.001, high=0.1, log=True, default=0.01),
        Parameter("model.dropout", low=0.0, high=0.8, default=0.2),
    ),
)
FILES = {
    "base/wide.yaml": (
        "name: wide\nmodel: {class_path: spx.training.Spexphormer}\n"
        "data: {class_path: spx.data.ResampledGraphData, init_args: {k: [5, 5, 5, 5]}}\n"
        "trainer: {callbacks: [{class_path: spx.training.callbacks.EarlyEnd, init_args: {patience: 3}}]}\n"
    ),
    "base/estimator.yaml": "name: estimator\nmodel: {class_path: spx.training.AttentionEstimator}\n",
    "cora/wide.yaml": "model: {init_args: {num_layers: 2}}\ndata: {init_args: {dataset: cora, k: [5, 5]}}\n",
}


class MadeUpTrials(Trials):
    """Instead of training: a smooth curve that ends at 0.7 - |dropout - 0.3| - lr, higher for residual layers."""

    def run(
        self, chosen: Mapping[str, Any], bars: Mapping[int, float] | None = None, seed: int | None = None
    ) -> Outcome:
        seed = self.seed if seed is None else seed
        end = 0.7 - abs(chosen["model.dropout"] - 0.3) - chosen["model.lr"] + 0.01 * seed
        end += 0.2 * (chosen["model.layer"] == "residual")
        values = {epoch: end * epoch / self.space.epochs for epoch in range(1, self.space.epochs + 1)}
        self.runs.append((dict(chosen), seed))
        behind = next((at for at, bar in sorted((bars or {}).items()) if values[at] < bar), None)
        record = {"metric": "accuracy", "attention_edges": 10, "peak_rss_mb": 100.0, "seconds": 1.0}
        return Outcome(values, behind, record=record)


def write_artifact(path: Path) -> Path:
    """A score file of two nodes, as an estimator's run leaves it."""
    graph = AttentionGraph(torch.tensor([0, 1, 2]), torch.tensor([1, 0]).int(), torch.tensor([0, 0]).byte())
    header = ArtifactHeader("cora", "public", 0, 0, "0" * 64, 4, 1, "accuracy", 0.5, 0, 1.0)
    return save_scores(path, AttentionScores(graph, torch.ones(2, 2)), header)


@pytest.fixture
def configs_dir(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "configs"


@pytest.fixture
def study(tmp_path: Path, configs_dir: Path) -> Study:
    return Study("cora", runs_dir=str(tmp_path / "runs"), configs_dir=str(configs_dir))


@pytest.fixture
def made_up(study: Study, tmp_path: Path) -> MadeUpTrials:
    trials = MadeUpTrials(study, SPACE, tmp_path / "search")
    trials.runs = []
    return trials
