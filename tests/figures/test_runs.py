from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import simcore
from simcore.figures import runs as plots
from simcore.figures.deviation import OBSERVABLES as DEVIATIONS
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
    simcore.simulate(Run(width=(16, 64, 96), **k, **common), output=place / "fine.h5")
    simcore.simulate(Run(width=(64,), depth=80, trials=64), output=place / "deep.h5")
    layers = Run(layer_widths=(48, 64, 96, 64), trials=64)
    simcore.simulate(layers, output=place / "layers.h5")
    off = Run(width=(64,), depth=3, trials=64, controls=False)
    simcore.simulate(off, output=place / "off.h5")
    rai = Run(width=(16,), depth=3, ensemble="rai", trials=64)
    simcore.simulate(rai, output=place / "rai.h5")
    return place


def drawn(path: Path, kind: str, observable: str = "correlation", layer: int = 8) -> Any:
    """The axes of a figure."""
    chosen = plots._FIGURES[kind]
    if kind in plots._CHOICES:
        chosen = chosen._replace(observables=(observable,))
    dataset = simcore.open_run(path)
    count = chosen.panels if f"{observable}_theory_1n" in dataset else 1
    axes = plots._panels(Figure(), count)
    chosen.draw(axes, dataset, chosen, layer)
    return axes


@pytest.mark.parametrize(
    ("kind", "ending"), [*((kind, "png") for kind in plots.KINDS), ("correlation", "pdf")]
)
def test_figures_are_drawn(folder: Path, tmp_path: Path, kind: str, ending: str) -> None:
    source = folder / {"dead-inputs": "shared.h5", "deviation": "fine.h5"}.get(kind, "grid.h5")
    target = plots.plot(source, kind, tmp_path / f"figure.{ending}")
    start = target.read_bytes()[:4]
    assert start == {"png": b"\x89PNG", "pdf": b"%PDF"}[ending]


@pytest.mark.parametrize("name", ["one", "c1", "rai", "shared"])
@pytest.mark.parametrize("kind", ["correlation", "distance", "q", "z", "distribution"])
def test_figures_of_odd_runs_are_drawn(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    assert plots.plot(folder / f"{name}.h5", kind, tmp_path / "figure.svg").stat().st_size > 1000


def test_a_figure_has_the_values_of_the_run(folder: Path) -> None:
    ds = simcore.open_run(folder / "single.h5")
    names = ("correlation", "correlation_theory", "correlation_theory_1n")
    lines = [line.get_ydata() for line in drawn(folder / "single.h5", "correlation").lines[:3]]
    for shown, name in zip(lines, names, strict=True):
        np.testing.assert_array_equal(shown, ds[name])
    z = drawn(folder / "single.h5", "z").lines
    np.testing.assert_array_equal(z[0].get_ydata(), z_scores(ds).correlation_z)
    np.testing.assert_array_equal(z[1].get_ydata(), z_scores(ds).correlation_z_1n)


def test_means_are_those_with_control_variates(folder: Path) -> None:
    ds = simcore.open_run(folder / "layers.h5")
    axes = drawn(folder / "layers.h5", "correlation")
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), ds.correlation_controlled)
    upper = axes.collections[0].get_paths()[0].vertices[1:5, 1]
    low = ds.correlation_controlled - reach(64) * ds.correlation_controlled_stderr
    np.testing.assert_allclose(upper, low, rtol=1e-12)


