"""Fits over sparse features: the losses and gradients of the same features as a dense tensor."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spx.data import GraphData, graph_data
from spx.datasets import NodeDataset
from spx.graph.features import SparseFeatures
from spx.training import GCNBaseline, NodeTask

from .conftest import augmented, estimator, resampled, scalars, train, wide

WORDS = 60


def bag_of_words(load_toy: Callable[..., NodeDataset]) -> Tensor:
    """Words that follow from the class, and others, six a node; the last node has none."""
    toy, stream = load_toy(), torch.Generator().manual_seed(2)
    words = torch.randint(WORDS, (len(toy.y), 6), generator=stream)
    words[:, 0] = toy.y
    x = torch.zeros(len(toy.y), WORDS).scatter_(1, words, 1 + words.float() / WORDS)
    x[-1] = 0
    return x


def gcn(**settings: object) -> NodeTask:
    torch.manual_seed(0)
    return GCNBaseline(width=8, num_outputs=3, task="multiclass", metric="accuracy", **settings)


KINDS: dict[str, Callable[[], tuple[NodeTask, GraphData, dict]]] = {
    "estimator": lambda: (estimator(num_features=WORDS, dropout=0.2), augmented(), {}),
    "wide": lambda: (wide(num_features=WORDS), resampled(), {}),
    "dropped": lambda: (wide(num_features=WORDS, dropout=0.4, drop_features=True), resampled(), {}),
    "batches": lambda: (
        wide(num_features=WORDS, dropout=0.4, drop_features=True),
        resampled(batch_size=16, eval_batch_size=7),
        {},
    ),
    "workers": lambda: (wide(num_features=WORDS), resampled(batch_size=16, num_workers=1), {}),
    "gcn": lambda: (gcn(num_features=WORDS), augmented(), {}),
    "residual gcn": lambda: (gcn(num_features=WORDS, residual=True), augmented(), {}),
    "bfloat16": lambda: (wide(num_features=WORDS), resampled(), {"precision": "bf16-mixed"}),
    "float64": lambda: (
        wide(num_features=WORDS, dropout=0.4, drop_features=True),
        resampled(),
        {"precision": "64-true"},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_both_forms_train_alike(
    kind: str, tmp_path: Path, load_toy: Callable[..., NodeDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    dense, found = bag_of_words(load_toy), []
    for x in (dense, SparseFeatures.from_dense(dense)):
        dataset = load_toy()._replace(x=x)
        monkeypatch.setattr(graph_data, "load_dataset", lambda *_, dataset=dataset: dataset)
        model, data, settings = KINDS[kind]()
        folder = tmp_path / type(x).__name__
        run = train(folder, model, data, name="run", epochs=2, test=True, **settings)
        curves = scalars(folder / "toy" / "run" / "version_0")
        losses = {tag: curve for tag, curve in curves.items() if tag.endswith("/loss")}
        gradient = next(model.parameters()).grad if kind != "gcn" else model.network.layers[0].lin.weight.grad
        found.append((losses, gradient, run.model.state_dict()))
    (losses, gradient, weights), (others, other_gradient, other_weights) = found
    assert set(losses) == {"train/loss", "val/loss", "test/loss"}
    close = {"rtol": 1e-5, "atol": 1e-5}
    if kind == "bfloat16":  # what is rounded differently may be rounded to another of 256 steps
        close = {"rtol": 2e-2, "atol": 2e-2}
    for tag, curve in losses.items():
        torch.testing.assert_close(torch.tensor(others[tag]), torch.tensor(curve), **close)
    assert gradient.abs().max() > 0
    torch.testing.assert_close(other_gradient, gradient, **close)
    if kind != "bfloat16":
        for name, weight in weights.items():
            torch.testing.assert_close(other_weights[name], weight, rtol=1e-3, atol=1e-4)
