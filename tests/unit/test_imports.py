"""The import rule of the house: the graph and the networks know nothing of Lightning or of the rooms around them."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "spx"
PURE = ["kernels", "graph", "nn", "analysis"]
LIGHTNING = {"lightning", "pytorch_lightning", "lightning_fabric", "torchmetrics", "jsonargparse"}


def files_of(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_in(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, at its top or inside a function."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package or None)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def reached_from(start: list[Path]) -> dict[Path, set[str]]:
    """Each file of spx that the given ones import, directly or not, with its imports.

    What `spx.load` imports is left out: it does so when it is called.
    """
    found: dict[Path, set[str]] = {}
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path in found or path == PACKAGE / "__init__.py":
            continue
        found[path] = set(imports_in(path))
        for name in found[path]:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                stem = PACKAGE.parent.joinpath(*parts[:end])
                waiting += [file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()]
    return {path: names for path, names in found.items() if PACKAGE in path.parents}


def rooms_in(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("spx.")}


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_never_imports_lightning_nor_does_what_it_imports(room: str) -> None:
    files = files_of(room)
    assert files
    for path, names in reached_from(files).items():
        assert not {name.split(".")[0] for name in names} & LIGHTNING, f"{path} imports Lightning"


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("kernels", {"kernels"}),
        ("graph", {"graph", "kernels", "errors", "files"}),
        ("datasets", {"datasets", "graph", "dataset_names", "errors", "torch_files"}),
        ("nn", {"nn", "graph", "kernels", "errors", "files"}),
        ("analysis", {"analysis", "nn", "graph", "kernels", "errors", "files"}),
        ("explanation", {"explanation", "datasets", "nn", "graph", "kernels", "errors", "files"}),
        (
            "tuning",
            {"tuning", "experiments", "configurations", "run_folder", "dataset_names", "arguments", "errors", "files"}
            | {"__version__"},
        ),
        (
            "inference",
            {
                "inference",
                "explanation",
                "training",
                "data",
                "nn",
                "graph",
                "datasets",
                "run_folder",
                "dataset_names",
                "errors",
            }
            | {"files", "torch_files", "signatures", "arguments"},
        ),
    ],
)
def test_a_room_imports_only_the_rooms_below_it(room: str, allowed: set[str]) -> None:
    for path in files_of(room):
        assert rooms_in(set(imports_in(path))) <= allowed, path


def test_importing_spx_loads_nothing_heavy() -> None:
    heavy = LIGHTNING | {"torch", "polars", "torch_geometric", "numba"}
    code = (
        "import sys\nimport spx\nimport spx.inference.command\nspx.inference.command.make_predict_parser()\n"
        f"loaded = {heavy!r} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.full
def test_a_fit_without_a_store_loads_no_pyg() -> None:
    code = "import sys, spx.cli, spx.data, spx.training\nassert 'torch_geometric' not in sys.modules\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr


def test_a_search_loads_no_torch() -> None:
    """Its trials are other processes; Optuna, pictures and TensorBoard's files need none."""
    modules = [module_name(path) for path in files_of("tuning")]
    code = (
        f"import importlib, sys\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
        "from spx.tuning.search import import_optuna\nimport_optuna()\n"
        "import matplotlib.pyplot, tensorboard.summary.writer.event_file_writer\n"
        "assert not {'torch', 'lightning'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr


def test_the_walk_sees_an_indirect_import() -> None:
    reached = reached_from(files_of("training"))
    assert PACKAGE / "graph" / "csr.py" in reached
    assert any("lightning" in name for names in reached.values() for name in names)


@pytest.mark.full
def test_importing_the_pure_rooms_loads_no_lightning() -> None:
    modules = [module_name(path) for room in PURE for path in files_of(room)]
    assert "spx.graph.csr" in modules
    assert "spx.nn.network" in modules
    code = (
        f"import importlib, sys\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
        f"loaded = {LIGHTNING!r} & set(sys.modules)\nassert not loaded, loaded\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('spx.')}\n"
        "assert rooms == {'kernels', 'graph', 'nn', 'analysis', 'errors', 'files'}, rooms\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ["kernels", "graph", "nn"])
def test_a_pure_room_reads_no_environment_variable(room: str) -> None:
    for path in files_of(room):
        assert "environ" not in path.read_text(), path
        assert "getenv" not in path.read_text(), path


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert len(lengths) > 20
    assert not {path: lines for path, lines in lengths.items() if lines > 300}
