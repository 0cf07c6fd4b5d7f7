"""The first layer, which reads the features as they are, on disk or not."""

import torch
from torch import Tensor, nn

from spx.kernels.linear import linear_by_rows


class FeatureEncoder(nn.Linear):
    """`nn.Linear` over the raw features, in the precision of its weights, whatever autocast is on.

    Autocast would hold all features once more, and features above 65,504 are infinite in float16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[N_0, F] of any floating dtype to [N_0, width]. Other dtypes than the weights' are converted by chunks."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x) if x.dtype == self.weight.dtype else linear_by_rows(x, self.weight, self.bias)
