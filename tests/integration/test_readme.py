"""What the README shows runs."""

import re
from pathlib import Path

import pytest
import torch

import spx
from spx.training import AttentionEstimator, Spexphormer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs_and_its_runs_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    short, replaced = re.subn(r"max_epochs=\d+", "max_epochs=1", example)
    assert replaced == 2
    monkeypatch.chdir(tmp_path)
    exec(compile(short, "README.md", "exec"), {})
    assert (tmp_path / "scores.safetensors").is_file()
    monkeypatch.chdir(tmp_path.parent)
    estimator, wide = (spx.load(tmp_path / "lightning_logs" / f"version_{number}") for number in range(2))
    assert (type(estimator.model), type(wide.model)) == (AttentionEstimator, Spexphormer)
    assert wide.data.k == [12, 5, 5, 5]
    assert wide.data.scores_path == str(tmp_path / "scores.safetensors")
    predictions = wide.predict(torch.arange(100), draws=2)
    assert predictions.table().height == 100
    checkpoint = tmp_path / "lightning_logs" / "version_1" / "checkpoints" / "best.ckpt"
    again = spx.load(checkpoint).predict(torch.arange(100), draws=2)
    assert again.probabilities.equal(predictions.probabilities)


def test_every_path_and_target_that_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
    datasets = {path.name for path in (ROOT / "configs").iterdir()}
    (benchmarks,) = re.findall(r"^BENCHMARKS := (.*)$", makefile, flags=re.MULTILINE)
    targets = {f"bench-{name}" for name in benchmarks.split()}
    for target in set(re.findall(r"^    make ([a-z-]+)", README, flags=re.MULTILINE)) - targets:
        assert target.removeprefix("analyze-") in datasets or re.search(rf"^{target}:", makefile, flags=re.MULTILINE), (
            target
        )
    for config in re.findall(r"configs/[a-z-]+/[a-z-]+\.yaml", README):
        assert (ROOT / config).is_file(), config
