"""Files that hold what was predicted, whole or not at all."""

import csv
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from spx.errors import ArtifactError, ConfigError
from spx.inference import tables
from spx.inference.predictions import Predictions, joined
from spx.inference.tables import table_writer

from .conftest import predictions

ENDINGS = pytest.mark.parametrize("ending", [".csv", ".parquet", ".npz"])
AWKWARD = ("a, b", 'say "c"', "two\nlines", "p|q")
READERS = {".csv": pl.read_csv, ".parquet": pl.read_parquet}


def write_from(path: Path, batches: Iterable[Predictions]) -> Path:
    with table_writer(path) as writer:
        for batch in batches:
            writer.write(batch)
    return path


def write(path: Path, *batches: Predictions) -> Path:
    return write_from(path, batches)


def awkward_batches(task: str = "multiclass") -> list[Predictions]:
    """Names with everything that a table could trip over; texts get longer from batch to batch."""
    ids = [["x", "y,1"], ['"z"', "=1+2", "longer than the others"], ["\u00e9"]]
    return [
        predictions(len(part), AWKWARD, part, task=task, first=10 * number) for number, part in enumerate(ids, start=1)
    ]


def read_csv(path: Path) -> pl.DataFrame:
    """Columns of text, by Python's reader: polars leaves doubled quotes in a header as they are."""
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return pl.DataFrame(rows, schema=header, orient="row")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_table_is_read_back_as_it_was_made(ending: str, task: str, tmp_path: Path) -> None:
    batches = awkward_batches(task)
    path = write(tmp_path / f"p{ending}", *batches)
    made = joined(batches).table()
    read = pl.read_parquet(path) if ending == ".parquet" else read_csv(path).cast(made.schema)
    assert read.equals(made)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_an_npz_is_read_without_pickle(task: str, tmp_path: Path) -> None:
    batches = awkward_batches(task)
    path = write(tmp_path / "p.npz", *batches)
    made, names = joined(batches), {"node", "prediction", "probability", "probabilities", "spread", "class_names"}
    with np.load(path, allow_pickle=False) as content:
        arrays = dict(content)
    assert arrays.keys() == (names - {"probability"} if task == "multilabel" else names)
    assert arrays["node"].tolist() == made.ids.to_list()
    assert arrays["prediction"].tolist() == made.names.to_list()
    assert arrays["class_names"].tolist() == list(AWKWARD)
    assert torch.from_numpy(arrays["probabilities"]).equal(made.probabilities)
    assert torch.from_numpy(arrays["spread"]).equal(made.spread)
    if task == "multiclass":
        assert torch.from_numpy(arrays["probability"]).equal(made.probabilities.amax(1))


@ENDINGS
def test_without_spread_and_with_numbers_for_names(ending: str, tmp_path: Path) -> None:
    batches = [predictions(3, spread=False), predictions(4, spread=False, first=3)]
    path = write(tmp_path / "deeper" / f"p{ending.upper()}", *batches)
    if ending == ".npz":
        with np.load(path) as content:
            assert "spread" not in content
            assert content["node"].dtype == np.int64
            assert content["node"].tolist() == list(range(7))
    else:
        table = READERS[ending](path)
        assert table.columns == ["node", "prediction", "probability", "p:a", "p:b", "p:c"]
        assert table["node"].to_list() == list(range(7))


def test_parquet_keeps_the_order_of_many_batches_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 100)
    batches = [predictions(7, first=start) for start in range(0, 700, 7)]
    table = pl.read_parquet(write(tmp_path / "p.parquet", *batches))
    assert table["node"].to_list() == list(range(700))
    assert table.equals(joined(batches).table())


def test_an_npz_is_written_in_parts(tmp_path: Path) -> None:
    path = write(tmp_path / "p.npz", *(predictions(7, first=start) for start in range(0, 700, 7)))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.getinfo("probabilities.npy").file_size == 700 * 3 * 4 + 128


