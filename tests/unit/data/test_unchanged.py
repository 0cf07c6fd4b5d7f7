"""A fit that goes on, or a test, on data that changed since its checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spx.data import AugmentedGraphData, ResampledGraphData, graph_data
from spx.data.unchanged import changes_since, check_checkpoint, data_state
from spx.datasets import NodeDataset, Split, split_fingerprint
from spx.errors import ArtifactError, ConfigError

NAMES = ("age", "amount", "city=Oslo", "city=Rome", "member")
CHANGES: dict[str, Callable[[NodeDataset], NodeDataset]] = {
    "edges": lambda toy: toy._replace(edge_index=toy.edge_index.flip(0)),
    "labels": lambda toy: toy._replace(y=toy.y.roll(1)),
    "split": lambda toy: toy._replace(split=Split(toy.split.test, toy.split.val, toy.split.train)),
    "features' values": lambda toy: toy._replace(x=toy.x + (torch.arange(90) == 7)[:, None]),
    "labels and split": lambda toy: toy._replace(y=toy.y.roll(1), split=toy.split._replace(train=toy.split.train[:-1])),
    "number of nodes": lambda toy: toy._replace(x=toy.x[:80], y=toy.y[:80]),
    "classes' names": lambda toy: toy._replace(class_names=("a", "b", "z")),
}


@pytest.fixture
def named(toy: NodeDataset) -> NodeDataset:
    return toy._replace(feature_names=NAMES, class_names=("a", "b", "c"))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AugmentedGraphData]:
    """now(dataset, **settings): the data as they are read at a later time."""

    def read(dataset: NodeDataset, name: str = "toy", **settings: object) -> AugmentedGraphData:
        monkeypatch.setattr(graph_data, "load_dataset", lambda *_: dataset)
        return AugmentedGraphData(name, **{"expander_degree": 2} | settings)

    return read


@pytest.fixture
def checkpoint(named: NodeDataset, now: Callable[..., AugmentedGraphData]) -> dict[str, Any]:
    return {"state_dict": {"w": torch.ones(3)}, "AugmentedGraphData": now(named).state_dict()}


def test_the_same_data_pass(
    checkpoint: dict, named: NodeDataset, now: Callable, recwarn: pytest.WarningsRecorder
) -> None:
    for stage in ("fit", "validate", "test", "predict"):
        check_checkpoint(checkpoint, now(named), stage)
        check_checkpoint({"state_dict": {}}, now(CHANGES["labels"](named)), stage)  # of an older version
    assert not recwarn


def test_other_nodes_are_told_without_reading_the_data(
    checkpoint: dict, named: NodeDataset, now: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AugmentedGraphData, "data_fingerprint", property(lambda _: pytest.fail("all data were read")))
    state = data_state(checkpoint)[1]
    changes = changes_since(state, now(CHANGES["number of nodes"](named)))
    assert changes == (frozenset({"nodes"}), "its number of nodes changed")


@pytest.mark.parametrize("what", CHANGES)
def test_a_fit_does_not_go_on_with_other_data(what: str, checkpoint: dict, named: NodeDataset, now: Callable) -> None:
    with pytest.raises(ArtifactError, match=f"The data changed since the run began: its {what} changed. Restore"):
        check_checkpoint(checkpoint, now(CHANGES[what](named)), "fit")


@pytest.mark.parametrize("what", ["labels", "split", "number of nodes", "classes' names"])
@pytest.mark.parametrize("stage", ["test", "validate"])
def test_no_figure_of_nodes_that_may_have_been_trained_on(
    stage: str, what: str, checkpoint: dict, named: NodeDataset, now: Callable
) -> None:
    with pytest.raises(ArtifactError, match=f"its {what} changed; nodes that it was trained on may be among those"):
        check_checkpoint(checkpoint, now(CHANGES[what](named)), stage)
    if what == "split":  # the same graph under another name
        with pytest.raises(ArtifactError, match="may be among those"):
            check_checkpoint(checkpoint, now(CHANGES[what](named), "moved"), stage)


def test_a_figure_of_what_can_be_judged_comes_with_a_warning(
    checkpoint: dict, named: NodeDataset, now: Callable
) -> None:
    for what in ("edges", "features' values"):
        with pytest.warns(UserWarning, match=rf"was trained on other data \(toy\): its {what} changed"):
            check_checkpoint(checkpoint, now(CHANGES[what](named)), "test")
    with pytest.warns(UserWarning, match=r"was trained on other data \(toy\): its number of nodes changed"):
        check_checkpoint(checkpoint, now(CHANGES["number of nodes"](named), "another"), "test")


def test_predictions_need_the_same_graph(checkpoint: dict, named: NodeDataset, now: Callable) -> None:
    with pytest.raises(ArtifactError, match=r"since the network was trained: its edges changed\. Restore"):
        check_checkpoint(checkpoint, now(CHANGES["edges"](named)), "predict")
    with pytest.warns(UserWarning, match="its features' values changed"):
        check_checkpoint(checkpoint, now(CHANGES["features' values"](named)), "predict")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("amount", "age", *NAMES[2:]), "another order: 'amount' where 'age' was"),
        (("years", *NAMES[1:]), "missing 'age'; new 'years'"),
        ((*NAMES[:2], "city=Bonn", *NAMES[3:]), "missing 'city=Oslo'; new 'city=Bonn'"),
        (NAMES[:4], "missing 'member'"),
        ((*NAMES, "size"), "new 'size'"),
    ],
)
@pytest.mark.parametrize("stage", ["fit", "test", "predict"])
def test_other_columns_are_named(
    stage: str, names: tuple[str, ...], words: str, checkpoint: dict, named: NodeDataset, now: Callable
) -> None:
    other = named._replace(feature_names=names, x=torch.ones(90, len(names)))
    with pytest.raises(ArtifactError) as caught:
        check_checkpoint(checkpoint, now(other), stage)
    assert f"its feature columns changed ({words})" in str(caught.value)
    assert "values" not in str(caught.value)


def test_an_older_fingerprint_tells_what_it_can(named: NodeDataset, now: Callable) -> None:
    older = {"fingerprint": split_fingerprint(named)}
    for what in ("features' values", "classes' names"):
        assert changes_since(older, now(CHANGES[what](named))).parts == frozenset()
    for what in ("edges", "labels", "split"):
        assert changes_since(older, now(CHANGES[what](named))).text == "its edges, labels or split changed"
    assert "doesn't know" in changes_since({"fingerprint": "spx-data-9 x=1"}, now(named)).text
    assert changes_since({"fingerprint": None}, now(named)).parts == frozenset()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seed": 5}, "seed is 5 here and 0 there; expander_seed is 5 here and 0 there"),
        ({"expander_degree": 3}, "expander_degree is 3 here and 2 there"),
        ({"self_loops": False}, "self_loops is False here and True there"),
    ],
)
def test_a_fit_goes_on_with_the_settings_that_it_began_with(
    settings: dict, words: str, checkpoint: dict, named: NodeDataset, now: Callable
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_checkpoint(checkpoint, now(named, **settings), "fit")
    assert words in str(caught.value)
    check_checkpoint(checkpoint, now(named, **settings), "test")


def test_resampled_data_keep_how_they_are_drawn(named: NodeDataset, now: Callable) -> None:
    now(named)
    state = ResampledGraphData("toy", [2, 3], sampler="uniform").state_dict()
    for settings, words in (
        ({"k": [2, 4]}, r"k is \[2, 4\] here and \[2, 3\]"),
        ({"graph_first": True}, "graph_first"),
    ):
        data = ResampledGraphData("toy", **{"k": [2, 3], "sampler": "uniform"} | settings)
        with pytest.raises(ConfigError, match=words):
            check_checkpoint({"ResampledGraphData": state}, data, "fit")
    check_checkpoint({"R": state}, ResampledGraphData("toy", [2, 3], sampler="uniform", batch_size=9), "fit")


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": 3},
        {"settings": [1]},
        {"feature_names": "abc"},
        {"feature_names": [1]},
        {"class_names": {}},
        {"cwd": None},
        {"scores_path": 5},
    ],
)
def test_what_is_no_state_of_data_is_passed_over(change: dict, checkpoint: dict) -> None:
    assert data_state(checkpoint)[0] == "AugmentedGraphData"
    assert data_state({"AugmentedGraphData": checkpoint["AugmentedGraphData"] | change}) == ("", {})


def test_checkpoints_hold_plain_values(named: NodeDataset, now: Callable, tmp_path) -> None:
    now(named)
    data = AugmentedGraphData("toy", data_dir=tmp_path, seed=torch.tensor(3).numpy()[()], shares=(0.5, 0.25, 0.25))
    torch.save([dict(data.hparams), data.state_dict()], tmp_path / "a.pt")
    settings, state = torch.load(tmp_path / "a.pt", weights_only=True)
    assert (settings["data_dir"], settings["seed"]) == (str(tmp_path), 3)
    assert settings["shares"] == [0.5, 0.25, 0.25]
    assert state["feature_names"] == list(NAMES)


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A folder with a column of numbers; its path."""
    rows = [f"n{node},{'ab'[node % 2]},{10 * node}" for node in range(20)]
    (tmp_path / "nodes.csv").write_text("\n".join(["id,label,age", *rows, ""]))
    (tmp_path / "edges.csv").write_text("source,target\nn0,n1\n")
    return str(tmp_path)


