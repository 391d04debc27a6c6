"""Small runs, the pages about them, and a Chromium to look at these."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from simcore.execution.execute import execute
from simcore.report import report
from simcore.runs.run import Run
from tests.report.browser import Browser, running

INFINITE = float("inf")

RUNS = {
    "single": Run(depth=12, width=(64,), trials=128),
    "few": Run(
        depth=9, width=(32,), ensemble="correlated", k=(0.0, 1.0, INFINITE), trials=100, keep=4
    ),
    "widths": Run(
        depth=52,
        width=(256, 384, 512),
        ensemble="correlated",
        k=(0.5, 1.0, 2.0),
        sigma_w=(1.42, 1.5),
        sigma_b=(0.2,),
        trials=80,
        keep=2,
    ),
    "shared": Run(
        depth=8, width=(32,), shared_network=True, correlation=(0.1, 0.5, 0.9), trials=100
    ),
    "dead": Run(depth=16, width=(2,), trials=100),
    "rai": Run(depth=6, width=(32,), ensemble="rai", trials=64),
    "profile": Run(depth=4, layer_widths=(48, 32, 32, 28), trials=64, keep=0),
    "same": Run(depth=5, width=(32,), correlation=(1.0,), trials=64),
    "ten": Run(depth=4, width=(16, 32), trials=10),
    "one": Run(depth=5, width=(32,), trials=1),
}
"""Runs by name: of each kind that has something of its own on the page."""


@dataclass(frozen=True)
class Made:
    """A page, the run it is about, and the data in it."""

    run: Path
    page: Path

    @property
    def html(self) -> str:
        return self.page.read_text(encoding="utf-8")

    @property
    def data(self) -> dict[str, Any]:
        found = re.search(r'id="page-data">(.*?)</script>', self.html, re.DOTALL)
        assert found is not None
        data = json.loads(found[1])
        assert isinstance(data, dict)
        return data


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Return the page about a run of `RUNS`, made on first use."""
    folder = tmp_path_factory.mktemp("report")

    @cache
    def make(name: str) -> Made:
        run, page = folder / f"{name}.h5", folder / f"{name}.html"
        execute(RUNS[name], output=run, threads=1)
        assert report([run], page).problems == ()
        return Made(run, page)

    return make


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("profile")) as started:
        yield started
