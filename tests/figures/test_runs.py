from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import simcore
from simcore.figures import runs as plots
from simcore.figures.deviation import OBSERVABLES as DEVIATIONS
from simcore.figures.place import Place
from simcore.results.compare import z_scores
from simcore.results.intervals import reach
from simcore.runs.run import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    common: dict[str, Any] = {"depth": 8, "trials": 128}
    k: dict[str, Any] = {"k": (0.0, np.inf), "ensemble": "correlated"}
    simcore.simulate(Run(width=(16, 32), **k, **common), output=place / "grid.h5")
    simcore.simulate(Run(width=(16,), **common), output=place / "single.h5")
    pairs: dict[str, Any] = {"shared_network": True, "correlation": (0.1, 0.9)}
    simcore.simulate(Run(width=(16,), **pairs, **common), output=place / "shared.h5")
    simcore.simulate(Run(width=(16,), depth=8, trials=1), output=place / "one.h5")
    simcore.simulate(Run(width=(16,), depth=8, distance=(0.0,), trials=70), output=place / "c1.h5")
    fine = Run(width=(16, 64, 96), gradients=True, **k, **common)
    simcore.simulate(fine, output=place / "fine.h5")
    simcore.simulate(Run(width=(64,), depth=80, trials=64), output=place / "deep.h5")
    layers = Run(layer_widths=(48, 64, 96, 64), trials=64)
    simcore.simulate(layers, output=place / "layers.h5")
    off = Run(width=(64,), depth=3, trials=64, controls=False)
    simcore.simulate(off, output=place / "off.h5")
    rai = Run(width=(16,), depth=3, ensemble="rai", trials=64)
    simcore.simulate(rai, output=place / "rai.h5")
    return place


def drawn(path: Path, kind: str, observable: str | None = None, layer: int = 8) -> Any:
    """The panels of a figure of 137 mm."""
    figure = Figure(figsize=(5.4, 3.0))
    dataset = simcore.open_run(path)
    at = layer if kind in ("distribution", "scaling") else None
    plots.draw(Place(figure), dataset, kind, observable=observable, layer=at)
    return figure.axes


def bars(axes: Any) -> list[tuple[Any, Any]]:
    """Points and ends of bars of every line with bars, in order."""
    found = []
    for container in axes.containers:
        line, _, (segments,) = container.lines
        ends = np.array([segment[:, 1] for segment in segments.get_segments()])
        found.append((line.get_xydata(), ends))
    return found


@pytest.mark.parametrize(
    ("kind", "ending"), [*((kind, "png") for kind in plots.KINDS), ("correlation", "pdf")]
)
def test_figures_are_drawn(folder: Path, tmp_path: Path, kind: str, ending: str) -> None:
    fine = dict.fromkeys(("deviation", "gradient", "gradient-correlation", "tangent"), "fine.h5")
    source = folder / ({"dead-inputs": "shared.h5"} | fine).get(kind, "grid.h5")
    target = plots.plot(source, kind, tmp_path / f"figure.{ending}")
    start = target.read_bytes()[:4]
    assert start == {"png": b"\x89PNG", "pdf": b"%PDF"}[ending]


