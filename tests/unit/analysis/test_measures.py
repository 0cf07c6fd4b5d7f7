import math

import pytest
import torch
from torch import Tensor

from spx.analysis.measures import edge_type_shares, normalized_entropy
from spx.graph.csr import AttentionGraph

# Rows of 2, 0, 4, 1 and 3 edges.
GRAPH = AttentionGraph(
    indptr=torch.tensor([0, 2, 2, 6, 7, 10]),
    source=torch.tensor([0, 1, 0, 1, 2, 3, 4, 0, 1, 4], dtype=torch.int32),
    edge_type=torch.tensor([0, 2, 0, 0, 1, 2, 2, 1, 1, 2], dtype=torch.uint8),
)
WEIGHTS = torch.tensor([0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 1.0, 0.7, 0.2, 0.1])


def test_entropy_by_hand() -> None:
    entropy = normalized_entropy(GRAPH, WEIGHTS)
    third = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1)) / math.log(3)
    assert entropy[[0, 2, 4]].tolist() == pytest.approx([1, 1, third])
    assert entropy.shape == (5,)


def test_rows_without_a_choice_give_nan_and_drop_out_of_the_mean() -> None:
    entropy = normalized_entropy(GRAPH, WEIGHTS)
    assert entropy.isnan().tolist() == [False, True, False, True, False]
    assert entropy.nanmean() == pytest.approx(float(entropy[[0, 2, 4]].mean()))


def test_all_on_one_edge_is_entropy_zero() -> None:
    one_hot = torch.tensor([0.0, 1, 0, 0, 1, 0, 1, 1, 0, 0])
    assert normalized_entropy(GRAPH, one_hot)[[0, 2, 4]].tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_entropy_takes_any_precision(dtype: torch.dtype) -> None:
    expected = normalized_entropy(GRAPH, WEIGHTS)
    torch.testing.assert_close(
        normalized_entropy(GRAPH, WEIGHTS.to(dtype)), expected, atol=5e-3, rtol=0, equal_nan=True
    )


def test_shares_by_hand() -> None:
    shares = edge_type_shares(GRAPH, WEIGHTS)
    assert shares.tolist() == pytest.approx([1.0 / 4, 1.15 / 4, 1.85 / 4])


@pytest.mark.parametrize(
    ("weights", "shares"),
    [(torch.full((10,), 3.0), [0.3, 0.3, 0.4]), (torch.eye(10)[4], [0, 1, 0]), (torch.eye(10)[9] * 7, [0, 0, 1])],
    ids=["any scale", "expander", "self-loop"],
)
def test_shares_sum_to_one_and_count_all_types(weights: Tensor, shares: list[float]) -> None:
    assert edge_type_shares(GRAPH, weights).tolist() == pytest.approx(shares)


def test_a_type_without_edges_has_share_zero() -> None:
    graph = GRAPH._replace(edge_type=torch.zeros(10, dtype=torch.uint8))
    assert edge_type_shares(graph, WEIGHTS).tolist() == [1, 0, 0]


def test_shares_of_millions_of_edges_keep_their_digits() -> None:
    number = 3_000_000
    graph = AttentionGraph(
        torch.tensor([0, number]), torch.zeros(number, dtype=torch.int32), (torch.arange(number) % 3).to(torch.uint8)
    )
    shares = edge_type_shares(graph, torch.full((number,), 0.1, dtype=torch.float32))
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=1e-12)
