"""What doesn't change is brought to a GPU once: features, graph, labels, the tables of the evaluation's draws."""

import weakref
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from spx.graph.features import Features, SparseFeatures


class KeptOnDevice(L.LightningDataModule):
    """A DataModule whose batches share their copies on another device than the CPU.

    A tensor has one copy there, for all batches, draws and epochs that hold it, as long as it lives here. So what is
    made anew for each batch goes with the batch, and the features stay.
    """

    _copies: dict[tuple[int, torch.device], tuple[weakref.ref, int, Features]] | None = None

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int = 0) -> Any:
        """The batch on the device, as Lightning asks for it."""
        if device.type == "cpu":
            return move_data_to_device(batch, device)
        return apply_to_collection(batch, (Tensor, SparseFeatures), lambda one: self._copy_of(one, device))

    def _copy_of(self, original: Features, device: torch.device) -> Features:
        if original.device == device:
            return original
        if self._copies is None:
            self._copies = {}
        copies, key, version = self._copies, (id(original), device), _version(original)
        if key not in copies or copies[key][1] != version:  # changed in place
            gone = weakref.ref(original, lambda _: copies.pop(key, None))
            copies[key] = (gone, version, move_data_to_device(original, device))
        return copies[key][2]


def _version(original: Features) -> int:
    """Rises with each change in place."""
    return (original.values if isinstance(original, SparseFeatures) else original)._version
