"""Shared set-up: compiled kernels are cached by the digest of the sources, as for a user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simcore.numba_setup import prepare
from tests.warm_up import KINDS

prepare()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile what most tests need, before a parallel run has several workers do it at once."""
    config = session.config
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", default=None):
        return
    root = Path(__file__).parents[1]
    commands = [[sys.executable, "-m", "tests.warm_up", kind] for kind in KINDS]
    started = [subprocess.Popen(command, cwd=root) for command in commands]
    for process in started:
        process.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the groups that one worker must run alone: they wait much, and would end last."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
