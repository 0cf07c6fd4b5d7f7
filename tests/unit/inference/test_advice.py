"""Baselines of a finished run, and what is said to try next."""

import json
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from spx.data import graph_data
from spx.data.known_nodes import known_nodes, save_known_nodes
from spx.datasets import NodeDataset
from spx.errors import ArtifactError, ConfigError
from spx.inference.advice import Baselines, advise_main, gcn_value, kept_settings, what_next
from spx.inference.baselines import chance_value, features_value, majority_value

from .conftest import change_record

RECORD = {"test": 0.9, "metric": "accuracy", "name": "wide", "test_figures": {"majority_share": 0.5}}


def binary(toy: NodeDataset) -> NodeDataset:
    return toy._replace(y=(toy.y > 1).long(), num_classes=2)


@pytest.mark.parametrize("balanced", [False, True])
def test_features_alone_are_scikit_learns(toy: NodeDataset, balanced: bool) -> None:
    dataset = binary(toy)
    train, test = dataset.split.train, dataset.split.test
    scaler = StandardScaler().fit(dataset.x[train])
    model = LogisticRegression(class_weight="balanced" if balanced else None)
    model.fit(scaler.transform(dataset.x[train]), dataset.y[train])
    expected = average_precision_score(dataset.y[test], model.predict_proba(scaler.transform(dataset.x[test]))[:, 1])
    assert features_value(dataset, "average_precision", balanced) == pytest.approx(expected, abs=1e-6)
    expected = balanced_accuracy_score(dataset.y[test], model.predict(scaler.transform(dataset.x[test])))
    assert features_value(dataset, "balanced_accuracy", balanced) == pytest.approx(expected, abs=1e-6)


def test_features_alone_of_several_labels_known_in_part(toy: NodeDataset) -> None:
    y = torch.stack([(toy.x[:, 0] > 0).float(), torch.zeros(90), torch.full((90,), -1.0)], 1)
    y[:5, 0], y[80, 2] = -1, 1
    dataset = toy._replace(y=y, task="multilabel", num_classes=3)
    assert features_value(dataset, "roc_auc", balanced=False) > 0.9


def test_chance_is_the_best_answer_alike_for_all_validation_nodes(toy: NodeDataset) -> None:
    nodes = toy.split.val
    y = toy.y.clone()
    y[nodes] = (torch.arange(len(nodes)) % 3 == 0).long() * 2  # classes 0 and 2, a third of them 2
    y[toy.split.train] = 2
    dataset = toy._replace(y=y)
    assert chance_value(dataset, "accuracy") == pytest.approx(2 / 3), "its own largest class, not the training nodes'"
    two = dataset._replace(y=(y > 1).long(), num_classes=2)
    assert chance_value(two, "balanced_accuracy") == pytest.approx(0.5)
    assert chance_value(two, "roc_auc") == pytest.approx(0.5)
    assert chance_value(two, "average_precision") == pytest.approx(1 / 3)
    several = two._replace(y=torch.stack([two.y, 1 - two.y], 1).float(), task="multilabel")
    assert chance_value(several, "roc_auc") == pytest.approx(0.5)


def test_the_majority_needs_no_network(toy: NodeDataset) -> None:
    dataset = binary(toy)
    y, largest = dataset.y[dataset.split.test], dataset.y[dataset.split.train].mode().values
    assert majority_value(dataset, "accuracy") == pytest.approx(float((y == largest).float().mean()))
    assert majority_value(dataset, "balanced_accuracy") == pytest.approx(0.5)
    assert majority_value(dataset, "roc_auc") == pytest.approx(0.5)
    assert majority_value(dataset, "average_precision") == pytest.approx(float(y.float().mean()))


