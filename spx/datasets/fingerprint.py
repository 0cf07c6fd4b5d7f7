"""One string that two stages compare, so that they are sure to speak of the same graph, labels and split."""

import hashlib

import numpy as np
from torch import Tensor

from spx.datasets.types import NodeDataset

_LITTLE_ENDIAN = {"f": "<f4", "i": "<i8"}


def split_fingerprint(dataset: NodeDataset) -> str:
    """SHA-256 (hex) over the number of nodes, the edges in their order, the labels and the three index sets.

    Features are left out: they can be huge. The bytes are little-endian on every platform, and each
    tensor's shape goes in before its values, so that no two datasets share one stream of bytes.
    """
    digest = hashlib.sha256(f"spx-split-1 num_nodes={dataset.num_nodes}".encode())
    tensors = {"edge_index": dataset.edge_index, "y": dataset.y, **dataset.split._asdict()}
    for name, tensor in tensors.items():
        digest.update(f" {name}{list(tensor.shape)}=".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    array = tensor.detach().cpu().numpy()
    portable = np.ascontiguousarray(array, dtype=_LITTLE_ENDIAN[array.dtype.kind])
    return memoryview(portable.reshape(-1).view(np.uint8))
