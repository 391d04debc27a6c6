"""Shared set-up: compiled kernels are cached by the digest of the sources, as for a user.

Tests run as on a machine without a GPU, whatever it has; those marked `gpu` use it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from simcore.machine import gpu as devices
from simcore.machine.gpu import Findings
from simcore.numerics.compiling import prepare
from tests.support.warm_up import KINDS

prepare()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile what most tests need, before a parallel run has several workers do it at once."""
    config = session.config
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", default=None):
        return
    root = Path(__file__).parents[1]
    commands = [[sys.executable, "-m", "tests.support.warm_up", kind] for kind in KINDS]
    started = [subprocess.Popen(command, cwd=root) for command in commands]
    for process in started:
        process.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the groups that one worker must run alone: they wait much, and would end last."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-gpu",
        action="store_true",
        help="fail, instead of skipping, the tests that need a GPU where none can be used",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs a GPU where there is none; fail it if a GPU is required."""
    if item.get_closest_marker("gpu") is None:
        return
    problem = devices.obstacle(devices.look())
    if problem is None:
        return
    told = f"cuda {problem.rule}"
    if item.config.getoption("--require-gpu"):
        pytest.fail(told, pytrace=False)
    pytest.skip(told)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Findings], None]:
    """Let a machine have what is given, for `simcore.machine.gpu` in this process."""
    return lambda found: monkeypatch.setattr(devices, "look", lambda: found)


@pytest.fixture(autouse=True)
def _no_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the GPUs of this machine from a test, and from the processes that it starts."""
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setenv(devices.VISIBLE, "-1")
        monkeypatch.setattr(devices, "look", Findings)
