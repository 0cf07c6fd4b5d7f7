"""Killed while writing, a full disk, two at once: what was whole stays whole, and the next run goes on."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .processes import ENVIRONMENT, run_python, run_spx, write_graph, write_own_configs
from .test_bad_input import RAW, write_minesweeper

# Each writes `path` once; what they are handed by `sys.argv`: the path, and a number that the content depends on.
WRITERS = {
    "scores": """
import torch
from spx.graph.csr import augment
from spx.graph.scores import ArtifactHeader, AttentionScores, save_scores
graph = augment(torch.tensor([[0, 1], [1, 0]]), 2)
header = ArtifactHeader("toy", "public", 0, number, "", 4, 1, "accuracy", 0.5, 0, 1.0)
save_scores(path, AttentionScores(graph, torch.full((1, graph.num_edges), 0.5)), header)
""",
    "checkpoint": """
import torch
from spx.training.resuming import WholeFileIO
WholeFileIO().save_checkpoint({"number": number, "weights": torch.zeros(40_000)}, path)
""",
    "record": """
from spx.files import write_json
write_json(path, {"number": number, "text": "x" * 100_000})
""",
}
PRELUDE = """
import logging, os, signal, sys
from pathlib import Path
logging.basicConfig(level=logging.WARNING, format="%(message)s")
path, number, fault = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if fault == "killed":
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
"""


def write(
    kind: str, path: Path, number: int, fault: str = "", prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess:
    code, arguments = PRELUDE + WRITERS[kind], (str(path), str(number), fault)
    if not prefix:
        return run_python(code, *arguments)
    command = [*prefix, sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)


@pytest.mark.parametrize("kind", ["scores", "checkpoint", "record"])
def test_killed_while_writing_the_old_file_stays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "deep" / "file"
    first = write(kind, path, 1)
    assert first.returncode == 0, first.stderr
    whole = path.read_bytes()
    assert write(kind, path, 2, "killed").returncode == -9
    assert path.read_bytes() == whole
    assert len(list(path.parent.iterdir())) == 2, "what was being written lies beside it"
    again = write(kind, path, 2)
    assert again.returncode == 0, again.stderr
    assert f"An earlier write of {path} was cut off; its remains were removed." in again.stderr
    assert path.read_bytes() != whole
    assert list(path.parent.iterdir()) == [path]


def test_killed_while_parsing_a_dataset_the_next_run_parses_it_anew(tmp_path: Path) -> None:
    write_minesweeper(tmp_path)
    load = "from spx.datasets import load_dataset\nprint(load_dataset('minesweeper', path).num_nodes)\n"
    command = [PRELUDE + load, tmp_path, 0]
    killed = run_python(*command, "killed")
    assert killed.returncode == -9
    processed = (tmp_path / RAW).parents[1] / "processed"
    assert not processed.exists() or not list(processed.glob("*.safetensors"))
    again = run_python(*command, "")
    assert (again.returncode, again.stdout) == (0, "40\n"), again.stderr
    assert "An earlier preparation of the dataset in" in again.stderr
    assert list(processed.glob("*.safetensors"))
    assert not list(processed.parent.glob(".staging-*")), "the killed run's scratch folder"


@pytest.mark.full
def test_two_at_once_on_one_dataset_folder(tmp_path: Path) -> None:
    write_minesweeper(tmp_path)
    load = """
from spx.datasets import load_dataset, split_fingerprint
print(split_fingerprint(load_dataset("minesweeper", path)))
"""
    command = [sys.executable, "-c", PRELUDE + load, str(tmp_path), "0", ""]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) for _ in range(3)]
    printed = {process.communicate(timeout=120)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0, 0]
    assert len(printed) == 1
    assert len(printed.pop()) == 65


def tiny_disk(kilobytes: int, mounted: Path, fill: int) -> tuple[str, ...]:
    """Words before a command that let it see a disk of that size at `mounted`, `fill` kilobytes of it taken if it has
    them; skips where that isn't allowed. `mounted`.before is copied onto it, `mounted`.after is what it holds then."""
    mounted.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o size={kilobytes}k tmpfs "{mounted}" && cp -r "{mounted}.before/." "{mounted}" && '
    script += f'{{ head -c {fill}k /dev/zero >"{mounted}/ballast" 2>/dev/null; "$@"; code=$?; }}; '
    script += f'cp -r "{mounted}/." "{mounted}.after"; exit $code'
    for folder in (f"{mounted}.before", f"{mounted}.after"):
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir()
    prefix = ("unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this system doesn't let a test mount a small disk")
    return prefix


@pytest.mark.parametrize(
    "kind", ["scores", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("checkpoint", "record"))]
)
def test_a_full_disk_damages_nothing_and_is_told(tmp_path: Path, kind: str) -> None:
    mounted = tmp_path / "disk"
    prefix = tiny_disk(200, mounted, fill=1000)
    before, after = Path(f"{mounted}.before"), Path(f"{mounted}.after")
    assert write(kind, before / "file", 1).returncode == 0
    whole = (before / "file").read_bytes()
    full = write(kind, mounted / "file", 2, prefix=prefix)
    assert full.returncode == 1
    assert "No space left" in full.stderr
    assert "space" in full.stderr.splitlines()[-1]
    assert (after / "file").read_bytes() == whole
    assert sorted(path.name for path in after.iterdir()) == ["ballast", "file"]


@pytest.mark.full
def test_a_fit_on_a_full_disk_ends_in_one_line(tmp_path: Path) -> None:
    write_own_configs(tmp_path, write_graph(tmp_path / "graph.npz"))
    mounted = tmp_path / "disk"
    prefix = tiny_disk(24, mounted, fill=0)
    command = [*prefix, sys.executable, "-m", "spx", "fit", "--config", "estimator.yaml", "--runs_dir", str(mounted)]
    ended = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path, timeout=120)
    assert ended.returncode == 3, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("spx: error: ")
    assert "space" in last.lower()
    assert "Traceback" not in ended.stderr


def test_out_of_memory_is_told_in_one_line(tmp_path: Path) -> None:
    nodes = 3000
    x = np.zeros((nodes, 4), np.float32)
    edges = np.random.default_rng(0).integers(nodes, size=(2, nodes))
    np.savez(tmp_path / "graph.npz", x=x, edge_index=edges, y=np.arange(nodes) % 2)
    write_own_configs(tmp_path, tmp_path / "graph.npz")
    ended = run_spx(
        "fit", "--config", "estimator.yaml", "--model.width", 10**7, "--trainer.max_epochs", 1, cwd=tmp_path
    )
    assert ended.returncode == 3, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("spx: error: memory ran out")
    assert "batch_size" in last


def test_the_traceback_is_there_for_who_asks(tmp_path: Path) -> None:
    short = run_spx("fit", "--config", "none.yaml", cwd=tmp_path)
    assert short.returncode == 2
    assert "Traceback" not in short.stderr
    wrong = ["study", "minesweeper-sim", "--configs_dir", "nowhere"]
    short, long = run_spx(*wrong, cwd=tmp_path), run_spx(*wrong, "--debug", cwd=tmp_path)
    assert (short.returncode, short.stderr.count("\n")) == (2, 1)
    assert "Traceback" in long.stderr
    assert "ConfigError" in long.stderr
