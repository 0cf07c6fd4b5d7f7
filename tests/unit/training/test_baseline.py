"""The baselines: what they see, their optimisers, the Polynormer's two parts."""

from itertools import product
from pathlib import Path

import pytest
import torch
from daily import every_day
from torch.optim import Adam, AdamW

from spx.errors import ConfigError
from spx.graph.csr import EdgeType
from spx.nn.settings import BaselineName
from spx.training import Baseline, GCNBaseline

from .conftest import augmented, scalars, train

KINDS = BaselineName.__args__


def baseline(dataset: str = "toy", **settings: object) -> Baseline:
    torch.manual_seed(0)
    usual = {"width": 8, "num_layers": 2, "lr": 0.05, "warmup_epochs": 0}
    return Baseline(**usual | settings, **edges_alone(dataset).for_model)


def edges_alone(dataset: str = "toy"):
    return augmented(dataset, expander_degree=0, self_loops=False)


def test_the_gcn_sees_the_graphs_edges_and_self_loops_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Baseline(4, 2, num_features=5, num_outputs=3, task="multiclass", metric="accuracy").eval()
    data = augmented(expander_degree=0, self_loops=False)
    assert model.num_layers == 2
    (batch,) = data.train_dataloader()
    with torch.no_grad():
        first = model(batch)
        graph = data.graph
        assert (graph.edge_type == EdgeType.GRAPH).all()
        h, adjacency = data.dataset.x, torch.eye(90)
        adjacency[graph.rows(), graph.source.long()] = 1
        scale = adjacency.sum(1) ** -0.5
        for layer, between in zip(model.network.layers, (*model.network.between, torch.nn.Identity()), strict=True):
            h = between(scale[:, None] * (adjacency @ (scale[:, None] * layer.lin(h))) + layer.bias)
    torch.testing.assert_close(first, h[batch.targets], rtol=0, atol=1e-5)


def test_the_gcn_trains(tmp_path: Path) -> None:
    model = Baseline(
        8, 2, num_features=5, num_outputs=3, task="multiclass", metric="accuracy", lr=0.05, warmup_epochs=0
    )
    run = train(tmp_path, model, augmented(expander_degree=0, self_loops=False), epochs=2, test=True)
    logged = scalars(run.folder)
    assert logged["train/loss"][1] < logged["train/loss"][0]
    assert len(logged["test/accuracy"]) == 1


@every_day(
    ("kind", "dataset"),
    product(KINDS, ("toy", "toy-labels")),
    {("gat", "toy"), ("polynormer", "toy"), ("sgformer", "toy-labels")},
)
def test_every_kind_trains_on_classes_and_on_several_labels(kind: str, dataset: str, tmp_path: Path) -> None:
    model = baseline(dataset, kind=kind, num_heads=2, local_epochs=3, dropout=0.0)
    run = train(tmp_path, model, edges_alone(dataset), epochs=6, test=True)
    logged = scalars(run.folder)
    assert min(logged["train/loss"][3:]) < logged["train/loss"][0]
    assert len(logged["test/accuracy" if dataset == "toy" else "test/roc_auc"]) == 1
    assert model.num_layers == 2


def test_the_polynormer_begins_with_all_nodes_in_its_epoch_and_its_checkpoints_say_so(tmp_path: Path) -> None:
    seen = []

    class Noted(Baseline):
        def training_step(self, batch, batch_idx):
            seen.append(bool(self.network.attends_globally))
            return super().training_step(batch, batch_idx)

    settings = {"width": 8, "num_layers": 2, "kind": "polynormer", "local_epochs": 2}
    run = train(tmp_path, Noted(**settings, **edges_alone().for_model), edges_alone(), epochs=4)
    assert seen == [False, False, True, True]
    checkpoint = torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]["network.attends_globally"]
    again = Noted.load_from_checkpoint(run.folder / "checkpoints" / "last.ckpt")
    assert again.network.attends_globally


def test_adam_decays_what_it_is_told_to() -> None:
    """Weight decay of Adam is an L2 penalty in the gradient, that of AdamW is not."""
    assert type(baseline().make_optimizer()) is AdamW
    model = baseline(optimizer="adam", weight_decay=0.1)
    optimizer = model.make_optimizer()
    assert type(optimizer) is Adam
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1]
    first, rest = baseline(optimizer="adam", weight_decay=0.1, decay_first=True).make_optimizer().param_groups
    assert (first["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    assert sum(each.numel() for each in first["params"]) == 5 * 8 + 8
    assert len(first["params"]) + len(rest["params"]) == len(list(model.parameters()))


def test_the_schedule_reaches_every_group_of_parameters(tmp_path: Path) -> None:
    model = baseline(optimizer="adam", decay_first=True, lr=0.02, warmup_epochs=1)
    run = train(tmp_path, model, edges_alone(), epochs=3)
    assert [group["lr"] for group in run.trainer.optimizers[0].param_groups] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert scalars(run.folder)["work/lr/pg1"] == pytest.approx([0.01, 0.02, 0.01])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer is 'sgd'; choose from adamw, adam"),
        ({"local_epochs": -1}, "local_epochs is -1"),
    ],
)
def test_settings_that_no_training_has_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        baseline(**settings)


def test_a_run_of_an_older_version_names_the_gcn() -> None:
    settings = {"width": 8, "num_layers": 2, "dropout": 0.5, "residual": True, "lr": 0.01}
    old, new = GCNBaseline(**settings, **edges_alone().for_model), baseline(dropout=0.5, residual=True)
    assert old.network.settings == new.network.settings
    assert list(old.state_dict()) == list(new.state_dict())
