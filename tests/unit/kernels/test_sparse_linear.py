"""The kernels of sparse features: dropout by the dense tensor's mask, and two products that are one."""

import pytest
import torch

from spx.graph.features import SparseFeatures
from spx.kernels import sparse_linear
from spx.kernels.cpu_dropout import dropout
from spx.kernels.sparse_linear import drop_entries, multiplied, weighted_sums

SEED = torch.tensor(2**62 - 5)


def sparse(num_rows: int = 40, num_columns: int = 33, dtype: torch.dtype = torch.float32) -> SparseFeatures:
    """An odd number of columns, so that the pairs of the mask lie over the ends of rows."""
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(num_rows, num_columns, generator=stream, dtype=dtype)
    return SparseFeatures.from_dense(x * (torch.rand(x.shape, generator=stream) < 0.3))


def dropped(x: SparseFeatures, p: float = 0.6, seed: torch.Tensor = SEED) -> torch.Tensor:
    values = drop_entries(x.indptr, x.indices, x.values, x.num_columns, p, seed)
    return SparseFeatures(x.indptr, x.indices, values, x.num_columns).to_dense()


@pytest.mark.parametrize("p", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_mask_is_that_of_the_dense_tensor(dtype: torch.dtype, p: float) -> None:
    x = sparse(dtype=dtype)
    assert dropped(x, p).equal(dropout(x.to_dense(), p, SEED))


def test_the_mask_is_the_same_in_threads_and_where_nothing_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sparse()
    one = dropped(x)
    monkeypatch.setattr(sparse_linear, "num_threads", lambda nanoseconds: 3)
    assert dropped(x).equal(one)
    assert not dropped(x, seed=torch.tensor(4)).equal(one)
    monkeypatch.setattr(sparse_linear, "can_compile", lambda: False)
    torch.testing.assert_close(dropped(x), one)


def test_half_precision_is_dropped_too() -> None:
    x = sparse().to(torch.bfloat16)
    assert (dropped(x) == 0).equal(dropped(sparse()) == 0)


def test_the_mask_goes_on_beyond_two_to_the_31() -> None:
    """Element numbers of a wide or long matrix don't wrap around."""
    one = torch.ones(2000)
    indptr, last = torch.arange(2001, dtype=torch.int32), torch.full((2000,), 2**31 - 2, dtype=torch.int32)
    kept = drop_entries(indptr, last, one, 2**31 - 1, 0.5, SEED) > 0
    place = torch.arange(2000) * (2**31 - 1) + 2**31 - 2
    bits = sparse_linear.random_bits(int(SEED), place // 2) >> (32 * (place % 2))
    assert kept.equal((bits & (2**32 - 1)) < 2**31)


@pytest.mark.parametrize("product", [weighted_sums, multiplied])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_rows", [0, 1, 40])
def test_both_products_are_the_dense_one(product, dtype: torch.dtype, num_rows: int, device: torch.device) -> None:
    x, table = sparse(num_rows, dtype=dtype), torch.randn(33, 5, dtype=dtype)
    found = product(*(part.to(device) for part in (x.indptr, x.indices, x.values, table)))
    torch.testing.assert_close(found.cpu(), x.to_dense() @ table)


def test_without_an_entry() -> None:
    x = SparseFeatures.from_dense(torch.zeros(4, 3))
    assert dropped(x).equal(torch.zeros(4, 3))
    assert weighted_sums(x.indptr, x.indices, x.values, torch.ones(3, 2)).equal(torch.zeros(4, 2))
