"""A finished run put to use: loaded, asked for predictions, exported. `spx.load` is the way in."""
