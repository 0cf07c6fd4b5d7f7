"""The study of every dataset composes, parses, and asks for runs whose settings `spx fit` takes."""

from pathlib import Path

import pytest
import yaml

from spx.configurations import BASE
from spx.datasets import DATASETS
from spx.errors import ConfigError
from spx.experiments.plan import Study, make_plan
from spx.experiments.runs import fit_arguments
from spx.score_study.command import arguments_of, make_parser
from spx.score_study.grid import make_jobs
from spx.score_study.settings import ScoreStudy

CONFIGS = Path(__file__).parents[2] / "configs"


def read(name: str, *arguments: str) -> ScoreStudy:
    words = arguments_of(["--config", str(CONFIGS / name / "analysis.yaml"), *arguments])
    parsed = make_parser().parse_args(words)
    settings = {field: value for field, value in vars(parsed).items() if field in ScoreStudy.__dataclass_fields__}
    return ScoreStudy(**{**settings, "configs_dir": str(CONFIGS)})


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*/analysis.yaml")), ids=lambda file: file.parent.name)
def test_no_setting_stands_without_which_the_study_would_be_the_same(file: Path) -> None:
    base = yaml.safe_load((CONFIGS / BASE / "analysis.yaml").read_text())
    otherwise = vars(make_parser().get_defaults()) | ({} if file.parent.name == BASE else base)
    settings = yaml.safe_load(file.read_text())
    assert not [name for name, value in settings.items() if otherwise[name] == value]
    assert file.parent.name == BASE or settings.keys() > {"dataset"}


@pytest.mark.parametrize("name", DATASETS)
def test_a_study_of_every_dataset(name: str) -> None:
    study = read(name)
    assert study.dataset == name
    jobs = make_jobs(study)
    grid = len(study.widths) * len(study.seeds) * len(study.graphs)
    assert len(jobs) == grid + (study.wide is not None)
    assert {job.stage.kind for job in jobs} <= {"estimator", "wide"}
    for job in jobs:
        arguments = fit_arguments(study.study(name), job.stage, job.seed, 0, None, Path("version_0"))
        without = "--data.expander_seed" not in arguments
        assert without == job.stage.name.startswith("analysis-graph-")


def test_the_full_study_is_the_papers() -> None:
    study = read("actor")
    assert (study.widths, study.seeds) == ([4, 8, 16, 32, 64], list(range(10)))
    assert len(make_jobs(study)) == 101
    small = read("actor", "--runs", "small")
    assert len(make_jobs(small)) == 9
    assert small.max_epochs == 6


def test_the_settings_of_a_study_are_no_configuration_of_a_run() -> None:
    with pytest.raises(ConfigError, match="no configuration 'analysis'"):
        make_plan(Study("actor", config="analysis", configs_dir=str(CONFIGS)))
