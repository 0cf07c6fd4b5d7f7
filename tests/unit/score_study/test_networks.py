"""Networks that learned nothing are left out; those before training and at the authors' temperature are made anew."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from daily import every_day

from spx.analysis.distance import likeness
from spx.analysis.measures import normalized_entropy
from spx.datasets import NodeDataset
from spx.errors import ArtifactError
from spx.graph.scores import read_header
from spx.nn.export import load_network
from spx.score_study.artifacts import Group, load_groups
from spx.score_study.claims import judge
from spx.score_study.networks import at_last_temperature, untrained_tables, without_failed
from spx.score_study.settings import ScoreStudy
from spx.score_study.study import analyze
from spx.score_study.tables import Labels, Tables, score_tables
from spx.training import AttentionEstimator
from spx.training.kept_estimator import folder_beside, keep_estimator

from .conftest import LAYERS, toy_data

pytestmark = pytest.mark.usefixtures("toy")


def files_of(folder: Path, write_scores: Callable[..., Path], metrics: list[float | None]) -> list[Path]:
    data = toy_data()
    return [write_scores(folder / str(seed), data, seed=seed, val_metric=value) for seed, value in enumerate(metrics)]


def largest_class(toy: NodeDataset) -> float:
    return float(toy.y[toy.split.val].bincount().max()) / len(toy.split.val)


def test_networks_no_better_than_one_answer_for_all_are_flagged_and_left_out(
    tmp_path: Path, write_scores: Callable[..., Path], toy: NodeDataset, labels: Labels
) -> None:
    chance = largest_class(toy)
    files = files_of(tmp_path, write_scores, [0.9, chance, chance - 0.1, chance + 0.01, None, 0.0])
    groups = without_failed(load_groups(files), toy)
    assert [network.seed for network in groups[0].networks] == [0, 3, 4]
    tables = score_tables(groups, labels, [1], resistance_nodes=0)
    runs = tables["runs"].sort("seed")
    assert runs["failed"].to_list() == [False, True, True, False, False, True]
    assert runs["chance"].to_list() == pytest.approx([chance] * 6)
    assert set(tables["entropy"]["seed"]) == {0, 3, 4}
    assert {*tables["distances"]["seed"], *tables["distances"]["other_seed"]} == {0, 3, 4}


def test_a_graph_on_which_all_failed_is_measured_all_the_same(
    tmp_path: Path, write_scores: Callable[..., Path], toy: NodeDataset, labels: Labels
) -> None:
    groups = without_failed(load_groups(files_of(tmp_path, write_scores, [0.1, 0.2])), toy)
    tables = score_tables(groups, labels, [1], resistance_nodes=0)
    assert tables["runs"]["failed"].to_list() == [True, True]
    assert set(tables["entropy"]["seed"]) == {0, 1}
    assert judge(tables)


@pytest.mark.full
def test_the_report_and_the_screen_tell_which_networks_failed(
    tmp_path: Path,
    write_scores: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("spx.score_study.pictures.FORMATS", ("svg", "png"))
    files = files_of(tmp_path, write_scores, [0.9, 0.1, 0.9])
    report = analyze(ScoreStudy(scores=list(map(str, files)), output=str(tmp_path / "out"), ks=[1, 2]))
    told = "1 of width 4 (augmented): not above chance in validation; left out"
    assert f"Failed to train: {told}" in capsys.readouterr().out
    assert told in report.read_text()


def test_networks_before_training_are_drawn_by_the_same_seeds(
    groups: list[Group], tables: Tables, toy: NodeDataset
) -> None:
    group, fresh = groups[1], {}
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = AttentionEstimator(16, LAYERS, **toy_data().for_model).network.eval()
        with torch.no_grad():
            fresh[seed] = network.attention_scores(toy.x, group.graph)
    here = tables["untrained"].filter(graph="augmented", width=16)
    for seed, scores_LM in fresh.items():
        for layer, scores in enumerate(scores_LM, start=1):
            expected = float(normalized_entropy(group.graph, scores).nanmean())
            assert here.filter(seed=seed, layer=layer)["mean"].item() == pytest.approx(expected, abs=1e-6)
    pair = tables["untrained_distances"].filter(graph="augmented", width=16, layer=2)
    expected = likeness(group.graph, [fresh[0][1], fresh[1][1]])
    assert pair["agreement"].item() == pytest.approx(float(expected.agreement[0, 1]), abs=1e-5)
    assert tables["untrained_layers"].height == 2 * 3 * 2 * LAYERS**2


def test_drawing_them_leaves_the_random_numbers_of_others_alone(groups: list[Group], toy: NodeDataset) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    untrained_tables(groups, toy.x)
    assert torch.equal(torch.rand(3), expected)


@every_day("seeds", ({0}, {0, 1}), ({0},))
def test_claims_of_a_single_seed_or_where_one_is_left_of_a_width(
    groups: list[Group], toy: NodeDataset, labels: Labels, seeds: set[int]
) -> None:
    few = [
        replace(
            group,
            networks=[each for each in group.networks if each.seed in seeds and (each.width, each.seed) != (16, 1)],
        )
        for group in groups
    ]
    tables = score_tables(few, labels, [1, 4], resistance_nodes=0) | untrained_tables(few, toy.x)
    told = {claim.key: claim for claim in judge(tables) if claim.graph == "augmented"}
    assert "agreement, width 4 to 16" in told["width"].numbers
    assert not [name for name in told["width"].numbers if "seed to seed" in name]
    assert "nan" not in "".join(claim.text for claim in told.values())


def test_score_files_without_their_network_have_no_untrained_ones(
    tmp_path: Path, write_scores: Callable[..., Path], toy: NodeDataset
) -> None:
    files = files_of(tmp_path, write_scores, [0.9])
    (group,) = load_groups(files)
    assert untrained_tables([group], toy.x) == {}
    estimator = AttentionEstimator(4, 2, **toy_data().for_model)
    keep_estimator(files[0], estimator, toy_data(), "of other scores")
    assert untrained_tables([group], toy.x) == {}
    with pytest.raises(ArtifactError, match=r"0 has not its network beside it.*another --state"):
        at_last_temperature(group, toy.x)


def test_the_authors_save_the_best_weights_at_the_last_temperature(
    tmp_path: Path, write_scores: Callable[..., Path], toy: NodeDataset
) -> None:
    data, path = toy_data(), tmp_path / "scores.safetensors"
    estimator = AttentionEstimator(4, 2, **data.for_model)
    own = estimator.eval().attention_scores(toy.x, data.graph).detach()
    write_scores(path, data, own, val_metric=0.9)
    keep_estimator(path, estimator, data, read_header(path).fingerprint)
    (group,) = load_groups([path])
    with pytest.raises(ArtifactError, match=r"no checkpoint .*last\.ckpt"):
        at_last_temperature(group, toy.x)
    (tmp_path / "checkpoints").mkdir()
    state = {"network.temperature": torch.tensor(0.25)}
    torch.save({"state_dict": state, "hyper_parameters": {}}, tmp_path / "checkpoints" / "last.ckpt")
    (network,) = at_last_temperature(group, toy.x).networks
    assert network.header.temperature == 0.25
    expected = load_network(folder_beside(path))
    expected.temperature.fill_(0.25)
    torch.testing.assert_close(network.scores_LM, expected.attention_scores(toy.x, data.graph).detach())
    sharper, before = (normalized_entropy(data.graph, each[0]).nanmean() for each in (network.scores_LM, own))
    assert sharper < before
    first = (own[0].log() / 0.25).exp()
    sums = torch.zeros(data.graph.num_nodes).index_add_(0, data.graph.rows(), first)[data.graph.rows()]
    torch.testing.assert_close(network.scores_LM[0], first / sums, atol=1e-5, rtol=1e-4)


def test_a_claim_is_not_told_of_a_table_without_rows_of_its_graph(tables: Tables) -> None:
    augmented = {
        name: table.filter(pl.col("graph") == "augmented") for name, table in tables.items() if name[:2] == "un"
    }
    told = {claim.graph: claim.text for claim in judge({**tables, **augmented}) if claim.key == "sharpness"}
    assert "untrained" in told["augmented"]
    assert "untrained" not in told["graph"]
