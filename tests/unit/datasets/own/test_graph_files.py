"""GraphML, GEXF and GML: what networkx passes over, and what other programs write."""

from collections.abc import Callable
from pathlib import Path

import networkx
import pytest
import torch

from .conftest import read
from .foreign import CLASSES, EDGES, IDS, networkx_graph
from .samples import NUM_NODES

BOTH_WAYS = sorted([*EDGES.tolist(), *EDGES[:, ::-1].tolist()])


def edges_in(path: Path, **settings: object) -> list[list[int]]:
    return sorted(read(str(path), **settings).edge_index.t().tolist())


def edited(path: Path, *changes: tuple[str, str]) -> str:
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    return str(path)


@pytest.fixture
def graphml(tmp_path: Path) -> Path:
    networkx.write_graphml(networkx_graph(), tmp_path / "graph.graphml")
    return tmp_path / "graph.graphml"


@pytest.mark.parametrize(("write", "ending"), [(networkx.write_graphml, "graphml"), (networkx.write_gexf, "gexf")])
def test_an_undirected_edge_leads_both_ways(tmp_path: Path, write: Callable, ending: str) -> None:
    path = tmp_path / f"graph.{ending}"
    graph = networkx_graph(directed=False)
    graph.add_edge("n0", "n0")
    write(graph, path)
    assert edges_in(path) == sorted([*BOTH_WAYS, [0, 0]])


def test_parallel_edges_stay_edges(tmp_path: Path) -> None:
    graph = networkx.MultiDiGraph(networkx_graph())
    graph.add_edge("n0", "n1")
    networkx.write_graphml(graph, tmp_path / "graph.graphml")
    assert edges_in(tmp_path / "graph.graphml") == sorted([*EDGES.tolist(), [0, 1]])


def test_integers_as_names(tmp_path: Path) -> None:
    networkx.write_graphml(networkx_graph(named=False), tmp_path / "graph.graphml")
    assert read(str(tmp_path / "graph.graphml")).node_ids.to_list() == list(range(NUM_NODES))


def test_kinds_of_attributes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    graph = networkx_graph(city="Rome", member=True, count=7)
    graph.nodes["n3"].update(city="Oslo", member=False, count=None)
    del graph.nodes["n3"]["count"]
    for source, target in graph.edges:
        graph.edges[source, target]["weight"] = 2.0
    networkx.write_graphml(graph, tmp_path / "graph.graphml")
    dataset = read(str(tmp_path / "graph.graphml"), scaling="none")
    assert dataset.feature_names == ("a", "b", "city=Oslo", "city=Rome", "member", "count", "count=missing")
    assert dataset.x[3, 2:].tolist() == [1, 0, 0, 7, 1]
    assert dataset.x[4, 2:].tolist() == [0, 1, 1, 7, 0]
    assert "the attributes 'weight' of its edges are not used" in caplog.text
    assert [column["name"] for column in dataset.schema["columns"]] == ["a", "b", "city", "member", "count"]


def test_defaults_are_filled_in(graphml: Path) -> None:
    key = '<key id="size" for="node" attr.name="size" attr.type="double"><default>2.5</default></key>'
    node = '<node id="n1"><data key="size">4</data>'
    edited(graphml, ("<graph ", f"{key}<graph "), ('<node id="n1">', node))
    dataset = read(str(graphml), scaling="none")
    assert dataset.x[:, dataset.feature_names.index("size")].tolist() == [2.5, 4.0] + [2.5] * (NUM_NODES - 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</graph>", "</graph><graph edgedefault='directed' />", "graph.graphml holds 2 graphs: save one"),
        (
            "</graph>",
            '<edge source="n1" target="far" /></graph>',
            "edges name 1 nodes that are not there, such as 'far'",
        ),
        ("</graph>", '<node id="n1" /></graph>', "some of its nodes have no id, or the id of another"),
        ("</graph>", "<node /></graph>", "some of its nodes have no id"),
        ("</graph>", "</grap>", "graph.graphml can't be read as GraphML (ParseError: mismatched tag"),
        ('<edge source="n0"', '<edge directed="false" source="n0"', "can't be read as GraphML"),
        (
            "<graph ",
            '<key id="q" for="node" attr.name=" a" attr.type="int"><default>1</default></key><graph ',
            "called 'a'",
        ),
    ],
)
def test_what_networkx_would_pass_over(graphml: Path, refused: Callable, old: str, new: str, message: str) -> None:
    refused(edited(graphml, (old, new)), message)


