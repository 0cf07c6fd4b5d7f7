"""The study's pictures: which rows of which table each shows, and how. A function's docstring is its caption."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl
from matplotlib.figure import Figure

from spx.score_study.choice_tables import PREDICTED_SLOPE
from spx.score_study.claims import usual_k
from spx.score_study.pictures.panels import Grid, bars, draw_grids, matrix, stairs
from spx.score_study.pictures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, look
from spx.score_study.tables import ALL, Tables

EDGE_NAMES = {"graph": "graph edges", "expander": "expander edges", "self_loop": "self-loops"}
BASELINES = {
    "uniform": "uniform scores",
    "normal logits": "random, normal logits",
    "uniform logits": "random, uniform logits",
    "dirichlet": "random, Dirichlet(1)",
    "shuffled": "own scores, shuffled",
}
SAMPLERS = {
    "own": ("drawn by the wide network's own scores", GREY, "s"),
    "attention": ("drawn by the estimator's scores", BLUE, "o"),
    "top": ("the estimator's largest scores", ORANGE, "^"),
    "uniform": ("drawn uniformly", RED, "v"),
}
WIDEST = pl.col("width") == pl.col("width").max()
OF_ALL_CLASSES = pl.col("class") == ALL
EDGE_TYPE = pl.col("edge_type").replace(EDGE_NAMES)
PER_LAYER = pl.format("layer {}", "layer")
PERCENT = (0, 104)
RANK_CORRELATION = "Spearman's rank correlation\n(mean over nodes)"
OUTPUT_ERROR = "relative error of the output"


class Picture(NamedTuple):
    """What a picture shows and how it is drawn.

    Args:
        grids: of panels, from the tables. Its docstring is the caption: what is shown, with units.
        claim: key of the claim that it belongs to (`spx.score_study.claims`), or none.
        title: a few words.
        source: table without which there is nothing to draw.
        several: "width" or "layer", where there must be two of them.
        height: of a row of panels, in inches.
        legend: its title, of a matrix that of its colours.
    """

    grids: Callable[[Tables], list[Grid]]
    claim: str
    title: str
    source: str
    several: str = ""
    height: float = 2.1
    legend: str | None = None

    @property
    def caption(self) -> str:
        return " ".join((self.grids.__doc__ or "").split())

    def draw(self, tables: Tables) -> Figure | None:
        """None where the tables don't hold its data."""
        if self.source not in tables or (self.several and tables["baselines"][self.several].n_unique() < 2):
            return None
        return draw_grids(self.grids(tables), self.height, self.legend)


PICTURES: dict[str, Picture] = {}


def picture(*about: str, **more: Any) -> Callable:
    """Enter a function as the picture of its name; the arguments are those of `Picture`."""
    return lambda grids: PICTURES.setdefault(grids.__name__, Picture(grids, *about, **more)).grids


def to_widest(tables: Tables, name: str) -> pl.DataFrame:
    """Pairs of networks whose second is one of the widest."""
    return tables[name].filter(other_width=tables["baselines"]["width"].max())


def with_seeds(pairs: pl.DataFrame, widest: int, column: str) -> list[tuple]:
    """Parts of a grid: narrower networks with the widest, and the widest from seed to seed, as a point and a line."""
    others, seeds = pairs.filter(pl.col("width") < widest), pairs.filter(width=widest)
    return [
        (others, f"to networks of width {widest} (mean, std over pairs)", "width", column, look(BLUE, "o")),
        (seeds, "_two seeds", "width", column, look(BLACK, "s")),
        (seeds, f"two seeds of width {widest}", None, column, look(BLACK)),
    ]


@picture("width", "Agreement with wide networks", "distances", several="width")
def agreement_by_width(tables: Tables) -> list[Grid]:
    """Agreement of single-head networks of a width with those of the greatest width: the correlation of their scores
    less uniform ones, over all edges (0: none, as of shuffled scores; 1: the same edges, however sharply), mean and
    standard deviation over pairs of seeds. Black: between two of the wide networks, more than which no estimator can
    reach; dotted: between two of them before training."""
    widest, pairs = tables["baselines"]["width"].max(), to_widest(tables, "distances")
    parts = [
        *with_seeds(pairs, widest, "agreement"),
        (tables["baselines"].filter(baseline="shuffled"), "own scores, shuffled: 0", None, pl.lit(0.0), look(PURPLE)),
    ]
    if "untrained_distances" in tables:
        untrained, name = to_widest(tables, "untrained_distances"), f"two seeds of width {widest}, untrained"
        parts.append((untrained, name, None, "agreement", look(GREY, line=":")))
    return [Grid(parts, "width", "agreement", "graph", "layer", doubling=True)]


