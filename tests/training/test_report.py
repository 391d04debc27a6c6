"""What is shown of training files: the page, the single figures, `simcore info`."""

from __future__ import annotations

import json
import re
import shlex
from html import unescape
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure
from simcore.cli.main import main
from simcore.cli.train import _plan

from simcore.errors import InputError
from simcore.figures import runs as plots
from simcore.figures.training import KINDS, draw
from simcore.files.hdf5 import reading
from simcore.files.run_file import write_run
from simcore.files.run_results import RunResults
from simcore.report import report
from simcore.runs.run import Run
from simcore.training import open_training
from simcore.training.facts import describe, repeating_command
from simcore.training.plan import Digits, TeacherStudent
from simcore.training.statistics import curves, final, steps_to_reach
from simcore.training.verdict import verdict
from tests.report.browser import Browser
from tests.report.conftest import browser
from tests.support.results import statistics
from tests.training.synthetic import LAST, runs, write

__all__ = ["browser"]

SPEEDS = {"he": 1.0, "correlated:1": 2.5, "torch": 0.3, "orthogonal": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("training")
    write(place / "teacher.h5", SPEEDS, diverged={"torch": {3: 0, 7: 50}})
    write(place / "digits.h5", {"he": 1.0, "rai": 1.2}, digits=True, seeds=8)
    write(place / "begun.h5", {"he": 1.0, "rai": 1.0}, unfinished=2)
    write(place / "half.h5", {"he": 1.0, "rai": 1.0}, unfinished=1)
    write(place / "one.h5", {"he": 1.0, "rai": 1.0}, seeds=1, depth=1)
    gone = {"he": dict.fromkeys(range(20), 0)}
    write(place / "gone.h5", {"he": 1.0, "rai": 1.0}, diverged=gone)
    return place


@pytest.fixture(scope="module")
def page(folder: Path) -> Path:
    files = [folder / f"{name}.h5" for name in ("teacher", "digits")]
    made = report(files, folder / "page.html")
    assert made.problems == made.notes == ()
    return made.path


def figures_of(html: str) -> dict[str, Any]:
    found = re.search(r'id="page-figures">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    figures: dict[str, Any] = json.loads(found[1])
    return figures


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html[: html.index("<script")])))


# --- the page -------------------------------------------------------------------------------------


def test_the_page_has_the_verdict_and_the_tables(folder: Path, page: Path) -> None:
    html = page.read_text()
    text = text_of(html)
    ds = open_training(folder / "teacher.h5")
    for line in verdict(ds).splitlines():
        assert line in text
    ends = final(ds)
    for name in SPEEDS:
        middle = float(ends["loss_quantile"].sel(ensemble=name, level=0.5))
        assert f"{float(f'{middle:.3g}'):g} (" in text
    assert "2 of 20" in text
    assert f"&gt; {LAST}" in html
    assert "Training: teacher.h5" in text
    assert "Training: digits.h5" in text
    assert "p, corrected" in text
    own = html[: html.index("<script>")] + html[html.rindex("<script>") :]
    assert "https://" not in own


def test_the_figures_have_the_values_of_the_file(folder: Path, page: Path) -> None:
    figures = figures_of(page.read_text())
    assert set(figures) == {
        *(f"training0-{name}" for name in ("loss", "dead", "rates")),
        *(f"training1-{name}" for name in ("loss", "accuracy", "dead", "rates")),
    }
    found = curves(open_training(folder / "teacher.h5"))
    text = json.dumps(figures["training0-loss"])
    for name in SPEEDS:
        last = float(found["loss"].sel(ensemble=name, level=0.5)[-1])
        assert f"{last:.8g}" in text


def test_training_and_runs_share_a_page(folder: Path, tmp_path: Path) -> None:
    run = Run(depth=2, width=(8,), trials=64)
    write_run(tmp_path / "run.h5", RunResults(run, statistics(run), complete=True), provenance={})
    files = [folder / "one.h5", tmp_path / "run.h5", folder / "half.h5"]
    html = report(files, tmp_path / "page.html").path.read_text()
    assert "<h1>Signal propagation in random ReLU networks</h1>" in html
    assert {"correlation", "training0-loss", "training1-loss"} <= figures_of(html).keys()
    for name in ("one", "half"):
        assert f"Training: {name}.h5" in html


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("begun", "Training is unfinished"),
        ("half", "No result yet for rai: not trained to the end."),
        ("one", "With one seed there is one pair of networks"),
        ("gone", "speeds can't be compared, since too few runs of he learn"),
    ],
)
def test_files_that_lack_something_have_a_page(
    folder: Path, tmp_path: Path, name: str, words: str
) -> None:
    made = report([folder / f"{name}.h5"], tmp_path / "page.html")
    assert words in text_of(made.path.read_text())
    assert bool(made.notes) == (name != "gone")


