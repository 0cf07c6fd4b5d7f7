"""Which score file is taken, and which are refused."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spx.data import AugmentedGraphData, ResampledGraphData, graph_data
from spx.data.handover import find_scores, load_matching_scores
from spx.datasets import NodeDataset, split_fingerprint
from spx.errors import ArtifactError

from .conftest import K, at_epoch

Write = Callable[..., Path]


@pytest.fixture
def data(toy: NodeDataset) -> AugmentedGraphData:
    return AugmentedGraphData("toy", expander_degree=2)


def run(runs_dir: Path, version: int, dataset: str = "toy") -> Path:
    return runs_dir / dataset / "estimator" / f"version_{version}" / "scores.safetensors"


def age(path: Path, seconds: int) -> Path:
    """Make the file so many seconds old."""
    os.utime(path, (1e9 - seconds, 1e9 - seconds))
    return path


def test_the_newest_file_of_the_same_data_and_seed_is_taken(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write
) -> None:
    age(write_scores(run(tmp_path, 0), data), 50)
    newest = age(write_scores(run(tmp_path, 1), data), 30)
    age(write_scores(run(tmp_path, 2), data), 40)
    assert find_scores(tmp_path, data).path == newest, "by age, not by number"
    for version, other in enumerate([{"dataset": "x"}, {"protocol": "paper"}, {"split": 1}, {"seed": 1}], start=3):
        age(write_scores(run(tmp_path, version), data, **other), 10)
    assert find_scores(tmp_path, data).path == newest, "those of other data or seeds don't count"
    damaged = run(tmp_path, 8)
    damaged.parent.mkdir()
    damaged.write_bytes(b"not a score file")
    assert find_scores(tmp_path, data).path == newest, "nor do damaged ones"


def test_the_newest_that_was_made_for_the_same_data_is_taken(
    tmp_path: Path,
    data: AugmentedGraphData,
    write_scores: Write,
    toy: NodeDataset,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = age(write_scores(run(tmp_path, 0), data), 50)
    for version, what in enumerate(CHANGES, start=1):
        monkeypatch.setattr(graph_data, "load_dataset", lambda *_, what=what: CHANGES[what](toy))
        age(write_scores(run(tmp_path, version), AugmentedGraphData("toy", expander_degree=2)), 40 - version)
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: toy)
    stage_2 = at_epoch(ResampledGraphData("toy", K, runs_dir=str(tmp_path)))
    with caplog.at_level(logging.INFO):
        stage_2.setup("fit")
        stage_2.train_dataloader()
        stage_2.val_dataloader()
    assert stage_2.scores_path == str(first)
    assert [record.message for record in caplog.records] == [
        "Split: train 40, val 30, test 20",
        f"Scores: {first}, the newest that fits of 5 files; 4 newer were made for other data",
    ]
    for path in tmp_path.rglob("version_0/*"):
        path.unlink()
    with pytest.raises(ArtifactError, match=r"4 files looked at; the newest, .*version_4/.*: its split changed\)"):
        find_scores(tmp_path, data)


def test_all_score_files_of_a_run_are_looked_at(tmp_path: Path, data: AugmentedGraphData, write_scores: Write) -> None:
    older = age(write_scores(run(tmp_path, 0), data), 50)
    newer = age(write_scores(older.with_name("scores-2.safetensors"), data, epoch=7), 40)
    assert find_scores(tmp_path, data).path == newer
    assert find_scores(tmp_path, data).choice == f"Scores: {newer}, the newest of 2 files"
    newer.unlink()
    assert find_scores(tmp_path, data).choice == f"Scores: {older}, the only file"


def test_a_fit_that_goes_on_finds_its_scores_under_another_name(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write
) -> None:
    path = write_scores(run(tmp_path, 0), data)
    state = ResampledGraphData("toy", K, scores=str(path)).state_dict()
    moved = path.rename(path.with_name("scores-2.safetensors"))
    age(write_scores(path, data, epoch=7), 10)
    goes_on = at_epoch(ResampledGraphData("toy", K, scores=str(path)))
    goes_on.setup("fit")
    goes_on.load_state_dict(state)
    assert (goes_on.scores_path, goes_on.scores_fingerprint) == (str(moved), state["scores_fingerprint"])
    moved.unlink()
    goes_on = at_epoch(ResampledGraphData("toy", K, scores=str(path)))
    goes_on.setup("fit")
    with pytest.raises(ArtifactError, match=f"began with other scores than {path} holds now"):
        goes_on.load_state_dict(state)


def test_a_test_takes_the_scores_of_the_training_unless_others_are_named(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write
) -> None:
    trained_by = age(write_scores(run(tmp_path, 0), data), 50)
    state = ResampledGraphData("toy", K, runs_dir=str(tmp_path)).state_dict()
    newer = age(write_scores(run(tmp_path, 1), data, epoch=7), 40)
    for named, path in ((None, trained_by), (str(newer), newer)):
        tested = at_epoch(ResampledGraphData("toy", K, scores=named, runs_dir=str(tmp_path)))
        tested.setup("test")
        tested.load_state_dict(state)
        assert (tested.scores_path, tested.scores.num_layers) == (str(path), 2)


def test_scores_of_an_older_version(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scores(run(tmp_path, 0), data, data_fingerprint=split_fingerprint(toy))
    assert find_scores(tmp_path, data).path == path
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: CHANGES["split"](toy))
    with pytest.raises(ArtifactError, match="its edges, labels or split changed"):
        load_matching_scores(path, AugmentedGraphData("toy"))


def test_stage_2_finds_it_by_itself(tmp_path: Path, data: AugmentedGraphData, write_scores: Write) -> None:
    path = write_scores(run(tmp_path, 0), data)
    stage_2 = at_epoch(ResampledGraphData("toy", K, runs_dir=str(tmp_path)))
    stage_2.setup("fit")
    assert stage_2.scores_path == str(path)
    assert stage_2.scores.num_layers == 2


def test_the_file_that_is_named_wins_over_the_newest(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write
) -> None:
    named = write_scores(tmp_path / "named.safetensors", data, num_layers=3)
    write_scores(run(tmp_path, 0), data)
    stage_2 = ResampledGraphData("toy", K, scores=str(named), runs_dir=str(tmp_path))
    assert stage_2.scores.num_layers == 3


def test_no_file_says_what_was_looked_for_and_how_to_make_one(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write
) -> None:
    write_scores(run(tmp_path, 0), data, seed=1)
    with pytest.raises(ArtifactError) as caught:
        find_scores(tmp_path, data)
    for words in (
        str(tmp_path / "toy" / "estimator"),
        "dataset toy, protocol public, split 0, seed 0",
        "1 files looked at",
        "spx fit --config configs/toy/estimator.yaml",
        "--data.scores",
    ):
        assert words in str(caught.value)


CHANGES = {
    "labels": lambda toy: toy._replace(y=toy.y.roll(1)),
    "edges": lambda toy: toy._replace(edge_index=toy.edge_index.flip(0)),
    "features' values": lambda toy: toy._replace(x=toy.x + 1),
    "split": lambda toy: toy._replace(split=toy.split._replace(val=toy.split.test, test=toy.split.val)),
}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"dataset": "cora"}, "dataset cora, not toy"),
        ({"protocol": "paper"}, "protocol paper, not public"),
        ({"split": 4}, "split 4, not 0"),
        ({"dataset": "cora", "split": 4}, "dataset cora, not toy; split 4, not 0"),
    ],
)
def test_a_file_of_other_data_is_refused(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write, other: dict, message: str
) -> None:
    path = write_scores(tmp_path / "other.safetensors", data, **other)
    with pytest.raises(ArtifactError, match=f"{path} was made for other data: {message}"):
        load_matching_scores(path, data)


def test_a_named_file_may_be_of_another_seed(tmp_path: Path, data: AugmentedGraphData, write_scores: Write) -> None:
    path = write_scores(tmp_path / "shared.safetensors", data, seed=9)
    assert load_matching_scores(path, data).num_layers == 2


@pytest.mark.parametrize("what", CHANGES)
def test_a_graph_or_split_that_changed_under_the_same_name_is_refused(
    tmp_path: Path,
    data: AugmentedGraphData,
    write_scores: Write,
    toy: NodeDataset,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    path = write_scores(tmp_path / "old.safetensors", data)
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: CHANGES[what](toy))
    with pytest.raises(ArtifactError, match=f"was made for other data: its {what} changed. Fit the estimator"):
        load_matching_scores(path, AugmentedGraphData("toy"))


def test_scores_over_another_number_of_nodes_are_refused(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = data.data_fingerprint
    smaller = toy._replace(x=toy.x[:80], y=toy.y[:80], edge_index=toy.edge_index.clamp(max=79))
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: smaller)
    other = AugmentedGraphData("toy", expander_degree=2)
    path = write_scores(tmp_path / "smaller.safetensors", other, data_fingerprint=fingerprint)
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: toy)
    with pytest.raises(ArtifactError, match="holds a graph of 80 nodes, the data have 90"):
        load_matching_scores(path, AugmentedGraphData("toy"))


def test_a_network_may_have_fewer_layers_than_the_file_or_more(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write
) -> None:
    path = write_scores(tmp_path / "two.safetensors", data, num_layers=2)
    one = at_epoch(ResampledGraphData("toy", [2], scores=str(path)), num_layers=1)
    one.setup("fit")
    assert len(one.draw(0)) == 1
    four = at_epoch(ResampledGraphData("toy", [2, 2, 2, 2], scores=str(path), sampler="top"), num_layers=4)
    four.setup("fit")
    tables = four.draw(0)
    assert not torch.equal(tables[0].neighbors, tables[1].neighbors)
    for later in tables[2:]:
        assert torch.equal(later.neighbors, tables[1].neighbors), "beyond the file's last layer, its scores"


def test_a_missing_or_damaged_file_is_refused_before_any_work(
    tmp_path: Path, data: AugmentedGraphData, write_scores: Write
) -> None:
    path = write_scores(tmp_path / "whole.safetensors", data)
    missing, cut, flipped = (tmp_path / f"{name}.safetensors" for name in ("missing", "cut", "flipped"))
    cut.write_bytes(path.read_bytes()[:-100])
    shutil.copy(path, flipped)
    with flipped.open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"\x3f\x3f")
    for damaged, message in ((missing, "There is no score file"), (cut, "damaged"), (flipped, "damaged")):
        with pytest.raises(ArtifactError, match=message) as caught:
            at_epoch(ResampledGraphData("toy", K, scores=str(damaged))).setup("fit")
        assert str(damaged) in str(caught.value)


def test_uniform_sampling_ignores_a_file_that_is_missing(toy: NodeDataset, tmp_path: Path) -> None:
    data = ResampledGraphData("toy", K, sampler="uniform", scores=str(tmp_path / "none"), expander_degree=2)
    data.setup("fit")
    assert data.scores is None
    assert torch.isin(data.draw(0)[0].neighbors, data.graph.source).all()
