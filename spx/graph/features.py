"""Features of nodes: a dense tensor, or the few entries of a bag of words.

N nodes, F features, Z entries that are stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CHUNK_ELEMENTS = 1 << 24
"""Of dense features that are handled at a time."""
FEW = 0.1
"""Below this share of entries features are worth being stored sparse."""


class Columns(NamedTuple):
    """Entries by column: those of column j are `indptr[j]:indptr[j + 1]` of the other two.

    Args:
        indptr: [F + 1].
        rows: [Z], ascending within a column.
        order: [Z], places of the entries in their order by row.
    """

    indptr: Tensor
    rows: Tensor
    order: Tensor


@dataclass(eq=False)
class SparseFeatures:
    """Features [N, F] as compressed sparse rows: what isn't stored is zero.

    It takes rows and moves between devices as a tensor does, so batches of nodes need not know which one they have.
    torch's own CSR tensors take no rows by number.

    Args:
        indptr: [N + 1], entries of row i are `indptr[i]:indptr[i + 1]` of the other two; int32 where Z allows.
        indices: [Z] columns, of the same type, ascending within a row and all different.
        values: [Z], floating.
        num_columns: F.

    Example:
        >>> x = SparseFeatures.from_dense(torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 3.0]]))
        >>> x.shape, x.num_entries
        (torch.Size([3, 3]), 3)
        >>> x[torch.tensor([2, 1])].to_dense()
        tensor([[1., 0., 3.],
                [0., 0., 0.]])
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    num_columns: int

    @classmethod
    def from_dense(cls, x: Tensor) -> "SparseFeatures":
        """The entries of [N, F] that are not zero, a block of rows at a time."""
        counts, indices, values = [x.new_zeros(1, dtype=torch.int64)], [], []
        for block in row_chunks(x):
            row, column = block.nonzero(as_tuple=True)
            counts.append(torch.bincount(row, minlength=len(block)))
            indices.append(column.int())
            values.append(block[row, column])
        return cls._of(torch.cat(counts).cumsum(0), torch.cat(indices), torch.cat(values), x.size(1))

    @classmethod
    def from_scipy(cls, matrix: Any) -> "SparseFeatures":
        """Of any sparse matrix of SciPy, in float32. Entries at the same place are added up, zeros left out.

        Raises:
            ValueError: its parts don't fit one another.
        """
        import numpy as np
        from scipy.sparse import csr_matrix

        matrix = csr_matrix(matrix, copy=True)
        matrix.check_format(full_check=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        with np.errstate(over="ignore"):  # what overflows is infinite, and refused where datasets are checked
            values = matrix.data.astype(np.float32)
        return cls._of(*map(torch.from_numpy, (matrix.indptr, matrix.indices, values)), matrix.shape[1])

    @classmethod
    def _of(cls, indptr: Tensor, indices: Tensor, values: Tensor, num_columns: int) -> "SparseFeatures":
        """With numbers as small as they can be: of one type, as SciPy and torch want them."""
        dtype = torch.int32 if max(values.numel(), num_columns) < 2**31 else torch.int64
        return cls(indptr.to(dtype), indices.to(dtype), values, num_columns)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((self.indptr.numel() - 1, self.num_columns))

    @property
    def num_entries(self) -> int:
        """Z."""
        return self.values.numel()

    @property
    def nbytes(self) -> int:
        """Bytes in memory or on disk, as a tensor's."""
        return sum(part.nbytes for part in (self.indptr, self.indices, self.values))

    @property
    def dtype(self) -> torch.dtype:
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        return self.values.device

    def size(self, dim: int) -> int:
        return self.shape[dim]

    def dim(self) -> int:
        return 2

    def numel(self) -> int:
        """N F."""
        return self.shape.numel()

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"SparseFeatures({list(self.shape)}, {self.num_entries:,} entries, {self.dtype}, {self.device})"

    def to(self, *args: Any, **kwargs: Any) -> "SparseFeatures":
        """On another device, or with values of another type, as `Tensor.to`."""
        values = self.values.to(*args, **kwargs)
        if values is self.values:
            return self
        place = {"device": values.device, "non_blocking": kwargs.get("non_blocking", False)}
        return SparseFeatures(self.indptr.to(**place), self.indices.to(**place), values, self.num_columns)

    def __getitem__(self, rows: Tensor | slice) -> "SparseFeatures":
        """Some rows: a range of them shares memory, others are copied.

        Args:
            rows: a slice without a step, or what numbers rows of a tensor: [n] int64, or a mask [N].

        Raises:
            IndexError: there is no such row.
        """
        if not isinstance(rows, slice):
            taken = self.to_scipy()[rows.cpu().numpy()]  # several times as fast as torch's operations
            parts = (torch.from_numpy(part).to(self.device) for part in (taken.indptr, taken.indices, taken.data))
            return self._of(*parts, self.num_columns)
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError(f"rows are taken in their order, not by steps of {step}")
        indptr = self.indptr[start : max(start, stop) + 1]
        first, last = int(indptr[0]), int(indptr[-1])
        return SparseFeatures(indptr - first, self.indices[first:last], self.values[first:last], self.num_columns)

    def split(self, num_rows: int) -> Iterable["SparseFeatures"]:
        """Ranges of so many rows, as `Tensor.split`."""
        return (self[start : start + num_rows] for start in range(0, len(self), num_rows))

    def rows(self) -> Tensor:
        """Row of each entry, [Z] int64, ascending."""
        return torch.repeat_interleave(self.indptr.diff(), output_size=self.num_entries)

    def to_dense(self) -> Tensor:
        """[N, F]."""
        return self.values.new_zeros(self.shape).index_put_((self.rows(), self.indices.long()), self.values)

    def to_scipy(self) -> "csr_matrix":
        """The same entries, sharing memory, on the CPU."""
        from scipy.sparse import csr_matrix

        parts = (part.cpu().numpy() for part in (self.values, self.indices, self.indptr))
        return csr_matrix(tuple(parts), shape=tuple(self.shape))

    @cached_property
    def columns(self) -> Columns:
        """The entries by column, found once: what a gradient of weights adds up."""
        if self.device.type != "cpu":
            return sorted_columns(self)
        from scipy.sparse import csr_matrix

        numbers = torch.arange(self.num_entries, dtype=self.indptr.dtype)
        by_row = csr_matrix((numbers.numpy(), self.indices.numpy(), self.indptr.numpy()), shape=tuple(self.shape))
        by_column = by_row.tocsc()  # a counting sort
        parts = (by_column.indptr, by_column.indices, by_column.data)
        return Columns(*(torch.from_numpy(part).to(numbers.dtype) for part in parts))


def sorted_columns(x: SparseFeatures) -> Columns:
    """`x.columns` on any device."""
    dtype = x.indptr.dtype
    order = torch.argsort(x.indices, stable=True)
    counts = torch.bincount(x.indices, minlength=x.num_columns)
    indptr = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
    return Columns(indptr.to(dtype), x.rows()[order].to(dtype), order.to(dtype))


Features = Tensor | SparseFeatures
"""[N, F], in either form."""


def row_chunks(x: Features, elements: int | None = None) -> Iterable[Any]:
    """The rows of features [N, F], some at a time: they may be larger than the memory.

    Args:
        x: of either form.
        elements: of a chunk at most, but for one row; default: `CHUNK_ELEMENTS`.
    """
    return x.split(max(1, (elements or CHUNK_ELEMENTS) // max(1, x.size(1))))


def has_few_entries(x: Tensor) -> bool:
    """Whether less than a tenth of [N, F] is not zero. Looks at no more of it than it takes."""
    left = FEW * x.numel()
    for block in row_chunks(x):
        left -= int(torch.count_nonzero(block))
        if left <= 0:
            return False
    return True
