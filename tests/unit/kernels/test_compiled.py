"""What the compiled kernels are on disk and with numbers that are none."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spx.graph.csr import augment
from spx.graph.sampling import sample_neighbors
from spx.kernels.compiled_rows import can_compile
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

pytestmark = pytest.mark.skipif(not can_compile(), reason="numba is not installed")

USE_EVERY_KERNEL = """
import torch
from spx.graph.csr import augment
from spx.graph.sampling import sample_neighbors
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings
graph = augment(torch.tensor([[0, 1, 2], [1, 2, 0]]), 4)
network = GraphTransformer(3, 2, TransformerSettings(width=4, num_layers=1, num_heads=2, dropout=0.5))
network(torch.randn(4, 3), (graph,)).sum().backward()
weights, = network.attention_weights(torch.randn(4, 3), (graph,))
sample_neighbors(graph, weights[:, 0].contiguous(), 2, 0)
sample_neighbors(graph, None, 2, 0, "uniform")
"""


@pytest.mark.full
def test_a_second_process_finds_every_kernel_compiled(tmp_path: Path) -> None:
    def kernels() -> dict[Path, int]:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-c", USE_EVERY_KERNEL], env=environment, check=True, timeout=300)
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}

    first = kernels()
    assert len(first) >= 5, "forwards, backwards, weights, sampling with and without weights, dropout"
    assert kernels() == first


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e38])
@pytest.mark.parametrize("name", ["query", "key", "edge_scale", "edge_bias"])
def test_weights_that_are_no_numbers_are_no_way_out_of_memory(value: float, name: str) -> None:
    torch.manual_seed(0)
    graph = augment(torch.randint(20, (2, 60)), 20)
    network = GraphTransformer(3, 2, TransformerSettings(width=4, num_layers=2, num_heads=1, norm="none"))
    getattr(network.layers[0].attention, name).weight.data[0, 0] = value
    x = torch.randn(20, 3)
    output = network(x, (graph,))
    assert output.shape == (20, 2)
    if math.isnan(value):
        assert bool(output.isnan().any()), "nan is not hidden"
    output.sum().backward()
    scores = torch.stack([weights[:, 0] for weights in network.attention_weights(x, (graph,))])
    assert not scores.requires_grad
    table = sample_neighbors(graph, scores[0], 3, 0)
    assert int(table.neighbors.min()) >= 0
    assert int(table.neighbors.max()) < 20
