"""Both stages by the command line on one, two and three processes: the same losses, metrics and scores."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import yaml
from integration.processes import run_spx, run_spx_on_ranks, write_graph, write_own_configs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spx.files import read_json
from spx.graph.scores import load_scores

RANKS = [2, 3]
SETTINGS = ("--trainer.precision", "64-true", "--trainer.max_epochs", "10", "--model.dropout", "0")
WIDE = ("--model.norm", "none", "--data.batch_size", "50", "--then_test", "true")


pytestmark = pytest.mark.full


class Runs(NamedTuple):
    """Folder of the runs of `ranks` processes."""

    home: Path

    def folder(self, name: str, ranks: int) -> Path:
        return self.home / f"runs{ranks}" / "own" / name / "version_0"

    def curves(self, name: str, ranks: int) -> dict[str, list[float]]:
        """The logged losses, metrics and looks at the attention."""
        events = EventAccumulator(str(self.folder(name, ranks)))
        events.Reload()
        tags = [tag for tag in events.Tags()["scalars"] if tag.split("/")[0] in ("train", "val", "test", "which_edges")]
        return {tag: [event.value for event in events.Scalars(tag)] for tag in tags if tag != "which_edges/seconds"}


FEW = {
    "estimator": ("classes", "--data.shard", "true"),
    "wide": ("labels", "--data.batch_size", "17", "--model.norm", "graph", "--model.class_weights", "balanced"),
    "exphormer": ("classes", "--data.shard", "true", "--model.norm", "batch"),
    "plus": ("labels", "--data.batch_size", "17", "--data.eval_samples", "3", "--calibrate", "true"),
}
"""What is fitted with fewer nodes to judge than ranks: the kind of its labels, and settings."""


def fit(home: Path, name: str, ranks: int, *arguments: str) -> None:
    command = ("fit", "--config", f"{name}.yaml", "--runs_dir", f"runs{ranks}", *SETTINGS, *arguments)
    results = [run_spx(*command, cwd=home)] if ranks == 1 else run_spx_on_ranks(ranks, *command, cwd=home)
    assert not any(result.returncode for result in results), [result.stderr for result in results]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("ranks")
    write_own_configs(home, write_graph(home / "own.npz"))
    return home


@pytest.fixture
def runs(home: Path, ranks: int) -> Runs:
    """Both stages with one process and with `ranks`, each made once; with three of them over sparse features."""
    for number in (1, ranks):
        if not (home / f"runs{number}").exists():
            form = ("--data.features", "sparse" if number == 3 else "dense")
            fit(home, "estimator", number, "--data.shard", "true", *form)
            scores = home / "runs1" / "own" / "estimator" / "version_0" / "scores.safetensors"
            fit(home, "wide", number, *WIDE, "--data.scores", str(scores), *form)
    return Runs(home)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("name", ["estimator", "wide"])
def test_losses_and_metrics_are_those_of_one_process(runs: Runs, name: str, ranks: int) -> None:
    alone, several = (runs.curves(name, each) for each in (1, ranks))
    assert alone.keys() == several.keys()
    assert len(alone["val/loss"]) == 10
    assert ("test/accuracy" in alone) == (name == "wide")
    for tag, values in alone.items():
        if not tag.startswith("which_edges") or name == "estimator":  # stage 2's are of the ranks' first batches
            assert several[tag] == pytest.approx(values, rel=1e-5, abs=1e-6), tag


@pytest.mark.parametrize("ranks", RANKS)
def test_scores_are_those_of_one_process(runs: Runs, ranks: int) -> None:
    (alone, header), (several, its_header) = (
        load_scores(runs.folder("estimator", each) / "scores.safetensors") for each in (1, ranks)
    )
    assert all(a.equal(b) for a, b in zip(alone.graph, several.graph, strict=True)), "the whole graph, in its order"
    torch.testing.assert_close(several.scores_LM, alone.scores_LM, rtol=1e-5, atol=1e-7)
    assert (its_header.epoch, its_header.temperature) == (header.epoch, header.temperature)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("name", ["estimator", "wide"])
def test_the_record_counts_the_whole_graph_and_every_process(runs: Runs, name: str, ranks: int) -> None:
    alone, several = (read_json(runs.folder(name, each) / "run.json") for each in (1, ranks))
    assert several["augmented_edges"] == alone["augmented_edges"]
    assert (alone["devices"], several["devices"]) == (1, ranks)
    assert len(several["peak_rss_mb_of_ranks"]) == ranks
    assert several["peak_rss_mb"] == max(several["peak_rss_mb_of_ranks"])


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("name", ["estimator", "wide"])
def test_only_one_process_writes(runs: Runs, name: str, ranks: int) -> None:
    """One run, with the files of a run on one process."""

    def files(number: int) -> list[str]:
        folder = runs.folder(name, number).parent
        paths = (str(path.relative_to(folder)) for path in folder.rglob("*") if "events" not in path.name)
        return sorted(paths)

    assert files(ranks) == files(1)
    alone, several = (len(list(runs.folder(name, each).glob("events*"))) for each in (1, ranks))
    assert several == alone
    assert yaml.safe_load((runs.folder(name, ranks) / "config.yaml").read_text())["trainer"]["devices"] == str(ranks)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_rank_without_validation_nodes_counts_for_nothing(tmp_path: Path, classes: int) -> None:
    """Ranked by ROC-AUC, and by accuracy. Neither part's number of nodes is a multiple of the ranks'."""
    with np.load(write_graph(tmp_path / "random.npz")) as file:
        arrays = dict(file)
    first = np.arange(len(arrays["y"])) < 57
    masks = {"train_mask": ~first, "val_mask": first & (np.arange(len(first)) % 2 == 0)}
    masks["test_mask"] = first & ~masks["val_mask"]
    np.savez(tmp_path / "own.npz", **{**arrays, "y": arrays["y"] % classes}, **masks)
    write_own_configs(tmp_path, tmp_path / "own.npz")
    metric = ("--data.metric", "roc_auc" if classes == 2 else "accuracy", "--data.shard", "true")
    records, curves = [], []
    for ranks in (1, 2):
        fit(tmp_path, "estimator", ranks, *metric, "--trainer.max_epochs", "3")
        records.append(read_json(Runs(tmp_path).folder("estimator", ranks) / "run.json"))
        curves.append(Runs(tmp_path).curves("estimator", ranks))
    assert records[1]["val"] == pytest.approx(records[0]["val"], abs=1e-6)
    for tag in ("train/loss", "val/loss"):
        assert curves[1][tag] == pytest.approx(curves[0][tag], rel=1e-5), tag


def write_few(home: Path, labels: str) -> None:
    """A graph of 300 nodes with two for validation and two for test, of both classes; or of two labels each."""
    with np.load(write_graph(home / "random.npz")) as file:
        arrays = dict(file)
    y, number = arrays["y"] % 2, np.arange(len(arrays["y"]))
    y[:4] = 0, 1, 0, 1
    masks = {
        "val_mask": number < 2,
        "test_mask": (number >= 2) & (number < 4),
        "train_mask": (number >= 4) & (number < 40),
    }
    np.savez(home / "own.npz", **{**arrays, "y": y if labels == "classes" else np.stack((y, 1 - y), 1), **masks})
    write_own_configs(home, home / "own.npz")
    wide, estimator = (yaml.safe_load((home / f"{name}.yaml").read_text()) for name in ("wide", "estimator"))
    wide["data"]["init_args"] |= {"sampler": "uniform", "expander_degree": 2}
    (home / "wide.yaml").write_text(yaml.safe_dump(wide))
    (home / "exphormer.yaml").write_text(yaml.safe_dump({**wide, "name": "exphormer", "data": estimator["data"]}))
    wide["model"]["init_args"] |= {"layer": "residual", "drop_features": True, "logit_adjustment": True}
    wide["data"]["init_args"] |= {"graph_first": True}
    average = {"class_path": "spx.training.callbacks.WeightAverage", "init_args": {"decay": 0.9}}
    wide["trainer"]["callbacks"] = [average]
    (home / "plus.yaml").write_text(yaml.safe_dump({**wide, "name": "plus"}))


@pytest.mark.parametrize("name", list(FEW))
def test_more_ranks_than_nodes_to_judge(tmp_path: Path, name: str) -> None:
    """The third of three ranks judges none; in stage 2 its share of the last batch, of two nodes, is none too."""
    labels, *arguments = FEW[name]
    write_few(tmp_path, labels)
    test = ("--then_test", "true") if name != "estimator" else ()
    test += ("--data.task", "multilabel") if labels == "labels" else ()
    fit(tmp_path, name, 3, *arguments, "--data.metric", "roc_auc", "--trainer.max_epochs", "2", *test)
    runs = Runs(tmp_path)
    curves = runs.curves(name, 3)
    assert {"val/loss", "val/roc_auc", "which_edges/top_1_layer_2"} <= curves.keys()
    assert np.isfinite([value for values in curves.values() for value in values]).all()
    for part in ("val", "test") if test else ("val",):
        assert read_json(runs.folder(name, 3) / "run.json")[part] in (0, 0.5, 1), "of one pair"
    (checkpoint,) = runs.folder(name, 3).glob("checkpoints/last.ckpt")
    state = torch.load(checkpoint, weights_only=False)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in state.values())
