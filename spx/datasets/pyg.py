"""Raw files that PyG's own dataset classes parse."""

from pathlib import Path

import torch
from torch import Tensor

from spx.datasets.pickles import check_pickle
from spx.datasets.types import GraphTensors


def parse_pyg(
    raw: Path,
    scratch: Path,
    *,
    class_name: str,
    inner: str = ".",
    pickles: tuple[str, ...] = (),
    **arguments: str | bool,
) -> GraphTensors:
    """Let a class of `torch_geometric.datasets` parse the files in `raw`.

    The class works in `scratch`, on links to the raw files, so that what it writes is thrown away and
    what it might download touches nothing of the user's.

    class_name  the class
    inner       folder below the class's root in which it looks for raw/
    pickles     names of the raw files that the class unpickles: they are looked through first
    arguments   passed on to the class
    Raises DatasetError for a pickle that could run code.
    """
    for name in pickles:
        check_pickle(raw / name)
    import torch_geometric.datasets

    root = scratch / "pyg"
    _link_files(raw, root / inner / "raw")
    data = getattr(torch_geometric.datasets, class_name)(str(root), **arguments)[0].to_dict()
    return GraphTensors(
        x=data["x"].to(torch.float32),
        edge_index=data["edge_index"].to(torch.int64),
        y=data["y"].flatten().to(torch.int64),
        **_masks(data),
    )


def _link_files(raw: Path, to: Path) -> None:
    to.mkdir(parents=True)
    for file in raw.iterdir():
        if file.is_file():
            (to / file.name).symlink_to(file.resolve())


def _masks(data: dict[str, Tensor]) -> dict[str, Tensor]:
    """PyG's masks, [N] or [N, S], as [S, N]; one that all S splits share (WikiCS's test mask) is repeated."""
    found = {name: data[name] for name in ("train_mask", "val_mask", "test_mask") if name in data}
    rows = {name: mask.bool().view(mask.size(0), -1).t() for name, mask in found.items()}
    num_splits = max((mask.size(0) for mask in rows.values()), default=0)
    return {name: mask.expand(num_splits, -1).contiguous() for name, mask in rows.items()}
