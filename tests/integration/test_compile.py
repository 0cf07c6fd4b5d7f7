"""Both stages through torch.compile, on the command line."""

from pathlib import Path

import pytest
import torch
from torch._inductor import config as inductor_config

import spx
from spx.__main__ import main
from spx.errors import ConfigError
from spx.files import read_json
from spx.nn.compiled import check_compiler

RUN = Path("toy/wide/version_0")
LAST = Path("checkpoints/last.ckpt")


@pytest.fixture
def compiler() -> None:
    """Not a condition of the mark: that is asked while tests are collected, by each worker, and compiles."""
    try:
        check_compiler(torch.device("cpu"))
    except ConfigError as error:
        pytest.skip(str(error))


def fit_both_stages(runs_dir: str, *extra: str) -> None:
    wide = ["--config", "wide.yaml", "--data.batch_size", "30", "--then_test", "true"]
    torch._dynamo.reset()
    main(["fit", "--config", "estimator.yaml", "--runs_dir", runs_dir, *extra])
    main(["fit", *wide, "--runs_dir", runs_dir, *extra])


@pytest.mark.full
@pytest.mark.usefixtures("compiler")
def test_a_compiled_fit_gives_what_an_eager_one_gives(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By SGD: AdamW makes whole steps of gradients that are zero but for rounding, such as a bias's before a norm."""
    monkeypatch.setattr("torch.optim.AdamW", torch.optim.SGD)
    fit_both_stages("eager")
    fit_both_stages("compiled", "--compile.enabled", "true")
    eager, compiled = (home / kind / RUN for kind in ("eager", "compiled"))
    records = [read_json(run / "run.json") for run in (eager, compiled)]
    assert [(record["val"], record["test"]) for record in records] == [(records[0]["val"], records[0]["test"])] * 2
    states = [torch.load(run / LAST, weights_only=True)["state_dict"] for run in (eager, compiled)]
    torch.testing.assert_close(*states, rtol=1e-3, atol=1e-4)
    predictions = [spx.load(run).predict().probabilities for run in (eager, compiled)]
    torch.testing.assert_close(*predictions, rtol=0, atol=1e-4)
    goes_on_without_a_compiler(home)


def goes_on_without_a_compiler(home: Path) -> None:
    checkpoint = str(home / "compiled" / RUN / LAST)
    arguments = ["--ckpt_path", checkpoint, "--trainer.max_epochs", "3", "--data.batch_size", "30"]
    main(["fit", "--config", "wide.yaml", "--runs_dir", "compiled", *arguments])
    assert read_json(home / "compiled" / RUN.with_name("version_1") / "run.json")["epochs"] == 3


def test_a_missing_compiler_is_told_before_the_training(home: Path, refused) -> None:
    torch._dynamo.reset()
    with inductor_config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        message = refused("fit", "--config", "estimator.yaml", "--runs_dir", "runs", "--compile.enabled", "true")
    assert "torch.compile doesn't work here on cpu" in message
    assert "leave --compile.enabled" in message
