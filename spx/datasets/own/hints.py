"""What is not read, and the lines of Python that make of it what is."""

_NPZ = "numpy.savez('graph.npz', x=x, edges=edges, y=y)"
_SAVE = "torch.save({'x': data.x, 'edge_index': data.edge_index, 'y': data.y}, 'graph.pt')"
_DGL = "torch.save({'edge_index': torch.stack(g.edges()), 'x': g.ndata['feat'], 'y': g.ndata['label']}, 'graph.pt')"
_TRUSTED = "if you trust it"

_CLASSES = {
    "HeteroData": (
        "a graph has one kind of nodes; data = torch.load(PATH, weights_only=False).to_homogeneous(); "
        "torch.save(data.to_dict(), 'graph.pt'), or save the tensors of one kind"
    ),
    "SparseTensor": (
        "row, col, _ = data.adj_t.t().coo(); torch.save({'x': data.x, 'edge_index': torch.stack([row, col]), "
        "'y': data.y}, 'graph.pt'); for a sparse x, x.to_torch_sparse_coo_tensor()"
    ),
    "DGLGraph": _DGL,
    "Graph": "networkx.write_graphml(graph, 'graph.graphml')",
}
_ALSO = {
    "SparseStorage": "SparseTensor",
    "MultiGraph": "Graph",
    "MultiDiGraph": "Graph",
    "DiGraph": "Graph",
    "DGLHeteroGraph": "DGLGraph",
}

_PICKLE = (
    f"a pickle can run code, so it is not opened; {_TRUSTED}: data = pickle.load(open(PATH, 'rb')), then {_SAVE}, or "
    "for a graph of networkx networkx.write_graphml(data, 'graph.graphml')"
)
_TABLE = "a table is read as one of two in a folder: nodes.csv (id, label, ...) and edges.csv (source, target)"
_MATLAB = "m = scipy.io.loadmat(PATH), then numpy.savez('graph.npz', x=m[...], adj=m[...].toarray(), y=m[...].ravel())"
_UNPACK = "unpack it first, and give the folder or file in it"
_ENDINGS = {
    **dict.fromkeys((".pkl", ".pickle", ".p", ".gpickle"), _PICKLE),
    ".joblib": f"it can run code, so it is not opened; {_TRUSTED}: data = joblib.load(PATH), then {_SAVE}",
    ".mat": _MATLAB,
    ".npy": f"it holds one array, but a graph has several: {_NPZ}",
    ".bin": f"if it is DGL's: g = dgl.load_graphs(PATH)[0][0], then {_DGL}",
    ".json": (
        "if networkx wrote it: g = networkx.node_link_graph(json.load(open(PATH))), then "
        "networkx.write_graphml(g, 'graph.graphml')"
    ),
    **dict.fromkeys((".h5", ".hdf5", ".loom"), f"read its arrays with h5py, then {_NPZ}; AnnData's end in .h5ad"),
    **dict.fromkeys((".feather", ".arrow", ".orc"), _TABLE),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), f"export its sheets as CSV; {_TABLE}"),
    **dict.fromkeys((".zip", ".gz", ".bz2", ".xz", ".zst", ".tar", ".tgz", ".7z"), _UNPACK),
    **dict.fromkeys(
        (".net", ".paj"), "networkx.write_graphml(networkx.Graph(networkx.read_pajek(PATH)), 'graph.graphml')"
    ),
    ".adjlist": "networkx.write_edgelist(networkx.read_adjlist(PATH), 'graph.edgelist', data=False)",
    **dict.fromkeys((".dot", ".gv"), "networkx.write_graphml(networkx.nx_pydot.read_dot(PATH), 'graph.graphml')"),
    ".safetensors": "numpy.savez('graph.npz', **safetensors.numpy.load_file(PATH))",
}


def for_class(name: str) -> str | None:
    """The mend for a file that holds an object of this class, given with its module; None where none is known."""
    last = name.rpartition(".")[2]
    return _CLASSES.get(_ALSO.get(last, last))


def for_ending(ending: str) -> str | None:
    """The mend for a file with this ending (".mat"); None where none is known."""
    return _ENDINGS.get(ending.lower())
