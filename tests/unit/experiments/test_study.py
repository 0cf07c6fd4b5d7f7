"""A study from its options to its summary, with made-up runs in place of training."""

import json
from pathlib import Path

import pytest
import torch

from spx.errors import ConfigError
from spx.experiments import runs
from spx.experiments.study import make_parser, study_main

from .conftest import write_artifact


class MadeUpRuns:
    """Stands in for the process of a run: writes the record that a run would, or fails.

    Args:
        record: what a record holds besides the run's seed.
        fail_at: number of the run, from 0, that fails, with `code`.
    """

    def __init__(self, record: dict, fail_at: int | None = None, code: int = 7):
        self.record, self.fail_at, self.code, self.tests = record, fail_at, code, True
        self.options: list[dict[str, str]] = []

    def __call__(self, command: list[str]) -> int:
        arguments = command[command.index("fit") + 1 :]
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        self.options.append(options)
        if len(self.options) - 1 == self.fail_at:
            return self.code
        folder = Path(options["--runs_dir"], "toy", options["--name"], f"version_{options['--version']}")
        seed = int(options["--seed_everything"])
        (folder / runs.RECORD_FILE).write_text(
            json.dumps(self.record | {"folder": str(folder), "test": 0.4 + seed / 10 if self.tests else None})
        )
        write_artifact(folder / runs.SCORES_FILE, seed)
        return 0

    @property
    def names(self) -> list[str]:
        return [options["--name"] for options in self.options]


@pytest.fixture
def train(monkeypatch, make_record):
    """Called with what `MadeUpRuns` takes, puts it in the place of the processes."""

    def install(**settings) -> MadeUpRuns:
        made_up = MadeUpRuns(make_record(), **settings)
        monkeypatch.setattr(runs, "run_process", made_up)
        return made_up

    return install


@pytest.fixture
def arguments(configs_dir, tmp_path) -> list[str]:
    return ["toy", "--configs_dir", str(configs_dir), "--runs_dir", str(tmp_path / "runs")]


def test_both_stages_for_every_split_and_seed(train, arguments, tmp_path):
    made_up = train()
    study_main([*arguments, "--seeds", "0", "1", "--splits", "2", "3"])
    order = [(o["--name"], o["--data.split"], o["--seed_everything"]) for o in made_up.options]
    assert order == [(name, split, seed) for split in "23" for seed in "01" for name in ("estimator", "wide")]
    for estimator, wide in zip(made_up.options[::2], made_up.options[1::2], strict=True):
        assert wide["--data.scores"] == str(
            tmp_path / f"runs/toy/estimator/version_{estimator['--version']}" / runs.SCORES_FILE
        )
    summary = json.loads((tmp_path / "runs/toy/summary.json").read_text())
    assert summary["test"] == pytest.approx([40.0, 50.0] * 2)
    assert (summary["splits"], summary["seeds"]) == ([2, 3], [0, 1])


def test_finished_runs_are_taken_again(train, arguments):
    made_up = train()
    study_main(arguments)
    study_main(arguments)
    assert made_up.names == ["estimator", "wide"]
    study_main([*arguments, "--overlay", "uniform"])
    study_main([*arguments, "--config", "gcn"])
    assert made_up.names == ["estimator", "wide", "wide-uniform", "gcn"]
    study_main([*arguments, "--extra_wide=--trainer.max_epochs 5"])
    assert made_up.names[4:] == ["wide"], "the estimator is the same, stage 2 is not"
    study_main([*arguments, "--no-reuse"])
    assert made_up.names[5:] == ["estimator", "wide"]


def test_an_interrupted_study_goes_on(train, arguments, capsys):
    train(fail_at=3)
    with pytest.raises(SystemExit) as error:
        study_main([*arguments, "--seeds", "0", "1"])
    assert error.value.code == 7
    message = capsys.readouterr().err
    assert "toy/wide/version_1" in message
    assert "seed 1" in message
    again = train()
    study_main([*arguments, "--seeds", "0", "1"])
    assert again.names == ["wide"]
    assert again.options[0]["--version"] == "1"
    assert again.options[0]["--resume"] == "true"
    train(fail_at=0)
    with pytest.raises(SystemExit):
        study_main([*arguments, "--seeds", "2"])
    anew = train()
    study_main([*arguments, "--seeds", "2", "--no-reuse"])
    assert [(options["--version"], "--resume" in options) for options in anew.options] == [("3", False), ("2", False)]


def test_a_killed_run_gives_the_shells_code(train, arguments):
    train(fail_at=0, code=-9)
    with pytest.raises(SystemExit) as error:
        study_main(arguments)
    assert error.value.code == 137


