"""h5web, the viewer of many archives, in a browser: the plot that it shows of a file by itself."""

from __future__ import annotations

import functools
import http.server
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from simcore.files.run_file import write_run
from simcore.files.run_results import RunResults
from simcore.runs.run import Run
from simcore.theory.nexus import as_nexus
from simcore.theory.tables import trajectories
from tests.report.browser import PATIENCE, Browser, Page, running
from tests.support.results import statistics

pytestmark = [pytest.mark.xdist_group("report"), pytest.mark.needs("h5web")]

SOURCES = Path(__file__).with_name("h5web")
NPM = "npm install --no-package-lock --ignore-scripts --no-audit --no-fund --prefer-offline"
BUNDLE = "node_modules/.bin/esbuild viewer.mjs --bundle --format=esm --outfile=viewer.js"
MEAN, OVER = np.array([0, 0, 139]), np.array([255, 69, 0])
"""Colours of h5web: of a signal, and of the first one that goes over it."""

CURVE = 20
"""Pixels of a colour that are no accident; most of one curve may lie under another."""

SELECTED = "[...document.querySelectorAll('[role=tab][aria-selected=true]')].at(-1).innerText"
"""The kind of plot; without `interpretation` it is an image, ``NX Heatmap``."""

Show = Callable[[Path, str], Page]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def viewer(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with h5web; it is kept, where pytest keeps anything."""
    cache = pytestconfig.cache
    folder = cache.mkdir("h5web") if cache else tmp_path_factory.mktemp("h5web")
    known = folder / "package.json"
    wanted = (SOURCES / "package.json").read_text()
    if known.exists() and known.read_text() == wanted and (folder / "viewer.js").exists():
        return folder
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    for command in (NPM, BUNDLE):
        done = subprocess.run(
            shlex.split(command), cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            (folder / "viewer.js").unlink(missing_ok=True)
            pytest.skip(f"h5web can't be installed: {done.stderr[-300:]}")
    return folder


@pytest.fixture(scope="module")
def show(viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    """Return a function that opens a file in h5web, and waits for the name of an axis."""
    handler = functools.partial(Quiet, directory=str(viewer))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def opened(browser: Browser, path: Path, axis: str) -> Page:
        copy = viewer / path.name
        shutil.copyfile(path, copy)
        page = browser.tab()
        page.resize(800, 600)
        address = f"http://127.0.0.1:{server.server_port}/index.html?file={path.name}"
        page.send("Page.navigate", url=address)
        page.wait_for(f"document.body?.innerText.split('\\n').includes('{axis}')")
        copy.unlink()
        return page

    with running(tmp_path_factory.mktemp("profile")) as browser:
        yield functools.partial(opened, browser)
    server.shutdown()
    server.server_close()


def drawn(page: Page, colour: np.ndarray, folder: Path) -> int:
    """Return how many pixels of a colour are on a page, as soon as there is a curve's worth."""
    end = time.monotonic() + PATIENCE / 2
    found = 0
    while found <= CURVE and time.monotonic() < end:
        page.settle()
        page.screenshot(folder / "page.png", 600)
        picture = 255.0 * matplotlib.image.imread(folder / "page.png")[..., :3]
        found = int((np.abs(picture - colour).max(axis=2) < 60.0).sum())
    return found


def test_a_grid_is_shown_as_curves_with_theory(show: Show, tmp_path: Path) -> None:
    run = Run(depth=12, width=(64,), ensemble="correlated", k=(0.0, 1.0, np.inf), trials=64)
    path = tmp_path / "run.h5"
    write_run(path, RunResults(run, statistics(run, seed=2), complete=True), provenance={})
    page = show(path, "layer, from 1")
    assert drawn(page, MEAN, tmp_path) > CURVE
    assert drawn(page, OVER, tmp_path) > CURVE
    assert page.evaluate(SELECTED) == "NX Line"
    words = page.evaluate("document.body.innerText").splitlines()
    assert words.count("correlation of the pre-activations: mean over trials") == 2
    assert "12" in words  # the last tick
    thrown = [text for text in page.complaints() if "Error" in text]
    assert thrown == []


def test_a_table_of_theory_is_shown_as_curves(show: Show, tmp_path: Path) -> None:
    table = trajectories(12, k=[0.0, np.inf], width=64)
    path = tmp_path / "theory.h5"
    as_nexus(table).to_netcdf(path, engine="h5netcdf")
    page = show(path, "layer")
    assert drawn(page, MEAN, tmp_path) > CURVE
    assert page.evaluate(SELECTED) == "NX Line"
