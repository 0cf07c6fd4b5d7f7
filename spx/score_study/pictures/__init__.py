"""The study's pictures: drawn from its tables, saved as SVG, PNG and PDF."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

from spx.files import replacing
from spx.score_study.pictures import distances, kinds, neighbours, sampling, style
from spx.score_study.tables import Tables

FORMATS = ("png", "pdf", "svg")


class Picture(NamedTuple):
    """How a picture is drawn and what it says.

    Args:
        draw: from the tables; None where they don't hold its data.
        claim: key of the claim that it belongs to (`spx.score_study.claims`), or none.
        title: a few words.
        caption: what is shown, with units.
    """

    draw: Callable[[Tables], Figure | None]
    claim: str
    title: str
    caption: str


PICTURES: dict[str, Picture] = {
    "distance_by_width": Picture(
        distances.distance_by_width,
        "width",
        "Distance to wide networks' attention",
        "Mean energy distance over the nodes (0: the same scores, 2: nothing in common) between single-head networks "
        "of a width and those of the greatest width, with all pairs of seeds. Grey, red and purple: distance of the "
        "wide networks to scores that know nothing; black: distance between two "
        "wide networks.",
    ),
    "distance_matrix": Picture(
        distances.distance_matrix,
        "width",
        "Distances between widths",
        "Mean energy distance between networks of two widths, over layers and pairs of seeds; on the diagonal between "
        "seeds of one width.",
    ),
    "rank_agreement": Picture(
        distances.rank_agreement,
        "width",
        "Rank agreement with wide networks",
        "Spearman's rank correlation of a node's scores with the widest networks' own (1: the same order, 0: none), "
        "mean over nodes; bars: standard deviation over pairs of networks.",
    ),
    "entropy": Picture(
        kinds.entropy,
        "layers",
        "Entropy by layer",
        "Entropy of a node's scores over the logarithm of its degree: 1 is uniform, 0 all on one edge. Above: mean "
        "over nodes, with the standard deviation over seeds. Below: its distribution over the nodes in the "
        "widest networks.",
    ),
    "layers_alike": Picture(
        distances.layers_alike,
        "layers",
        "Likeness of layers",
        "Mean energy distance between the layers of one network of the greatest width, mean over seeds.",
    ),
    "topk_mass": Picture(
        kinds.topk_mass,
        "topk",
        "Attention in the k largest scores",
        "Share of a node's attention that its k largest scores hold, by degree of the attending node; mean over nodes "
        "and seeds of the widest networks.",
    ),
    "edge_types": Picture(
        kinds.edge_types,
        "types",
        "Attention by edge type",
        "Share of all attention along each type of edge, by layer and width, mean over seeds; the last bar is uniform "
        "attention.",
    ),
    "edge_types_by_class": Picture(
        kinds.edge_types_by_class,
        "types",
        "Attention along graph edges by class",
        "Share of the attention of each class's nodes that runs along graph edges, in the widest networks.",
    ),
    "same_class": Picture(
        neighbours.same_class,
        "types",
        "Attention to one's own class",
        "Share of the attention along edges of a type that goes to nodes of the attending node's class, in the widest "
        "networks, with the standard deviation over seeds; dashed: if attention were uniform; dotted: the graph's edge "
        "homophily. Self-loops are left out.",
    ),
    "degrees": Picture(
        neighbours.degrees,
        "",
        "Score and degree",
        "Mean score relative to uniform attention by graph degree of the node attended to (in how many rows it "
        "stands), in the widest networks; bins double.",
    ),
    "structure": Picture(
        neighbours.structure,
        "",
        "Scores against degree and effective resistance",
        "Spearman's rank correlation within a node's edges of the score with the graph degree of the node attended to, "
        "and with the edge's effective resistance; mean over nodes, bars: standard deviation over seeds.",
    ),
    "mass_kept": Picture(
        sampling.mass_kept,
        "choice",
        "Attention kept by sampled edges",
        "Share of a trained wide network's attention (mean of its heads) on K edges of each node, mean over nodes; "
        "solid: the narrowest estimator, dashed: the widest.",
    ),
    "output_error": Picture(
        sampling.output_error,
        "error",
        "Error of the layer's output against K",
        "Relative error of a layer's attention output on K sampled edges of each node (softmax over them alone, exact "
        "inputs). Dotted: expected error of the estimator that the theory bounds, K draws with replacement weighted by "
        "p / (K q), with the wide network's own scores; its slope is -1/2.",
    ),
    "error_by_width": Picture(
        sampling.error_by_width,
        "error",
        "Error of the layer's output against the estimator's width",
        "Relative error of a layer's output when all heads attend by the estimator's scores (blue), when K edges are "
        "drawn by them (orange), and when the wide network's own queries and keys are projected at random to as many "
        "dimensions (green), the narrow network of the theory; dotted: its slope -1/2.",
    ),
}


def draw_all(tables: Tables, folder: Path) -> list[str]:
    """Draw every picture that the tables have data for into the folder, in all formats; returns their names.

    Pictures of another set of tables are removed, so that the folder holds this one's alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, ending in itertools.product(PICTURES, FORMATS):
        (folder / f"{name}.{ending}").unlink(missing_ok=True)
    drawn = []
    with matplotlib.rc_context(style.SHEET):
        for name, picture in PICTURES.items():
            figure = picture.draw(tables)
            if figure is None:
                continue
            for ending in FORMATS:
                metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(ending)
                with replacing(folder / f"{name}.{ending}") as temporary:
                    figure.savefig(temporary, format=ending, metadata=metadata)
                figure.set_layout_engine("none")  # the first has laid it out
            drawn.append(name)
    return drawn
