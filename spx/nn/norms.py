"""Normalisation over nodes, whose statistics can be those of all ranks' nodes. N nodes, on this rank."""

import torch
from torch import Tensor, nn

from spx.errors import ConfigError
from spx.nn.collectives import num_ranks, sum_over_ranks
from spx.nn.functional import at_least_fp32
from spx.nn.settings import NormName


class GraphNorm(nn.Module):
    """GraphNorm (Cai et al., ICML 2021) of one graph: standardise each channel over the nodes, keeping a learned
    share of its mean. Statistics are those of the nodes at hand, in training and evaluation alike.

    Over ranks, a node that several hold counts once for each, and all have to call at once.
    """

    over_ranks = False

    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.mean_scale = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` [N, width], in at least float32; N may be 0."""
        x = at_least_fp32(x)
        mean, _ = _mean(x, self.over_ranks)
        centred = x - self.mean_scale * mean
        variance, _ = _mean(centred.square(), self.over_ranks)
        return self.weight * centred / (variance + self.eps).sqrt() + self.bias


class BatchNorm(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d`, in training over the nodes of all ranks where that is asked for.

    A node that several ranks hold counts once for each. torch's own for several devices is for CUDA alone, and refuses
    a single node. One node or none has variance 0 here, and leaves the running statistics as they are.
    """

    over_ranks = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` [N, width]; N may be 0."""
        several = self.over_ranks and num_ranks() > 1
        if not self.training or (not several and x.shape[0] > 1):
            return super().forward(x)
        values = at_least_fp32(x)
        mean, count = _mean(values, several)
        variance, _ = _mean((values - mean).square(), several)
        with torch.no_grad():
            count = torch.as_tensor(count, dtype=mean.dtype, device=mean.device)
            told = (count > 1).to(mean.dtype)
            self.num_batches_tracked += told.long()
            self.running_mean.lerp_(mean, self.momentum * told)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum * told)
        return ((values - mean) / (variance + self.eps).sqrt() * self.weight + self.bias).to(x.dtype)


def make_norm(name: NormName, width: int) -> nn.Module:
    """Normalisation over nodes, "batch" or "graph"; over the channels of each node, "layer"; or "none"."""
    norms = {"batch": BatchNorm, "graph": GraphNorm, "layer": nn.LayerNorm, "none": nn.Identity}
    if name not in norms:
        raise ConfigError(f"norm is '{name}'. Choose one of {', '.join(norms)}.")
    return norms[name](width)


def normalize_over_ranks(network: nn.Module) -> None:
    """Let norms over nodes share their statistics over the ranks: batch norms in training, graph norms always."""
    for module in network.modules():
        if isinstance(module, BatchNorm | GraphNorm):
            module.over_ranks = True


def _mean(x: Tensor, over_ranks: bool) -> tuple[Tensor, Tensor | int]:
    """Mean over the nodes, [width], 0 of none; and their number."""
    if not (over_ranks and num_ranks() > 1):
        return x.sum(0) if x.shape[0] == 0 else x.mean(0), x.shape[0]
    sums = sum_over_ranks(torch.cat((x.sum(0), x.new_tensor([x.shape[0]]))))
    return sums[:-1] / sums[-1].clamp(min=1), sums[-1]