@pytest.mark.parametrize("observable", DEVIATIONS)
def test_a_deviation_has_the_values_of_the_run(folder: Path, observable: str) -> None:
    panels = drawn(folder / "fine.h5", "deviation", observable)
    run = simcore.open_run(folder / "fine.h5")
    # Networks of 16 nodes may die: their means have no controls.
    wide = [run.sel(width=width, k=k) for width in (64, 96) for k in (0.0, np.inf)]
    bands = [part for panel in panels for part in panel.collections]
    for i, ds in enumerate(wide):
        mean, theory = ds[f"{observable}_controlled"], ds[f"{observable}_theory"]
        first, n = ds[f"{observable}_theory_1n"], float(ds.width)
        np.testing.assert_array_equal(panels[0].lines[2 * i].get_ydata(), mean - theory)
        np.testing.assert_array_equal(panels[0].lines[2 * i + 1].get_ydata(), first - theory)
        np.testing.assert_allclose(panels[1].lines[i].get_ydata(), (mean - first) * n * n)
        half = reach(128) * ds[f"{observable}_controlled_stderr"]
        for band, middle, size in (
            (bands[i], mean - theory, half),
            (panels[1].collections[i], (mean - first) * n * n, half * n * n),
            (bands[4 + i], ds[observable] - theory, reach(128) * ds[f"{observable}_stderr"]),
        ):
            own = band.get_paths()[0].vertices[:, 1]
            # A path goes back and forth: the lower end of each layer, then the upper.
            np.testing.assert_allclose(own[1:9], middle - size, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(own[17:9:-1], middle + size, rtol=1e-9, atol=1e-12)
    labels = [text.get_text() for text in panels[0].get_legend().get_texts()]
    assert len([label for label in labels if "N" in label and "=" in label]) == len(wide)


def test_a_deviation_is_not_hidden_by_the_noise_of_plain_means(folder: Path) -> None:
    panels = drawn(folder / "layers.h5", "deviation", "log_q1")
    low, high = panels[0].get_ylim()
    ds = simcore.open_run(folder / "layers.h5")
    assert high - low < 2.0 * float((reach(64) * ds.log_q1_stderr).max())


def test_widths_by_layer_scale_with_their_harmonic_mean(folder: Path) -> None:
    panels = drawn(folder / "layers.h5", "deviation")
    ds = simcore.open_run(folder / "layers.h5")
    n = 4.0 / (1.0 / 48 + 1.0 / 64 + 1.0 / 96 + 1.0 / 64)
    left = (ds.correlation_controlled - ds.correlation_theory_1n) * n * n
    np.testing.assert_allclose(panels[1].lines[0].get_ydata(), left)


def test_networks_deeper_than_wide_have_a_deviation_without_first_order(folder: Path) -> None:
    axes = drawn(folder / "deep.h5", "deviation")
    ds = simcore.open_run(folder / "deep.h5")
    gap = ds.correlation_controlled - ds.correlation_theory
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), gap)
    assert "first order" not in str([text.get_text() for text in axes.get_legend().get_texts()])


def test_a_distribution_is_a_density(folder: Path) -> None:
    axes = drawn(folder / "single.h5", "distribution", "log_q1", 5)
    values, edges, _ = axes.patches[0].get_data()
    ds = simcore.open_run(folder / "single.h5").sel(layer=5)
    inside = int(ds.log_q1_histogram[1:-1].sum()) / int(ds.log_q1_histogram.sum())
    assert (values * np.diff(edges)).sum() == pytest.approx(inside)
    assert axes.get_xlabel() == r"$\ln q_1$ at layer 5"


def test_a_scaling_has_points_and_the_slope_of_theory(folder: Path) -> None:
    axes = drawn(folder / "grid.h5", "scaling", "log_q1", 1)
    ds = simcore.open_run(folder / "grid.h5").sel(layer=1, k=0.0)
    points = axes.containers[0].lines[0].get_xydata()
    np.testing.assert_allclose(points[:, 0], 1.0 / ds.width)
    np.testing.assert_allclose(points[:, 1], ds.log_q1 - ds.log_q1_theory)
    theory = next(line for line in axes.lines if line.get_linestyle() == ":" or line.is_dashed())
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
        ("grid", "q", {"size": 1.0}, "between 50 and 400"),
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


def test_a_figure_that_can_not_be_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(simcore.InputError, match="ending"):
        plots.plot(folder / "grid.h5", "q", tmp_path / "f.xyz")
    with pytest.raises(simcore.OutputError):
        plots.plot(folder / "grid.h5", "q", tmp_path / "missing" / "f.png")
