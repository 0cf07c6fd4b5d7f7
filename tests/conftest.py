"""How the tests are spread over processes, and where their common fixtures are."""

import os

import pytest

MOST_WORKERS = 8  # each holds torch and Lightning, and so does the server that it forks from


def pytest_configure(config: pytest.Config) -> None:
    """Fixtures are for who runs tests: the process that only hands them out need not import torch first."""
    if not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("toys")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """What `-n auto` means: a worker for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)
