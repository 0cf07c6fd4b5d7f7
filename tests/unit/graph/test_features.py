"""Sparse features against the dense tensor that they stand for."""

import math
import pickle

import numpy as np
import pytest
import scipy.sparse
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from spx.graph import features
from spx.graph.features import SparseFeatures, has_few_entries, row_chunks


def dense(num_rows: int = 9, num_columns: int = 7, dtype: torch.dtype = torch.float32) -> Tensor:
    """About a fifth of it isn't zero; the first and the last row, and a column, are."""
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(num_rows, num_columns, generator=stream)
    x = x * (torch.rand(x.shape, generator=stream) < 0.2)
    x[[0, -1]] = 0
    x[:, 2] = 0
    return x.to(dtype)


@pytest.mark.parametrize("chunk", [1, 20, 1 << 24])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_entries_of_a_dense_tensor_are_all_of_it(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, chunk: int
) -> None:
    monkeypatch.setattr(features, "CHUNK_ELEMENTS", chunk)
    x = dense(dtype=dtype)
    sparse = SparseFeatures.from_dense(x)
    assert sparse.to_dense().equal(x)
    assert (sparse.shape, sparse.dtype, sparse.dim(), len(sparse), sparse.numel()) == (x.shape, dtype, 2, 9, 63)
    assert (sparse.size(0), sparse.size(-1)) == (9, 7)
    assert sparse.num_entries == int(x.count_nonzero())
    assert sparse.indptr.dtype == sparse.indices.dtype == torch.int32


def test_what_is_no_number_is_an_entry_and_a_minus_zero_is_none() -> None:
    sparse = SparseFeatures.from_dense(torch.tensor([[-0.0, 0.0], [math.nan, math.inf]]))
    assert sparse.indptr.tolist() == [0, 0, 2]
    torch.testing.assert_close(sparse.values, torch.tensor([math.nan, math.inf]), equal_nan=True)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 2)])
def test_without_an_entry(shape: tuple[int, int]) -> None:
    sparse = SparseFeatures.from_dense(torch.zeros(shape))
    assert (sparse.num_entries, sparse.shape) == (0, shape)
    assert sparse.to_dense().equal(torch.zeros(shape))
    assert sparse[torch.arange(shape[0])].to_dense().equal(torch.zeros(shape))


@pytest.mark.parametrize(
    "rows",
    [
        slice(2, 6),
        slice(None),
        slice(-3, None),
        slice(5, 2),
        slice(0, 0),
        torch.tensor([3, 3, 0, 8, 1]),
        torch.tensor([-1, 2]),
        torch.tensor([], dtype=torch.int64),
        torch.arange(9) % 2 == 0,
    ],
)
def test_rows_are_those_of_the_dense_tensor(rows: Tensor | slice) -> None:
    x = dense()
    taken = SparseFeatures.from_dense(x)[rows]
    assert taken.to_dense().equal(x[rows])
    assert taken.shape == x[rows].shape
    assert taken.indptr.dtype == taken.indices.dtype == torch.int32


def test_a_range_of_rows_shares_memory() -> None:
    sparse = SparseFeatures.from_dense(dense())
    assert sparse[3:].values.untyped_storage().data_ptr() == sparse.values.untyped_storage().data_ptr()


def test_rows_that_are_not_there_are_refused() -> None:
    sparse = SparseFeatures.from_dense(dense())
    with pytest.raises(IndexError):
        sparse[torch.tensor([9])]
    with pytest.raises(ValueError, match="steps of 2"):
        sparse[::2]


@pytest.mark.parametrize("chunk", [1, 14, 21, 1000])
def test_chunks_of_rows(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(features, "CHUNK_ELEMENTS", chunk)
    x = dense()
    parts = [part.to_dense() for part in row_chunks(SparseFeatures.from_dense(x))]
    assert len(parts) == len(list(row_chunks(x)))
    assert torch.cat(parts).equal(x)


def test_columns_list_the_entries_of_the_transpose() -> None:
    x = dense()
    sparse = SparseFeatures.from_dense(x)
    for indptr, rows, order in (sparse.columns, features.sorted_columns(sparse)):
        assert SparseFeatures(indptr, rows, sparse.values[order], 9).to_dense().equal(x.t())
        assert indptr.dtype == rows.dtype == sparse.indptr.dtype


def test_of_scipy_in_any_form_with_entries_twice_out_of_order_and_zero() -> None:
    entries = np.array([1.0, 2.0, 4.0, 0.0, 3.0]), (np.array([2, 0, 2, 1, 0]), np.array([1, 3, 1, 0, 0]))
    matrix = scipy.sparse.coo_matrix(entries, (3, 4))
    wanted = torch.from_numpy(matrix.toarray()).float()
    for form in ("coo", "csr", "csc", "lil"):
        sparse = SparseFeatures.from_scipy(matrix.asformat(form))
        assert sparse.to_dense().equal(wanted)
        assert sparse.indices.tolist() == [0, 3, 1]
        assert sparse.dtype == torch.float32
    assert matrix.nnz == 5, "what was given is left as it was"


def test_scipys_parts_must_fit() -> None:
    matrix = scipy.sparse.csr_matrix(dense().numpy())
    matrix.indices[0] = 99
    with pytest.raises(ValueError, match="indices"):
        SparseFeatures.from_scipy(matrix)


def test_they_travel_as_tensors_do() -> None:
    sparse = SparseFeatures.from_dense(dense())
    assert pickle.loads(pickle.dumps(sparse)).to_dense().equal(sparse.to_dense())
    assert move_data_to_device([sparse], torch.device("cpu"))[0] is sparse
    assert move_data_to_device([sparse], torch.device("meta"))[0].indices.device.type == "meta"
    doubled = apply_to_collection([sparse], Tensor, lambda x: x.double() if x.is_floating_point() else x)[0]
    assert doubled.dtype == torch.float64
    assert doubled.to_dense().equal(dense().double())
    assert sparse.to(torch.float64).to_dense().equal(dense().double())


@pytest.mark.parametrize(("entries", "few"), [(0, True), (9, True), (10, False), (100, False)])
def test_few_entries_are_less_than_a_tenth(entries: int, few: bool) -> None:
    x = torch.zeros(100)
    x[:entries] = 1
    assert has_few_entries(x.view(10, 10)) is few