def test_a_run_that_was_stopped_before_its_test_goes_on(train, arguments, make_record):
    made_up = train()
    study_main([*arguments, "--config", "gcn"])
    record = Path(arguments[-1], "toy/gcn/version_0", runs.RECORD_FILE)
    record.write_text(json.dumps(make_record(test=None)))
    study_main([*arguments, "--config", "gcn"])
    assert made_up.names == ["gcn", "gcn"]
    assert made_up.options[1]["--version"] == "0"
    assert made_up.options[1]["--resume"] == "true"


def test_a_run_that_leaves_no_test_figure_is_refused(train, arguments):
    made_up = train()
    made_up.tests = False
    with pytest.raises(SystemExit) as error:
        study_main([*arguments, "--config", "gcn"])
    assert error.value.code == 1


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 64
    path.write_bytes(content)


@pytest.mark.parametrize("place", [6, 7, 20, -1, -30, None], ids=str)
def test_damaged_scores_are_set_aside_and_made_anew(train, arguments, capsys, place):
    made_up = train()
    study_main(arguments)
    first = Path(arguments[-1], "toy/estimator/version_0")
    scores = first / runs.SCORES_FILE
    scores.write_bytes(scores.read_bytes()[:-1]) if place is None else flip(scores, place)
    capsys.readouterr()
    study_main(arguments)
    assert made_up.names == ["estimator", "wide", "estimator"], "the scores are the same again, so stage 2 is done"
    assert [options["--version"] for options in made_up.options] == ["0", "0", "1"]
    aside = first.parent / "damaged/version_0"
    assert (aside / runs.SCORES_FILE).is_file()
    assert not first.exists()
    said = [line for line in capsys.readouterr().out.splitlines() if "is damaged:" in line]
    assert len(said) == 1
    assert said[0].startswith(f"{first} is damaged: scores.safetensors")
    assert said[0].endswith(f"It was set aside as {aside}, and is made anew.")
    study_main(arguments)
    assert len(made_up.names) == 3


@pytest.mark.parametrize("name", ["last", "best"])
@pytest.mark.parametrize("content", [b"", b"PK", None], ids=["empty", "cut", "one bit"])
def test_a_damaged_checkpoint_of_a_stopped_run_is_not_gone_on_with(train, arguments, name, content):
    train(fail_at=0)
    with pytest.raises(SystemExit):
        study_main([*arguments, "--config", "gcn"])
    checkpoint = Path(arguments[-1], f"toy/gcn/version_0/checkpoints/{name}.ckpt")
    checkpoint.parent.mkdir()
    torch.save({"state_dict": {"weight": torch.ones(100)}}, checkpoint)
    whole = checkpoint.read_bytes()
    if content is None:
        flip(checkpoint, whole.index(torch.ones(100).numpy().tobytes()) + 50)
    else:
        checkpoint.write_bytes(content)
    made_up = train()
    study_main([*arguments, "--config", "gcn"])
    assert [(options["--version"], "--resume" in options) for options in made_up.options] == [("1", False)]
    assert Path(arguments[-1], "toy/gcn/damaged/version_0").is_dir()


def test_a_whole_checkpoint_is_gone_on_with(train, arguments):
    train(fail_at=0)
    with pytest.raises(SystemExit):
        study_main([*arguments, "--config", "gcn"])
    checkpoint = Path(arguments[-1], "toy/gcn/version_0/checkpoints/last.ckpt")
    checkpoint.parent.mkdir()
    torch.save({"state_dict": {"weight": torch.ones(100)}}, checkpoint)
    made_up = train()
    study_main([*arguments, "--config", "gcn"])
    assert made_up.options[0]["--resume"] == "true"


def test_errors_come_before_any_run(train, arguments):
    made_up = train()
    with pytest.raises(ConfigError, match="no configuration 'none'"):
        study_main([*arguments, "--config", "none"])
    with pytest.raises(ConfigError, match=r"^spx study: --protocol is 'mine'; it takes one of public, paper\.$"):
        study_main([*arguments, "--protocol", "mine"])
    with pytest.raises(ConfigError, match=r"^spx study: argument --extra: .* can't be split into arguments"):
        study_main([*arguments, "--extra='"])
    assert made_up.options == []


def test_options_of_make():
    parsed = make_parser().parse_args(["toy", "--extra=--a 'b c'", "--extra_estimator=", "--extra-wide=--k=[1]"])
    assert parsed.extra == ("--a", "b c")
    assert parsed.extra_estimator == ()
    assert parsed.extra_wide == ("--k=[1]",)
    assert parsed.reuse
