"""Both stages through the command line: what runs, what it leaves where, and that it repeats."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from daily import every_day
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor

from spx.__main__ import main
from spx.graph.scores import load_scores

from .conftest import CONFIGS, Stages

Refused = Callable[..., str]


def run_json(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def weights(folder: Path, name: str = "last") -> dict[str, Tensor]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def assert_same_weights(first: Path, second: Path, name: str = "last") -> None:
    one, other = weights(first, name), weights(second, name)
    assert one.keys() == other.keys()
    assert [key for key in one if not one[key].equal(other[key])] == []


def test_each_run_leaves_its_files_in_its_folder(stages: Stages) -> None:
    files = {"run.json", "config.yaml", "hparams.yaml", "checkpoints", "nodes.parquet"}
    assert {path.name for path in stages.estimator.iterdir() if "tfevents" not in path.name} == {
        *files,
        "scores.safetensors",
        "scores.estimator",
    }
    assert {path.name for path in stages.wide.iterdir() if "tfevents" not in path.name} == {
        *files,
        "estimator",
        "test_classes.csv",
        "test_confusion.csv",
    }
    for folder in (stages.estimator, stages.wide):
        assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
        assert list(folder.glob("events.out.tfevents.*"))
    assert {path.name for path in stages.home.iterdir()} - {"runs"} == {
        path.name for path in stages.home.glob("*.yaml")
    }


def test_stage_2_finds_the_scores_of_stage_1_by_itself(stages: Stages) -> None:
    record = run_json(stages.wide)
    assert record["scores"] == str(stages.estimator / "scores.safetensors")
    assert record["test"] is not None
    assert load_scores(record["scores"])[0].num_layers == 2
    assert record["augmented_edges"] == run_json(stages.estimator)["augmented_edges"]


def test_runs_are_numbered_and_repeat_bit_for_bit(stages: Stages, home: Path) -> None:
    scores = stages.estimator / "scores.safetensors"
    for _ in range(2):
        main(["fit", "--config", "wide.yaml", "--runs_dir", "runs", "--data.scores", str(scores)])
    folders = [home / "runs" / "toy" / "wide" / f"version_{number}" for number in (0, 1)]
    assert sorted((home / "runs" / "toy" / "wide").iterdir()) == folders
    assert_same_weights(*folders)
    assert_same_weights(folders[0], stages.wide)
    records = [run_json(folder) for folder in (*folders, stages.wide)]
    assert len({record["val"] for record in records}) == 1
    assert records[0]["scores"] == str(scores)


def test_tensorboard_has_losses_and_metrics_first_and_settings_without_internals(stages: Stages) -> None:
    events = EventAccumulator(str(stages.wide))
    events.Reload()
    tags = events.Tags()["scalars"]
    groups = sorted({tag.partition("/")[0] for tag in tags})
    assert groups == ["best", "test", "train", "val", "which_edges", "work"]
    assert all("/" in tag for tag in tags)
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert {"dataset", "protocol", "split", "seed", "k", "sampler", "expander_degree", "width", "lr"} <= set(settings)
    assert not {"num_features", "num_outputs", "task"} & set(settings)
    assert not [name for name in settings if name.startswith("_")], "LightningCLI's own"
    assert settings["k"].string_value == " ".join(map(str, CONFIGS["wide"]["data"]["init_args"]["k"]))


@pytest.mark.full
def test_another_seed_gives_other_weights_and_version_sets_the_number(stages: Stages, home: Path) -> None:
    scores = str(stages.estimator / "scores.safetensors")
    main(
        [
            *("fit", "--config", "wide.yaml", "--runs_dir", "runs", "--data.scores", scores),
            *("--seed_everything", "5", "--version", "7", "--name", "other"),
        ]
    )
    folder = home / "runs" / "toy" / "other" / "version_7"
    assert run_json(folder)["seed"] == 5, "the data take the seed of the run"
    assert run_json(folder)["name"] == "other"
    one, other = weights(folder), weights(stages.wide)
    assert not one["network.encoder.weight"].equal(other["network.encoder.weight"])


@every_day("command", ["test", "validate"], 1)
def test_a_run_is_evaluated_again_from_its_saved_configuration(
    stages: Stages, home: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = stages.wide / "checkpoints" / "best.ckpt"
    main([command, "--config", str(stages.wide / "config.yaml"), "--ckpt_path", str(checkpoint), "--name", "again"])
    record = run_json(stages.wide)
    value = record["test" if command == "test" else "val"]
    shown = capsys.readouterr().out
    assert str(value)[:6] in shown
    if command == "test":
        assert run_json(stages.home / "runs" / "toy" / "again" / "version_0")["test"] == pytest.approx(value)


def test_predict_goes_over_all_nodes(stages: Stages, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spx.training import Spexphormer

    predictions, predict_step = [], Spexphormer.predict_step

    def watch(self: Spexphormer, *arguments: object) -> dict[str, Tensor]:
        predictions.append(predict_step(self, *arguments))
        return predictions[-1]

    monkeypatch.setattr(Spexphormer, "predict_step", watch)
    checkpoint = stages.wide / "checkpoints" / "best.ckpt"
    arguments = ["--config", "wide.yaml", "--ckpt_path", str(checkpoint), "--runs_dir", str(stages.home / "runs")]
    main(["predict", *arguments, "--name", "predict", "--data.eval_batch_size", "40"])
    assert [batch["nodes"].numel() for batch in predictions] == [40, 40, 10]
    assert all(batch["probabilities"].sum(1).allclose(torch.ones(1)) for batch in predictions)


def test_the_configuration_that_is_printed_parses_back(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "fit",
        "--config",
        "wide.yaml",
        "--config",
        "uniform.yaml",
        "--data.k",
        "[4, 4]",
        "--model.width",
        "16",
    ]
    printed = []
    for command in (arguments, ["fit", "--config", "printed.yaml"]):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([*command, "--print_config"])
        assert caught.value.code == 0
        printed.append(capsys.readouterr().out)
        (home / "printed.yaml").write_text(printed[-1])
    assert printed[0] == printed[1]
    config = yaml.safe_load(printed[0])
    assert config["model"]["init_args"]["width"] == 16, "the short form"
    assert config["model"]["init_args"]["num_heads"] == 2, "of the first file"
    assert config["data"]["init_args"]["k"] == [4, 4]
    assert config["data"]["init_args"]["sampler"] == "uniform", "of the second file"
    assert config["data"]["init_args"]["dataset"] == "toy"
    assert config["trainer"]["reload_dataloaders_every_n_epochs"] == 1
    assert not (home / "lightning_logs").exists()


@pytest.mark.full
def test_the_baselines_run_from_composed_configurations(home: Path) -> None:
    for name in ("exphormer", "gcn"):
        main(
            [
                *("fit", "--config", "estimator.yaml", "--config", f"{name}.yaml", "--runs_dir", "runs"),
                *("--data.dataset", "toy-binary", "--then_test", "true"),
            ]
        )
        record = run_json(home / "runs" / "toy-binary" / name / "version_0")
        assert record["metric"] == "roc_auc"
        assert 0 <= record["test"] <= 1
        assert (record["attention_edge_share"] == 1) == (name == "exphormer")
        assert record["config_files"] == ["estimator.yaml", f"{name}.yaml"]
    assert list((home / "runs").rglob("*.safetensors")) == []


@pytest.mark.full
def test_mixed_precision_runs_both_stages(home: Path) -> None:
    arguments = ["--runs_dir", "runs", "--trainer.precision", "bf16-mixed", "--trainer.max_epochs", "1"]
    main(["fit", "--config", "estimator.yaml", *arguments])
    main(["fit", "--config", "wide.yaml", *arguments, "--data.batch_size", "20", "--then_test", "true"])
    (scores, _) = load_scores(home / "runs" / "toy" / "estimator" / "version_0" / "scores.safetensors")
    assert scores.scores_LM.dtype == torch.float32
    sums = torch.zeros(2, 90).index_add_(1, scores.graph.rows(), scores.scores_LM)
    torch.testing.assert_close(sums, torch.ones(2, 90))
    assert run_json(home / "runs" / "toy" / "wide" / "version_0")["test"] is not None


@pytest.mark.full
def test_a_resumed_fit_ends_where_an_uninterrupted_one_does(home: Path) -> None:
    fit = ["fit", "--config", "wide.yaml", "--config", "uniform.yaml", "--runs_dir", "runs", "--data.batch_size", "15"]
    fit += ["--model.dropout", "0.0", "--trainer.max_epochs", "4"]  # the stream of dropout is not in the checkpoint
    main([*fit, "--name", "whole"])
    main([*fit, "--name", "half", "--trainer.max_steps", "6"])  # 3 batches an epoch
    runs = home / "runs" / "toy"
    checkpoint = runs / "half" / "version_0" / "checkpoints" / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 6, "last.ckpt is the last epoch's"
    main([*fit, "--name", "resumed", "--ckpt_path", str(checkpoint)])
    assert_same_weights(runs / "whole" / "version_0", runs / "resumed" / "version_0")
    assert run_json(runs / "resumed" / "version_0")["epochs"] == 4


def test_the_progress_bar_can_be_turned_off(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            *("fit", "--config", "wide.yaml", "--config", "uniform.yaml", "--runs_dir", "runs"),
            *("--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"),
        ]
    )
    assert "Spexphormer: " not in capsys.readouterr().err


@pytest.mark.full
def test_as_a_process_an_error_is_one_line_and_exit_code_2(home: Path) -> None:
    arguments = ["fit", "--config", "wide.yaml", "--data.dataset", "minesweeper-sim", "--data.k", "[0]"]
    done = subprocess.run(
        [sys.executable, "-m", "spx", *arguments, "--runs_dir", "runs"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("spx: error: k is [0]")
    assert "Traceback" not in done.stderr
