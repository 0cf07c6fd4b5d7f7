"""The study's pictures: drawn from its tables, saved as SVG, PNG and PDF."""

import itertools
from pathlib import Path

import matplotlib

from spx.files import replacing
from spx.score_study.pictures.catalogue import PICTURES
from spx.score_study.pictures.style import SHEET
from spx.score_study.tables import Tables

FORMATS = ("png", "pdf", "svg")


def draw_all(tables: Tables, folder: Path) -> list[str]:
    """Draw every picture that the tables have data for into the folder, in all formats; returns their names.

    Pictures of another set of tables are removed, so that the folder holds this one's alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, ending in itertools.product(PICTURES, FORMATS):
        (folder / f"{name}.{ending}").unlink(missing_ok=True)
    drawn = []
    with matplotlib.rc_context(SHEET):
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
