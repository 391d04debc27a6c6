"""What a reader sees of a figure: nothing outside or overlapping, words and symbols, no repeats."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from simcore.figures import runs as plots
from simcore.figures.captions import caption_of
from simcore.figures.drawings import FIGURES
from simcore.figures.looks import MOST_LINES, looks_of
from simcore.figures.place import Place
from simcore.figures.style import STYLE
from simcore.physics.observables import BY_NAME, GRADIENT_NAMES, HISTOGRAMMED

KS = (0.0, 1.0, np.inf)
OVERLAPS = (0.1, 0.5, 0.9)
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "single": {},
    "k": {"k": KS},
    "two": {"k": KS, "overlap": OVERLAPS},
    "many": {"k": tuple(np.linspace(0.0, 2.0, 7).tolist())},
    "widths": {"width": (64.0, 128.0, 256.0), "k": KS[:2]},
}
KINDS = ("correlation", "distance", "q", "inactive", "dead", "deviation", "distribution")
SHOWN = [("two", kind) for kind in KINDS] + [("widths", "correlation"), ("many", "deviation")]
DEPTH = 100
NAMES = ("correlation", "distance", "log_q1", "inactive1", "inactive_both", "dead_network1",
         "dead_network_both")  # fmt: skip


def pretended(**swept: tuple[float, ...]) -> xr.Dataset:
    """Results with smooth means, theories and errors, without a simulation."""
    layer = np.arange(1, DEPTH + 1)
    shape = tuple(map(len, swept.values()))
    dims = (*swept, "layer")
    shift = np.arange(int(np.prod(shape, dtype=int))).reshape(*shape, 1) / 20.0
    base = 1.0 / (1.0 + shift + layer**0.8)
    found: dict[str, Any] = {}
    for name in NAMES:
        theory = 0.4 * base if name != "correlation" else 1.0 - base
        found[name] = (dims, theory + 2e-4 * base)
        found[f"{name}_stderr"] = (dims, np.full_like(theory, 1e-3))
        found[f"{name}_count"] = (dims, np.full(theory.shape, 1000))
        found[f"{name}_theory"] = (dims, theory)
        if not name.startswith("dead"):
            found[f"{name}_theory_1n"] = (dims, theory + 1e-4 * base)
            found[f"{name}_controlled"] = (dims, theory + 1.1e-4 * base)
            found[f"{name}_controlled_stderr"] = (dims, np.full_like(theory, 1e-6))
        if name in HISTOGRAMMED:
            found[f"{name}_theory_1n_std"] = (dims, np.full_like(theory, 0.01))
            found[f"{name}_bin_lower"] = (dims, theory - 0.03)
            found[f"{name}_bin_width"] = (dims, np.full_like(theory, 0.002))
            counts = np.rint(100.0 * np.exp(-((np.arange(32) - 16.0) ** 2) / 40.0))
            found[f"{name}_histogram"] = (
                (*dims, "bin"),
                np.broadcast_to(counts, (*theory.shape, 32)),
            )
    coordinates: dict[str, Any] = {"layer": layer, **{dim: list(x) for dim, x in swept.items()}}
    coordinates |= {} if "width" in swept else {"width": 1024.0}
    return xr.Dataset(found, coords=coordinates, attrs={"complete": 1})


@functools.cache
def drawn(grid: str, kind: str, mm: float) -> Any:
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(mm / 25.4, 2.0))
        FigureCanvasAgg(figure)
        plots.draw(Place(figure), pretended(**GRIDS[grid]), kind)
        figure.canvas.draw()
    return figure


def numbers(axis: Any) -> list[Any]:
    """The numbers at an axis."""
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [t.label1 for t in ticks if t.label1.get_visible() and t.label1.get_text()]


def texts(figure: Any) -> list[Any]:
    found = [
        text for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label)
    ]
    for axes, which in itertools.product(figure.axes, "xy"):
        found += numbers(getattr(axes, f"{which}axis"))
    legend = figure.legends[0]
    found += [*legend.get_texts(), legend.get_title()]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("mm", [86.0, 137.0])
@pytest.mark.parametrize(("grid", "kind"), SHOWN)
def test_nothing_is_outside_or_on_the_data(grid: str, kind: str, mm: float) -> None:
    figure = drawn(grid, kind, mm)
    frame = figure.bbox
    for text in texts(figure):
        box = text.get_window_extent()
        assert box.x0 >= frame.x0 - 1, text.get_text()
        assert box.y0 >= frame.y0 - 1, text.get_text()
        assert box.x1 <= frame.x1 + 1, text.get_text()
        assert box.y1 <= frame.y1 + 1, text.get_text()
    (legend,) = figure.legends
    for axes in figure.axes:
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())
        assert axes.get_window_extent().height > 0.1 * mm / 25.4 * figure.dpi


@pytest.mark.parametrize("mm", [86.0, 137.0])
@pytest.mark.parametrize("kind", ["correlation", "q", "distribution"])
def test_numbers_at_an_axis_do_not_touch(kind: str, mm: float) -> None:
    figure = drawn("two", kind, mm)
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in numbers(axes.xaxis)]
        for one, other in itertools.pairwise(boxes):
            assert one.x1 < other.x0


@pytest.mark.parametrize(("grid", "kind"), SHOWN)
def test_labels_are_words_or_symbols(grid: str, kind: str) -> None:
    figure = drawn(grid, kind, 137.0)
    everything = " ".join(text.get_text() for text in texts(figure))
    for name in (*BY_NAME, *GRIDS[grid]):
        assert "_" not in name or name not in everything
    assert "1,000 networks" in everything
    assert ("bars: 95 %" in everything) == (kind != "distribution")
    assert ("$N$ = 1024" in everything) == ("width" not in GRIDS[grid])


@pytest.mark.parametrize("kind", ["correlation", "distance", "q", "inactive", "dead"])
def test_below_means_stands_what_theory_leaves(kind: str) -> None:
    upper, lower = drawn("two", kind, 137.0).axes[:2]
    assert "mean field" in lower.get_ylabel() or "theory" in lower.get_ylabel()
    zero = [line for line in lower.lines if np.allclose(line.get_ydata(), 0.0)]
    assert zero
    assert upper.get_shared_x_axes().joined(upper, lower)
    heights = [line for c in lower.containers for line in c.lines[2]]
    assert heights


@pytest.mark.parametrize("grid", GRIDS)
def test_no_two_lines_look_alike(grid: str) -> None:
    ds = pretended(**GRIDS[grid])
    for names in (("correlation",), ("inactive1", "inactive_both")):
        lines = looks_of(ds[names[0]], names).lines
        assert len({(to_hex(line.look.colour), line.look.marker) for line in lines}) == len(lines)
        assert len({to_hex(line.look.colour) for line in lines}) == len(lines)
        assert len({line.label for line in lines}) == len(lines)


def test_hues_are_for_one_parameter_and_shades_for_the_other() -> None:
    looks = looks_of(pretended(**GRIDS["two"])["correlation"], ("correlation",))
    assert [name for name, _ in looks.hues] == ["$k$ = 0", "$k$ = 1", "$k$ = ∞"]
    assert [name for name, _ in looks.shades] == [f"$c_0$ = {c}" for c in OVERLAPS]
    markers = {line.place["overlap"]: line.look.marker for line in looks.lines}
    assert all(line.look.marker == markers[line.place["overlap"]] for line in looks.lines)
    large = pretended(k=tuple(range(9)), overlap=tuple(np.linspace(0.0, 0.8, 9).tolist()))
    looks = looks_of(large["correlation"], ("correlation",))
    assert len(looks.lines) == looks.shown == MOST_LINES
    assert looks.points == 81


def test_points_of_several_lines_stand_side_by_side() -> None:
    layer = np.arange(1, DEPTH + 1)
    places = Place(Figure(figsize=(5.4, 3.0))).points(layer, 3)
    assert places[0][0] == 0
    assert places[0][-1] == DEPTH - 1
    late = [set(where[where > 20].tolist()) for where in places]
    assert not late[0] & late[1]
    assert not late[1] & late[2]
    few = Place(Figure(figsize=(5.4, 3.0))).points(layer[:5], 3)
    assert all(where.tolist() == [0, 1, 2, 3, 4] for where in few)


def test_means_that_span_decades_have_a_logarithmic_axis() -> None:
    assert drawn("single", "distance", 137.0).axes[0].get_yscale() == "log"
    assert drawn("single", "correlation", 137.0).axes[0].get_yscale() == "linear"
    assert drawn("single", "correlation", 137.0).axes[0].get_xscale() == "log"


def test_axes_of_others_get_one_panel_and_a_legend_of_their_own() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    plots.draw(Place(figure, left), pretended(**GRIDS["k"]), "correlation")
    assert figure.axes == [left, right]
    assert left.get_legend() is not None
    assert not right.lines


@pytest.mark.parametrize("kind", FIGURES)
def test_a_caption_says_what_is_shown(kind: str) -> None:
    ds = pretended(**GRIDS["k"])
    for ending in ("_count", "_theory"):
        for name in ("dead", "log_distance", *GRADIENT_NAMES):
            ds[name + ending] = ds["correlation" + ending]
    told = caption_of(ds, kind, FIGURES[kind].observables, DEPTH)
    assert "1,000 networks at each point" in told
    assert "N = 1024" in told
    assert "k = 0, 1, ∞" in told
    assert "mean field" in told or "theory" in told
    assert ("bars: intervals" in told) == (kind not in ("distribution", "z"))
    assert "_" not in told
    assert told.endswith(".")


def test_few_networks_have_intervals_by_students_law() -> None:
    ds = pretended()
    ds["correlation_count"] = ds["correlation_count"] // 100
    assert "Student’s law" in caption_of(ds, "correlation", ("correlation",), DEPTH)


def test_the_command_prints_the_caption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from simcore.cli.main import main

    from simcore.files.run_file import write_run
    from simcore.files.run_results import RunResults
    from simcore.runs.run import Run
    from tests.support.results import statistics

    run = Run(depth=2, width=(8,), trials=64)
    write_run(tmp_path / "run.h5", RunResults(run, statistics(run), complete=True), provenance={})
    target = tmp_path / "f.png"
    command = ["plot", str(tmp_path / "run.h5"), "correlation", "--caption", "-o", str(target)]
    assert main(command) in (None, 0)
    told = capsys.readouterr()
    assert told.out.startswith("Correlation c of two signals by layer.")
    assert "64 networks (he): N = 8" in told.out
    assert target.exists()
