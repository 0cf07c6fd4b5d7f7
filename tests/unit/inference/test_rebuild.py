"""Runs' folders that are hostile, damaged, unfinished or moved."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import spx
from spx.datasets import NodeDataset
from spx.errors import ArtifactError, ConfigError, DatasetError
from spx.inference.rebuild import class_names
from spx.inference.run_files import RunFiles

from .conftest import DATA, NUM_FEATURES, UNIFORM, change_record, resampled, write_config


class Marker:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 40_960}, r"width is 40960, for [\d,]+ weights"),
        ({"width": 64}, r"its settings ask for network\.\S+ of shape \[64.*\], it holds \[8"),
        ({"num_layers": 10**9}, "num_layers is 1000000000, for"),
        ({"num_outputs": 10**12}, "num_outputs is 1000000000000, for"),
    ],
)
def test_a_checkpoint_that_asks_for_more_than_it_holds(change: dict, words: str, run_folder: Path) -> None:
    path = run_folder / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"] |= change
    torch.save(content, path)
    with pytest.raises(ArtifactError, match=words):
        spx.load(run_folder)


def test_weights_that_promise_more_than_the_file_holds(run_folder: Path) -> None:
    path = run_folder / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["width"] = 40_960
    content["state_dict"] = {
        name: tensor.new_zeros([]).expand([40_960 if size == 8 else size for size in tensor.shape])
        for name, tensor in content["state_dict"].items()
    }
    torch.save(content, path)
    assert path.stat().st_size < 100_000
    with pytest.raises(ArtifactError, match=r"it promises weights of [\d,]{11,} bytes in \d"):
        spx.load(run_folder)


def test_what_is_no_run_s_folder(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"There is no folder .*nowhere"):
        spx.load(tmp_path / "nowhere")
    with pytest.raises(
        ArtifactError, match=r"is no run's folder: it holds no config\.yaml and no checkpoint\. Give one"
    ):
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
        (toy._replace(y=toy.y.roll(1)), "changed since: its labels changed. The run has no nodes.parquet.* Restore"),
        (toy._replace(x=torch.zeros(90, 7)), f"have 7 features; .* was trained on {NUM_FEATURES}"),
    ):
        monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_, changed=changed: changed)
        with pytest.raises(ArtifactError, match=words):
            spx.load(run_folder)


def test_features_that_changed_are_said(
    run_folder: Path, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spx.load(run_folder)
    assert not caplog.records
    monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_: toy._replace(x=toy.x + 1))
    spx.load(run_folder)
    (record,) = caplog.records
    assert record.message == f"The data changed since the run {run_folder} was trained: its features' values changed."


def test_columns_that_changed_are_named(run_folder: Path, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    path, names = run_folder / "checkpoints" / "best.ckpt", ("age", "amount", "city=Oslo", "city=Rome", "member")
    then = toy._replace(feature_names=names)
    monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_: then)
    torch.save({**torch.load(path, weights_only=True), "ResampledGraphData": resampled().state_dict()}, path)
    spx.load(run_folder)
    for now, words in (
        ((names[1], names[0], *names[2:]), r"\(another order: 'amount' where 'age' was\)"),
        ((*names[:2], "city=Bonn", *names[3:]), r"\(missing 'city=Oslo'; new 'city=Bonn'\)"),
        (names[:4], r"\(missing 'member'\)"),
    ):
        other = toy._replace(feature_names=now, x=toy.x[:, : len(now)])
        monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_, other=other: other)
        with pytest.raises(ArtifactError, match=rf"changed since: its feature columns changed {words}\. Restore"):
            spx.load(run_folder)


def test_data_that_are_gone(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise DatasetError("there is no file")

    monkeypatch.setattr("spx.data.graph_data.load_dataset", gone)
    with pytest.raises(DatasetError, match=r"can't be loaded: there is no file.*--dataset PATH"):
        spx.load(run_folder)


@pytest.mark.parametrize("name", ["graph.npz", "tables"])
def test_a_graph_of_the_user_s_own(name: str, run_folder: Path, tmp_path: Path, toy: NodeDataset) -> None:
    seen = []

    def load(name: str, *_: object) -> NodeDataset:
        seen.append(name)
        return toy

    (tmp_path / "graph.npz").write_text("")
    for folder in ("tables", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tables" / "nodes.csv").write_text("")
    (tmp_path / "actor").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spx.data.graph_data.load_dataset", load)
        patch.chdir(tmp_path / "other")
        for dataset in (name, "actor", "other"):
            write_config(run_folder, data={**DATA, "init_args": UNIFORM | {"dataset": dataset}})
            spx.load(run_folder)
        run = spx.load(run_folder, dataset="elsewhere/moved.npz", data_dir="elsewhere")
    assert seen == [str(tmp_path / name), "actor", "other", "elsewhere/moved.npz"]
    assert run.data.dataset_name == "toy", "its scores are filed under the old name"
    assert run.data.data_dir == "elsewhere"


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
