"""What a linear map over sparse features takes: dropout of their entries, and the product.

Dropping a zero changes nothing, so the entries alone are dropped, by the mask that `spx.kernels.cpu_dropout.dropout`
has for the features as a dense tensor: both forms then give the same numbers to rounding.
"""

import functools
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from spx.kernels.compiled_rows import can_compile, compile_rows, num_threads, row_ranges, run_over
from spx.kernels.cpu_dropout import FAST_DTYPES
from spx.kernels.noise import GAMMA, MIX_1, MIX_2, random_bits

NS_PER_ENTRY = 4


def drop_entries(indptr: Tensor, indices: Tensor, values: Tensor, num_columns: int, p: float, seed: Tensor) -> Tensor:
    """Values of the entries after dropout; each is zeroed with probability p, the others are divided by 1 - p.

    Args:
        indptr, indices, values: [N + 1], [Z] and [Z], compressed sparse rows.
        num_columns: F.
        p: in [0, 1).
        seed: [] int64, on the CPU.

    Returns:
        [Z].
    """
    keep = min(2**32, round((1 - p) * 2**32))
    if not (values.device.type == "cpu" and values.dtype in FAST_DTYPES and can_compile()):
        rows = torch.repeat_interleave(indptr.diff(), output_size=values.numel()).long()
        place = rows * num_columns + indices
        bits = random_bits(int(seed), place // 2)  # one number of 64 bits for two elements
        half = torch.where(place % 2 == 0, bits, bits >> 32) & (2**32 - 1)
        return torch.where(half < keep, values / (1 - p), 0)
    out = torch.empty_like(values)
    ranges = row_ranges(indptr, num_threads(NS_PER_ENTRY * values.numel()))
    given = [part.numpy() for part in (indptr, indices, values)]
    scale = given[-1].dtype.type(1 / (1 - p))
    seed_bits, keep_below = np.uint64(int(seed) % 2**64), np.uint64(keep)
    run_over(_kernel(), ranges, *given, np.uint64(num_columns), seed_bits, keep_below, scale, out.numpy())
    return out


def weighted_sums(indptr: Tensor, indices: Tensor, values: Tensor, table: Tensor) -> Tensor:
    """The product of a sparse matrix and a dense one: row i is the sum of `values[e] * table[indices[e]]` over its
    entries e.

    Args:
        indptr, indices, values: [N + 1], [Z] and [Z], compressed sparse rows of F columns.
        table: [F, C] of the values' type.

    Returns:
        [N, C].
    """
    if table.device.type == "cuda":
        return multiplied(indptr, indices, values, table)
    # On the CPU half as long as torch's sparse product
    return embedding_bag(indices, table, indptr, mode="sum", per_sample_weights=values, include_last_offset=True)


def multiplied(indptr: Tensor, indices: Tensor, values: Tensor, table: Tensor) -> Tensor:
    """`weighted_sums` by torch's sparse product."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Sparse CSR tensor support is in beta.*")
        size = (indptr.numel() - 1, table.shape[0])
        matrix = torch.sparse_csr_tensor(indptr, indices, values, size, check_invariants=False)
    return matrix @ table


@functools.cache
def _kernel() -> Callable:
    gamma, mix_1, mix_2 = np.uint64(GAMMA), np.uint64(MIX_1), np.uint64(MIX_2)
    first, second, third, one, half = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(1), np.uint64(32)
    low = np.uint64(2**32 - 1)

    def kernel(part, start, stop, indptr, indices, values, num_columns, seed, keep, scale, out):
        factors = np.array([0, scale], values.dtype)
        for row in range(start, stop):
            for e in range(indptr[row], indptr[row + 1]):
                place = np.uint64(row) * num_columns + np.uint64(indices[e])
                z = seed + ((place >> one) + one) * gamma
                z = (z ^ (z >> first)) * mix_1
                z = (z ^ (z >> second)) * mix_2
                z ^= z >> third
                bits = (z >> (half * (place & one))) & low
                out[e] = values[e] * factors[np.intp(bits < keep)]

    return compile_rows(kernel)
