"""What a study leaves: pictures, the page, TensorBoard's file. The page's numbers are those of the tables."""

import re
import struct
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import polars as pl
import pytest
from daily import every_day
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spx.score_study.board import scalars, write_board
from spx.score_study.claims import Claim
from spx.score_study.pictures import FORMATS, PICTURES, draw_all, style
from spx.score_study.report import write_report
from spx.score_study.tables import Tables


class Page(HTMLParser):
    """Collects the numbers, the images and the links of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.numbers: list[dict[str, str]] = []
        self.images: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str]]) -> None:
        found = dict(attributes)
        if tag == "data":
            self.numbers.append(found)
        if tag == "img":
            self.images.append(found["src"])
            assert found["alt"]
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])


@pytest.fixture(scope="module")
def drawn(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("report")
    return folder, draw_all(tables, folder / "figures")


@pytest.fixture(scope="module")
def page(drawn: tuple[Path, list[str]], tables: Tables, claims: list[Claim]) -> str:
    folder, names = drawn
    return write_report(folder / "report.html", "Title <1>", {"Dataset": "toy & co"}, tables, claims, names).read_text()


@pytest.mark.full
def test_every_picture_is_drawn_in_every_format(drawn: tuple[Path, list[str]]) -> None:
    folder, names = drawn
    assert names == list(PICTURES)
    for name in names:
        for ending in FORMATS:
            assert (folder / "figures" / f"{name}.{ending}").stat().st_size > 3000
        with open(folder / "figures" / f"{name}.png", "rb") as file:
            width, height = struct.unpack(">II", file.read(24)[16:])
        assert width >= 900, "200 dots an inch"
        assert height < 2 * width


@every_day("name", PICTURES, ("edge_types", "layers_alike"))
def test_labels_stay_within_the_picture_and_apart(tables: Tables, name: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with matplotlib.rc_context(style.SHEET):
        figure = PICTURES[name].draw(tables)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    page = figure.bbox
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x0 >= page.x0 - 1, "the legend is cut off"
        assert box.x1 <= page.x1 + 1, "the legend is cut off"
    boxes = []
    for axis in figure.axes:
        assert axis.get_xlabel() or axis.get_ylabel() or axis.get_title()
        for text in (axis.xaxis.label, axis.title):
            if text.get_text():
                boxes.append((text.get_text(), text.get_window_extent()))
    for place, (words, box) in enumerate(boxes):
        assert box.x0 >= page.x0 - 1, words
        assert box.x1 <= page.x1 + 1, words
        for others, other in boxes[place + 1 :]:
            assert not box.overlaps(other), f"{words!r} lies over {others!r}"


def test_pictures_without_data_are_left_out_and_old_ones_removed(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spx.score_study.pictures.FORMATS", ("svg",))
    for name in PICTURES:
        (tmp_path / f"{name}.svg").touch()
    alone = {name: tables[name] for name in ("graphs", "runs", "baselines", "entropy", "entropy_histogram", "layers")}
    alone |= {name: tables[name] for name in ("topk", "shares")}
    narrow = {
        name: table.filter(pl.col("width") == 4) if "width" in table.columns else table for name, table in alone.items()
    }
    names = draw_all(narrow, tmp_path)
    assert set(names) == {"entropy", "layers_alike", "topk_mass", "edge_types", "edge_types_by_class"}
    assert {path.stem for path in tmp_path.iterdir()} == set(names)


@pytest.mark.full
def test_graphs_whose_networks_have_other_numbers_of_layers(tables: Tables) -> None:
    kept = (pl.col("graph") == "graph") | (pl.col("layer") < 3)
    shallow = {
        name: table.filter(kept) if {"graph", "layer"} <= set(table.columns) else table
        for name, table in tables.items()
    }
    for name, picture in PICTURES.items():
        assert picture.draw(shallow) is not None, name


def test_the_page_and_the_words_of_the_claims_are_installed_with_the_package() -> None:
    root = Path(__file__).parents[3]
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    others = [file for file in (root / "spx" / "score_study").iterdir() if file.is_file() and file.suffix != ".py"]
    assert {file.name for file in others} == {"report.html.jinja", "claims.yaml"}
    assert all(any(file.match(each) for each in settings["package-data"]["spx.score_study"]) for file in others)


@pytest.mark.full
def test_the_page_needs_nothing_beside_it(page: str) -> None:
    found = Page(page)
    assert len(found.images) == len(PICTURES)
    assert all(image.startswith("data:image/svg+xml;base64,") for image in found.images)
    assert "<script" not in page
    assert "<link" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert not re.search(r"url\(|@import", page)
    assert "Title &lt;1&gt;" in page
    assert "toy &amp; co" in page


@pytest.mark.full
def test_links_lead_somewhere_and_ids_are_unique(page: str) -> None:
    found = Page(page)
    assert len(set(found.ids)) == len(found.ids)
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)


@pytest.mark.full
def test_every_number_of_the_claims_stands_in_the_page(page: str, claims: list[Claim]) -> None:
    found = {(n["data-claim"], n["data-graph"], n["data-quantity"]): float(n["value"]) for n in Page(page).numbers}
    expected = {(c.key, c.graph, name): value for c in claims for name, value in c.numbers.items()}
    assert found == expected
    for claim in claims:
        assert claim.verdict in page


@pytest.mark.full
def test_tensorboard_shows_curves_numbers_pictures_and_text(
    drawn: tuple[Path, list[str]], tables: Tables, claims: list[Claim], tmp_path: Path
) -> None:
    folder, names = drawn
    for _ in range(2):  # the second replaces the first
        write_board(tmp_path, tables, claims, {name: folder / "figures" / f"{name}.png" for name in names})
    (file,) = tmp_path.glob("events.out.tfevents.*")
    events = EventAccumulator(str(file), {"images": 0, "scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    assert len(tags["images"]) == len(names)
    assert "width/distance_by_width" in tags["images"]
    assert "claims/text_summary" in tags["tensors"]
    curve = [(event.step, event.value) for event in events.Scalars("entropy/augmented/layer_2")]
    entropy = tables["entropy"].filter((pl.col("graph") == "augmented") & (pl.col("layer") == 2))
    means = dict(entropy.group_by("width").agg(pl.col("mean").mean()).iter_rows())
    assert [step for step, _ in curve] == [4, 8, 16]
    assert [value for _, value in curve] == pytest.approx([means[width] for width in (4, 8, 16)])
    (ratio,) = events.Scalars("claims/width/graph/ratio_to_the_nearest_baseline")
    assert ratio.value == pytest.approx(claims[0].numbers["ratio to the nearest baseline"])
    assert len({tag for tag, _, _ in scalars(tables)}) == len(tags["scalars"]) - sum(len(c.numbers) for c in claims)
