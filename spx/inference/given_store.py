"""Where a loaded run takes its features from: a store that is given with it, or else the dataset."""

import logging
from pathlib import Path
from typing import Any

from spx.data import GraphData, ResampledGraphData
from spx.errors import ConfigError

logger = logging.getLogger(__name__)


def take_features(data: GraphData, store: Any, trained_by: str | None, folder: Path) -> None:
    """Give the data a store, or say that the run had one.

    Args:
        data: of the run.
        store: a `torch_geometric.data.FeatureStore`; None: the dataset's own features are taken.
        trained_by: the class of the store that the network was trained by, if it was.
        folder: of the run.

    Raises:
        ConfigError: the run is of the whole graph, or the store can't be used.
        DatasetError: the store is one of another graph, or fails.
    """
    if store is None:
        if trained_by is not None:
            logger.warning(
                "The run %s was trained by features of a store (%.100s); here they are the dataset's. To take a "
                "store's: spx.load(%r, feature_store=store).",
                *(folder, trained_by, str(folder)),
            )
        return
    if not isinstance(data, ResampledGraphData):
        raise ConfigError(f"The run {folder} trains on the whole graph and takes no feature store. Leave it out.")
    data.feature_store, data.num_workers = store, 0  # batches are built here
    _ = data.x  # checked now
