"""Runs as they are, resumed: what each kind of run writes down about itself is allowed."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from daily import every_day

from spx.__main__ import main
from spx.saved_settings import check_saved

SHORT = ["--runs_dir", "runs", "--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"]
LISTED = [
    *("--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks+=LearningRateMonitor"),
    *("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/accuracy", "--trainer.callbacks.mode=max"),
    *("--trainer.callbacks+=spx.training.callbacks.EarlyEnd", "--trainer.callbacks.patience=9"),
    *("--trainer.callbacks+=spx.training.callbacks.WeightAverage",),
    *("--trainer.callbacks+=spx.training.callbacks.Trial", "--trainer.callbacks.bars={9: 0.1}"),
    *("--trainer.profiler=SimpleProfiler",),
]


@every_day(
    ("files", "more"),
    [
        (["estimator"], []),
        (["wide", "uniform"], []),
        (["estimator", "gcn"], []),
        (["estimator", "exphormer"], []),
        (["wide", "uniform"], LISTED),
    ],
    [(["wide", "uniform"], LISTED)],
    ids=["estimator", "uniform", "gcn", "exphormer", "callbacks"],
)
def test_what_a_run_wrote_down_is_resumed(home: Path, files: list[str], more: list[str]) -> None:
    configs = [word for name in files for word in ("--config", f"{name}.yaml")]
    main(["fit", *configs, *SHORT, "--name", "run", *more])
    run = Path("runs/toy/run/version_0")
    main(["resume", str(run), "--trainer.max_epochs", "2"])
    assert json.loads((run / "run.json").read_text())["epochs"] == 2


@pytest.mark.parametrize("kind", ["estimator", "wide"])
def test_the_hand_over_can_not_be_led_to_another_file(stages, kind: str, tmp_path: Path, refused) -> None:
    run = shutil.copytree(getattr(stages, kind), tmp_path / "runs/toy" / kind / "version_0")
    check_saved(run)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["handover"]["path"] = str(precious)
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    message = refused("resume", run)
    assert "handover.path" in message
    assert precious.read_text() == "mine"


def test_no_file_elsewhere_is_removed_as_an_older_best(home: Path, refused) -> None:
    """Lightning removes what a checkpoint calls the best so far, if its path begins with the checkpoints' folder."""
    main(["fit", "--config", "wide.yaml", "--config", "uniform.yaml", *SHORT, "--name", "run"])
    run, precious = Path("runs/toy/run/version_0").absolute(), Path("precious")
    precious.write_text("mine")
    last = run / "checkpoints/last.ckpt"
    whole = torch.load(last, weights_only=True)
    name, state = next((name, state) for name, state in whole["callbacks"].items() if "best_model_path" in state)
    low, place = torch.tensor(-1.0), f"{state['dirpath']}/{'../' * 5}precious"
    assert Path(place).samefile(precious)
    places = {"best_model_path": place, "kth_best_model_path": place, "best_k_models": {place: low}}
    torch.save(whole | {"callbacks": {name: state | places | {"best_model_score": low, "kth_value": low}}}, last)
    assert "outside of its folder" in refused("resume", run, "--trainer.max_epochs", "3")
    assert precious.read_text() == "mine"
    url = state | {"kth_best_model_path": "file:///tmp/precious"}
    torch.save(whole | {"callbacks": {name: url}}, last)
    assert "outside of its folder" in refused("resume", run, "--trainer.max_epochs", "3")
    moved = {key: str(value).replace(str(run), "/elsewhere") for key, value in state.items() if key.endswith("path")}
    torch.save(whole | {"callbacks": {name: state | moved}}, last)
    check_saved(run)
    last.write_bytes(b"damaged")
    check_saved(run)