def test_the_newest_gcn_of_the_same_data_is_compared_with(tmp_path: Path) -> None:
    record = {"data_fingerprint": "a", "metric": "accuracy", "split": 0, "protocol": "public"}
    for number, other in enumerate([{"test": 0.1}, {"test": 0.2}, {"test": None}, {"test": 0.4, "metric": "roc_auc"}]):
        folder = tmp_path / f"gcn/version_{number}"
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(record | other))
    assert gcn_value(tmp_path, record) == 0.2
    assert gcn_value(tmp_path, record | {"split": 1}) is None
    assert gcn_value(tmp_path / "none", record) is None


@pytest.mark.parametrize(
    ("record", "found", "words"),
    [
        ({"test_figures": {"majority_share": 0.93}}, (0.5, 0.5, 0.5), ["93.0%", "--data.metric balanced_accuracy"]),
        (
            {"test_figures": {"majority_share": 0.9, "roc_auc": 0.5}},
            (0.5, 0.5, 0.5),
            ["--data.metric average_precision"],
        ),
        ({}, (0.9, 0.5, 0.5), ["isn't above 0.9000, which needs no network", "--model.lr 0.001"]),
        ({}, (0.5, 0.95, 0.5), ["isn't above the features' alone, 0.9500", "--model.layer residual"]),
        ({}, (0.5, 0.6, 0.95), ["below the GCN's, 0.9500", "--data.graph_first true"]),
        ({"test_figures": {"calibration_error": 0.2}}, (0.5, 0.6, 0.7), ["off by 0.20", "--calibrate true"]),
        ({}, (0.5, 0.6, 0.7), ["above all baselines", "--config=plus"]),
        ({}, (0.5, 0.6, None), ["above all baselines", "--config=plus"]),
        ({}, (float("nan"), None, None), ["above all baselines"]),
    ],
)
def test_the_first_line_names_the_figure_and_the_setting(
    record: dict, found: tuple, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = what_next(RECORD | record, Baselines(*found), False, "my graph", "--data.undirected=true")
    assert all(word in lines[0] for word in words), lines
    assert "spx study 'my graph'" in lines[0]
    assert "--extra=--data.undirected=true" in lines[0].replace("'", "")
    assert any("There is no GCN" in line for line in lines) == (found[2] is None)


def test_class_weights_are_kept_and_a_gcn_is_not_compared_with_itself() -> None:
    lines = what_next(RECORD | {"name": "gcn"}, Baselines(0.5, 0.6, None), True, "cora")
    assert len(lines) == 1
    assert lines[0].endswith("spx study cora --config=plus --extra='--model.class_weights balanced'")


def test_settings_by_which_the_graph_was_read_are_kept() -> None:
    given = {
        "dataset": "g",
        "undirected": True,
        "shares": (0.6, 0.2, 0.2),
        "categorical": ["a b"],
        "metric": "f1_macro",
    }
    config = {"data": {"init_args": {**given, "k": [2], "missing": None, "scaling": "standard"}}}
    assert kept_settings(config) == """--data.undirected=true --data.metric=f1_macro '--data.categorical=["a b"]'"""
    assert kept_settings({"data": {}}) == ""


def test_a_run_stands_beside_its_baselines(
    run_folder: Path, toy: NodeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArtifactError, match="holds no test figure"):
        advise_main([str(run_folder)])
    change_record(run_folder, test=0.123, metric="accuracy")
    advise_main([str(run_folder)])
    said = capsys.readouterr().out
    for figure in (0.123, majority_value(toy, "accuracy"), features_value(toy, "accuracy", False)):
        assert f"{figure:.4f}" in said


def test_a_figure_of_a_graph_that_changed_since_is_not_compared(
    run_folder: Path, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_record(run_folder, test=0.123, metric="accuracy")
    save_known_nodes(run_folder / "nodes.parquet", known_nodes(toy))
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: toy._replace(edge_index=toy.edge_index[:, 1:]))
    with pytest.raises(ConfigError, match=r"The graph changed since the run .* was tested"):
        advise_main([str(run_folder), "--dataset", "toy"])
