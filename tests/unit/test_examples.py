"""The examples in docstrings, run as they are printed."""

import doctest
import importlib

from daily import every_day

EXAMPLES = {
    "spx.graph.csr": 1,
    "spx.fitting": 1,
    "spx.graph.expander": 1,
    "spx.graph.grown": 1,
    "spx.graph.sampling": 1,
    "spx.nn.functional": 1,
    "spx.analysis.measures": 4,
    "spx.analysis.distance": 2,
    "spx.data.augmented": 1,
    "spx.data.resampled": 1,
    "spx.training.estimator": 1,
    "spx.training.wide": 1,
    "spx.inference.run": 1,
}
"""Modules, and how many of their functions and classes have one at least."""


@every_day("module", EXAMPLES, EXAMPLES.keys() - {"spx.fitting"})  # both stages as a user fits them
def test_examples_give_what_they_say(module: str) -> None:
    found = [test for test in doctest.DocTestFinder().find(importlib.import_module(module)) if test.examples]
    assert len(found) >= EXAMPLES[module]
    for test in found:
        said: list[str] = []
        doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)
        assert not said, "".join(said)
