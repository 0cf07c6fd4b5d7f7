"""Score files that fit together, and those that don't."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spx.data import AugmentedGraphData
from spx.datasets import NodeDataset
from spx.errors import ArtifactError
from spx.score_study.artifacts import Group, check_data, load_groups

from .conftest import SEEDS, WIDTHS, toy_data

pytestmark = pytest.mark.usefixtures("toy")


def test_files_are_grouped_by_graph_and_ordered_by_width_and_seed(groups: list[Group]) -> None:
    assert [group.name for group in groups] == ["graph", "augmented"]
    for group in groups:
        order = [(network.width, network.seed) for network in group.networks]
        assert order == [(width, seed) for width in WIDTHS for seed in SEEDS]
        assert group.num_layers == 3
    assert (groups[0].graph.degrees() == 0).any(), "nodes without a graph edge are part of the study"


def test_a_finished_runs_folder_stands_for_its_file(tmp_path: Path, write_scores: Callable[..., Path]) -> None:
    (tmp_path / "version_0").mkdir()
    write_scores(tmp_path / "version_0" / "scores.safetensors", toy_data())
    assert len(load_groups([str(tmp_path / "version_0")])[0].networks) == 1


def test_graphs_of_other_types_have_names_of_their_own(tmp_path: Path, write_scores: Callable[..., Path]) -> None:
    loops = write_scores(tmp_path / "a", toy_data("graph", self_loops=True))
    expander = write_scores(tmp_path / "b", toy_data(self_loops=False))
    assert [group.name for group in load_groups([loops, expander])] == ["graph and self-loops", "graph and expander"]


@pytest.mark.parametrize("damage", ["none", "missing", "half"])
def test_files_that_can_not_be_read(tmp_path: Path, write_scores: Callable[..., Path], damage: str) -> None:
    path = write_scores(tmp_path / "scores", toy_data())
    if damage == "none":
        with pytest.raises(ArtifactError, match=r"no score file to analyse.*--scores"):
            load_groups([])
        return
    if damage == "missing":
        path = tmp_path / "nowhere"
    else:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=str(path)):
        load_groups([path])


def test_a_run_that_has_not_finished(tmp_path: Path) -> None:
    (tmp_path / "version_3" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ArtifactError, match=r"version_3 holds no scores\.safetensors: the run hasn't finished.*resume"):
        load_groups([tmp_path / "version_3"])


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"dataset": "cora"}, "dataset cora, not toy"),
        ({"protocol": "paper"}, "protocol paper, not public"),
        ({"split": 3}, "split 3, not 0"),
        ({"data_fingerprint": "other"}, "graph or labels"),
    ],
)
def test_files_of_other_data(tmp_path: Path, write_scores: Callable[..., Path], header: dict, words: str) -> None:
    first = write_scores(tmp_path / "a", toy_data())
    second = write_scores(tmp_path / "b", toy_data(), seed=1, **header)
    with pytest.raises(ArtifactError, match=f"b was made for other data than .*a: {words}"):
        load_groups([first, second])


def test_files_over_other_expanders(tmp_path: Path, write_scores: Callable[..., Path]) -> None:
    first = write_scores(tmp_path / "a", toy_data())
    second = write_scores(tmp_path / "b", toy_data(expander_seed=1), seed=1)
    with pytest.raises(ArtifactError, match=r"b is over another attention graph than .*a.*--data.expander_seed"):
        load_groups([first, second])


def test_missing_layers(tmp_path: Path, write_scores: Callable[..., Path]) -> None:
    first = write_scores(tmp_path / "a", toy_data(), num_layers=3)
    second = write_scores(tmp_path / "b", toy_data(), num_layers=2, seed=1)
    with pytest.raises(ArtifactError, match=r"b holds the scores of 2 layers, .*a of 3: some layers are missing"):
        load_groups([first, second])


def test_the_same_network_twice(tmp_path: Path, write_scores: Callable[..., Path]) -> None:
    files = [write_scores(tmp_path / name, toy_data()) for name in "ab"]
    with pytest.raises(ArtifactError, match="are both of width 4 and seed 0"):
        load_groups(files)


def test_a_graph_of_one_node(tmp_path: Path, write_scores: Callable[..., Path], monkeypatch, toy: NodeDataset) -> None:
    one = toy._replace(x=toy.x[:1], edge_index=torch.zeros(2, 0, dtype=torch.int64), y=toy.y[:1])
    monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_: one)
    path = write_scores(tmp_path / "a", AugmentedGraphData("toy", expander_degree=0))
    with pytest.raises(ArtifactError, match=r"a: no node has two attention edges \(nodes: 1\)"):
        load_groups([path])


def test_a_dataset_that_has_changed(groups: list[Group], toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    check_data(groups, toy_data())
    other = toy._replace(y=(toy.y + 1) % 3)
    monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_: other)
    with pytest.raises(
        ArtifactError, match="was made for other data than toy, protocol public, split 0, holds now: its "
    ):
        check_data(groups, toy_data())
