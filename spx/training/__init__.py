"""LightningModules of both stages and the baselines, and their callbacks."""

from spx.training.baseline import Baseline, GCNBaseline
from spx.training.estimator import AttentionEstimator
from spx.training.task import NodeTask
from spx.training.wide import Spexphormer

__all__ = ["AttentionEstimator", "Baseline", "GCNBaseline", "NodeTask", "Spexphormer"]
