"""The first layer, which reads the features as they are, on disk or not."""

import torch
from torch import Tensor, nn

from spx.kernels.linear import linear_by_rows


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

    def forward(self, x: Tensor) -> Tensor:
        """[N_0, F] of any floating dtype to [N_0, width]. Converted and dropped features are held by chunks."""
        p = self.dropout if self.training else 0.0
        with torch.autocast(x.device.type, enabled=False):
            if x.dtype == self.weight.dtype and not p:
                return super().forward(x)
            seed = torch.randint(2**62, ()) if p else torch.zeros((), dtype=torch.int64)
            return linear_by_rows(x, self.weight, self.bias, p, seed)
