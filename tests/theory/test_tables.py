"""Tables of theory against closed forms and against the functions of one point."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from simcore import theory
from simcore.errors import InputError
from simcore.figures.theory import SHOWN, draw
from simcore.physics.observables import GRADIENT_NAMES
from simcore.theory import rows, tables
from simcore.theory.finite_width import first_order

INF = math.inf
STEP = 1e-3


def relu_overlap(c: float) -> float:
    """J(c) of theory.md (6) as it stands."""
    return float((math.sqrt(1 - c * c) + c * (math.pi / 2 + math.asin(c))) / (2 * math.pi))


# --- fixed points and phases --------------------------------------------------------------------


def test_the_fixed_point_of_weights_that_sum_to_zero() -> None:
    point = tables.fixed_points(k=INF)
    slope = 0.5 * math.pi / (math.pi - 1.0)
    assert abs(float(point.fixed_correlation)) < 1e-15
    assert float(point.fixed_angle) == pytest.approx(0.5 * math.pi, rel=1e-15)
    assert float(point.slope) == pytest.approx(slope, rel=1e-14)
    assert float(point.slope_at_one) == pytest.approx(math.pi / (math.pi - 1.0), rel=1e-14)
    assert float(point.depth_scale_correlation) == pytest.approx(-1 / math.log(slope), rel=1e-13)
    assert math.isinf(point.depth_scale_q)


@pytest.mark.parametrize(
    ("k", "variance", "sigma_b", "chi", "pair"),
    [
        (0.0, 2.0, 0.0, 1.0, 1.0),
        (INF, None, 0.0, math.pi / (math.pi - 1.0), 0.5 * math.pi / (math.pi - 1.0)),
        (1.0, 1.5, 0.3, 0.75, 0.75),
    ],
)
def test_gradients_change_by_chi(
    k: float, variance: float | None, sigma_b: float, chi: float, pair: float
) -> None:
    """The second: θ* = π/2. The third is ordered: θ* = 0."""
    sigma_w = None if variance is None else math.sqrt(variance)
    point = tables.fixed_points(k=k, sigma_w=sigma_w, sigma_b=sigma_b)
    assert float(point.chi) == pytest.approx(chi, rel=1e-15)
    assert float(point.chi_pair) == pytest.approx(pair, rel=1e-14)
    scale = INF if chi == 1.0 else 1.0 / abs(math.log(chi))
    assert float(point.depth_scale_gradient) == pytest.approx(scale, rel=1e-14)
    if sigma_b > 0.0:  # at q* the correlation and the gradients see one law
        assert float(point.chi_pair) == pytest.approx(float(point.slope), rel=1e-14)


def test_trajectories_have_a_way_back_where_asked() -> None:
    table = tables.trajectories(5, k=[0.0, 1.0], sigma_b=0.2, width=64, gradients=True)
    back = theory.gradient_trajectory(5, k=1.0, sigma_b=0.2, correlation=0.5)
    for name in GRADIENT_NAMES:
        np.testing.assert_array_equal(table[name].sel(k=1.0), back.observable(name))
    assert np.isfinite(table.tangent11_1n.sel(k=0.0)).all()
    assert (table.tangent11_1n.sel(k=1.0) < table.tangent11.sel(k=1.0)).all()
    assert "tangent12_1n" not in table
    assert GRADIENT_NAMES[0] not in tables.trajectories(5)


BORDER = 2.0 * math.pi / (math.pi - 0.5)
"""σ_w² at which q becomes unbounded for k = 1."""


@pytest.mark.parametrize(
    ("k", "variance", "sigma_b", "phase", "bounded"),
    [
        (1.0, 2.0 - STEP, 0.3, "ordered", True),
        (1.0, 2.0, 0.3, "critical", True),
        (1.0, 2.0 + STEP, 0.3, "chaotic", True),
        (1.0, BORDER - STEP, 0.3, "chaotic", True),
        (1.0, BORDER + STEP, 0.3, "chaotic", False),
        (-STEP, 3.0, 0.3, "ordered", False),
        (0.0, 3.0, 0.3, "critical", False),
        (STEP, 3.0, 0.3, "chaotic", False),
        (-0.5, 2.0 * math.pi / (math.pi + 1.0) - STEP, 0.3, "ordered", True),
        (-0.5, 2.0 * math.pi / (math.pi + 1.0) + STEP, 0.3, "ordered", False),
        (-STEP, 1.0, 0.0, "ordered", True),
        (STEP, 1.0, 0.0, "chaotic", True),
    ],
)
def test_phases_on_each_side_of_each_line(
    k: float, variance: float, sigma_b: float, phase: str, bounded: bool
) -> None:
    point = tables.fixed_points(k=k, sigma_w=math.sqrt(variance), sigma_b=sigma_b)
    assert (point.phase.item(), point.bounded.item()) == (phase, bounded)


def test_the_depth_scale_of_the_correlation_diverges_at_two() -> None:
    # Rates off 1: (2 - σ_w²)/2 below, and above, from G(θ*) = g, (σ_w² - 2)/4 to first order.
    for gap in (1e-2, 1e-4, 1e-6):
        for side, factor in ((-1.0, 2.0), (1.0, 4.0)):
            point = tables.fixed_points(k=1.0, sigma_w=math.sqrt(2.0 + side * gap), sigma_b=0.3)
            assert float(point.depth_scale_correlation) == pytest.approx(factor / gap, rel=gap)
    at_two = tables.fixed_points(k=1.0, sigma_w=math.sqrt(2.0), sigma_b=0.3)
    assert math.isinf(at_two.depth_scale_correlation)


def test_the_bounded_chaotic_phase_forgets_k_and_bias() -> None:
    variance = 2.2
    table = tables.fixed_points(k=[1.0, 3.0, INF], sigma_w=math.sqrt(variance), sigma_b=[0.1, 2.0])
    c = table.fixed_correlation.to_numpy()
    assert np.ptp(c) < 1e-14
    assert 1.0 - c[0, 0] == pytest.approx(variance * (0.5 - relu_overlap(c[0, 0])), rel=1e-13)
    g = table.g.to_numpy()[:, None]
    rate = variance * (1.0 - g / math.pi) / 2.0
    np.testing.assert_allclose(table.fixed_q, table.sigma_b.to_numpy() ** 2 / (1.0 - rate))
    np.testing.assert_allclose(table.growth, np.broadcast_to(rate, table.growth.shape))
    np.testing.assert_allclose(table.slope_at_one, np.full((3, 2), variance / 2.0))


def test_the_phase_diagram_has_all_phases_and_infinite_k() -> None:
    table = tables.phase_diagram()
    assert table.k.values[-1] == INF
    assert table.weight_variance.values[[0, -1]] == pytest.approx([1.0, 4.0])
    np.testing.assert_allclose(
        table.unbounded_from, 2.0 * math.pi / (math.pi - table.g.to_numpy()), rtol=1e-15
    )
    critical = (table.phase == "critical").to_numpy()
    g, variance = table.g.to_numpy()[:, None], table.weight_variance.to_numpy()
    on_line = (np.abs(variance - 2.0) < 1e-9) & (g >= 0.0)
    on_line = on_line | ((g == 0.0) & (variance > 2.0 - 1e-9))
    np.testing.assert_array_equal(critical, on_line)
    bounded_chaos = (table.phase == "chaotic").to_numpy() & table.bounded.to_numpy()
    inside = (variance > 2.0 + 1e-9) & (variance < table.unbounded_from.to_numpy()[:, None])
    np.testing.assert_array_equal(bounded_chaos, inside)
    # c* is continuous across every line, with a slope of at most 2 in σ_w² and in g.
    for axis, size in ((0, 0.025), (1, 0.025)):
        assert np.abs(np.diff(table.fixed_correlation.to_numpy(), axis=axis)).max() < 2.0 * size


@pytest.mark.parametrize("slopes", ["leaky:0.2", "abs", (0.7, -0.3)])
def test_slopes_move_the_phases(slopes: Any) -> None:
    """σ_w² = 1/A is the line between order and chaos, 1/[A(1 − ηg/π)] that of bounded q."""
    above, below = {"leaky:0.2": (1.0, 0.2), "abs": (1.0, -1.0)}.get(slopes, slopes)
    square, step = 0.5 * (above**2 + below**2), 0.5 * (above - below) ** 2 / math.pi
    table = tables.phase_diagram(k=[-0.5, 0.0, 1.0, INF], slopes=slopes)
    border = 1.0 / (square - step * table.g.to_numpy())
    np.testing.assert_allclose(table.unbounded_from, border, rtol=1e-14)
    variance = table.weight_variance.to_numpy()
    assert variance[0] == pytest.approx(0.5 / square)
    assert variance[-1] > 1.2 * border[-1]
    np.testing.assert_array_equal(table.bounded, variance < border[:, None] * (1.0 - 1e-9))
    chaotic = (table.phase == "chaotic").to_numpy()
    parted = np.abs(variance * square - 1.0) > 1e-9
    np.testing.assert_array_equal(chaotic[2:, parted], [(variance > 1.0 / square)[parted]] * 2)
    assert not chaotic[:2].any()
    assert (float(table.positive_slope), float(table.negative_slope)) == (above, below)


def test_tables_of_slopes_are_those_of_one_point() -> None:
    """And σ_w follows them; a table of ReLU names no slopes."""
    phi = (1.0, -0.5)
    point = theory.fixed_point(k=1.0, slopes=phi)
    table = tables.fixed_points(k=[0.0, 1.0], slopes="1,-0.5")
    assert float(table.depth_scale_correlation.sel(k=1.0)) == point.depth_scale_correlation
    assert float(table.chi_pair.sel(k=1.0)) == point.chi_pair
    preserving = 1.0 / math.sqrt(0.625 - 0.5 * 2.25 / (2.0 * math.pi))
    assert float(table.sigma_w.sel(k=1.0)) == pytest.approx(preserving, rel=1e-15)
    mapped = tables.maps(k=1.0, correlation=[0.3, 0.5], slopes=phi)
    exact = theory.correlation_map(np.array([0.3, 0.5]), k=1.0, slopes=phi)
    np.testing.assert_array_equal(mapped.mapped_correlation, exact)
    assert float(mapped.fixed_correlation) == point.correlation
    grown = tables.growth_rates(k=1.0, slopes=phi)
    assert float(grown.norm_preserving_sigma_w) == pytest.approx(preserving, rel=1e-15)
    np.testing.assert_allclose(grown.growth, (grown.sigma_w / preserving) ** 2, rtol=1e-14)
    path = tables.trajectories(5, k=1.0, slopes=phi, gradients=True)
    back = theory.gradient_trajectory(5, k=1.0, correlation=0.5, slopes=phi)
    np.testing.assert_array_equal(path.tangent12, back.tangent12)
    np.testing.assert_array_equal(
        path.correlation, theory.trajectory(5, k=1.0, correlation=0.5, slopes=phi).correlation
    )
    wide = tables.trajectories(3, k=1.0, slopes=phi, width=64)
    first = first_order(3, width=64, k=1.0, correlation=0.5, slopes=phi)
    np.testing.assert_allclose(wide.log_distance_1n, first.mean["log_distance"], rtol=1e-12)
    assert "dead_network1" not in wide
    assert "positive_slope" not in tables.fixed_points(slopes="relu").coords


# --- maps and growth ----------------------------------------------------------------------------


def test_maps_at_known_points() -> None:
    table = tables.maps(k=[0.0, 1.0], correlation=[-1.0, 0.0, 1.0])
    np.testing.assert_allclose(
        table.mapped_correlation.sel(k=0.0), [0.0, 1.0 / math.pi, 1.0], rtol=0, atol=1e-15
    )
    j = [relu_overlap(c) for c in (-1.0, 0.0, 1.0)]
    expected = (2.0 * math.pi * np.array(j) - 0.5) / (math.pi - 0.5)
    np.testing.assert_allclose(table.mapped_correlation.sel(k=1.0), expected, atol=1e-15)


def test_a_map_crosses_the_diagonal_at_its_fixed_point() -> None:
    laws: list[dict[str, Any]] = [{"k": 1.0}, {"k": 3.0, "sigma_w": 1.5, "sigma_b": 0.2}]
    for law in laws:
        c = float(tables.maps(**law).fixed_correlation)
        assert 0.0 < c < 1.0
        assert tables.maps(correlation=c, **law).mapped_correlation.item() == pytest.approx(c)


def test_maps_of_distances_keep_their_digits() -> None:
    table = tables.maps(k=INF, distance=[1e-30, 1e-20])
    ratio = table.mapped_distance / table.one_minus_c
    np.testing.assert_allclose(ratio, np.full(2, math.pi / (math.pi - 1.0)), rtol=1e-9)


def test_growth_of_gaussian_weights() -> None:
    table = tables.growth_rates(k=[0.0, INF], sigma_w=[1.0, 2.0])
    factor = np.array([[1.0], [1.0 - 1.0 / math.pi]]) * np.array([0.5, 2.0])
    np.testing.assert_allclose(table.growth, factor, rtol=1e-15)
    np.testing.assert_allclose(table.depth_scale_q, 1.0 / np.abs(np.log(factor)))
    preserving = np.sqrt([2.0, 2.0 * math.pi / (math.pi - 1.0)])
    np.testing.assert_allclose(table.norm_preserving_sigma_w, preserving)
    assert (tables.growth_rates(k=[0.0, 1.0], sigma_w="critical").growth == 1.0).all()


def test_growth_of_asymmetric_weights() -> None:
    table = tables.growth_rates(ensemble="raai", k=1.0, sigma_w="critical")
    # σ_w is that of a run, which has six digits.
    assert float(table.growth) == pytest.approx(1.0, abs=3e-6)
    assert float(table.sigma_w) == pytest.approx(float(table.norm_preserving_sigma_w), rel=1e-6)
    rai = tables.growth_rates(ensemble="rai", sigma_w=0.6007)
    assert float(rai.growth) == theory.late_growth(0.6007)


# --- trajectories -------------------------------------------------------------------------------

SWEPT: dict[str, Any] = {
    "k": [0.0, 1.0],
    "sigma_w": [1.3, 1.5, 1.6],
    "sigma_b": [0.0, 0.4],
    "distance": [1e-6, 0.5],
    "q0": [0.5, 2.0],
}


def test_every_point_of_a_grid_is_its_own() -> None:
    table = tables.trajectories(6, width=[32, 64, 128], **SWEPT)
    assert table.correlation.dims == (*list(SWEPT)[:3], "initial_distance", "q0", "layer")
    assert table.correlation_1n.dims == ("width", *table.correlation.dims)
    point: dict[str, Any] = {"k": 1.0, "sigma_w": 1.6, "sigma_b": 0.4}
    one = table.sel(width=128, initial_distance=1e-6, q0=0.5, **point)
    path = theory.trajectory(6, q1=0.5, distance=1e-6, **point)
    first = first_order(6, width=128, q1=0.5, distance=1e-6, **point)
    for name in ("correlation", "log_distance", "log_q1", "inactive_both"):
        np.testing.assert_array_equal(one[name], path.observable(name))
        np.testing.assert_allclose(one[f"{name}_1n"], first.mean[name], rtol=1e-12)
        np.testing.assert_allclose(one[f"{name}_1n_std"], first.std[name], rtol=1e-12)
    np.testing.assert_array_equal(one.dead_network1, theory.dead_network([128] * 6))


def test_a_layer_after_a_single_node_is_dead_where_weights_sum_to_zero() -> None:
    swept: dict[str, Any] = {"width": [1, 2], "k": [0.0, INF], "sigma_b": [0.0, 0.5]}
    table = tables.trajectories(3, **swept)
    for width, k, sigma_b in itertools.product(*swept.values()):
        point = table.sel(width=width, k=k, sigma_b=sigma_b)
        alive = [(1 - 0.5**width) ** layer for layer in (1, 2, 3)]
        if (width, k, sigma_b) == (1, INF, 0.0):
            alive[1:] = [0.0, 0.0]
        np.testing.assert_allclose(point.dead_network1, 1 - np.array(alive), rtol=1e-15)
    wider = tables.trajectories(3, **swept | {"width": [2, 3]})
    assert wider.dead_network1.dims == ("width", "layer")


def test_the_first_order_does_not_depend_on_how_points_are_taken_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = tables.trajectories(4, width=[32, 64], k=[0.0, 1.0, INF])
    monkeypatch.setattr(rows, "POINTS_AT_ONCE", 4)
    xr.testing.assert_allclose(tables.trajectories(4, width=[32, 64], k=[0.0, 1.0, INF]), whole)


def test_a_single_point_has_scalar_parameters() -> None:
    table = tables.trajectories(3, k=1.0)
    assert table.correlation.dims == ("layer",)
    assert float(table.sigma_w) == pytest.approx(math.sqrt(BORDER))
    assert (float(table.overlap), float(table.q0), float(table.g)) == (0.5, 1.0, 0.5)


def test_asymmetric_ensembles_are_followed_at_their_fan_in() -> None:
    table = tables.trajectories(3, ensemble="rai", width=8, correlation=0.25)
    path = theory.population_trajectory([8, 8, 8], sigma_w=0.6007, distance=0.75)
    np.testing.assert_array_equal(table.correlation, path.correlation)
    np.testing.assert_array_equal(table.correlation_stderr, path.errors.correlation)
    narrow = tables.trajectories(2, ensemble="rai", width=2, sigma_w="critical")
    assert float(narrow.sigma_w) == pytest.approx(0.846514)
    path = theory.population_trajectory([3, 2], sigma_w=0.846514, distance=0.5)
    np.testing.assert_array_equal(narrow.log_q1, path.log_q1)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: tables.trajectories(3, ensemble="rai"), "width"),
        (lambda: tables.trajectories(3, ensemble="he", k=1.0), "k"),
        (lambda: tables.trajectories(3, ensemble="hee"), "ensemble"),
        (lambda: tables.trajectories(0), "depth"),
        (lambda: tables.trajectories(3, width=1.5), "width"),
        (lambda: tables.trajectories(3, correlation=0.0, distance=1.0), "distance"),
        (lambda: tables.trajectories(3, correlation=[0.0, 1.1]), "correlation"),
        (lambda: tables.trajectories(3, distance=-1.0), "distance"),
        (lambda: tables.trajectories(3, q0=0.0), "q0"),
        (lambda: tables.trajectories(3, k=[0.0, 0.0]), "k"),
        (lambda: tables.trajectories(3, k=math.nan), "k"),
        (lambda: tables.trajectories(3, sigma_w="best"), "sigma_w"),
        (lambda: tables.trajectories(10**6, k=list(range(50))), "grid"),
        (lambda: tables.trajectories(10**6, width=list(range(1, 50))), "grid"),
        (lambda: tables.maps(correlation=2.0), "correlation"),
        (lambda: tables.maps(correlation=0.0, distance=1.0), "distance"),
        (lambda: tables.maps(sigma_b=0.1), "sigma_w"),
        (lambda: tables.fixed_points(sigma_b=-1.0), "sigma_b"),
        (lambda: tables.phase_diagram(k=1.0), "k"),
        (lambda: tables.phase_diagram(sigma_w="critical"), "sigma_w"),
        (lambda: tables.phase_diagram(sigma_b=[0.1, 0.2]), "sigma_b"),
        (lambda: tables.growth_rates(ensemble="raai", sigma_w=0.01), "sigma_w"),
        (lambda: tables.growth_rates(ensemble="raai", k=1.0, slopes="abs"), "slopes"),
        (lambda: tables.trajectories(3, slopes="shaped:0,-1"), "slopes"),
    ],
)
def test_mistakes_name_their_field(make: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.field == field


# --- as files and figures -----------------------------------------------------------------------

TABLES = {
    "trajectory": lambda: tables.trajectories(4, width=8, k=[0.0, INF], gradients=True),
    "fixed-point": lambda: tables.fixed_points(k=[0.0, 1.0], sigma_w=[1.2, 1.5], sigma_b=0.1),
    "map": lambda: tables.maps(k=[0.0, 1.0]),
    "phase-diagram": lambda: tables.phase_diagram(k=[-0.5, 0.0, INF], sigma_w=[1.0, 1.5, 2.0]),
    "growth": lambda: tables.growth_rates(k=[0.0, 1.0]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_everything_has_a_meaning_and_a_unit(kind: str, tmp_path: Path) -> None:
    table = TABLES[kind]()
    assert table.attrs["table"] == kind
    for name in table.variables:
        assert table[name].attrs["long_name"], name
        assert table[name].attrs["units"] in ("1", "rad", "layer"), name
    table.to_netcdf(tmp_path / "t.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "t.nc", engine="h5netcdf") as copy:
        xr.testing.assert_identical(copy.load(), table)


@pytest.mark.parametrize("kind", SHOWN)
def test_every_choice_of_a_figure_is_drawn(kind: str, tmp_path: Path) -> None:
    table = TABLES[kind]()
    for show in SHOWN[kind]:
        assert draw(table, tmp_path / f"{show}.svg", show).read_text().count("<path") > 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: tables.maps(k=[0.0, 1.0], distance=[0.0, 1e-10, 1.0]),
        lambda: tables.growth_rates(k=[0.0, 1.0, INF], sigma_w="critical"),
        lambda: tables.phase_diagram(k=[-0.5, 1.0], sigma_w=[1.0, 2.0], sigma_b=0.0),
        lambda: tables.phase_diagram(k=[0.2, 0.5], sigma_w=[1.45, 1.5]),
        lambda: tables.phase_diagram(k=[-0.6, 1.0, INF], slopes="abs"),
        lambda: tables.fixed_points(k=[-0.5, 0.0, 0.5, 1.0, 2.0, 3.0, INF]),
        lambda: tables.fixed_points(k=[0.0, 1.0], sigma_b=list(np.linspace(0.1, 1.0, 10))),
        lambda: tables.trajectories(1, k=[float(k) for k in range(20)]),
        lambda: tables.trajectories(3, width=8, distance=[0.0, 1.0]),
    ],
)
def test_unusual_tables_are_drawn(make: Any, tmp_path: Path) -> None:
    assert draw(make(), tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_importing_the_tables_loads_nothing_heavy() -> None:
    heavy = ("numba", "h5py", "xarray", "matplotlib", "pandas", "scipy.stats", "bokeh")
    code = f"import sys, simcore.theory.tables; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
