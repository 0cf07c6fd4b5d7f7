"""Runs' folders that are hostile, damaged, unfinished or moved."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import spx
from spx.data import AugmentedGraphData
from spx.datasets import NodeDataset
from spx.errors import ArtifactError, ConfigError
from spx.graph.scores import read_header
from spx.inference.rebuild import class_names
from spx.inference.run_files import RunFiles, read_run

from .conftest import NUM_FEATURES, network, resampled

MODEL = {"class_path": "spx.training.wide.Spexphormer", "init_args": {"width": 8}}
DATA = {"class_path": "spx.data.resampled.ResampledGraphData"}
UNIFORM = {"dataset": "toy", "k": [2, 3], "sampler": "uniform", "expander_degree": 2}


class Marker:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.fixture
def run_folder(toy: NodeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the fit of an untrained network on uniformly sampled graphs would leave."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "toy" / "wide" / "version_0"
    (folder / "checkpoints").mkdir(parents=True)
    data = resampled()
    model = network(data)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    write_config(folder)
    record = {"cwd": str(tmp_path), "folder": str(folder), "seed": 0, "dataset": "toy", "class_names": None}
    (folder / "run.json").write_text(json.dumps(record | {"data_fingerprint": data.data_fingerprint}))
    return folder


def write_config(folder: Path, model: Any = MODEL, data: Any = None, **more: Any) -> None:
    data = {**DATA, "init_args": UNIFORM} if data is None else data
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": model, "data": data, "seed_everything": 3, **more}))


def change_record(folder: Path, **changes: Any) -> None:
    record = json.loads((folder / "run.json").read_text()) | changes
    (folder / "run.json").write_text(json.dumps(record))


def test_a_whole_folder_is_loaded(run_folder: Path) -> None:
    run = spx.load(run_folder)
    assert not run.model.training
    assert run.class_names == ("0", "1", "2")
    assert run.data.seed == 0, "of the record"
    assert run.folder == run_folder
    assert run.predict().nodes.numel() == 90


def test_a_record_of_an_older_version_lacks_what_is_checked(run_folder: Path) -> None:
    (run_folder / "run.json").write_text("{}")
    run = spx.load(run_folder, checkpoint=run_folder / "checkpoints" / "best.ckpt", device="cpu")
    assert run.data.seed == 3, "of the configuration"


@pytest.mark.parametrize(
    "path", ["os.system", "system", "spx.os.system", "spx.__main__.main", "evil.Spexphormer", None, 3, ["a"]]
)
@pytest.mark.parametrize("part", ["model", "data"])
def test_only_known_classes_are_built(path: Any, part: str, run_folder: Path) -> None:
    write_config(run_folder, **{part: {"class_path": path, "init_args": {"command": "touch marker"}}})
    with pytest.raises(ArtifactError, match=rf"names the class .* for its {part}, which is none of"):
        spx.load(run_folder)
    assert not list(run_folder.glob("**/marker"))


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch marker']",
        "model: !!python/name:os.system\ndata: {}",
        "model: {class_path: !!python/object/apply:os.getcwd []}\ndata: {}",
        "- a\n- b",
        "model: 3\ndata: 4",
        "model: {class_path: spx.training.Spexphormer, init_args: 3}\ndata: {}",
        "data: {}",
        "a: [",
        "",
        "\x00\x01",
    ],
)
def test_a_hostile_or_damaged_configuration(text: str, run_folder: Path) -> None:
    (run_folder / "config.yaml").write_text(text)
    with pytest.raises(ArtifactError, match=r"config\.yaml is damaged.*[Rr]un anew"):
        spx.load(run_folder)
    assert not list(run_folder.parents[3].glob("**/marker"))


@pytest.mark.parametrize("init_args", [{**UNIFORM, "kk": [2]}, {**UNIFORM, "k": 5}, {"dataset": "toy"}, {"k": [2, 3]}])
def test_settings_that_the_data_don_t_take(init_args: dict, run_folder: Path) -> None:
    write_config(run_folder, data={**DATA, "init_args": init_args})
    with pytest.raises(ArtifactError, match=r"config\.yaml holds settings that ResampledGraphData doesn't take"):
        spx.load(run_folder)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_hostile_checkpoint_is_not_unpickled(run_folder: Path, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", run_folder / "checkpoints" / "best.ckpt"
    for write in (torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))):
        write({"state_dict": {}, "hyper_parameters": Marker(marker)}, path)
        with pytest.raises(ArtifactError, match=r"best\.ckpt is no checkpoint of spx, or a damaged one"):
            spx.load(run_folder)
        assert not marker.exists()


def test_a_damaged_checkpoint(run_folder: Path) -> None:
    path = run_folder / "checkpoints" / "best.ckpt"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="damaged"):
            spx.load(run_folder)
    for content in ({"state_dict": {}}, [1], 3):
        torch.save(content, path)
        with pytest.raises(ArtifactError, match="damaged"):
            spx.load(run_folder)


@pytest.mark.parametrize("change", [{"width": 16}, {"num_heads": 3}, {"widht": 8}, {"norm": "none"}, {"width": "x"}])
def test_a_checkpoint_of_another_network(change: dict, run_folder: Path) -> None:
    path = run_folder / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"] |= change
    torch.save(content, path)
    with pytest.raises(ArtifactError, match=r"best\.ckpt is no checkpoint of a Spexphormer of this version"):
        spx.load(run_folder)


def test_what_is_no_run_s_folder(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"There is no folder .*nowhere"):
        spx.load(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match=r"is no run's folder: it holds no config\.yaml\. Give one such as"):
        spx.load(tmp_path)
    with pytest.raises(ArtifactError, match=r"Give one of those in it, such as .*wide/version_0"):
        spx.load(run_folder.parent)


@pytest.mark.parametrize("missing", ["run.json", "checkpoints/best.ckpt"])
def test_a_run_that_is_not_finished(missing: str, run_folder: Path) -> None:
    (run_folder / missing).unlink()
    with pytest.raises(ArtifactError, match=rf"isn't finished: it has no {missing}\. Run it again"):
        spx.load(run_folder)
    shutil.copy(Path(__file__), run_folder / "checkpoints" / "last.ckpt")
    with pytest.raises(ArtifactError, match=rf"Go on with it: spx resume {run_folder}"):
        spx.load(run_folder)


def test_a_damaged_record(run_folder: Path) -> None:
    for text in ("{", "[1]", ""):
        (run_folder / "run.json").write_text(text)
        with pytest.raises(ArtifactError, match=r"run\.json is damaged"):
            spx.load(run_folder)


def test_checkpoints_at_choice(run_folder: Path, tmp_path: Path) -> None:
    best = run_folder / "checkpoints" / "best.ckpt"
    shutil.copy(best, best.with_name("last.ckpt"))
    for checkpoint in ("last", "best", best, str(best)):
        assert spx.load(run_folder, checkpoint=checkpoint).model.num_layers == 2
    with pytest.raises(ArtifactError, match="There is no checkpoint nowhere"):
        spx.load(run_folder, checkpoint="nowhere")
    best.rename(tmp_path / "elsewhere.ckpt")
    change_record(run_folder, checkpoint=str(tmp_path / "elsewhere.ckpt"))
    assert spx.load(run_folder).model.num_layers == 2, "a checkpoint folder of the user's choice"


def test_class_names_of_the_record(run_folder: Path) -> None:
    change_record(run_folder, class_names=["red", "green", "blue"])
    assert spx.load(run_folder).class_names == ("red", "green", "blue")
    change_record(run_folder, class_names=["red"])
    with pytest.raises(ArtifactError, match="doesn't name 3 classes"):
        spx.load(run_folder)
    assert class_names(RunFiles(run_folder, {}, {}), 3) is None


def test_class_names_of_the_dataset(run_folder: Path, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    named = toy._replace(class_names=("x", "y", "z"))
    monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_: named)
    assert spx.load(run_folder).class_names == ("x", "y", "z")


def test_data_that_changed_since(run_folder: Path, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for changed, words in (
        (toy._replace(y=toy.y.roll(1)), "edges, labels or split have another fingerprint. Restore the data"),
        (toy._replace(x=torch.zeros(90, 7)), f"have 7 features; .* was trained on {NUM_FEATURES}"),
        (toy._replace(num_classes=4), "have 4 classes or labels; .* was trained on 3"),
    ):
        monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_, changed=changed: changed)
        with pytest.raises(ArtifactError, match=words):
            spx.load(run_folder)


def test_layers_and_degrees_must_agree(run_folder: Path) -> None:
    write_config(run_folder, data={**DATA, "init_args": {**UNIFORM, "k": [2]}})
    with pytest.raises(ArtifactError, match=r"gives k = \[2\] for 2 layers"):
        spx.load(run_folder)


def test_scores_for_a_run_without_any(run_folder: Path) -> None:
    with pytest.raises(ConfigError, match="samples uniformly and uses no scores"):
        spx.load(run_folder, scores="scores.safetensors")
    write_config(run_folder, data={"class_path": "spx.data.AugmentedGraphData", "init_args": {"dataset": "toy"}})
    with pytest.raises(ConfigError, match="trains on the whole graph and uses no scores"):
        spx.load(run_folder, scores="scores.safetensors")


@pytest.mark.parametrize(("device", "words"), [("tpu5", "'tpu5' is unknown"), ("cuda:99", "no GPU cuda:99")])
def test_devices_that_are_not_there(device: str, words: str, run_folder: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        spx.load(run_folder, device=device)


@pytest.fixture
def with_scores(run_folder: Path, tmp_path: Path, write_scores: Callable[..., Path]) -> Path:
    """The run's folder, when it was sampled by scores that lie beside it."""
    scores = write_scores(tmp_path / "runs" / "scores.safetensors", AugmentedGraphData("toy", expander_degree=2))
    write_config(run_folder, data={**DATA, "init_args": UNIFORM | {"sampler": "attention"}})
    change_record(run_folder, scores=str(scores), scores_fingerprint=read_header(scores).fingerprint)
    return run_folder