@picture("width", "Distance to wide networks' attention", "distances", several="width")
def distance_by_width(tables: Tables) -> list[Grid]:
    """Mean energy distance over the nodes (0: the same scores, 2: nothing in common) between single-head networks of a
    width and those of the greatest width, with all pairs of seeds; black: between two wide networks. Other lines:
    distance of the wide networks to scores that know nothing: uniform ones, the softmax of normal and of uniform
    logits, Dirichlet(1) scores, and their own in random order. Sharpness counts, too: one as sharp as they are is below
    uniform scores only from an agreement of 0.5."""
    widest, pairs = tables["baselines"]["width"].max(), to_widest(tables, "distances")
    colours = zip((GREY, RED, ORANGE, GREEN, PURPLE), ("--", ":", ":", ":", "-."), strict=True)
    lines = dict(zip(BASELINES.values(), (look(colour, line=line) for colour, line in colours), strict=True))
    baseline, of_widest = pl.col("baseline").replace(BASELINES), tables["baselines"].filter(WIDEST)
    parts = [*with_seeds(pairs, widest, "value"), (of_widest, baseline, None, "value", lines)]
    return [Grid(parts, "width", "energy distance", "graph", "layer", doubling=True, ylim=(0, None))]


@picture("width", "Distances between widths", "distances", height=2.4, legend="energy distance")
def distance_matrix(tables: Tables) -> list[Grid]:
    """Mean energy distance between networks of two widths, over layers and pairs of seeds; on the diagonal between
    seeds of one width."""
    pairs = tables["distances"].sort("width", "other_width", maintain_order=True)
    one, other = pl.col("width").cast(str), pl.col("other_width").cast(str)
    return [Grid([(pairs, one, other, "value"), (pairs, other, one, "value")], "width", "width", marks=matrix)]


@picture("sharpness", "Entropy by layer", "entropy")
def entropy(tables: Tables) -> list[Grid]:
    """Entropy of a node's scores over the logarithm of its degree: 1 is uniform, 0 all on one edge. Above: mean over
    nodes, with the standard deviation over seeds; dotted: the widest networks before training, which the architecture
    makes. Below: its distribution over the nodes in the widest networks."""
    means = [(tables["entropy"], pl.format("width {}", "width"), "layer", "mean")]
    if "untrained" in tables:
        untrained = tables["untrained"].filter(WIDEST)
        means.append((untrained, f"width {untrained['width'].max()}, untrained", "layer", "mean", look(GREY, "x", ":")))
    shares = (tables["entropy_histogram"].filter(WIDEST), PER_LAYER, "low", 100 * pl.col("share"))
    x = f"normalised entropy of a node\n(width {tables['entropy']['width'].max()}; 1: uniform)"
    return [
        Grid(means, "layer", "normalised entropy\n(mean over nodes)", shift=0.06, ylim=(0, 1.04)),
        Grid([shares], x, "nodes, % a bin of 0.05", marks=stairs),
    ]


@picture("edges", "Likeness of layers", "layers", several="layer", height=2.4, legend="agreement")
def layers_alike(tables: Tables) -> list[Grid]:
    """Agreement between the layers of one network of the greatest width (1: the same edges, however sharply; 0: none),
    mean over seeds."""
    one, other = pl.col("layer").cast(str), pl.col("other_layer").cast(str)
    return [Grid([(tables["layers"].filter(WIDEST), one, other, "agreement")], "layer", "layer", marks=matrix)]


