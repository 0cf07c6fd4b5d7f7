"""One flipped bit of a weight in a checkpoint, at every door that reads one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from daily import every_day

import spx
from spx.__main__ import main
from spx.data import AugmentedGraphData
from spx.errors import ArtifactError
from spx.training import AttentionEstimator

from .conftest import Stages

BEST = "runs/toy/wide/version_0/checkpoints/best.ckpt"


@pytest.fixture
def runs(stages: Stages, home: Path) -> Path:
    """A copy of both stages' runs, in the folder where the test runs."""
    return shutil.copytree(stages.home / "runs", home / "runs") / "toy"


def flip_a_bit(checkpoint: Path) -> None:
    """The highest bit of the exponent of one weight: torch reads the file as before."""
    before = torch.load(checkpoint, weights_only=True)
    weight = max(before["state_dict"].values(), key=lambda tensor: tensor.numel())
    content = bytearray(checkpoint.read_bytes())
    place = content.index(weight.numpy().tobytes()) + 3
    content[place] ^= 0x40
    checkpoint.write_bytes(content)
    after = torch.load(checkpoint, weights_only=True)
    assert before.keys() == after.keys()


@every_day(
    ("name", "command"),
    [
        ("best", ["predict", "runs/toy/wide/version_0", "--output", "p.csv"]),
        ("best", ["predict", BEST, "--output", "p.csv"]),
        ("last", ["predict", "runs/toy/wide/version_0", "--output", "p.csv", "--checkpoint", "last"]),
        ("best", ["export", "runs/toy/wide/version_0", "--output", "exported"]),
        ("last", ["resume", "runs/toy/wide/version_0", "--trainer.max_epochs", "3"]),
        *(
            ("best", [command, "--config", "wide.yaml", "--runs_dir", "runs", "--ckpt_path", BEST])
            for command in ("fit", "validate", "test", "predict")
        ),
    ],
    2,
    ids=lambda value: value if isinstance(value, str) else "-".join(value[:1]),
)
def test_a_flipped_bit_is_refused_in_a_line(
    name: str, command: list[str], runs: Path, refused: Callable[..., str]
) -> None:
    flip_a_bit(runs / "wide" / "version_0" / "checkpoints" / f"{name}.ckpt")
    message = refused(*command)
    assert message.count("\n") == 1
    assert f"{name}.ckpt is no checkpoint of spx, or a damaged one (its part" in message
    assert "has a wrong checksum" in message
    assert not (runs.parents[1] / "p.csv").exists()


def test_python_refuses_it_too(runs: Path) -> None:
    checkpoint = runs / "estimator" / "version_0" / "checkpoints" / "last.ckpt"
    flip_a_bit(checkpoint)
    with pytest.raises(ArtifactError, match="has a wrong checksum"):
        spx.load(runs / "estimator" / "version_0", checkpoint="last")
    data = AugmentedGraphData("toy", expander_degree=2)
    model = AttentionEstimator(width=4, num_layers=2, lr=0.05, warmup_epochs=1, **data.for_model)
    trainer = L.Trainer(max_epochs=3, logger=False, accelerator="cpu", enable_checkpointing=False)
    with pytest.raises(ArtifactError, match="has a wrong checksum"):
        trainer.fit(model, data, ckpt_path=checkpoint)


def test_no_scores_are_handed_over_from_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best = home / "runs" / "toy" / "estimator" / "version_0" / "checkpoints" / "best.ckpt"
    train_end = AttentionEstimator.on_train_end
    monkeypatch.setattr(AttentionEstimator, "on_train_end", lambda self: (flip_a_bit(best), train_end(self)))
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--config", "estimator.yaml", "--runs_dir", "runs"])
    assert caught.value.code == 2
    assert not list(home.rglob("*.safetensors"))
