"""A user's own graph."""

from spx.datasets.own.read import read_own

__all__ = ["read_own"]