@picture("topk", "Attention in the k largest scores", "topk", legend="degree of the attending node (line: 90%)")
def topk_mass(tables: Tables) -> list[Grid]:
    """Share of a node's attention that its k largest scores hold, by degree of the attending node; mean over nodes and
    seeds of the widest networks."""
    topk = tables["topk"].filter(WIDEST, pl.col("degree_low") > 0).sort("degree_low", maintain_order=True)
    axes = {"spread": False, "doubling": True, "ylim": PERCENT, "level": 90}
    parts = [(topk, pl.col("degrees"), "k", 100 * pl.col("mass"))]
    return [Grid(parts, "k", "top-k attention mass, %", "graph", "layer", **axes)]


@picture("types", "Attention by edge type", "shares")
def edge_types(tables: Tables) -> list[Grid]:
    """Share of all attention along each type of edge, by layer and width, mean over seeds; the last bar is uniform
    attention."""
    types = pl.col("edge_type").filter(pl.col("share") > 0).n_unique().over("graph")
    shares = tables["shares"].filter(OF_ALL_CLASSES).filter(types > 1)
    fills = ({"color": BLUE}, {"color": ORANGE}, {"color": GREEN, "hatch": "///"})
    looks = dict(zip(EDGE_NAMES.values(), fills, strict=True))
    parts = [
        (shares, EDGE_TYPE, pl.format("w={}", "width"), 100 * pl.col("share"), looks),
        (shares, EDGE_TYPE, pl.lit("uniform"), 100 * pl.col("uniform"), looks),
    ]
    return [Grid(parts, "", "share of attention, %", "graph", "layer", marks=bars, ylim=(0, 100))]


@picture("types", "Attention along graph edges by class", "shares")
def edge_types_by_class(tables: Tables) -> list[Grid]:
    """Share of the attention of each class's nodes that runs along graph edges, in the widest networks."""
    shares = tables["shares"].filter(WIDEST, ~OF_ALL_CLASSES, pl.col("uniform") < 1, edge_type="graph")
    of_class, uniform = pl.col("class").cast(pl.Int64), look(BLACK, "_", "") | {"ms": 12}
    parts = [
        (shares, PER_LAYER, of_class, 100 * pl.col("share")),
        (shares, "uniform attention", of_class, 100 * pl.col("uniform"), uniform),
    ]
    axes = {"line": "", "spread": False, "ylim": PERCENT}
    return [Grid(parts, "class of the attending node", "along graph edges,\n% of the attention", **axes)]


@picture("types", "Attention to one's own class", "same_class")
def same_class(tables: Tables) -> list[Grid]:
    """Share of the attention along edges of a type that goes to nodes of the attending node's class, in the widest
    networks, with the standard deviation over seeds; dashed: if attention were uniform; dotted: the graph's edge
    homophily. Self-loops are left out."""
    shares = tables["same_class"].filter(WIDEST, OF_ALL_CLASSES, pl.col("edge_type") != ALL)
    parts = [(tables["graphs"], "edge homophily", None, 100 * pl.col("edge_homophily"), look(BLACK, line=":"))]
    for edge_type, colour, marker in (("graph", BLUE, "o"), ("expander", ORANGE, "^")):
        rows, name = shares.filter(edge_type=edge_type), EDGE_NAMES[edge_type]
        parts += [
            (rows, f"attention along {name}", "layer", 100 * pl.col("share"), look(colour, marker, "")),
            (rows, f"uniform over {name}", None, 100 * pl.col("uniform"), look(colour, line="--")),
        ]
    return [Grid(parts, "layer", "to the node's own class,\n% of the attention", shift=0.16, ylim=PERCENT)]


@picture("", "Score and degree", "degrees")
def degrees(tables: Tables) -> list[Grid]:
    """Mean score relative to uniform attention by graph degree of the node attended to (in how many rows it stands), in
    the widest networks; bins double."""
    parts = [(tables["degrees"].filter(WIDEST), PER_LAYER, "degree_low", "relative_score")]
    x, y = "graph degree of the node attended to\n(from; bins double)", "mean score over uniform\n(1: uniform)"
    return [Grid(parts, x, y, spread=False, doubling=True, ylim=(0, None), level=1)]


