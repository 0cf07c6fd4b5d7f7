"""What can be asked for, and the runs that follow from it."""

from dataclasses import replace
from pathlib import Path

import pytest

from spx.errors import ConfigError, SpxError
from spx.score_study import study as study_module
from spx.score_study.command import gathered
from spx.score_study.grid import make_jobs
from spx.score_study.settings import ScoreStudy

CONFIGS = str(Path(__file__).parents[3] / "configs")


def test_presets_give_way_to_what_is_asked() -> None:
    full = ScoreStudy("actor")
    assert (full.widths, len(full.seeds), full.max_epochs) == ([4, 8, 16, 32, 64], 10, None)
    small = ScoreStudy("actor", runs="small", seeds=[3])
    assert (small.widths, small.seeds, small.max_epochs) == ([4, 16], [3], 6)
    assert ScoreStudy("actor", widths=[8, 4, 8]).widths == [4, 8]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"widths": [0, 4]}, r"widths is \[0, 4\]"),
        ({"ks": []}, r"ks is \[\]"),
        ({"draws": 0}, r"draws is \[0\]"),
        ({"processes": 0}, r"processes is \[0\]"),
        ({"max_epochs": 0}, r"max_epochs is \[0\]"),
        ({"seeds": []}, "at least one seed"),
        ({"graphs": []}, "one of the graphs 'graph' and 'augmented'"),
        ({"dataset": None}, r"--config configs/<dataset>/analysis.yaml, or score files"),
    ],
)
def test_settings_that_can_not_be(settings: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ScoreStudy(**{"dataset": "actor"} | settings)


def test_runs_of_a_study() -> None:
    study = ScoreStudy(
        "actor", widths=[4, 8], seeds=[0, 7], configs_dir=CONFIGS, num_layers=2, extra=["--model.lr", "1"]
    )
    jobs = make_jobs(study)
    assert [(job.stage.name, job.seed) for job in jobs] == [
        ("analysis-wide", 0),
        *(("analysis-augmented-w8", 0), ("analysis-augmented-w8", 7)),
        *(("analysis-graph-w8", 0), ("analysis-graph-w8", 7)),
        *(("analysis-augmented-w4", 0), ("analysis-augmented-w4", 7)),
        *(("analysis-graph-w4", 0), ("analysis-graph-w4", 7)),
    ]
    options = dict(zip(jobs[-1].stage.arguments[::2], jobs[-1].stage.arguments[1::2], strict=True))
    assert options == {
        "--model.width": "4",
        "--model.num_heads": "1",
        "--data.expander_degree": "0",
        "--data.self_loops": "false",
        "--model.num_layers": "2",
        "--trainer.enable_progress_bar": "false",
        "--model.lr": "1",
    }
    wide = jobs[0].stage
    assert wide.files == (Path(CONFIGS, "base/exphormer.yaml"), Path(CONFIGS, "actor/exphormer.yaml"))
    assert wide.arguments[:2] == ("--data.expander_seed", "0")
    assert "--model.width" not in wide.arguments


def test_the_last_state_is_another_checkpoint_and_another_report() -> None:
    best, last = (
        ScoreStudy("actor", widths=[4], seeds=[0], configs_dir=CONFIGS, state=state) for state in ("best", "last")
    )
    authors = replace(best, state="authors")
    assert make_jobs(authors) == make_jobs(best), "other scores of the same networks"
    assert authors.folder("actor") == Path("lightning_logs/actor/analysis-authors")
    (best_run, *_), (last_run, *_) = make_jobs(best), make_jobs(last)
    assert last_run.stage.arguments == (*best_run.stage.arguments, "--checkpoint.monitor", "epoch")
    folders = [study.folder("actor") for study in (best, last)]
    assert folders == [Path("lightning_logs/actor") / name for name in ("analysis", "analysis-last")]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"output": "taken/report"}, r"taken/report can't be written: .*--output"),
        ({"wide_checkpoint": "missing.ckpt"}, r"no checkpoint missing\.ckpt"),
    ],
)
def test_what_can_not_end_well_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file, not a folder")
    monkeypatch.setattr(study_module, "train", lambda _study: pytest.fail("it trains"))
    with pytest.raises(SpxError, match=words):
        study_module.analyze(ScoreStudy("actor", configs_dir=CONFIGS, **settings))


def test_the_wide_network_is_trained_when_it_is_needed() -> None:
    def kinds(**settings) -> set[str]:
        return {job.stage.kind for job in make_jobs(ScoreStudy("actor", runs="small", configs_dir=CONFIGS, **settings))}

    assert kinds() == {"estimator", "wide"}
    for settings in ({"wide": None}, {"graphs": ["graph"]}, {"wide_checkpoint": "best.ckpt"}):
        assert kinds(**settings) == {"estimator"}
    with pytest.raises(ConfigError, match="no configuration 'widest'"):
        kinds(wide="widest")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--widths", "4", "8", "--runs", "small"], ["--widths", "[4, 8]", "--runs", "small"]),
        (["--scores", "a b.st", "c", "--ks", "[1,2]"], ["--scores", '["a b.st", "c"]', "--ks", "[1,2]"]),
        (["--seeds", "--runs", "small"], ["--seeds", "--runs", "small"]),
        (["--scores", "one"], ["--scores", '["one"]']),
        (["--extra=[a]", "--widths=[4]"], ["--extra=[a]", "--widths=[4]"]),
    ],
)
def test_several_words_after_an_option_are_a_list(given: list[str], meant: list[str]) -> None:
    assert gathered(given) == meant
