"""The formula's constants stand in one place: another number there is another number in every implementation."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import spx
from spx.kernels.formula import NUM_EDGE_TYPES, EdgeType, Rows, Scoring

PACKAGE = Path(spx.__file__).parent
CONSTANTS = {"SCORE_BOUND", "NUM_EDGE_TYPES", "EdgeType"}
COMPARE = """
import torch
from benchmarks.plain_attention import plain_attend
from spx.graph.csr import AttentionGraph
from spx.kernels import row_attention, torch_attention
from spx.kernels.formula import NUM_EDGE_TYPES, SCORE_BOUND
from spx.kernels.compiled_rows import can_compile
from spx.nn.functional import attend
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

modules = [torch_attention]
if can_compile():
    from spx.kernels import cpu_attention
    modules.append(cpu_attention)
assert (NUM_EDGE_TYPES, SCORE_BOUND) == (4, 2.0)
torch.manual_seed(0)
rows = AttentionGraph(torch.arange(7) * 8, torch.randint(6, (48,)).int(), torch.randint(4, (48,)).byte()).check()
shapes = [(6, 2, 3)] * 3 + [(4, 2, 3), (4, 2)]
leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

def results(attention, *settings):
    query, key, value, *of_types = leaves
    out, weights = attention(query, key, value, rows, *of_types, 0.4, *settings)
    return out, weights, *torch.autograd.grad(out.square().sum(), leaves)

expected = results(plain_attend)
of_rows = expected[1].detach().view(6, 8, 2)
most = float((of_rows.amax(1) / of_rows.amin(1)).log().max())
assert 2 < most < 4 + 1e-6, "the scores of some row differ by more than the smaller bound, by no more than it allows"
for module in modules:
    row_attention.implementation = lambda query: module
    for one, other in zip(results(attend, True), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
assert GraphTransformer(3, 2, TransformerSettings(width=4, num_layers=1)).edge_embedding.num_embeddings == 4
print(torch_attention.__file__)
"""


def test_edges_have_three_types() -> None:
    assert [edge_type.name for edge_type in EdgeType] == ["GRAPH", "EXPANDER", "SELF_LOOP"]
    assert NUM_EDGE_TYPES == 3


def test_nothing_else_of_the_package_defines_a_constant_of_the_formula() -> None:
    defined = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.name] if isinstance(node, ast.ClassDef) else []
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            defined += [(name, path.name) for name in CONSTANTS.intersection(names)]
    assert sorted(defined) == [(name, "formula.py") for name in sorted(CONSTANTS)]


def test_the_operators_take_the_tensors_of_the_formula_in_its_order() -> None:
    """What torch wants one by one are the two tuples' fields."""
    from spx.kernels import row_attention

    flat = [*Rows._fields, *Scoring._fields]
    for operator, before in (
        (row_attention.row_attention, ["query", "key", "value"]),
        (row_attention.row_attention_backward, ["grad_out", "out", "mass", "query", "key", "value"]),
        (row_attention.row_attention_weights, ["mass", "query", "key"]),
    ):
        schema = operator._opoverload._schema
        assert [argument.name for argument in schema.arguments] == before + flat


@pytest.mark.full
def test_a_fourth_type_and_another_bound_reach_every_implementation(tmp_path: Path) -> None:
    """In a copy of the package whose formula alone is another."""
    for folder in ("spx", "benchmarks"):
        shutil.copytree(PACKAGE.parent / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    formula = tmp_path / "spx" / "kernels" / "formula.py"
    text = formula.read_text()
    for before, after in (("SELF_LOOP = 2\n", "SELF_LOOP = 2\n    FOURTH = 3\n"), ("BOUND = 8.0", "BOUND = 2.0")):
        assert before in text
        text = text.replace(before, after)
    formula.write_text(text)
    done = subprocess.run(
        [sys.executable, "-B", "-c", COMPARE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
