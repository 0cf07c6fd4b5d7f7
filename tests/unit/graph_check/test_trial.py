"""How trials become an estimate."""

import subprocess
from pathlib import Path

import pytest
import torch

from spx.dataset_names import is_path
from spx.datasets import DATASETS, NodeDataset, load_dataset
from spx.errors import DatasetError
from spx.experiments import runs
from spx.graph.features import SparseFeatures
from spx.graph_check import trial

SETTINGS = {
    "data": {"init_args": {"k": [4, 4], "batch_size": 1000}},
    "model": {"init_args": {"width": 32, "num_layers": 2}},
}


class MadeUpTrials:
    """In place of `spx fit`: memory of 500 MB and 2 MB for each 100 nodes, a millisecond an epoch for each node."""

    def __init__(self, code: int = 0):
        self.code, self.commands = code, []

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess:
        options = dict(zip(command[4::2], command[5::2], strict=True))
        self.commands.append(options)
        source = options["--data.dataset"]
        nodes = DATASETS_NODES.get(source) or len(torch.load(source)["y"])
        record = {"peak_rss_mb": 500 + nodes / 50, "seconds_per_epoch": nodes / 1000}
        record |= {"fastest_epoch": nodes / 2000, "slowest_epoch": nodes / 500}
        folder = Path(options["--runs_dir"], trial.run_name(source), options["--name"], "version_0")
        runs.write_json(folder / runs.RECORD_FILE, record)
        return subprocess.CompletedProcess(command, self.code, "", "noise\nspx: error: it is too wide\n")


DATASETS_NODES = {"minesweeper-sim": 10_000}


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    (tmp_path / "estimator.yaml").write_text("trainer: {max_epochs: 7}\n")
    (tmp_path / "wide.yaml").write_text("data: {init_args: {batch_size: 500}}\n")
    return tmp_path


@pytest.fixture(scope="module")
def grid() -> NodeDataset:
    return load_dataset("minesweeper-sim")


def test_a_small_graph_is_tried_itself(monkeypatch, configs, grid):
    made_up, said = MadeUpTrials(), []
    monkeypatch.setattr(trial.subprocess, "run", made_up)
    stages = trial.estimate_stages(grid, "minesweeper-sim", 300_000, configs, ["--data.split", "3"], said.append)
    assert [(stage.stage, stage.peak_rss_mb, stage.seconds_per_epoch) for stage in stages] == [
        ("estimator", 700, 10),
        ("wide", 700, 10),
    ]
    assert [stage.seconds for stage in stages] == [70, 1000]
    assert [(stage.seconds_range, stage.trial_nodes) for stage in stages] == [((5, 20), (10_000,))] * 2
    assert said == ["A few epochs of stage estimator", "A few epochs of stage wide"]
    assert [options["--data.split"] for options in made_up.commands] == ["3", "3"]
    assert [options["--then_test"] for options in made_up.commands] == ["false", "true"]


def test_of_a_large_graph_two_like_it_are_generated(monkeypatch, configs, grid):
    made_up = MadeUpTrials()
    monkeypatch.setattr(trial.subprocess, "run", made_up)
    monkeypatch.setattr(trial, "TRIAL_NODES", 2000)
    stages = trial.estimate_stages(grid, "minesweeper-sim", 300_000, configs)
    assert [stage.peak_rss_mb for stage in stages] == [pytest.approx(700)] * 2, "the line goes to 10,000 nodes"
    assert [stage.seconds_per_epoch for stage in stages] == [pytest.approx(10)] * 2
    assert [stage.seconds_range for stage in stages] == [(pytest.approx(5), pytest.approx(20))] * 2
    assert {stage.trial_nodes for stage in stages} == {(1000, 2000)}
    assert [options.get("--data.batch_size") for options in made_up.commands] == [None, "50", None, "100"], (
        "in proportion"
    )
    sources = [options["--data.dataset"] for options in made_up.commands]
    assert [source.rpartition("/")[2] for source in sources] == ["generated-1000.pt"] * 2 + ["generated-2000.pt"] * 2


def test_a_generated_graph_is_like_the_dataset(grid, tmp_path):
    torch.save(trial._generated(grid, 3000), tmp_path / "like.pt")
    like = load_dataset(str(tmp_path / "like.pt"))
    assert (like.num_nodes, like.num_features, like.num_classes) == (3000, grid.num_features, grid.num_classes)
    degree, wanted = (data.edge_index.size(1) / data.num_nodes for data in (like, grid))
    assert degree == pytest.approx(wanted, rel=0.01)
    for part, whole in zip(like.split, grid.split, strict=True):
        assert part.numel() / 3000 == pytest.approx(whole.numel() / grid.num_nodes, rel=0.01)


def test_a_trial_that_fails_says_why(monkeypatch, configs, grid):
    monkeypatch.setattr(trial.subprocess, "run", MadeUpTrials(code=2))
    with pytest.raises(DatasetError, match="stage estimator ended with exit code 2: it is too wide"):
        trial.estimate_stages(grid, "minesweeper-sim", 300_000, configs)


def test_core_nodes_follow_the_memory():
    def fit(available_mb: float, num_nodes: int = 1_000_000) -> int | None:
        return trial.core_nodes_that_fit(SETTINGS, num_nodes, 400, 800, available_mb)

    given = [fit(available) for available in (1e6, 4000, 2500, 1700, 100)]
    assert given[0] is None
    sizes = [core for core in given if core is not None]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) >= 3
    assert sizes[-1] == trial.CORE_NODES[-1], "the least there is, where nothing fits"
    assert fit(1e6, num_nodes=50) is None


def test_free_memory_is_a_number_of_megabytes():
    assert 10 < trial.available_memory_mb() < 1e9


def test_the_published_names_are_no_paths():
    assert not [name for name in DATASETS if is_path(name)]
    assert [trial.run_name(name) for name in DATASETS] == list(DATASETS)


def test_of_sparse_features_sparse_ones_are_generated(grid, tmp_path):
    """As many entries a node, and never a dense tensor on the way."""
    x = torch.zeros(grid.num_nodes, 2000)
    x[:, :5] = 1
    torch.save(trial._generated(grid._replace(x=SparseFeatures.from_dense(x)), 3000), tmp_path / "like.pt")
    like = load_dataset(str(tmp_path / "like.pt")).x
    assert isinstance(like, SparseFeatures)
    assert like.shape == (3000, 2000)
    assert like.num_entries == pytest.approx(15_000, rel=0.01)
    assert (tmp_path / "like.pt").stat().st_size < 3000 * 2000
