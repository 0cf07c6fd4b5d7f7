"""The first layer, which reads the features as they are, dense or sparse, on disk or not."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spx.graph.features import Features, SparseFeatures
from spx.kernels.linear import linear_by_rows
from spx.kernels.sparse_linear import drop_entries, weighted_sums


class FeatureEncoder(nn.Linear):
    """`nn.Linear` over the raw features, in the precision of its weights, whatever autocast is on.

    Autocast would hold all features once more, and features above 65,504 are infinite in float16.

    Args:
        num_features: F.
        width: of the node states.
        dropout: probability by which features are dropped out in training.
    """

    def __init__(self, num_features: int, width: int, dropout: float = 0.0):
        super().__init__(num_features, width)
        self.dropout = dropout

    def forward(self, x: Features) -> Tensor:
        """[N_0, F] of any floating dtype to [N_0, width]. Converted and dropped features are held by chunks.

        Sparse features get no gradient, and give what the same features do as a dense tensor, to rounding.
        """
        p = self.dropout if self.training else 0.0
        with torch.autocast(x.device.type, enabled=False):
            if not p and x.dtype == self.weight.dtype and not isinstance(x, SparseFeatures):
                return super().forward(x)
            seed = torch.randint(2**62, ()) if p else torch.zeros((), dtype=torch.int64)
            if isinstance(x, SparseFeatures):
                return sparse_linear(x, self.weight, p, seed) + self.bias
            return linear_by_rows(x, self.weight, self.bias, p, seed)


def sparse_linear(x: SparseFeatures, weight: Tensor, p: float = 0.0, seed: Tensor | None = None) -> Tensor:
    """dropout(x) W^T in the precision of W, with a gradient for W alone.

    Args:
        x: [N, F].
        weight: W, [C, F].
        p: probability of the dropout, in [0, 1).
        seed: [] int64 of its mask, see `spx.kernels.sparse_linear.drop_entries`.

    Returns:
        [N, C].
    """
    return _SparseLinear.apply(weight, x, p, seed)


class _SparseLinear(torch.autograd.Function):
    """Forward over the rows of x, backward over its columns: either way sums over entries, without a race."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: SparseFeatures, p: float, seed: Tensor | None) -> Tensor:
        values = x.values.to(weight.dtype)
        if p:
            values = drop_entries(x.indptr, x.indices, values, x.num_columns, p, seed)
        ctx.x, ctx.values = x, values
        return weighted_sums(x.indptr, x.indices, values, weight.t().contiguous())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None, None, None]:
        indptr, rows, order = ctx.x.columns
        return weighted_sums(indptr, rows, ctx.values[order], grad_out.contiguous()).t(), None, None, None
