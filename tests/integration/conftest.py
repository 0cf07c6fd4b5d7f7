"""The command line in process, on a toy graph, below a temporary folder."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from spx.__main__ import main
from spx.data import graph_data
from spx.datasets import NodeDataset

MODEL = {"num_layers": 2, "lr": 0.05, "warmup_epochs": 1}
CONFIGS = {
    "estimator": {
        "name": "estimator",
        "model": {"class_path": "spx.training.AttentionEstimator", "init_args": {"width": 4, **MODEL}},
        "data": {"class_path": "spx.data.AugmentedGraphData", "init_args": {"dataset": "toy", "expander_degree": 2}},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    },
    "wide": {
        "name": "wide",
        "model": {"class_path": "spx.training.Spexphormer", "init_args": {"width": 8, "num_heads": 2, **MODEL}},
        "data": {"class_path": "spx.data.ResampledGraphData", "init_args": {"dataset": "toy", "k": [2, 3]}},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    },
    "exphormer": {
        "name": "exphormer",
        "model": {"class_path": "spx.training.Spexphormer", "init_args": {"width": 8, "num_heads": 2, **MODEL}},
    },
    "gcn": {
        "name": "gcn",
        "model": {"class_path": "spx.training.GCNBaseline", "init_args": {"width": 8, **MODEL}},
        "data": {"init_args": {"expander_degree": 0, "self_loops": False}},
    },
    "uniform": {"data": {"init_args": {"sampler": "uniform", "expander_degree": 2}}},
}


class Stages(NamedTuple):
    """A folder with both stages' runs: `runs/toy/{estimator,wide}/version_0` and the configurations `*.yaml`."""

    home: Path

    @property
    def estimator(self) -> Path:
        return self.home / "runs" / "toy" / "estimator" / "version_0"

    @property
    def wide(self) -> Path:
        return self.home / "runs" / "toy" / "wide" / "version_0"


def write_configs(folder: Path) -> None:
    for name, config in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory, load_toy: Callable[..., NodeDataset]) -> Iterator[Stages]:
    """Both stages, run once as `spx fit`. Tests add runs of other names at most."""
    home = tmp_path_factory.mktemp("stages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_data, "load_dataset", load_toy)
        patch.setattr("sys.argv", ["spx"])
        patch.chdir(home)
        write_configs(home)
        main(["fit", "--config", "estimator.yaml", "--runs_dir", str(home / "runs")])
        main(["fit", "--config", "wide.yaml", "--runs_dir", str(home / "runs"), "--then_test", "true"])
    return Stages(home)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: NodeDataset) -> Path:
    """An empty folder with the configurations, where the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["spx"])  # LightningCLI warns of arguments in both places
    write_configs(tmp_path)
    return tmp_path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """refused(*arguments): the command ends before any training step, with exit code 2. Gives the message."""

    def no_training(*_: object) -> None:
        raise AssertionError("trained")

    def run(*arguments: object) -> str:
        monkeypatch.setattr("spx.training.task.NodeTask.training_step", no_training)
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        message = capsys.readouterr().err
        assert caught.value.code == 2
        assert "Traceback" not in message
        return message[message.index("spx: error: ") if "spx: error: " in message else 0 :]

    return run
