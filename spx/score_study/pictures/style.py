"""How the pictures look: colours that colour-blind readers tell apart, markers beside them, a paper's sizes."""

from collections.abc import Sequence

from matplotlib import colormaps

BLUE, ORANGE, GREEN, RED, PURPLE, GREY, BLACK = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00"),
    *("#CC79A7", "#767676", "black"),
)  # Okabe and Ito (2008)
GRAPH_NAMES = {"graph": "graph edges only", "augmented": "with expander and self-loops"}
MARKERS = "osv^DPX*"
LINES = ("-", "--", "-.", ":")
SHEET = {
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "errorbar.capsize": 2,
    "legend.frameon": False,
    "lines.markersize": 4,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "spx",
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}
PAGE_WIDTH = 7.2  # inches: a paper's two columns

Look = dict[str, object]
"""Colour, marker and line of a curve, as matplotlib's keyword arguments."""


def look(colour: object, marker: str = "", line: str = "-") -> Look:
    """Of one curve; without a marker a plain line."""
    return {"color": colour, "marker": marker, "ls": line}


def ordered_looks(names: Sequence[str], line: str) -> dict[str, Look]:
    """Of ordered things: colours from dark to light (viridis without its palest end), each with a marker of its own."""
    shades = [0.85 * place / max(1, len(names) - 1) for place in range(len(names))]
    return {
        name: look(colormaps["viridis"](shade), MARKERS[place % len(MARKERS)], line)
        for place, (name, shade) in enumerate(zip(names, shades, strict=True))
    }


def graph_name(graph: str) -> str:
    """What a group of networks is called in a picture."""
    return GRAPH_NAMES.get(graph, graph)