@pytest.mark.parametrize("stage", ["test", "predict"])
def test_a_table_is_read_as_in_training(stage: str, table: str) -> None:
    then = AugmentedGraphData(table)
    state = then.state_dict()
    nodes = Path(table) / "nodes.csv"
    node = int(then.dataset.split.train[-1])
    nodes.write_text(nodes.read_text().replace(f"{10 * node}\n", f"{10 * node}0\n"))
    later = AugmentedGraphData(table)
    assert not torch.equal(later.dataset.x[:node], then.dataset.x[:node])
    with pytest.warns(UserWarning, match="its features' values changed"):
        check_checkpoint({"AugmentedGraphData": state}, later, stage)
    assert torch.equal(later.dataset.x[:node], then.dataset.x[:node])
    assert later.dataset.schema == then.dataset.schema


def test_numbers_of_a_table_stay_as_they_are_for_a_network_of_an_older_version(table: str) -> None:
    data = AugmentedGraphData(table)
    state = data.state_dict()
    del state["schema"]
    assert data.dataset.x.abs().max() < 2
    check_checkpoint({"AugmentedGraphData": state}, data, "test")
    assert data.dataset.x.flatten().tolist() == [10 * node for node in range(20)]
    with pytest.raises(ConfigError, match=r"other scales of the table's numbers. Give --data.scaling none"):
        check_checkpoint({"AugmentedGraphData": state}, AugmentedGraphData(table), "fit")
    check_checkpoint({"AugmentedGraphData": state}, AugmentedGraphData(table, scaling="none"), "fit")


def test_a_fit_goes_on_with_its_scales_alone(table: str) -> None:
    state = AugmentedGraphData(table, scaling="log").state_dict()
    check_checkpoint({"AugmentedGraphData": state}, AugmentedGraphData(table, scaling="log"), "fit")
    with pytest.raises(ConfigError, match=r"Give --data.scaling log"):
        check_checkpoint({"AugmentedGraphData": state}, AugmentedGraphData(table), "fit")
