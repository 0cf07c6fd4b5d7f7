"""LightningDataModules: the augmented graph of stage 1, the resampled graphs of stage 2."""

from spx.data.augmented import AugmentedGraphData
from spx.data.batch import NodeBatch
from spx.data.graph_data import GraphData
from spx.data.resampled import ResampledGraphData

__all__ = ["AugmentedGraphData", "GraphData", "NodeBatch", "ResampledGraphData"]
