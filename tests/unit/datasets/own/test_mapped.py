"""features.npy beside a folder's tables."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spx.dataset_names import file_stamps
from spx.datasets import OwnSettings, data_fingerprint
from spx.datasets.own import mapped, read_own

from .conftest import read
from .samples import NUM_NODES, write_folder

X = np.random.default_rng(0).random((NUM_NODES, 5)).astype(np.float32)


def folder_with(folder: Path, x: np.ndarray, **columns: object) -> str:
    path = write_folder(folder, **{"size": None, **columns})
    np.save(folder / "features.npy", x)
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_file_is_the_features(tmp_path: Path, dtype: type) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = read(folder_with(tmp_path, X.astype(dtype)))
    assert dataset.num_features == 5
    assert torch.equal(dataset.x, torch.from_numpy(X.astype(dtype)))
    assert dataset.class_names == ("blue", "green", "red")


def test_the_tensor_is_the_file(tmp_path: Path) -> None:
    dataset = read(folder_with(tmp_path, X))
    array = np.lib.format.open_memmap(tmp_path / "features.npy", "r+")
    array[3, 2] = 77
    assert dataset.x[3, 2] == 77


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_file_beside_columns_of_the_table(tmp_path: Path, caplog: pytest.LogCaptureFixture, dtype: type) -> None:
    sizes = [str(i % 7) for i in range(NUM_NODES)]
    alone = read(write_folder(tmp_path / "alone", size=sizes))
    path = folder_with(tmp_path / "both", X.astype(dtype), size=sizes)
    with caplog.at_level(logging.WARNING):
        dataset = read(path)
    assert dataset.x.dtype == torch.float32
    assert torch.equal(dataset.x[:, :1], alone.x), "standardised as ever"
    assert torch.equal(dataset.x[:, 1:], torch.from_numpy(X.astype(dtype)).float()), "as it is"
    assert dataset.feature_names == ("size", *(f"features[{i}]" for i in range(5)))
    assert dataset.features_file is None
    assert "joined in memory (7.2e-07 GB)" in caplog.text
    before = data_fingerprint(dataset)
    assert data_fingerprint(read(path, scaling="none")) == before, "of the values before they are scaled"
    np.save(tmp_path / "both" / "features.npy", (X + 1).astype(dtype))
    assert data_fingerprint(read(path)) != before
    applied = read_own(path, "public", 0, OwnSettings(), dataset.schema)
    assert torch.equal(applied.x[:, :1], dataset.x[:, :1])
    assert applied.num_features == 6


@pytest.mark.parametrize(
    ("x", "parts"),
    [
        (X[:-1], ["features.npy must be [N, F] with N = 30", "[29, 5]"]),
        (X[0], ["[5]"]),
        (X[:, :0], ["features.npy must be [N, F]", "[30, 0]"]),
        (X.astype(np.float64), ["float64", "float32 or float16"]),
        (X.astype(">f4"), [">f4"]),
        (np.asfortranarray(X), ["Fortran order"]),
        (np.where(np.arange(NUM_NODES)[:, None] % 3, X, np.nan), ["10 of 30 nodes hold NaN or infinity"]),
        (np.where(np.arange(NUM_NODES)[:, None] % 3, X, np.float32(1e20)), ["the features reach 1e+20"]),
    ],
)
def test_refused(tmp_path: Path, refused: Callable[..., str], x: np.ndarray, parts: list[str]) -> None:
    refused(folder_with(tmp_path, x), *parts)


def test_objects_are_not_read(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = folder_with(tmp_path, X)
    np.save(tmp_path / "features.npy", np.array([[object()]]), allow_pickle=True)
    refused(path, "features.npy is not a whole .npy")


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = folder_with(tmp_path, X)
    whole = (tmp_path / "features.npy").read_bytes()
    (tmp_path / "features.npy").write_bytes(whole[:-1])
    refused(path, "features.npy is not a whole .npy")


def test_a_finished_run_of_other_features_is_another(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "graph", X)
    before = file_stamps(path)
    np.save(tmp_path / "graph" / "features.npy", X[:, :4])
    assert file_stamps(path) != before
    assert set(before) == {"nodes.csv", "edges.csv", "features.npy"}


def test_a_broken_map_is_told_like_any_other_fault(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("No such device")

    monkeypatch.setattr(mapped.np.lib.format, "open_memmap", fail)
    refused(folder_with(tmp_path, X), "features.npy", "No such device")
