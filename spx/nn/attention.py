"""The attention block that both stages share: one set of parameters, two neighbourhoods."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from spx.errors import ConfigError
from spx.nn.functional import Neighborhood, at_least_fp32, attend

INITIAL_VALUE_SCALE = 0.25


class SparseAttention(nn.Module):
    """Multi-head attention of each node over its neighbourhood (formula: `spx.kernels.formula`).

    Args:
        width: of the node states, H * D.
        num_heads: H.
        edge_width: of the edge-type embedding, from which E1 and E2 are projected.
        normalize_values: give each V_j unit length times one learned scale, so that the length of V can't hide
            importance outside the scores (the estimator's setting).

    Raises:
        ConfigError: `num_heads` doesn't divide `width`.
    """

    def __init__(self, width: int, num_heads: int, edge_width: int, normalize_values: bool = False):
        super().__init__()
        if num_heads < 1 or width % num_heads:
            raise ConfigError(f"num_heads is {num_heads}, which doesn't divide width {width}. Choose a divisor.")
        self.num_heads = num_heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.edge_scale = nn.Linear(edge_width, width, bias=False)
        self.edge_bias = nn.Linear(edge_width, num_heads, bias=False)
        self.value_scale = nn.Parameter(torch.tensor(INITIAL_VALUE_SCALE)) if normalize_values else None

    def forward(
        self,
        x: Tensor,
        neighborhood: Neighborhood,
        edge_embedding: Tensor,
        temperature: Tensor | float = 1.0,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            x: [N_in, width]; the attending nodes are its first N rows.
            neighborhood: of the N attending nodes, positions among the N_in.
            edge_embedding: [3, edge_width].
            temperature: T.
            need_weights: whether the weights are returned; they carry no gradient.

        Returns:
            [N, width], and the weights or None as `spx.nn.functional.attend` gives them.
        """
        num_nodes = neighborhood.num_nodes
        out, weights = attend(
            self._heads(self.query(x[:num_nodes])),
            self._heads(self.key(x)),
            self.values(x),
            neighborhood,
            self._heads(self.edge_scale(edge_embedding)),
            self.edge_bias(edge_embedding),
            temperature,
            need_weights,
        )
        return out.flatten(1), weights

    def values(self, x: Tensor) -> Tensor:
        """V of the nodes `x` [N_in, width]: [N_in, H, D]."""
        value = self._heads(self.value(x))
        return value if self.value_scale is None else self.value_scale * normalize(at_least_fp32(value), dim=-1)

    def _heads(self, tensor: Tensor) -> Tensor:
        return tensor.unflatten(-1, (self.num_heads, -1))
