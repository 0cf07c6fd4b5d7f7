"""What can't be used ends in one clear error before any training: exit code 2, never a traceback."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from daily import every_day

from spx.data import graph_data
from spx.datasets import load_dataset

from .conftest import Stages

Refused = Callable[..., str]
RAW = Path("HeterophilousGraphDataset/minesweeper/raw/minesweeper.npz")


@pytest.fixture
def real(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Datasets are loaded as they are, without a network."""

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network in tests")

    monkeypatch.setattr(graph_data, "load_dataset", load_dataset)
    monkeypatch.setattr("pooch.retrieve", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return home


@pytest.fixture
def real_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are read as they are; names are toys."""
    load_toy = graph_data.load_dataset

    def load(name: str, *more: object) -> object:
        return (load_dataset if "/" in name else load_toy)(name, *more)

    monkeypatch.setattr(graph_data, "load_dataset", load)


def write_minesweeper(data_dir: Path, *, x: float = 1.0, label: int = 1, train_share: float = 0.5) -> None:
    """The raw file of a 40-node graph, with one feature, one label and the share of training nodes at choice."""
    nodes = np.arange(40)
    features, labels = np.ones((40, 7), np.float32), nodes % 2
    features[3, 2], labels[5] = x, label
    masks = {
        "train_masks": np.stack([nodes < 40 * train_share] * 10),
        "val_masks": np.stack([(nodes >= 20) & (nodes < 30)] * 10),
        "test_masks": np.stack([nodes >= 30] * 10),
    }
    edges = np.stack([nodes, (nodes + 1) % 40], 1)
    (data_dir / RAW).parent.mkdir(parents=True)
    np.savez(data_dir / RAW, node_features=features, node_labels=labels, edges=edges, **masks)


def assert_one_line(message: str, *words: str) -> None:
    assert message.startswith("spx: error: ")
    assert message.count("\n") == 1, "one line, the last one"
    for word in words:
        assert word in message


def test_an_unknown_dataset(real: Path, refused: Refused) -> None:
    message = refused("fit", "--config", "estimator.yaml", "--runs_dir", "runs", "--data.dataset", "actr")
    assert_one_line(message, "unknown dataset 'actr'; did you mean actor", "Known: actor,")


def test_an_unknown_protocol_and_split(real: Path, refused: Refused) -> None:
    fit = ["fit", "--config", "estimator.yaml", "--runs_dir", "runs", "--data.dataset", "minesweeper-sim"]
    assert_one_line(refused(*fit, "--data.protocol", "papr"), "unknown split protocol 'papr'; did you mean paper?")
    assert_one_line(refused(*fit, "--data.split", "10"), "split 10", "10 splits, 0 to 9")


def test_a_missing_raw_file_without_a_network(real: Path, refused: Refused) -> None:
    message = refused("fit", "--config", "estimator.yaml", "--runs_dir", "runs", "--data.dataset", "minesweeper")
    assert message.startswith("spx: error: dataset 'minesweeper': minesweeper.npz could not be fetched from https://")
    assert str(real / "data" / RAW) in message, "where to put it by hand"


@every_day(
    ("broken", "words"),
    [
        ({"x": float("nan")}, ["the features of 1 of 40 nodes hold NaN", "delete them"]),
        ({"label": -7}, ["labels run from -7 to 1, outside -1..1", "delete them"]),
        ({"train_share": 0}, ["the train split is empty", "Choose another protocol"]),
    ],
    1,
    ids=["nan features", "labels out of range", "empty training split"],
)
def test_broken_data(real: Path, refused: Refused, broken: dict, words: list[str]) -> None:
    write_minesweeper(real / "data", **broken)
    message = refused("fit", "--config", "estimator.yaml", "--runs_dir", "runs", "--data.dataset", "minesweeper")
    assert_one_line(message, "dataset 'minesweeper'", *words)


@every_day(
    ("arguments", "words"),
    [
        (["--data.k", "[2]"], ["k is [2], of length 1", "2 layers", "Give one for each"]),
        (["--data.k", "[2, 0]"], ["k is [2, 0]", "at least 1"]),
        (["--data.batch_size", "0"], ["batch_size is 0", "at least 2"]),
        (["--model.num_heads", "3"], ["num_heads is 3, which doesn't divide width 8", "Choose a divisor"]),
        (["--model.dropout", "1.5"], ["dropout is 1.5", "from 0 to below 1"]),
        (["--model.lr", "0"], ["lr is 0", "above 0"]),
        (["--trainer.reload_dataloaders_every_n_epochs", "5"], ["Set reload_dataloaders_every_n_epochs=1"]),
        (["--ckpt_path", "none.ckpt"], ["There is no checkpoint none.ckpt", "checkpoints/"]),
        (["--ckpt_path", "wide.yaml"], ["wide.yaml is no checkpoint of spx, or a damaged one"]),
    ],
    3,
    ids=lambda value: "=".join(value) if value[0].startswith("--") else "",
)
def test_settings_that_can_not_be(home: Path, refused: Refused, arguments: list[str], words: list[str]) -> None:
    fit = ["fit", "--config", "wide.yaml", "--config", "uniform.yaml", "--runs_dir", "runs"]
    assert_one_line(refused(*fit, *arguments), *words)
    assert list(home.rglob("*.ckpt")) == []


def test_scores_of_another_split(stages: Stages, home: Path, refused: Refused) -> None:
    scores = stages.estimator / "scores.safetensors"
    message = refused(
        "fit", "--config", "wide.yaml", "--runs_dir", "runs", "--data.scores", scores, "--data.split", "1"
    )
    assert_one_line(message, "made for other data: split 0, not 1", "Fit the estimator on this data")


def test_no_scores_at_all(home: Path, refused: Refused) -> None:
    message = refused("fit", "--config", "wide.yaml", "--runs_dir", "runs")
    assert_one_line(message, "No score file in runs/toy/estimator/", "spx fit --config configs/toy/estimator.yaml")


@pytest.mark.full
def test_a_damaged_score_file(stages: Stages, home: Path, refused: Refused) -> None:
    whole = (stages.estimator / "scores.safetensors").read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-4] + b"\x3f\x3f\x3f\x3f", b""):
        (home / "scores.safetensors").write_bytes(damaged)
        message = refused("fit", "--config", "wide.yaml", "--runs_dir", "runs", "--data.scores", "scores.safetensors")
        assert_one_line(message, "scores.safetensors", "damaged", "Run the estimator's fit again")


def test_a_checkpoint_of_other_settings(stages: Stages, home: Path, refused: Refused) -> None:
    checkpoint = stages.wide / "checkpoints" / "best.ckpt"
    for command in ("test", "fit"):
        message = refused(
            *(command, "--config", "wide.yaml", "--config", "uniform.yaml", "--runs_dir", "runs"),
            *("--ckpt_path", checkpoint, "--model.width", "16"),
        )
        assert_one_line(message, str(checkpoint), "width is 16 here and 8 there", "config.yaml in its run's folder")


def test_a_checkpoint_of_another_model(stages: Stages, home: Path, refused: Refused) -> None:
    checkpoint = stages.estimator / "checkpoints" / "best.ckpt"
    fit = ["fit", "--config", "estimator.yaml", "--config", "gcn.yaml", "--runs_dir", "runs"]
    assert_one_line(refused(*fit, "--model.width", "4", "--ckpt_path", checkpoint), str(checkpoint))


def test_a_folder_that_can_not_be_written(home: Path, refused: Refused) -> None:
    (home / "file").write_text("")
    message = refused("fit", "--config", "estimator.yaml", "--runs_dir", "file/runs")
    assert_one_line(message, "The folder file/runs can't be written", "Choose another with --runs_dir")


def test_a_version_that_is_taken(stages: Stages, home: Path, refused: Refused) -> None:
    before = {path: os.path.getmtime(path) for path in stages.estimator.rglob("*")}
    message = refused("fit", "--config", "estimator.yaml", "--runs_dir", stages.home / "runs", "--version", "0")
    assert_one_line(message, str(stages.estimator), "--version")
    assert {path: os.path.getmtime(path) for path in stages.estimator.rglob("*")} == before


@every_day("option", ["--modl.width", "--model.witdh", "--data.kk", "--nonsense"], 1)
def test_an_unknown_option(home: Path, refused: Refused, option: str) -> None:
    assert option.split(".")[-1].strip("-") in refused("fit", "--config", "wide.yaml", option, "3")


def test_a_value_of_the_wrong_kind(home: Path, refused: Refused) -> None:
    assert "k" in refused("fit", "--config", "wide.yaml", "--data.k", "many")


@every_day(
    ("ranks", "settings", "words"),
    [
        (2, ("estimator.yaml",), ("2 devices can't train on one whole graph", "--data.shard true")),
        (2, ("estimator.yaml", "--config", "exphormer.yaml"), ("2 devices can't train on one", "--data.shard true")),
        (2, ("estimator.yaml", "--config", "gcn.yaml", "--data.shard", "true"), ("GCN", "--trainer.devices 1")),
        (3, ("wide.yaml", "--data.batch_size", "2"), ("core nodes of a batch on all 3 devices together", "Raise it")),
    ],
    1,
)
def test_what_several_devices_can_not_share(
    ranks: int, settings: tuple, words: tuple, home: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightning import Trainer

    monkeypatch.setattr(Trainer, "world_size", property(lambda _: ranks))
    assert_one_line(refused("fit", "--config", *settings, "--runs_dir", "runs"), *words)


@pytest.mark.parametrize("folder", ["", "nowhere", "."])
def test_what_is_no_run_is_not_resumed(home: Path, refused: Refused, folder: str) -> None:
    assert_one_line(refused("resume", folder), "is no run's folder: it holds no config.yaml", "version_0")


def test_resuming_needs_the_number_of_the_run(home: Path, refused: Refused) -> None:
    message = refused("fit", "--config", "estimator.yaml", "--runs_dir", "runs", "--resume", "true")
    assert_one_line(message, "--resume true needs --version")


class Malicious:
    """Unpickled, it makes a file named `ran`."""

    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@every_day("option", ["--ckpt_path", "--data.scores", "--data.dataset"], 2)
def test_nothing_is_unpickled(stages: Stages, home: Path, refused: Refused, option: str, real_loader: None) -> None:
    for name in ("bad.ckpt", "bad.pt"):
        torch.save({"state_dict": {}, "hyper_parameters": Malicious(), "x": Malicious()}, home / name)
    pickle.dump(Malicious(), (home / "bad.safetensors").open("wb"))
    file = {"--ckpt_path": "bad.ckpt", "--data.scores": "bad.safetensors", "--data.dataset": "./bad.pt"}[option]
    for command in ("fit", "test"):
        refused(command, "--config", "wide.yaml", "--runs_dir", "runs", option, file)
    assert not (home / "ran").exists()
    pickle.loads((home / "bad.safetensors").read_bytes())
    assert (home / "ran").exists(), "it would have run"


def test_a_resumed_run_reads_its_checkpoint_without_unpickling(stages: Stages, home: Path, refused: Refused) -> None:
    run = home / "runs" / "toy" / "wide" / "version_0"
    shutil.copytree(stages.wide, run)
    torch.save({"state_dict": {}, "callbacks": Malicious()}, run / "checkpoints" / "last.ckpt")
    assert_one_line(refused("resume", run), "last.ckpt is no checkpoint of spx, or a damaged one")
    assert not (home / "ran").exists()