@picture("", "Scores against degree and effective resistance", "structure")
def structure(tables: Tables) -> list[Grid]:
    """Spearman's rank correlation within a node's edges of the score with the graph degree of the node attended to, and
    with the edge's effective resistance; mean over nodes, bars: standard deviation over seeds."""
    looks = {"with degree": look(BLUE, "o", ""), "with effective resistance": look(ORANGE, "^", "")}
    parts = [(tables["structure"].filter(WIDEST), pl.format("with {}", "property"), "layer", "agreement", looks)]
    return [Grid(parts, "layer", RANK_CORRELATION, shift=0.16, ylim=(-1, 1), level=0)]


def by_sampler(table: pl.DataFrame, y: str | pl.Expr) -> list[tuple]:
    """Parts of a grid: the narrowest and the widest estimator, and the samplers that ask none."""
    widths, parts = table["width"].filter(table["width"] > 0), []
    asked = dict(zip((0, widths.min(), widths.max()), ("-", "-", "--"), strict=True))
    for (sampler, (name, colour, marker)), (width, line) in itertools.product(SAMPLERS.items(), asked.items()):
        rows = table.filter(sampler=sampler, width=width)
        if not rows.is_empty():
            label = f"{name}, width {width}" if width else name
            parts.append((rows, label, "k", y, look(colour, marker, line)))
    return parts


@picture("choice", "Attention kept by sampled edges", "mass_kept", height=2.5)
def mass_kept(tables: Tables) -> list[Grid]:
    """Share of a trained wide network's attention (mean of its heads) on K edges of each node, mean over nodes; solid:
    the narrowest estimator, dashed: the widest."""
    parts = by_sampler(tables["mass_kept"], 100 * pl.col("mass"))
    axes = {"columns": "layer", "spread": False, "doubling": True, "ylim": PERCENT}
    return [Grid(parts, "K, edges a node", "attention kept, %", **axes)]


@picture("error", "Error of the layer's output against K", "output_error", height=2.5)
def output_error(tables: Tables) -> list[Grid]:
    """Relative error of a layer's attention output on K sampled edges of each node (softmax over them alone, exact
    inputs). Dotted: expected error of the estimator that the theory bounds, K draws with replacement weighted by
    p / (K q), with the wide network's own scores; its slope is -1/2."""
    errors, theory = tables["output_error"], "the theory's estimator, own scores: $K^{-1/2}$"
    parts = [
        *by_sampler(errors, "error"),
        (errors.filter(sampler="own"), theory, "k", "expected", look(BLACK, line=":")),
    ]
    axes = {"columns": "layer", "spread": False, "doubling": True, "log": True}
    return [Grid(parts, "K, edges a node", OUTPUT_ERROR, **axes)]


@picture("error", "Error of the layer's output against the estimator's width", "output_error", several="width")
def error_by_width(tables: Tables) -> list[Grid]:
    """Relative error of a layer's output when all heads attend by the estimator's scores (blue), when K edges are drawn
    by them (orange), and when the wide network's own queries and keys are projected at random to as many dimensions
    (green), the narrow network of the theory; dotted: its slope -1/2. Bars: standard deviation over seeds, or draws."""
    replaced, projected, k = tables["replaced_error"], tables["projected_error"], usual_k(tables["output_error"])
    of_scores, uniform = replaced.filter(sampler="attention"), replaced.filter(sampler="uniform")
    sampled = tables["output_error"].filter(sampler="attention", k=k)
    width, narrowest = pl.col("width"), pl.col("width").min()
    at_narrowest = pl.col("error").filter(width == narrowest).mean().over("layer")
    predicted = at_narrowest * (width / narrowest) ** PREDICTED_SLOPE
    parts = [
        (of_scores, "all edges, the estimator's scores", "width", "error", look(BLUE, "o")),
        (sampled, f"{k} edges drawn by the estimator's scores", "width", "error", look(ORANGE, "^")),
        (projected, "all edges, own scores projected to the width", "width", "error", look(GREEN, "s")),
        (uniform, "all edges, uniform scores", None, "error", look(GREY, line="--")),
        (projected, "predicted slope: width$^{-1/2}$", "width", predicted, look(BLACK, line=":")),
    ]
    return [Grid(parts, "estimator's width", OUTPUT_ERROR, columns="layer", doubling=True, log=True)]