@ENDINGS
def test_an_exception_in_the_middle_leaves_the_old_file(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"p{ending}", predictions())
    before = path.read_bytes()

    def stopped() -> Iterator[Predictions]:
        yield predictions(70)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_from(path, stopped())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """small_disk(size): no file can grow beyond so many bytes from now on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@ENDINGS
@pytest.mark.parametrize("size", [100_000, 240_000], ids=["while it comes in", "at the end"])
def test_a_disk_that_is_full_leaves_the_old_file(
    ending: str, size: int, tmp_path: Path, small_disk: Callable[[int], None]
) -> None:
    path = write(tmp_path / f"p{ending}", predictions())
    before = path.read_bytes()
    small_disk(size)
    with pytest.raises(ArtifactError, match=r"can't be written to .*p\..*too large.*Free space, or choose another"):
        write(path, *(predictions(1000, first=start) for start in range(0, 10_000, 1000)))  # 240,000 bytes of floats
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.full
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", predictions())
    before = path.read_bytes()
    code = (
        "import os, signal\nfrom spx.inference.tables import table_writer\n"
        "from tests.unit.inference.conftest import predictions\n"
        f"with table_writer({str(path)!r}) as writer:\n"
        "    writer.write(predictions(40_000))\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3])
    assert path.read_bytes() == before
    write(path, predictions(9))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() != before


FORMULAS = ("=1+2", "+1", "-1", "@SUM(1)", "\tx", "\rx", "\nx", "\uff1d1")
PLAIN_NAMES = ("a=1", "x", "\u20131", "'=", "a;=1")


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_for_a_spreadsheet_text_is_no_formula_and_numbers_are_as_they_are(task: str, tmp_path: Path) -> None:
    names = (*FORMULAS, *PLAIN_NAMES)
    batches = [predictions(len(names), FORMULAS, names, task=task), predictions(1, FORMULAS, ["=2"], task=task)]
    made = joined(batches).table()
    with table_writer(tmp_path / "p.csv", spreadsheet=True) as writer:
        for batch in batches:
            writer.write(batch)
    read = read_csv(tmp_path / "p.csv")
    assert read["node"].to_list() == [*(f"'{name}" for name in FORMULAS), *PLAIN_NAMES, "'=2"]
    assert not [cell for cell in (*read.columns, *read["node"], *read["prediction"]) if cell[:1] in set("=+-@\t\r\n")]
    assert read.drop("node", "prediction").cast(pl.Float32).equals(made.drop("node", "prediction").cast(pl.Float32))
    raw = (tmp_path / "p.csv").read_text()
    assert '"a;=1"' in raw, "in quotes, so that no other separator begins a cell in it"
    assert read_csv(write(tmp_path / "plain.csv", *batches))["node"].to_list() == [*names, "=2"], (
        "as they are otherwise"
    )


def test_numbers_below_0_stay_numbers_for_a_spreadsheet() -> None:
    table = pl.DataFrame({"node": [-1, 2], "=x": [-0.5, 1.0], "@y": ["-1", None]})
    assert tables.without_formulas(table).to_dict(as_series=False) == {
        "node": [-1, 2],
        "'=x": [-0.5, 1.0],
        "'@y": ["'-1", None],
    }


@pytest.mark.parametrize("ending", [".parquet", ".npz"])
def test_only_a_csv_is_written_for_a_spreadsheet(ending: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"only a \.csv"), table_writer(tmp_path / f"p{ending}", spreadsheet=True):
        pass
    assert not list(tmp_path.iterdir())


def test_an_unknown_ending_and_a_folder_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"p\.xls; its name must end in \.csv, \.parquet, \.npz"):
        write(tmp_path / "p.xls")
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        write(tmp_path / "p.csv")


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"can't be written to .*p\.csv: .*choose another place"):
        write(tmp_path / "file" / "p.csv")
