"""The trainings of a study: single-head networks over widths, seeds and graphs, and one wide network."""

import itertools
from pathlib import Path
from typing import Any

from spx.experiments.parallel import Job, run_jobs
from spx.experiments.plan import ESTIMATOR, WIDE, Stage, config_files, merged_settings
from spx.run_folder import BEST_CHECKPOINT, SCORES_FILE
from spx.score_study.settings import ScoreStudy

RUN_PREFIX = "analysis"


def train(study: ScoreStudy) -> tuple[list[Path], Path | None]:
    """Train what isn't trained yet; returns the score files, and the wide network's checkpoint if there is one.

    Raises:
        StageError: a run failed.
        ConfigError: a configuration is missing.
    """
    jobs = make_jobs(study)
    folders = run_jobs(study.study(study.dataset), jobs, study.processes, study.threads, study.reuse)
    if jobs[0].stage.kind == WIDE:
        return [folder / SCORES_FILE for folder in folders[1:]], folders[0] / BEST_CHECKPOINT
    return [folder / SCORES_FILE for folder in folders], None


def make_jobs(study: ScoreStudy) -> list[Job]:
    """The runs, the longest first: the wide network, then single-head networks from the widest down."""
    shared_expander = ["--data.expander_seed", str(study.expander_seed)]
    graph_alone = ["--data.expander_degree", "0", "--data.self_loops", "false"]
    jobs = []
    if study.wide and not study.wide_checkpoint and "augmented" in study.graphs:
        stage = _stage(study, WIDE, f"{RUN_PREFIX}-wide", study.wide, shared_expander)
        jobs.append(Job(stage, study.seeds[0], study.split))
    for width, graph in itertools.product(reversed(study.widths), reversed(study.graphs)):
        augmentation = graph_alone if graph == "graph" else shared_expander
        arguments = ["--model.width", str(width), "--model.num_heads", "1", *augmentation]
        stage = _stage(study, ESTIMATOR, f"{RUN_PREFIX}-{graph}-w{width}", ESTIMATOR, arguments)
        jobs += [Job(stage, seed, study.split) for seed in study.seeds]
    return jobs


def estimator_data(study: ScoreStudy) -> dict[str, Any]:
    """The estimator configuration's settings of its data."""
    settings = merged_settings(config_files(study.study(study.dataset), ESTIMATOR))
    return settings.get("data", {}).get("init_args", {})


def _stage(study: ScoreStudy, kind: str, name: str, config: str, arguments: list[str]) -> Stage:
    files = config_files(study.study(study.dataset), config)
    for option, value in (("--model.num_layers", study.num_layers), ("--trainer.max_epochs", study.max_epochs)):
        arguments = arguments + ([] if value is None else [option, str(value)])
    state = ("--checkpoint.monitor", "epoch") if study.state == "last" else ()
    arguments = (*arguments, "--trainer.enable_progress_bar", "false", *state, *study.extra)
    return Stage(kind, name, files, arguments, merged_settings(files))
