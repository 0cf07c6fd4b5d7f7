"""Studies of several runs: both stages over seeds and splits, their summaries, and the page of results.

Each run is a process of its own, so that its peak memory is its own. Nothing here imports torch or lightning.
"""
