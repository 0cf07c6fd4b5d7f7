"""Classes named deep inside of a finished run's files: every door that reads them builds and imports none."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from daily import every_day

import spx
from spx.errors import SpxError
from spx.inference.command import export_main, predict_main

PAYLOAD = "payload_of_a_run"
NESTED = {"class_path": f"{PAYLOAD}.Thing", "init_args": {"path": "executed"}}
VALUES = {"class": NESTED, "path": f"{PAYLOAD}.Thing", "list": [NESTED], "text": f"{{class_path: {PAYLOAD}.Thing}}"}
EACH_VALUE = every_day("value", VALUES.values(), (NESTED, [NESTED]), VALUES)
ARGUMENTS = (
    *(
        "dataset",
        "k",
        "scores",
        "sampler",
        "graph_first",
        "batch_size",
        "eval_samples",
        "data_dir",
        "protocol",
        "split",
    ),
    *(
        "seed",
        "expander_degree",
        "expander",
        "self_loops",
        "shares",
        "metric",
        "categorical",
        "expander_seed",
        "runs_dir",
        "feature_store",
    ),
)


@pytest.fixture(autouse=True)
def payload(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module beside where the test runs that leaves a file when it is imported."""
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path(f"{PAYLOAD}.py").write_text("open('executed', 'w')\nclass Thing:\n    def __init__(self, path): ...\n")


def open_doors(run: Path) -> None:
    """Load, predict and export; each works or is refused, and nothing that the files name is imported."""
    doors = (
        lambda: spx.load(run).predict(draws=1),
        lambda: predict_main([str(run), "--output", "p.csv", "--draws", "1"]),
        lambda: export_main([str(run), "--output", "exported"]),
    )
    for door in doors:
        with suppress(SpxError):
            door()
        assert PAYLOAD not in sys.modules
        assert not Path("executed").exists()


@every_day("name", ARGUMENTS, ("dataset", "k", "scores"))
@EACH_VALUE
def test_in_the_arguments_of_the_data(run_folder: Path, name: str, value: Any) -> None:
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    config["data"]["init_args"] = {**config["data"]["init_args"], name: value}
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))
    open_doors(run_folder)


@EACH_VALUE
def test_in_what_a_finished_run_has_no_use_for(run_folder: Path, value: Any) -> None:
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    config |= {"trainer": {"callbacks": value, "logger": value, "strategy": value}, "handover": {"path": value}}
    config["model"]["init_args"] = {"width": value}
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))
    open_doors(run_folder)
    assert spx.load(run_folder).predict(draws=1).nodes.numel() == 90


@every_day(
    "name",
    ("width", "norm", "dropout", "lr", "metric", "_instantiator", "_class_path", "another"),
    ("norm", "_instantiator"),
)
@EACH_VALUE
def test_in_the_hyper_parameters_of_a_checkpoint(run_folder: Path, name: str, value: Any) -> None:
    path = run_folder / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"][name] = value
    torch.save(content, path)
    open_doors(run_folder)