@pytest.mark.parametrize("name", ["one", "c1", "rai", "shared"])
@pytest.mark.parametrize("kind", ["correlation", "distance", "q", "z"])
def test_figures_of_odd_runs_are_drawn(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    assert plots.plot(folder / f"{name}.h5", kind, tmp_path / "figure.svg").stat().st_size > 1000


def test_a_figure_has_the_values_of_the_run(folder: Path) -> None:
    ds = simcore.open_run(folder / "single.h5")
    upper, lower = drawn(folder / "single.h5", "correlation")
    ((points, _),), ((left, _),) = bars(upper), bars(lower)
    np.testing.assert_array_equal(points, np.stack([ds.layer, ds.correlation], axis=1))
    field, first = ds.correlation_theory, ds.correlation_theory_1n
    drawn_lines = [line.get_ydata() for line in (*upper.lines, *lower.lines)]
    assert any(np.array_equal(y, field) for y in drawn_lines)
    np.testing.assert_array_equal(left[:, 1], ds.correlation - field)
    assert any(np.array_equal(y, first - field) for y in drawn_lines)
    against, better = drawn(folder / "single.h5", "z", "correlation")
    z = z_scores(ds)
    np.testing.assert_array_equal(against.lines[1].get_ydata(), z.correlation_z)
    np.testing.assert_array_equal(better.lines[1].get_ydata(), z.correlation_z_1n)


def test_means_are_those_with_control_variates(folder: Path) -> None:
    ds = simcore.open_run(folder / "layers.h5")
    ((points, ends),) = bars(drawn(folder / "layers.h5", "correlation")[0])
    np.testing.assert_array_equal(points[:, 1], ds.correlation_controlled)
    half = reach(64) * ds.correlation_controlled_stderr
    np.testing.assert_allclose(ends[:, 0], ds.correlation_controlled - half, rtol=1e-12)
    np.testing.assert_allclose(ends[:, 1], ds.correlation_controlled + half, rtol=1e-12)


@pytest.mark.parametrize("observable", DEVIATIONS)
def test_a_deviation_has_the_values_of_the_run(folder: Path, observable: str) -> None:
    upper, lower = drawn(folder / "fine.h5", "deviation", observable)
    run = simcore.open_run(folder / "fine.h5")
    # Networks of 16 nodes may die: only gradients have controls there. Hues are for k.
    widths = (16, 64, 96) if "gradient" in observable else (64, 96)
    wide = [run.sel(width=width, k=k) for k in (0.0, np.inf) for width in widths]
    assert len(bars(upper)) == len(bars(lower)) == len(wide)
    for ds, deviation, left in zip(wide, bars(upper), bars(lower), strict=True):
        mean, theory = ds[f"{observable}_controlled"], ds[f"{observable}_theory"]
        first, n = ds[f"{observable}_theory_1n"], float(ds.width)
        half = reach(128) * ds[f"{observable}_controlled_stderr"]
        for (points, ends), middle, size in (
            (deviation, mean - theory, half),
            (left, (mean - first) * n * n, half * n * n),
        ):
            np.testing.assert_allclose(points[:, 1], middle, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(ends[:, 0], middle - size, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(ends[:, 1], middle + size, rtol=1e-9, atol=1e-12)
        lines = [line.get_ydata() for line in upper.lines]
        assert any(np.array_equal(y, first - theory) for y in lines)


def test_a_deviation_is_not_hidden_by_the_noise_of_plain_means(folder: Path) -> None:
    upper, _ = drawn(folder / "layers.h5", "deviation", "log_q1")
    low, high = upper.get_ylim()
    ds = simcore.open_run(folder / "layers.h5")
    assert high - low < 2.0 * float((reach(64) * ds.log_q1_stderr).max())


def test_widths_by_layer_scale_with_their_harmonic_mean(folder: Path) -> None:
    panels = drawn(folder / "layers.h5", "deviation")
    ds = simcore.open_run(folder / "layers.h5")
    n = 4.0 / (1.0 / 48 + 1.0 / 64 + 1.0 / 96 + 1.0 / 64)
    left = (ds.correlation_controlled - ds.correlation_theory_1n) * n * n
    ((points, _),) = bars(panels[1])
    np.testing.assert_allclose(points[:, 1], left)


def test_networks_deeper_than_wide_have_a_deviation_without_first_order(folder: Path) -> None:
    (axes,) = drawn(folder / "deep.h5", "deviation")
    ds = simcore.open_run(folder / "deep.h5")
    gap = ds.correlation_controlled - ds.correlation_theory
    ((points, _),) = bars(axes)
    np.testing.assert_array_equal(points[:, 1], gap.sel(layer=points[:, 0].astype(int)))
    assert "first order" not in str([text.get_text() for text in axes.figure.legends[0].texts])


def test_a_distribution_is_a_density(folder: Path) -> None:
    (axes,) = drawn(folder / "single.h5", "distribution", "log_q1", 5)
    values, edges, _ = axes.patches[0].get_data()
    ds = simcore.open_run(folder / "single.h5").sel(layer=5)
    inside = int(ds.log_q1_histogram[1:-1].sum()) / int(ds.log_q1_histogram.sum())
    assert (values * np.diff(edges)).sum() == pytest.approx(inside)
    assert axes.get_xlabel() == r"$\ln q_1$ at layer 5"


def test_each_point_of_a_grid_has_its_own_distribution(folder: Path) -> None:
    panels = drawn(folder / "grid.h5", "distribution", "log_q1", 5)
    assert len(panels) == 4
    assert len({panel.get_title() for panel in panels}) == 4
    assert len({panel.get_xlim() for panel in panels}) == 4


def test_a_scaling_has_points_fits_and_the_slope_of_theory(folder: Path) -> None:
    (axes,) = drawn(folder / "grid.h5", "scaling", "log_q1", 1)
    run = simcore.open_run(folder / "grid.h5")
    ds = run.sel(layer=1, k=0.0)
    points, limit = (xy for xy, _ in bars(axes)[:2])
    np.testing.assert_allclose(points[:, 0], 1.0 / ds.width)
    np.testing.assert_allclose(points[:, 1], ds.log_q1 - ds.log_q1_theory)
    fits = simcore.scaling(run).fits.sel(layer=1, k=0.0)
    assert limit[0, 0] == 0.0
    assert limit[0, 1] == pytest.approx(float(fits.log_q1_limit - fits.log_q1_mean_field))
    low, high = bars(axes)[1][1][0]
    assert high - low == pytest.approx(4.0 * float(fits.log_q1_limit_stderr))
    theory = next(x for x in axes.lines if x.is_dashed() and len(x.get_xdata()) > 2)
    x, y = theory.get_xydata()[-1]
    assert y / x == pytest.approx(-1.0, rel=1e-5)  # E ln(chi²_N/N) = −1/N


def test_text_in_a_figure_stays_text(folder: Path, tmp_path: Path) -> None:
    text = plots.plot(folder / "grid.h5", "correlation", tmp_path / "f.svg", size=86).read_text()
    for words in ("mean field", "first order in", "∞", "layer"):
        assert words in text


def test_several_files_are_one_figure(folder: Path, tmp_path: Path) -> None:
    (folder / "a-k1.h5").unlink(missing_ok=True)
    one = Run(width=(16,), depth=8, k=(1.0,), ensemble="correlated", trials=64)
    simcore.simulate(one, output=folder / "a-k1.h5")
    (folder / "a-k0.h5").write_bytes((folder / "single.h5").read_bytes())
    target = plots.plot(f"{folder}/a-*.h5", "correlation", tmp_path / "f.svg")
    assert "= 1" in target.read_text()


@pytest.mark.parametrize(
    ("name", "kind", "options", "message"),
    [
        ("grid", "magic", {}, "kind = magic"),
        ("grid", "dead-inputs", {}, "many inputs"),
        ("single", "scaling", {}, "several widths"),
        ("grid", "correlation", {"observable": "angle"}, "can't be chosen"),
        ("grid", "z", {"observable": "cosine"}, "has no z"),
        ("grid", "distribution", {"layer": 9}, "between 1 and 8"),
        ("grid", "q", {"layer": 3}, "layer = 3: can't be chosen for q"),
        ("grid", "q", {"size": 1.0}, "between 50 and 400"),
        ("c1", "distribution", {}, "within rounding of one value"),
        ("single", "deviation", {}, "this run has none: a network of this width dies"),
        ("rai", "deviation", {}, "this run has none: the node averages of rai"),
        ("off", "deviation", {}, "Simulate it again with this version, without --controls off"),
        ("fine", "deviation", {"observable": "inactive1"}, "has no deviation. Choose one of"),
    ],
)
def test_figures_refuse_what_they_do_not_know(
    folder: Path, tmp_path: Path, name: str, kind: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(simcore.InputError, match=message):
        plots.plot(folder / f"{name}.h5", kind, tmp_path / "f.png", **options)


def test_networks_that_can_not_die_have_no_figure_of_deaths(folder: Path) -> None:
    """As with slopes that leak: nodes that are inactive for all inputs there are."""
    whole = simcore.open_run(folder / "shared.h5")
    kept = whole.drop_vars(
        [name for name in map(str, whole) if name.startswith(("dead_network", "dead_inputs"))]
    )
    simcore.plot(kept, "dead-inputs")
    with pytest.raises(simcore.InputError, match="none does where s- is not 0"):
        simcore.plot(kept, "dead")


def test_a_figure_that_can_not_be_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(simcore.InputError, match="ending"):
        plots.plot(folder / "grid.h5", "q", tmp_path / "f.xyz")
    with pytest.raises(simcore.InputError, match="is in no folder"):
        plots.plot(folder / "grid.h5", "q", tmp_path / "missing" / "f.png")
