"""Runs whose folder, scores or working folder are elsewhere now."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import spx
from spx.data import AugmentedGraphData
from spx.errors import ArtifactError
from spx.graph.scores import read_header
from spx.inference.run_files import read_run

from .conftest import DATA, UNIFORM, change_record, write_config


@pytest.fixture
def with_scores(run_folder: Path, tmp_path: Path, write_scores: Callable[..., Path]) -> Path:
    """The run's folder, when it was sampled by scores that lie beside it."""
    scores = write_scores(tmp_path / "runs" / "scores.safetensors", AugmentedGraphData("toy", expander_degree=2))
    write_config(run_folder, data={**DATA, "init_args": UNIFORM | {"sampler": "attention"}})
    change_record(run_folder, scores=str(scores), scores_fingerprint=read_header(scores).fingerprint)
    return run_folder


def test_a_run_that_was_moved_with_its_scores(with_scores: Path, tmp_path: Path) -> None:
    before = spx.load(with_scores).predict(draws=2).probabilities
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    folder = tmp_path / "moved" / "toy" / "wide" / "version_0"
    run = spx.load(folder)
    assert run.data.scores_path == str(tmp_path / "moved" / "scores.safetensors")
    assert run.predict(draws=2).probabilities.equal(before)


def test_a_relative_path_means_what_it_meant_in_the_run(
    with_scores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_record(with_scores, scores="runs/scores.safetensors")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert spx.load(with_scores).data.scores_path == str(tmp_path / "runs" / "scores.safetensors")


def test_scores_that_are_gone_or_others(with_scores: Path, tmp_path: Path, write_scores: Callable[..., Path]) -> None:
    scores = tmp_path / "runs" / "scores.safetensors"
    kept = shutil.move(scores, tmp_path / "kept.safetensors")
    with pytest.raises(ArtifactError, match=r"no score file .*spx\.load\(.*version_0', scores=PATH\)"):
        spx.load(with_scores)
    assert spx.load(with_scores, scores=kept).data.scores_path == str(kept)
    write_scores(scores, AugmentedGraphData("toy", expander_degree=3))
    with pytest.raises(ArtifactError, match=r"are others than those .*another fingerprint"):
        spx.load(with_scores)
    with pytest.raises(ArtifactError, match="There is no score file nowhere"):
        spx.load(with_scores, scores="nowhere")


def test_scores_that_a_longer_stage_1_kept_under_another_name(
    with_scores: Path, tmp_path: Path, write_scores: Callable[..., Path]
) -> None:
    scores = tmp_path / "runs" / "scores.safetensors"
    kept = scores.rename(scores.with_name("scores-2.safetensors"))
    write_scores(scores, AugmentedGraphData("toy", expander_degree=2), epoch=9)
    assert spx.load(with_scores).data.scores_path == str(kept)
    with pytest.raises(ArtifactError, match="are others than those"):
        spx.load(with_scores, scores=scores)


def test_scores_that_lie_in_another_place_of_the_same_name(
    with_scores: Path, tmp_path: Path, write_scores: Callable[..., Path]
) -> None:
    """The copy's own scores are taken when others lie where the run found them."""
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    write_scores(tmp_path / "runs" / "scores.safetensors", AugmentedGraphData("toy", expander_degree=3))
    run = spx.load(tmp_path / "copy" / "toy" / "wide" / "version_0")
    assert run.data.scores_path == str(tmp_path / "copy" / "scores.safetensors")


def test_places_of_a_path(tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = read_run(run_folder)
    assert files.locate("nowhere") == []
    (tmp_path / "data").mkdir()
    assert files.locate("data") == [tmp_path / "data"]
    here = tmp_path / "here"
    (here / "data").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert files.locate("data") == [tmp_path / "data", here / "data"]
    assert files.locate(tmp_path / "data") == [tmp_path / "data"]
