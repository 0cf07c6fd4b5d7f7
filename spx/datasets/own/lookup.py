"""Rows of nodes by their ids."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars

MOST_GAPS = 8
"""Integers that lie no wider than so many times their number are looked up in a table, which is quicker than a join."""


def places_of(keys: "polars.Series", ids: "polars.Series") -> "polars.Series":
    """[E]: the row of each key among the ids [N], which all differ; null where there is none, or the key is null."""
    import polars

    if ids.dtype == polars.Int64 and keys.null_count() == 0 and len(ids):
        low, high = ids.min(), ids.max()
        if high - low < MOST_GAPS * len(ids):
            table = np.full(high - low + 2, -1, dtype=np.int64)  # the last place is that of no id
            table[ids.to_numpy() - low] = np.arange(len(ids))
            numbers = keys.to_numpy()
            inside = (numbers >= low) & (numbers <= high)
            rows = table[np.where(inside, numbers - low, -1)]
            found = polars.Series("row", rows)
            return found if rows.min(initial=0) >= 0 else found.set(found < 0, None)
    return (
        keys.rename("id")
        .to_frame()
        .join(ids.rename("id").to_frame().with_row_index("row"), on="id", how="left", maintain_order="left")["row"]
    )