def test_a_name_beside_the_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    graph = networkx_graph()
    for node, values in graph.nodes.items():
        values["y"] = values.pop("label")
        values["label"] = f"Node {node}"
    networkx.write_gexf(graph, tmp_path / "graph.gexf")
    dataset = read(str(tmp_path / "graph.gexf"))
    assert not any(name.startswith(("y", "label")) for name in dataset.feature_names)
    assert "'label' differs for each node, so it is a name and no class, and is left out" in caplog.text


def test_gephis_drawing_is_no_feature(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    drawn = dict.fromkeys("xyrgb", 3) | {"size": 10.0}
    networkx.write_graphml(networkx_graph(**drawn), tmp_path / "graph.graphml")
    assert read(str(tmp_path / "graph.graphml")).feature_names == ("a",)
    assert "'b', 'x', 'y', 'r', 'g', 'size' are drawing, and not used" in caplog.text


def test_gephis_gexf(tmp_path: Path) -> None:
    """Version 1.3, places and colours as elements, an edge that leads both ways."""
    nodes = [
        f'<node id="{name}" label="{CLASSES[place % 3]}"><attvalues><attvalue for="s" value="{place}"/></attvalues>'
        '<viz:size value="10"/><viz:color r="1" g="2" b="3"/></node>'
        for place, name in enumerate(IDS)
    ]
    edges = [f'<edge id="{place}" source="n{i}" target="n{j}"/>' for place, (i, j) in enumerate(EDGES.tolist())]
    (tmp_path / "graph.gexf").write_text(
        '<gexf xmlns="http://gexf.net/1.3" version="1.3" xmlns:viz="http://gexf.net/1.3/viz">'
        '<graph defaultedgetype="directed" mode="static"><attributes class="node" mode="static">'
        f'<attribute id="s" title="size" type="integer"/></attributes><nodes>{"".join(nodes)}</nodes>'
        f'<edges>{"".join(edges)}<edge id="x" source="n0" target="n2" type="mutual"/></edges></graph></gexf>'
    )
    dataset = read(str(tmp_path / "graph.gexf"), scaling="none")
    assert sorted(dataset.edge_index.t().tolist()) == sorted([*EDGES.tolist(), [0, 2], [2, 0]])
    assert (dataset.feature_names, dataset.x[7].tolist()) == (("size",), [7.0])


def test_gml_of_networkx(tmp_path: Path) -> None:
    graph = networkx_graph(directed=False)
    for values in graph.nodes.values():
        values["y"] = values.pop("label")
    networkx.write_gml(networkx.relabel_nodes(graph, {"n0": "Zoë"}), tmp_path / "graph.gml")
    path = edited(tmp_path / "graph.gml", ('label "n1"', 'label "n\u0101"'))
    text = Path(path).read_text().replace(" y ", " label2 ")
    Path(path).write_text("\ufeff" + text)
    with pytest.raises(Exception, match="no column 'label'"):
        read(path)
    numbered = [line.replace('label "', 'name "').replace("label2", "label") for line in text.splitlines()]
    Path(path).write_text("\n".join(numbered))
    dataset = read(path)
    assert dataset.class_names == tuple(CLASSES)
    assert sorted(dataset.edge_index.t().tolist()) == BOTH_WAYS


def test_gml_in_another_encoding(tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "graph.gml").write_bytes('graph [ node [ id 0 label "Zoë" ] ]'.encode("latin-1"))
    refused(str(tmp_path / "graph.gml"), "graph.gml is not in UTF-8", "save it anew in UTF-8")


def test_what_is_nested_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "".join(f'node [ id {i} label "{CLASSES[i % 3]}" graphics [ w {i} ] v {i} v {i + 1} ]' for i in range(9))
    (tmp_path / "graph.gml").write_text(f"graph [ {text} edge [ source 0 target 1 ] ]")
    dataset = read(str(tmp_path / "graph.gml"))
    assert dataset.feature_names == ("v[0]", "v[1]")
    assert dataset.x[3].tolist() == [3.0, 4.0]
    assert "the attributes 'graphics' of its nodes are not used" in caplog.text


def test_a_schema_is_applied(graphml: Path) -> None:
    from spx.datasets import OwnSettings
    from spx.datasets.own import read_own

    known = read(str(graphml))
    again = read_own(str(graphml), "public", 0, OwnSettings(), known.schema)
    assert torch.equal(again.x, known.x)


@pytest.mark.parametrize(("module", "ending"), [("networkx", ".gexf"), ("anndata.io", ".h5ad")])
def test_a_missing_package_is_named(
    tmp_path: Path, refused: Callable, monkeypatch: pytest.MonkeyPatch, module: str, ending: str
) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("spx.datasets.own.node_table.importlib.import_module", absent)
    (tmp_path / f"graph{ending}").write_text("")
    refused(f"{tmp_path}/graph{ending}", module.partition(".")[0], "not installed: pip install 'spx[formats]'")
