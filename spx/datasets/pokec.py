"""The social network Pokec, as the authors of LINKX publish it: one MATLAB file."""

from pathlib import Path

import numpy as np
import torch

from spx.datasets.types import GraphTensors

FILE = "pokec.mat"


def parse_pokec(raw: Path, _scratch: Path) -> GraphTensors:
    """Read edge_index [2, E], node_feat [N, F] and label [N] (-1: unlabelled) from `pokec.mat`.

    The edges stay as they are in the file: directed.
    """
    import scipy.io

    content = scipy.io.loadmat(raw / FILE, variable_names=("edge_index", "node_feat", "label"))
    absent = {"edge_index", "node_feat", "label"} - content.keys()
    if absent:
        raise KeyError(f"{FILE} lacks {', '.join(sorted(absent))}")
    x = content["node_feat"]
    x = x.toarray() if hasattr(x, "toarray") else x
    return GraphTensors(
        x=torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)),
        edge_index=torch.from_numpy(np.ascontiguousarray(content["edge_index"], dtype=np.int64)),
        y=torch.from_numpy(np.ascontiguousarray(content["label"], dtype=np.int64).reshape(-1)),
    )
