"""The attention of this package: its formula, its constants, and the tensors that it is a function of.

Each row i is a node that attends; its edges e = (i <- j) lead to the nodes j that it attends to, and each has a type t.
For every head of width D, over the head's own slices:

    s_e = sum_d E1[t] K_j Q_i / sqrt(D) + E2[t]      the score of an edge
    m_e = exp(clamp(s_e / T, -8, 8))                 its mass, never 0 or infinite: the softmax needs no maximum
    mass_i = sum_e m_e
    p_e = m_e / mass_i                               its weight: a softmax over the row
    out_i = sum_e p_e V_j                            zero in an empty row

and backwards, from dO:

    dV_j += p_e dO_i
    ds_e = p_e (dO_i . V_j - dO_i . out_i) / T       zero where |s_e / T| is beyond the clamp
    dK_j += ds_e E1[t] Q_i / sqrt(D)     dQ_i += ds_e E1[t] K_j / sqrt(D)
    dE1[t] += ds_e K_j Q_i / sqrt(D)     dE2[t] += ds_e

after Exphormer (arXiv 2303.06147) and Spexphormer (arXiv 2411.16278). Who divides by sqrt(D):
`spx.nn.functional.attend`, once. What the kernels are given as `edge_scale` is E1 / sqrt(D), and they don't divide.

What the backward needs of the forward is `out` and `mass`: 4 N (H D + H) bytes, whatever the number of edges.

Letters: N rows, N_in nodes attended to, M edges, H heads, D head width.
"""

from enum import IntEnum
from typing import NamedTuple

from torch import Tensor

SCORE_BOUND = 8.0  # of the clamp


class EdgeType(IntEnum):
    """Kind of an attention edge; the index into each layer's edge-type embedding."""

    GRAPH = 0
    EXPANDER = 1
    SELF_LOOP = 2


NUM_EDGE_TYPES = len(EdgeType)


class Rows(NamedTuple):
    """Which edges there are.

    Args:
        indptr: [N + 1] int64; row i has the edges `indptr[i]:indptr[i + 1]`.
        source: [M] int32, position of the node attended to among the N_in.
        edge_type: [M] uint8, see `EdgeType`.
    """

    indptr: Tensor
    source: Tensor
    edge_type: Tensor

    @property
    def num_edges(self) -> int:
        return self.source.numel()


class Scoring(NamedTuple):
    """What makes scores of queries and keys.

    Args:
        edge_scale: E1 / sqrt(D), [3, H, D].
        edge_bias: E2, [3, H].
        temperature: T, [], above 0.
    """

    edge_scale: Tensor
    edge_bias: Tensor
    temperature: Tensor