def test_the_page_in_a_browser(browser: Browser, page: Path) -> None:
    shown = browser.open(page)
    assert shown.complaints() == []
    assert shown.requests() == [page.resolve().as_uri()]
    visible = """(() => {
      const place = document.getElementById("figure-training0-loss");
      const models = Bokeh.documents.map((d) => d.roots()[0]);
      const model = models.find((m) => m.id === place.dataset.model);
      return model.renderers.map((r) => [r.tags[1], r.visible]);
    })()"""
    assert all(seen for _, seen in shown.evaluate(visible))
    shown.evaluate("document.querySelector('[data-ensemble=torch]').click()")
    assert {tuple(x) for x in shown.evaluate(visible)} == {
        (name, name != "torch") for name in SPEEDS
    }


# --- single figures -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_single_figures_are_drawn(folder: Path, tmp_path: Path, kind: str) -> None:
    target = plots.plot(folder / "digits.h5", kind, tmp_path / "figure.png")
    assert target.read_bytes()[:4] == b"\x89PNG"
    for name in ("one", "gone", "half"):
        if kind != "accuracy" and (name, kind) != ("half", "differences"):
            draw(Figure().add_subplot(), open_training(folder / f"{name}.h5"), kind)


def test_single_figures_have_the_values_of_the_file() -> None:
    ds = runs(SPEEDS)
    axes: Any = Figure().add_subplot()
    draw(axes, ds, "loss")
    found = curves(ds).sel(level=0.5, step=slice(1, None))
    for line, name in zip(axes.lines, SPEEDS, strict=False):
        np.testing.assert_allclose(line.get_ydata(), found["loss"].sel(ensemble=name))
    axes = Figure().add_subplot()
    draw(axes, ds, "steps")
    reach = steps_to_reach(ds)["quantile"].sel(level=0.5, ensemble="he").to_numpy()
    np.testing.assert_allclose(axes.lines[0].get_ydata(), reach[np.isfinite(reach)])
    axes = Figure().add_subplot()
    draw(axes, ds, "dead")
    assert axes.get_ylim()[0] == 0.0


@pytest.mark.parametrize(
    ("name", "kind", "choice", "words"),
    [
        ("teacher", "accuracy", {}, "needs a task with classes. Choose one of: loss, steps"),
        ("teache?", "loss", {}, "is no figure of a pattern"),
        ("cut", "loss", {}, "is damaged"),
        ("teacher", "z", {}, "is no figure of training"),
        ("teacher", "pie", {}, "is not known"),
        ("teacher", "loss", {"layer": 2}, "can't be chosen for loss"),
        ("begun", "loss", {}, "needs an ensemble whose networks are all trained"),
        ("half", "differences", {}, "needs he and another ensemble"),
    ],
)
def test_a_figure_that_cannot_be_is_told(
    folder: Path, tmp_path: Path, name: str, kind: str, choice: dict[str, Any], words: str
) -> None:
    whole = (folder / "teacher.h5").read_bytes()
    (folder / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=words):
        plots.plot(folder / f"{name}.h5", kind, tmp_path / "figure.png", **choice)


# --- facts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        TeacherStudent(),
        TeacherStudent(
            ensembles=("raai:0.1", "correlated:inf"), noise=1 / 3, teacher="raai:2", seed=2**64 - 1
        ),
        Digits(depth=2, optimizer="adam", rates=(1e-12, 1 / 3, 1e5), samples=500, batch=7),
    ],
)
def test_the_command_repeats_the_training(plan: TeacherStudent | Digits) -> None:
    words = shlex.split(repeating_command(plan.config()))
    assert words[:3] == ["simcore", "train", plan.task]
    names = [word.removeprefix("--").replace("-", "_") for word in words[3::2]]
    again = _plan(plan.task, dict(zip(names, words[4::2], strict=True)))
    assert again.config() == plan.config()


def test_info_shows_a_training_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "teacher.h5"
    with reading(path) as file:
        facts = describe(file, path)
    assert (facts["networks"], facts["networks_in_all"]) == (4 * 25 + 2, 4 * 25 + 2)
    assert facts["diverged"]["torch"] == 2
    assert facts["complete"]
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(facts))
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 60
    assert "correlated:1" in shown


def test_a_damaged_file_is_told(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "bad.h5", {"he": 1.0}, seeds=2)
    with h5py.File(path, "a") as file:
        del file["entry/loss/test"]
    with pytest.raises(InputError, match="damaged"):
        report([path], tmp_path / "page.html")
    made = report([path, folder / "one.h5"], tmp_path / "page.html")
    assert len(made.problems) == 1
