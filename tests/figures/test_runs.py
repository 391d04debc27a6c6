from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import simcore
from simcore.figures import runs as plots
from simcore.results.compare import z_scores
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
    rai = Run(width=(16,), depth=3, ensemble="rai", trials=64)
    simcore.simulate(rai, output=place / "rai.h5")
    return place


def drawn(path: Path, kind: str, observable: str = "correlation", layer: int = 8) -> Any:
    """The axes of a figure."""
    chosen = plots._FIGURES[kind]
    if kind in plots._CHOICES:
        chosen = chosen._replace(observables=(observable,))
    axes = Figure().add_subplot()
    chosen.draw(axes, simcore.open_run(path), chosen, layer)
    return axes


@pytest.mark.parametrize(
    ("kind", "ending"), [*((kind, "png") for kind in plots.KINDS), ("correlation", "pdf")]
)
def test_figures_are_drawn(folder: Path, tmp_path: Path, kind: str, ending: str) -> None:
    source = folder / ("shared.h5" if kind == "dead-inputs" else "grid.h5")
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
