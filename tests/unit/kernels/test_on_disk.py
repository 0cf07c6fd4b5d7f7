"""Kernels on disk: never those of other sources, found by the next process, and no kernel lost with a file."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from daily import every_day

import spx
from spx.kernels import compiled_rows
from spx.kernels.compiled_rows import can_compile, compile_rows, digest_of_sources

pytestmark = pytest.mark.skipif(not can_compile(), reason="numba is not installed")

ATTEND = """
import torch
from spx.kernels import cpu_attention
from spx.kernels.formula import Rows, Scoring
one, keys = torch.ones(1, 1, 1), torch.tensor([[[100.0]], [[0.0]]])
rows = Rows(torch.tensor([0, 2]), torch.tensor([0, 1], dtype=torch.int32), torch.zeros(2, dtype=torch.uint8))
scoring = Scoring(torch.ones(3, 1, 1), torch.zeros(3, 1), torch.tensor(1.0))
out, mass = cpu_attention.forward(one, keys, keys, rows, scoring)
kernel = cpu_attention._kernels_for(one).forward
print(cpu_attention.__file__, float(mass), sum(kernel.stats.cache_hits.values()))
"""

SAMPLE_AND_DROP = """
import torch
from spx.kernels import cpu_dropout, cpu_sampling
edges = torch.arange(50, dtype=torch.int32), torch.zeros(50, dtype=torch.uint8)
neighbors, _ = cpu_sampling.draw(torch.tensor([0, 50]), *edges, None, 3, 0)
kept = cpu_dropout.dropout(torch.ones(20), 0.5, torch.tensor(0)).nonzero().flatten()
kernels = cpu_sampling._kernel(None), cpu_dropout._kernel()
print(neighbors.tolist(), kept.tolist(), [sum(kernel.stats.cache_hits.values()) for kernel in kernels], sep=";")
"""


class Copy:
    """A copy of the package, and processes that import it. It has no files of compiled Python code, which are told by
    the second of their source's change."""

    def __init__(self, home: Path):
        self.home = home
        shutil.copytree(Path(spx.__file__).parent, home / "spx", ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, code: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(self.home), "OMP_NUM_THREADS": "1"}
        environment.pop("NUMBA_CACHE_DIR", None)
        command = [sys.executable, "-B", "-c", code]
        result = subprocess.run(command, cwd=self.home, env=environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def edit(self, name: str, before: str, after: str) -> None:
        path = self.home / "spx" / "kernels" / name
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

    def kernels(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self.home.rglob("*.nbc")}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.mark.full
def test_a_changed_part_makes_a_new_kernel_and_an_unchanged_one_is_found(copy: Copy) -> None:
    """The bound of the exponential lies in another file than the kernel: exp(8) + 1, then exp(2) + 1."""

    def attend() -> tuple[float, int]:
        file, mass, hits = copy.run(ATTEND).split()
        assert Path(file).is_relative_to(copy.home)
        return float(mass), int(hits)

    assert attend() == (pytest.approx(np.exp(8) + 1, rel=1e-5), 0)
    first = copy.kernels()
    assert attend() == (pytest.approx(np.exp(8) + 1, rel=1e-5), 1)
    assert copy.kernels() == first
    copy.edit("formula.py", "SCORE_BOUND = 8.0", "SCORE_BOUND = 2.0")
    assert attend() == (pytest.approx(np.exp(2) + 1, rel=1e-5), 0)
    copy.edit("formula.py", "SCORE_BOUND = 2.0", "SCORE_BOUND = 8.0")
    assert attend() == (pytest.approx(np.exp(8) + 1, rel=1e-5), 1), "the first sources find their kernel again"


@pytest.mark.full
def test_changed_noise_changes_what_is_drawn_and_dropped(copy: Copy) -> None:
    before, again = (copy.run(SAMPLE_AND_DROP).split(";") for _ in range(2))
    assert before[:2] == again[:2]
    assert (before[2], again[2]) == ("[0, 0]", "[1, 1]")
    copy.edit("noise.py", "0xBF58476D1CE4E5B9", "0xBF58476D1CE4E5B7")
    neighbors, kept, hits = copy.run(SAMPLE_AND_DROP).split(";")
    assert neighbors != before[0]
    assert kept != before[1]
    assert hits == "[0, 0]"


@pytest.mark.full
def test_other_options_of_the_compiler_make_other_kernels(copy: Copy) -> None:
    copy.run(SAMPLE_AND_DROP)
    copy.edit("compiled_rows.py", 'error_model="numpy"', 'error_model="python"')
    assert copy.run(SAMPLE_AND_DROP).endswith("[0, 0]")


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Callable]:
    """compiled(scale): a fresh dispatcher of one small kernel, kept below `tmp_path`."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))

    def compiled(scale: int) -> Callable:
        def kernel(values):
            return values.sum() * scale

        return compile_rows(kernel)

    return compiled


def hits(kernel: Callable) -> int:
    assert kernel(np.ones(3)) in (6, 9)
    return sum(kernel.stats.cache_hits.values())


def test_kernels_of_two_closures_share_no_file(compiled: Callable, tmp_path: Path) -> None:
    """Two processes that save at once would otherwise take one name for both."""
    assert [hits(compiled(scale)) for scale in (2, 3, 2, 3)] == [0, 0, 1, 1]
    assert len(list(tmp_path.rglob("*.nbi"))) == len(list(tmp_path.rglob("*.nbc"))) == 2


@every_day("ending", ["nbi", "nbc"], 1)
@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_damaged_file_is_made_anew(compiled: Callable, tmp_path: Path, ending: str, content: bytes) -> None:
    assert hits(compiled(2)) == 0
    (file,) = tmp_path.rglob(f"*.{ending}")
    file.write_bytes(content)
    assert [hits(compiled(2)), hits(compiled(2))] == [0, 1]


def test_sources_that_changed_under_a_running_process_are_no_key(
    compiled: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spx.kernels.on_disk.LOADED_SOURCES", "others")
    assert hits(compiled(2)) == 0
    assert not list(tmp_path.rglob("*.nb?"))


def test_without_a_folder_or_with_a_full_disk_kernels_work(compiled: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("numba.core.caching.IndexDataCacheFile.save", _fail)
        assert [hits(compiled(2)), hits(compiled(2))] == [0, 0]
    with monkeypatch.context() as patch:
        patch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
        kernel = compiled(2)
        assert hits(kernel) == 0
        assert kernel.stats.cache_path is None


def _fail(*_) -> None:
    raise OSError("no space left on device")


@pytest.mark.full
def test_a_package_that_cannot_be_written_keeps_its_kernels_elsewhere_or_nowhere(copy: Copy) -> None:
    blocked = copy.home / "spx" / "kernels" / "__pycache__"
    blocked.write_text("a file where the folder would be")
    for cache in (copy.home / "user", blocked):
        copy.run(f"import os; os.environ['XDG_CACHE_HOME'] = {str(cache)!r}\n{SAMPLE_AND_DROP}")
    assert all(name.startswith(("cpu_sampling", "cpu_dropout")) for name in copy.kernels())
    assert len(copy.kernels()) == 2


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    assert digest_of_sources(tmp_path) is None
    for name, content in (("a.py", "x"), ("b.py", "")):
        (tmp_path / name).write_text(content)
    first = digest_of_sources(tmp_path)
    (tmp_path / "a.py").write_text("")
    (tmp_path / "b.py").write_text("x")
    assert first != digest_of_sources(tmp_path)
    assert digest_of_sources(Path(compiled_rows.__file__).parent) == compiled_rows.LOADED_SOURCES
