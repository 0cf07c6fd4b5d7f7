"""Runs that a fit from Python left: checkpoints that say what they are, without config.yaml and run.json."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from daily import every_day

import spx
from spx.data import AugmentedGraphData, GraphData, ResampledGraphData
from spx.datasets import NodeDataset
from spx.errors import ArtifactError, ConfigError
from spx.inference.export import export_run
from spx.inference.run import TrainedRun
from spx.nn.export import read_config
from spx.training import GCNBaseline, NodeTask

from .conftest import network, resampled


def fit(folder: Path, model: NodeTask, data: GraphData, *callbacks: L.Callback) -> Path:
    """Two epochs with Lightning's own Trainer, logger and checkpoint; the run's folder."""
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=list(callbacks),
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(model, datamodule=data)
    return Path(trainer.log_dir)


def by_trainer(model: NodeTask, data: GraphData) -> torch.Tensor:
    trainer = L.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    return torch.cat([batch["probabilities"] for batch in trainer.predict(model, datamodule=data)])


@pytest.fixture
def folder(toy: NodeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a run on resampled graphs, as it lies in the present folder."""
    monkeypatch.chdir(tmp_path)
    return fit(tmp_path, network(resampled(), dropout=0.5), resampled(seed=4, expander_seed=2)).relative_to(tmp_path)


def test_a_folder_with_one_checkpoint(folder: Path, toy: NodeDataset) -> None:
    run = spx.load(folder)
    assert isinstance(run, TrainedRun)
    assert isinstance(run.data, ResampledGraphData)
    assert (run.data.seed, run.data.expander_seed, run.data.sampler) == (4, 2, "uniform")
    assert run.class_names == ("0", "1", "2")
    wanted = by_trainer(run.model, resampled(seed=4, expander_seed=2))
    torch.testing.assert_close(run.predict(draws=1).probabilities, wanted, rtol=0, atol=1e-6)


def test_the_path_of_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    (path,) = folder.glob("checkpoints/*.ckpt")
    wanted = spx.load(folder).predict(draws=2).probabilities
    elsewhere = path.rename(tmp_path / "elsewhere.ckpt")
    assert spx.load(elsewhere).predict(draws=2).probabilities.equal(wanted)
    assert spx.load(str(elsewhere)).folder == tmp_path
    with pytest.raises(ConfigError, match="Two checkpoints are given"):
        spx.load(elsewhere, checkpoint="last")
    export_run(elsewhere, tmp_path / "exported")
    assert read_config(tmp_path / "exported").made_from["dataset"] == "toy"


def test_the_checkpoint_of_a_folder_with_settings(run_folder: Path) -> None:
    best = run_folder / "checkpoints" / "best.ckpt"
    run = spx.load(best)
    assert run.folder == run_folder
    assert run.predict(draws=2).probabilities.equal(spx.load(run_folder).predict(draws=2).probabilities)


def test_several_checkpoints(folder: Path) -> None:
    (path,) = folder.glob("checkpoints/*.ckpt")
    other = path.with_name("other.ckpt")
    other.write_bytes(path.read_bytes())
    with pytest.raises(ArtifactError, match=r"holds 2 checkpoints and none is called best\.ckpt: .*other\.ckpt\. Give"):
        spx.load(folder)
    for name in (path, path.absolute()):
        assert spx.load(folder, checkpoint=name.absolute()).data.seed == 4
    other.rename(path.with_name("best.ckpt"))
    assert spx.load(folder).data.seed == 4


def test_scores_are_found_where_the_run_found_them(
    toy: NodeDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_scores: Callable[..., Path],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scores(Path("scores.safetensors"), AugmentedGraphData("toy", expander_degree=2))
    data = ResampledGraphData("toy", [2, 3], scores="scores.safetensors")
    folder = fit(tmp_path, network(data), data)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert spx.load(folder).data.scores_path == str(tmp_path / "scores.safetensors")
    write_scores(tmp_path / "scores.safetensors", AugmentedGraphData("toy", expander_degree=3))
    with pytest.raises(ArtifactError, match="are others than those"):
        spx.load(folder)


def test_a_gcn_on_the_whole_graph(toy: NodeDataset, tmp_path: Path) -> None:
    data = AugmentedGraphData("toy", expander_degree=0, self_loops=False)
    run = spx.load(fit(tmp_path, network(data, GCNBaseline), data))
    assert isinstance(run.model, GCNBaseline)
    assert (run.data.expander_degree, run.data.self_loops) == (0, False)


def test_data_that_changed_since(folder: Path, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_: toy._replace(y=toy.y.roll(1)))
    with pytest.raises(ArtifactError, match=r"changed since: its labels changed\. The run has no nodes\.parquet"):
        spx.load(folder)


@every_day(
    ("change", "words"),
    [
        ({"spx": None}, "doesn't say what it was trained on"),
        ({"spx": {"model": 3}}, "doesn't say what it was trained on"),
        ({"spx": {"model": "os.system"}}, "names the class 'spx.training.os.system' for its model, which is none of"),
        ({"ResampledGraphData": None}, "doesn't say what it was trained on"),
        ({"ResampledGraphData": {"fingerprint": []}}, "doesn't say what it was trained on"),
        ({"datamodule_hyper_parameters": None}, "doesn't say what it was trained on"),
        ({"datamodule_hyper_parameters": {"dataset": "toy", "k": [2, 3], "kk": 1}}, "settings that ResampledGraphData"),
        ({"datamodule_hyper_parameters": {1: 2}}, "settings that ResampledGraphData"),
        ({"datamodule_hyper_parameters": {"dataset": "toy", "k": "x"}}, "settings that ResampledGraphData"),
    ],
    3,
)
def test_checkpoints_that_describe_no_run(change: dict, words: str, folder: Path) -> None:
    (path,) = folder.glob("checkpoints/*.ckpt")
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(ArtifactError, match=words):
        spx.load(folder)


def test_data_of_the_user_s_own_class(toy: NodeDataset, tmp_path: Path) -> None:
    class Mine(AugmentedGraphData):
        pass

    data = Mine("toy", expander_degree=2)
    folder = fit(tmp_path, network(data), data)
    with pytest.raises(ArtifactError, match=r"names the class 'spx\.data\..*Mine' for its data, which is none of"):
        spx.load(folder)
