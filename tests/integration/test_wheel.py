"""A wheel, installed where nothing can be written, used from an empty folder by somebody without a home."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spx.files import read_json

ROOT = Path(__file__).parents[2]
SOURCES = ("spx", "configs", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


def run(*command: object, cwd: Path, environment: dict[str, str]) -> str:
    ended = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout


def take_compiled_kernels(site: Path) -> None:
    """Those of the sources, which are the same: compiling them takes a minute and is tested elsewhere."""
    for file in (ROOT / "spx" / "kernels").glob("*.py"):
        shutil.copystat(file, site / "spx" / "kernels" / file.name)  # numba goes by it
    for file in (ROOT / "spx" / "kernels" / "__pycache__").glob("*.nb[ic]"):
        shutil.copy2(file, site / "spx" / "kernels" / "__pycache__")


@pytest.mark.full
def test_a_wheel_is_enough(tmp_path: Path) -> None:
    source, site, empty = (tmp_path / name for name in ("source", "site", "empty"))
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    usual = dict(os.environ)
    run(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path / "wheels", source, cwd=tmp_path, environment=usual)
    (wheel,) = (tmp_path / "wheels").glob("spx-*.whl")
    run(*pip, "install", "--no-deps", "--target", site, wheel, cwd=tmp_path, environment=usual)
    take_compiled_kernels(site)
    for path in (*site.rglob("*"), site):
        path.chmod(path.stat().st_mode & 0o555)
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    environment |= {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    spx = [sys.executable, "-m", "spx"]
    try:
        place = run(sys.executable, "-c", "import spx; print(spx.__file__)", cwd=empty, environment=environment)
        assert Path(place.strip()) == site / "spx" / "__init__.py"
        said = run(
            *spx, "study", "minesweeper-sim", "--extra=--trainer.max_epochs 2", cwd=empty, environment=environment
        )
        assert "Next:        spx study actor" in said
        assert read_json(empty / "lightning_logs" / "minesweeper-sim" / "summary.json")["test"]
        run(*spx, "fit", "--config", "configs/minesweeper-sim/gcn.yaml", "--trainer.fast_dev_run", "true",
            cwd=empty, environment=environment)  # fmt: skip
        assert sorted(path.name for path in empty.iterdir()) == ["lightning_logs"], "a generated graph has no data"
    finally:
        for path in (site, *site.rglob("*")):
            path.chmod(path.stat().st_mode | 0o700)
