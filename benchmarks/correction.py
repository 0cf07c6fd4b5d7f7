"""The sampled softmax with and without the sampling probabilities: bias on small rows, accuracy on Minesweeper.

A row's K edges are those of the smallest keys e_j / p_j, e_j exponential. Given tau, the smallest key that is left out,
edge j is in with probability pi_j = 1 - exp(-p_j tau), so sums over the sample weighted by 1 / pi_j estimate sums over
the row without bias (rank conditioning of bottom-k samples). Numerator and denominator of a softmax are such sums:
exp(s_j) / pi_j = exp(s_j - log pi_j), each kept logit less the logarithm of its inclusion probability.
"""

import math
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import binary_auroc

from benchmarks.common import arguments, report
from spx.data import AugmentedGraphData
from spx.graph.csr import AttentionGraph
from spx.nn import attention
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

K, EPOCHS, DRAWS = (12, 5, 5, 5), 80, 5
SMALL_ROW, TRIALS = 8, 200_000
BEYOND = 40.0
"""Offset of a slot that a short row leaves empty: its weight is e^-40."""


class OffsetTable(NamedTuple):
    """A neighbour table whose logits lose `offset` [N, K]."""

    neighbors: Tensor
    edge_type: Tensor
    offset: Tensor

    @property
    def num_nodes(self) -> int:
        return self.neighbors.shape[0]


def attend(query, key, value, table, edge_scale, edge_bias, temperature=1.0, need_weights=False):
    """`spx.nn.functional.attend` with the table's offsets."""
    kind, neighbors = table.edge_type.long(), table.neighbors.long()
    scores = (query[:, None] * edge_scale[kind] * key[neighbors]).sum(-1) / math.sqrt(query.shape[-1])
    logits = (scores + edge_bias[kind]).clamp(-8, 8) - table.offset[..., None]
    return (logits.softmax(1)[..., None] * value[neighbors]).sum(1), None


def sample(p: Tensor, k: int, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """K places of each row of `p` [N, width], 0 where there is no edge, and the logarithms of their pi."""
    keys = torch.empty_like(p).exponential_(generator=stream) / p
    smallest, place = keys.topk(k + 1, largest=False)
    share = p.gather(1, place[:, :k])
    pi = torch.where(smallest[:, k:].isinf(), 1.0, -torch.expm1(-share * smallest[:, k:]))
    return place[:, :k], pi.clamp(min=1e-6).log()


def bias() -> list[dict]:
    """Distance of the sampled softmax's mean from the full one, over draws from one row of random logits and values."""
    stream = torch.Generator().manual_seed(0)
    logits, values = (torch.randn(SMALL_ROW, generator=stream) for _ in range(2))
    weights = torch.randn(SMALL_ROW, generator=stream).softmax(0)
    full = float(logits.softmax(0) @ values)
    rows = []
    for name, p in (
        ("uniform", torch.ones(SMALL_ROW)),
        ("by score", weights),
        ("by its own logits", logits.softmax(0)),
    ):
        for k in (2, 3, 5):
            place, log_pi = sample(p.expand(TRIALS, -1), k, stream)
            row = {"row": f"{SMALL_ROW} edges, drawn {name}", "k": k}
            for correction, offset in (("plain", torch.zeros(())), ("corrected", log_pi)):
                out = ((logits[place] - offset).softmax(1) * values[place]).sum(1)
                row |= {f"{correction}: bias": float(out.mean()) - full, f"{correction}: spread": float(out.std())}
            rows.append(row)
    return rows


class Sampler:
    """Draws tables from the estimator's scores, in the padded layout that is simplest."""

    def __init__(self, graph: AttentionGraph, scores_LM: Tensor, seed: int):
        degrees = graph.degrees()
        column = torch.arange(int(degrees.max()))
        self.graph, self.stream = graph, torch.Generator().manual_seed(seed)
        self.inside = column < degrees[:, None]
        self.place = graph.indptr[:-1, None] + torch.where(self.inside, column, 0)
        self.shares = [torch.where(self.inside, scores[self.place].clamp(min=1e-12), 0.0) for scores in scores_LM]

    def draw(self, corrected: bool) -> list[OffsetTable]:
        tables = []
        for share, k in zip(self.shares, K, strict=True):
            column, log_pi = sample(share, k, self.stream)
            empty, edges = ~self.inside.gather(1, column), self.place.gather(1, column)
            offset = torch.where(empty, BEYOND, log_pi if corrected else 0.0)
            tables.append(OffsetTable(self.graph.source[edges], self.graph.edge_type[edges], offset))
        return tables


def accuracy(seed: int, corrected: bool, epochs: int, data: AugmentedGraphData, scores_LM: Tensor) -> float:
    """Test ROC-AUC in percent of the paper's wide network on Minesweeper, at its best epoch of validation."""
    dataset, sampler = data.dataset, Sampler(data.graph, scores_LM, seed)
    torch.manual_seed(seed)
    network = GraphTransformer(
        dataset.num_features,
        2,
        TransformerSettings(width=32, num_layers=len(K), num_heads=4, num_pre_layers=0, dropout=0.2),
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    judged = [sampler.draw(corrected) for _ in range(DRAWS)]
    x, y, split = dataset.x.float(), dataset.y, dataset.split
    best = (0.0, 0.0)
    for _ in range(epochs):
        loss = cross_entropy(network.train()(x, sampler.draw(corrected))[split.train], y[split.train])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            network.eval()
            chances = [network(x, tables).softmax(-1)[:, 1] for tables in judged]
            val = float(binary_auroc(chances[0][split.val], y[split.val]))
            if val > best[0]:
                best = (val, float(binary_auroc(torch.stack(chances).mean(0)[split.test], y[split.test])))
    return 100 * best[1]


def estimator_scores(data: AugmentedGraphData, seed: int, epochs: int) -> Tensor:
    """[L, M] by an estimator with the authors' settings for Minesweeper, its last epoch's."""
    dataset = data.dataset
    torch.manual_seed(seed)
    network = GraphTransformer(
        dataset.num_features,
        2,
        TransformerSettings(width=4, num_layers=len(K), num_heads=1, norm="graph", normalize_values=True),
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=1e-3)
    train = dataset.split.train
    for epoch in range(epochs):
        network.temperature.fill_(max(0.05, 0.99 ** max(0, epoch - 5)))
        loss = cross_entropy(network(dataset.x.float(), (data.graph,))[train], dataset.y[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        weights = network.eval().attention_weights(dataset.x.float(), (data.graph,))
        return torch.stack([each.mean(-1) for each in weights])


def main() -> None:
    small = arguments(__doc__).small
    rows = bias()
    headline = {
        "largest_bias_plain": max(abs(row["plain: bias"]) for row in rows),
        "largest_bias_corrected": max(abs(row["corrected: bias"]) for row in rows),
    }
    for seed in range(1 if small else 3):
        data = AugmentedGraphData("minesweeper-sim" if small else "minesweeper", seed=seed, expander_degree=15)
        scores = estimator_scores(data, seed, 2 if small else 100)
        with patch.object(attention, "attend", attend):
            test = {
                name: accuracy(seed, name == "corrected", 2 if small else EPOCHS, data, scores)
                for name in ("plain", "corrected")
            }
        rows.append({"row": data.dataset_name, "seed": seed} | {f"{name}: test ROC-AUC": test[name] for name in test})
    report("correction", rows, headline, small)


if __name__ == "__main__":
    main()
