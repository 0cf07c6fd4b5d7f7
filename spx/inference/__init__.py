"""A finished run put to use: loaded, asked for predictions, exported. `spx.load` is the way in."""

DRAWS = 10
"""R, sampled graphs over which predictions are averaged where nothing else is asked for."""

BATCH_SIZE = 10_000
"""B, nodes that are predicted at once where nothing else is asked for."""