def test_a_run_that_was_moved_with_its_scores(with_scores: Path, tmp_path: Path) -> None:
    before = spx.load(with_scores).predict(draws=2).probabilities
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    folder = tmp_path / "moved" / "toy" / "wide" / "version_0"
    run = spx.load(folder)
    assert run.data.scores_path == str(tmp_path / "moved" / "scores.safetensors")
    assert run.predict(draws=2).probabilities.equal(before)


def test_a_relative_path_means_what_it_meant_in_the_run(
    with_scores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_record(with_scores, scores="runs/scores.safetensors")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert spx.load(with_scores).data.scores_path == str(tmp_path / "runs" / "scores.safetensors")


def test_scores_that_are_gone_or_others(with_scores: Path, tmp_path: Path, write_scores: Callable[..., Path]) -> None:
    scores = tmp_path / "runs" / "scores.safetensors"
    kept = shutil.move(scores, tmp_path / "kept.safetensors")
    with pytest.raises(ArtifactError, match=r"no score file .*spx\.load\(.*version_0', scores=PATH\)"):
        spx.load(with_scores)
    assert spx.load(with_scores, scores=kept).data.scores_path == str(kept)
    write_scores(scores, AugmentedGraphData("toy", expander_degree=3))
    with pytest.raises(ArtifactError, match=r"are others than those .*another fingerprint"):
        spx.load(with_scores)
    with pytest.raises(ArtifactError, match="There is no score file nowhere"):
        spx.load(with_scores, scores="nowhere")


def test_scores_that_lie_in_another_place_of_the_same_name(
    with_scores: Path, tmp_path: Path, write_scores: Callable[..., Path]
) -> None:
    """The copy's own scores are taken when others lie where the run found them."""
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    write_scores(tmp_path / "runs" / "scores.safetensors", AugmentedGraphData("toy", expander_degree=3))
    run = spx.load(tmp_path / "copy" / "toy" / "wide" / "version_0")
    assert run.data.scores_path == str(tmp_path / "copy" / "scores.safetensors")


def test_places_of_a_path(tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = read_run(run_folder)
    assert files.locate("nowhere") == []
    (tmp_path / "data").mkdir()
    assert files.locate("data") == [tmp_path / "data"]
    here = tmp_path / "here"
    (here / "data").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert files.locate("data") == [tmp_path / "data", here / "data"]
    assert files.locate(tmp_path / "data") == [tmp_path / "data"]
