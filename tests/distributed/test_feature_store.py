"""Features that two processes hold between them: PyG's distributed store, asked over the loopback device."""

import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from integration.forked import server
from torch.distributed import rpc
from toys import NUM_NODES, fit_toy, toy_dataset

from spx.data import ResampledGraphData, graph_data
from spx.errors import ConfigError

OWNER = torch.randint(2, (NUM_NODES,), generator=torch.Generator().manual_seed(0))
"""The process that holds a node's features: about half of the nodes each, in no order."""


def its_part(rank: int, port: int) -> Any:
    """The store of a process, as PyG's own loaders want it."""
    from torch_geometric.distributed import LocalFeatureStore
    from torch_geometric.distributed.dist_context import DistContext
    from torch_geometric.distributed.rpc import RPCRouter, global_barrier, init_rpc, rpc_partition_to_workers

    context = DistContext(rank, rank, world_size=2, global_world_size=2, group_name="features")
    init_rpc(context, "127.0.0.1", port, num_rpc_threads=2, rpc_timeout=60)
    nodes = (rank == OWNER).nonzero().flatten()
    store = LocalFeatureStore.from_data(nodes, toy_dataset().x[nodes])
    store.num_partitions, store.partition_idx, store.node_feat_pb = 2, rank, OWNER
    store.meta = {"is_hetero": False}
    store.set_rpc_router(RPCRouter(rpc_partition_to_workers(context, 2, rank)))
    global_barrier()  # both can be asked
    return store


def data_of(store: Any, **settings: Any) -> ResampledGraphData:
    return ResampledGraphData("toy", [2, 3], sampler="uniform", expander_degree=2, feature_store=store, **settings)


def batches(store: Any, batch_size: int | None) -> list:
    data = data_of(store, batch_size=batch_size, eval_samples=2)
    return [list(getattr(data, f"{part}_dataloader")()) for part in ("train", "val", "predict")]


def trained(store: Any, folder: str, batch_size: int | None) -> dict[str, torch.Tensor]:
    model, _ = fit_toy(data_of(store, batch_size=batch_size), folder)
    return model.state_dict()


def results(store: Any, folder: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for batch_size in (None, 16):
        found[f"batches of {batch_size}"] = batches(store, batch_size)
        found[f"weights by batches of {batch_size}"] = trained(store, folder, batch_size)
    return found


def ask_both(rank: int, port: int, folder: str) -> None:
    from torch_geometric.distributed.rpc import shutdown_rpc

    torch.set_num_threads(1)
    graph_data.load_dataset = toy_dataset
    store = its_part(rank, port)
    assert 0 < store.get_tensor_size(group_name=None, attr_name="x")[0] < NUM_NODES
    with pytest.raises(ConfigError, match="by RPC"):
        data_of(store, num_workers=1).setup("fit")
    torch.save(results(store, folder), Path(folder) / f"{rank}.pt")
    shutdown_rpc()  # waits for the other, which may still ask


def flat(found: Any) -> list[torch.Tensor]:
    """All tensors of nested lists, tuples and dictionaries."""
    if isinstance(found, torch.Tensor):
        return [found]
    return [tensor for each in (found.values() if isinstance(found, dict) else found) for tensor in flat(each)]


@pytest.mark.full
@pytest.mark.skipif(not rpc.is_available(), reason="this torch has no torch.distributed.rpc")
def test_rows_of_another_process_give_the_same_batches_and_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_data, "load_dataset", toy_dataset)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server()
    with tempfile.TemporaryDirectory() as folder:
        both = mp.start_processes(ask_both, (port, folder), nprocs=2, join=False, start_method="forkserver")
        expected, end = results(None, folder), time.monotonic() + 120
        try:
            while not both.join(timeout=1):
                assert time.monotonic() < end, "the processes wait for one another"
        finally:
            for process in both.processes:
                process.kill()
        found = [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(2)]
    for name, wanted in expected.items():
        for each in found:
            assert len(flat(each[name])) == len(flat(wanted)) > 10
            assert all(map(torch.equal, flat(each[name]), flat(wanted))), name
