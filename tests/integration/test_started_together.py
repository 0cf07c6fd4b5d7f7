"""Runs and studies that start at the same time, or one after the other's end."""

import json
import threading
from pathlib import Path

import pytest

from spx.__main__ import main
from spx.errors import ConfigError
from spx.run_folder import claim_version

from .processes import start_spx, write_graph, write_own_configs


def test_many_claims_at_once_get_a_folder_each(tmp_path: Path) -> None:
    claimed: list[Path] = []
    ready = threading.Barrier(16)

    def claim() -> None:
        ready.wait()
        claimed.append(claim_version(tmp_path / "wide"))

    threads = [threading.Thread(target=claim) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(claimed)) == 16
    assert {path.name for path in claimed} == {f"version_{number}" for number in range(16)}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "wide").write_text("a file")
    with pytest.raises(ConfigError, match=r"wide can't be written: .* Choose another with --runs_dir"):
        claim_version(tmp_path / "wide")


@pytest.mark.full
def test_fits_that_start_together_all_end(tmp_path: Path) -> None:
    write_own_configs(tmp_path, write_graph(tmp_path / "graph.npz"))
    fit = ["fit", "--config", "estimator.yaml", "--runs_dir", "runs", "--trainer.max_epochs", 1]
    running = [start_spx(*fit, "--seed_everything", seed, cwd=tmp_path) for seed in range(3)]
    ended = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs/graph/estimator").glob("*/run.json")]
    assert sorted(record["seed"] for record in records) == [0, 1, 2]


@pytest.mark.full
def test_a_longer_stage_1_leaves_a_finished_stage_2_as_it_was(home: Path) -> None:
    arguments = ["--runs_dir", "runs"]
    main(["fit", "--config", "estimator.yaml", *arguments])
    main(["fit", "--config", "wide.yaml", *arguments, "--then_test", "true"])
    first = home / "runs/toy/estimator/version_0/scores.safetensors"
    before = first.read_bytes()
    main(["predict", "runs/toy/wide/version_0", "--output", "before.csv"])
    main(["resume", "runs/toy/estimator/version_0", "--trainer.max_epochs", "6"])
    assert first.read_bytes() == before
    assert first.with_name("scores-2.safetensors").is_file()
    main(["predict", "runs/toy/wide/version_0", "--output", "after.csv"])
    assert (home / "after.csv").read_text() == (home / "before.csv").read_text()
