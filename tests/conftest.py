"""Which tests run, what they are marked with, and what they share.

``pytest`` alone runs the light tests: those of the extra `test` that take four minutes together.
``--rest`` runs the others and ``--all`` both. Tests that are named (paths, -k, -m) run in any case.

Compiled kernels are cached by the digest of the sources, as for a user. Tests run as on a machine
without a GPU, whatever it has; those marked `gpu` use it.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from simcore.machine import gpu
from simcore.machine.gpu import Findings
from tests.support.needs import ALL, FIXTURES, NEEDS, ROOMS, all_required
from tests.support.warm_up import KINDS

HERE = Path(__file__).parent
KINDS_OF_TESTS = ("emulator", "laws", "promises")
"""Folders whose name is a marker; the tests of all others are marked `unit`."""

MAY_SKIP = ("gpu", "processor")
"""Markers of tests that depend on hardware: they may be skipped where all tests are required."""

LEFT_OUT = pytest.StashKey[Counter[str]]()
MISSING = pytest.StashKey[set[str]]()


# --- which tests run ------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-gpu",
        action="store_true",
        help="fail, instead of skipping, the tests that need a GPU where none can be used",
    )
    selections = {"light": "the light tests", "rest": "the others", "all": "all tests"}
    for name, what in selections.items():
        parser.addoption(
            f"--{name}", dest="selection", action="store_const", const=name, help=f"run {what}"
        )


def pytest_configure(config: pytest.Config) -> None:
    """Settle the selection, which workers of a parallel run take over."""
    option = config.option
    if option.selection is None:
        named = config.args_source is pytest.Config.ArgsSource.ARGS
        option.selection = "all" if named or option.keyword or option.markexpr else "light"
    config.stash[LEFT_OUT] = Counter()
    config.stash[MISSING] = set()
    if hasattr(option, "loadscopereorder"):
        option.loadscopereorder = False  # pytest-xdist begins with what has most tests, not time


def is_light(item: pytest.Item) -> bool:
    """Return whether a test needs no more than the extra `test`, and little time."""
    heavy = ("slow", "needs", "gpu", *KINDS_OF_TESTS)
    return not any(item.get_closest_marker(name) for name in heavy)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a room of tests that cannot be imported."""
    if not collection_path.is_relative_to(HERE):
        return None
    room = collection_path.relative_to(HERE).as_posix()
    need = NEEDS.get(ROOMS.get(room, ""))
    if need is None or need.importable():
        return None
    if all_required() and config.option.selection != "light":
        message = f"tests/{room}: {need.message()}"
        raise pytest.UsageError(message)
    config.stash[MISSING].add(f"tests/{room} ({need.message()})")
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by their folder and their needs, and leave out those that are not selected.

    It comes before the hook of pytest-xdist, which reads the groups. First are the groups that one
    worker must run alone, which wait much, then the files whose tests share what takes time to
    make, then what is slow: whatever is short fills the end.
    """
    for item in items:
        _mark(item)
    if config.option.selection != "all":
        light = config.option.selection == "light"
        left = [item for item in items if is_light(item) is not light]
        items[:] = [item for item in items if is_light(item) is light]
        config.stash[LEFT_OUT].update(_kind(item) for item in left)
        config.hook.pytest_deselected(items=left)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    group = item.get_closest_marker("xdist_group")
    if group is not None:
        return int(group.args[0] == item.path.stem)
    return 2 if any(item.get_closest_marker(name) for name in ("slow", "promises")) else 3


def _mark(item: pytest.Item) -> None:
    folder = item.path.parent.relative_to(HERE).as_posix()
    top = folder.split("/")[0]
    item.add_marker(top if top in KINDS_OF_TESTS else "unit")
    names = [need for room, need in ROOMS.items() if folder == room]
    names += [FIXTURES[f] for f in getattr(item, "fixturenames", ()) if f in FIXTURES]
    for name in names:
        item.add_marker(pytest.mark.needs(name))
    if item.get_closest_marker("xdist_group") is None and _shares_a_fixture(item):
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


def _shares_a_fixture(item: Any) -> bool:
    """Return whether a test uses what is made once for its file, so once in each worker."""
    found = item._fixtureinfo.name2fixturedefs.values() if hasattr(item, "_fixtureinfo") else ()
    return any(fixtures[-1].scope == "module" for fixtures in found)


def _kind(item: pytest.Item) -> str:
    """Return the word by which the summary counts a test that was left out."""
    needs = [str(marker.args[0]) for marker in item.iter_markers("needs")]
    markers = (name for name in (*KINDS_OF_TESTS, "gpu", "slow") if item.get_closest_marker(name))
    return next(markers, needs[0] if needs else "light")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of a parallel run has left out; all leave out the same."""
    if "left_out" in getattr(node, "workeroutput", {}):
        node.config.stash[LEFT_OUT] = Counter(node.workeroutput["left_out"])
        node.config.stash[MISSING].update(node.workeroutput["missing"])


def pytest_sessionfinish(session: pytest.Session) -> None:
    config: Any = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = dict(config.stash[LEFT_OUT])
        config.workeroutput["missing"] = sorted(config.stash[MISSING])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say in one line how many tests were left out, and how to run them."""
    missing: set[str] = config.stash[MISSING]
    for room in sorted(missing):
        terminalreporter.write_line(f"not collected: {room}")
    left = config.stash[LEFT_OUT]
    if left and config.option.selection == "light":
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(left.items()))
        command = f"{ALL} && python -m pytest --rest -n 3 --dist loadgroup"
        terminalreporter.write_line(f"left out: {left.total()} tests ({kinds}); to run: {command}")


# --- what tests need ------------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose needs are not met, or that needs a GPU where there is none."""
    for marker in item.iter_markers("needs"):
        need = NEEDS[marker.args[0]]
        if not need.met():
            pytest.skip(need.message())
    if item.get_closest_marker("gpu") is None:
        return
    problem = gpu.obstacle(gpu.look())
    if problem is None:
        return
    reason = f"cuda {problem.rule}"
    if item.config.getoption("--require-gpu"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let a skipped test fail where all are required."""
    report = yield
    hardware = any(item.get_closest_marker(name) for name in MAY_SKIP)
    if report.skipped and all_required() and not hardware:
        report.outcome = "failed"
        report.longrepr = f"SIMCORE_REQUIRE_ALL=1, but skipped: {report.longrepr[2]}"
    return report


# --- what tests share -----------------------------------------------------------------------------


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile what most tests need, before a parallel run has several workers do it at once."""
    config = session.config
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", default=None):
        return
    commands = [[sys.executable, "-m", "tests.support.warm_up", kind] for kind in KINDS]
    started = [subprocess.Popen(command, cwd=HERE.parent) for command in commands]
    for process in started:
        process.wait()


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Findings], None]:
    """Let a machine have what is given, for `simcore.machine.gpu` in this process."""
    return lambda found: monkeypatch.setattr(gpu, "look", lambda: found)


@pytest.fixture(autouse=True)
def _no_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the GPUs of this machine from a test, and from the processes that it starts."""
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setenv(gpu.VISIBLE, "-1")
        monkeypatch.setattr(gpu, "look", Findings)
