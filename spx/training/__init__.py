"""LightningModules of both stages and the baselines, and their callbacks."""

from spx.training.estimator import AttentionEstimator
from spx.training.task import NodeTask
from spx.training.wide import GCNBaseline, Spexphormer

__all__ = ["AttentionEstimator", "GCNBaseline", "NodeTask", "Spexphormer"]
