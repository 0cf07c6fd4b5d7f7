"""Fits over sparse features: the losses and gradients of the same features as a dense tensor."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch
from daily import every_day
from torch import Tensor

from spx.data import GraphData, graph_data
from spx.datasets import NodeDataset
from spx.graph.features import SparseFeatures
from spx.nn.objectives import log_probabilities, node_loss
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


DROPPED = {"num_features": WORDS, "dropout": 0.4, "drop_features": True}
KINDS: dict[str, Callable[[], tuple[NodeTask, GraphData]]] = {
    "estimator": lambda: (estimator(num_features=WORDS, dropout=0.2), augmented()),
    "wide": lambda: (wide(num_features=WORDS), resampled()),
    "dropped": lambda: (wide(**DROPPED), resampled()),
    "batches": lambda: (wide(**DROPPED), resampled(batch_size=16, eval_batch_size=7)),
    "gcn": lambda: (gcn(num_features=WORDS), augmented()),
    "residual gcn": lambda: (gcn(num_features=WORDS, residual=True), augmented()),
}

Forms = Callable[[str], Iterator[tuple[NodeTask, GraphData]]]


@pytest.fixture
def forms(load_toy: Callable[..., NodeDataset], monkeypatch: pytest.MonkeyPatch) -> Forms:
    """forms(kind): network and data of the kind, over dense features, then over sparse ones."""
    dense = bag_of_words(load_toy)

    def make(kind: str) -> Iterator[tuple[NodeTask, GraphData]]:
        for x in (dense, SparseFeatures.from_dense(dense)):
            dataset = load_toy()._replace(x=x)
            monkeypatch.setattr(graph_data, "load_dataset", lambda *_, dataset=dataset: dataset)
            yield KINDS[kind]()

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_both_forms_have_the_same_losses_and_gradients(kind: str, forms: Forms) -> None:
    found = []
    for model, data in forms(kind):
        torch.manual_seed(1)  # of dropout
        steps = []
        for batch in data.train_dataloader():
            loss = node_loss(log_probabilities(model(batch), "multiclass"), batch.y, "multiclass")
            steps.append((loss, *torch.autograd.grad(loss, list(model.network.parameters()), allow_unused=True)))
        found.append(steps)
    assert len(found[0]) == (3 if kind == "batches" else 1)
    for one, other in zip(*map(chain.from_iterable, found), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5) if one is not None else None
    assert max(float(part.abs().max()) for part in found[0][0][1:] if part is not None) > 1e-3


@every_day("kind", ("estimator", "batches", "gcn"), ("estimator",))
def test_both_forms_train_and_test_alike(kind: str, tmp_path: Path, forms: Forms) -> None:
    """In double precision: Adam makes whole steps of what is rounded in another order."""
    curves = []
    for form, (model, data) in zip(("dense", "sparse"), forms(kind), strict=True):
        if kind == "batches":
            data.num_workers = 1
        run = train(tmp_path / form, model, data, epochs=2, test=True, precision="64-true")
        curves.append({tag: curve for tag, curve in scalars(run.folder).items() if tag.endswith("/loss")})
    dense, sparse = curves
    assert set(dense) == set(sparse) == {"train/loss", "val/loss", "test/loss"}
    for tag, curve in dense.items():
        assert sparse[tag] == pytest.approx(curve, rel=1e-5)


@pytest.mark.full
def test_sparse_features_train_in_bfloat16(tmp_path: Path, forms: Forms) -> None:
    losses = []
    for form, (model, data) in zip(("dense", "sparse"), forms("dropped"), strict=True):
        run = train(tmp_path / form, model, data, epochs=1, precision="bf16-mixed")
        losses.append(scalars(run.folder)["train/loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
