"""Attention rolled out by hand."""

import torch

from spx.explanation.rollout import rollout
from spx.graph.csr import AttentionGraph


def graph(indptr: list[int], source: list[int]) -> AttentionGraph:
    return AttentionGraph(torch.tensor(indptr), torch.tensor(source).int(), torch.zeros(len(source), dtype=torch.uint8))


def test_two_layers_of_three_nodes_by_hand() -> None:
    first = graph([0, 2, 3, 4], [1, 2, 2, 0])  # 0 attends to 1 and 2, 1 to 2, 2 to 0
    second = graph([0, 2, 3, 4], [0, 1, 0, 1])
    weights = [torch.tensor([0.75, 0.25, 1.0, 1.0]), torch.tensor([0.4, 0.6, 1.0, 1.0])]
    # A_2 row 0: (1 + 0.4) / 2 = 0.7 of node 0, 0.3 of node 1
    # A_1 row 0: 0.5, 0.375, 0.125; row 1: 0, 0.5, 0.5
    expected = torch.tensor([0.7 * 0.5, 0.7 * 0.375 + 0.3 * 0.5, 0.7 * 0.125 + 0.3 * 0.5], dtype=torch.float64)
    torch.testing.assert_close(rollout([first, second], weights, torch.tensor([0]), 3), expected)
    dense = [torch.zeros(3, 3, dtype=torch.float64) for _ in range(2)]
    for matrix, rows, weight in zip(dense, (first, second), weights, strict=True):
        matrix[rows.rows(), rows.source.long()] = weight.double()
    product = (dense[1] + torch.eye(3)) / 2 @ ((dense[0] + torch.eye(3)) / 2)
    torch.testing.assert_close(product[0], expected)
    torch.testing.assert_close(rollout([first, second], weights, torch.tensor([1, 2]), 3), product[1:].sum(0))


def test_fewer_nodes_leave_a_layer_than_enter_and_an_empty_row_keeps_what_it_is() -> None:
    share = rollout([graph([0, 2, 2], [2, 3])], [torch.tensor([0.5, 0.5])], torch.tensor([0, 1]), 4)
    torch.testing.assert_close(share, torch.tensor([0.5, 1.0, 0.25, 0.25], dtype=torch.float64))
