"""Why a network judges a node so: what it attends to, what removing it does, which features count.

Pure torch and tables; `spx.inference.explaining` brings a trained run to it.
"""

MOST = 30
"""Neighbours whose removal is tried, input nodes and features that are kept, of each node."""

BATCH_SIZE = 16
"""B, nodes that are explained at once where nothing else is asked for."""

MOST_ON_A_PAGE = 200
"""Nodes that one page shows."""
