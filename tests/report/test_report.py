"""The page without a browser: its data, its words, and files that are not whole."""

from __future__ import annotations

import functools
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import typer
import xarray as xr
from scipy.special import ndtr, stdtrit
from simcore.cli.config import Given
from simcore.cli.request import build_request
from simcore.cli.simulate import simulate

import simcore
from simcore.errors import InputError
from simcore.files.run_file import write_run
from simcore.files.run_results import RunResults
from simcore.physics.ensembles import CRITICAL
from simcore.physics.observables import GRADIENT_CONTROLLED
from simcore.physics.slopes import RELU
from simcore.report import report
from simcore.report.answers import Widths
from simcore.report.command import repeating_command
from simcore.report.overview import fixed_point_of
from simcore.report.phase import phase_data
from simcore.report.points import MOST_LAYERS, MOST_POINTS, chosen_layers, chosen_points
from simcore.report.series import DEVIATIONS
from simcore.report.sources import Source
from simcore.report.widths import widths_data
from simcore.report.words import described
from simcore.results.controlled import with_controls
from simcore.runs.run import Run
from tests.report.conftest import INFINITE, RUNS, Made
from tests.support.results import statistics

pytestmark = pytest.mark.xdist_group("report")

Make = Callable[[str], Made]


# --- the command that repeats a run ---------------------------------------------------------------

REPEATED = {
    **RUNS,
    "grid": Run(
        depth=3,
        width=(8, 16),
        ensemble="correlated",
        k=(-0.5, 0.1, INFINITE),
        sigma_w=(1.2, 1 / 3),
        sigma_b=(0.0, 0.1),
        distance=(1e-20, 0.5),
        q0=(1.0, 2.5),
        trials=128,
        first_trial=64,
        keep=3,
        bins=20,
        seed=2**64 - 1,
    ),
    "critical": Run(depth=2, width=(8,), ensemble="raai", k=(1.0,), sigma_w=CRITICAL),
    "dense": Run(depth=2, width=(8,), weights="student:5"),
    "target": Run(depth=2, width=(8,), until_stderr=1e-3, trials=10**6),
    "shared distance": Run(depth=2, width=(8,), shared_network=True, distance=(0.1, 1e-18)),
}


def parsed(command: str) -> Run:
    """Return the run that a command line of `simulate` asks for."""
    found: list[dict[str, Any]] = []

    @functools.wraps(simulate)
    def read(**parameters: Any) -> None:
        found.append(parameters)

    parser = typer.Typer(add_completion=False)
    parser.command()(read)
    parser(args=shlex.split(command)[1:], standalone_mode=False)
    run: Run = build_request(Given.typed(found[0])).run
    return run


@pytest.mark.parametrize("name", list(REPEATED))
def test_the_command_repeats_the_run(name: str) -> None:
    run = REPEATED[name]
    again = parsed(repeating_command(run.config(), "again.h5"))
    assert again.config() == run.config()
    assert again.digest() == run.digest()


# --- which points and layers ----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 47, 48, 49, 200, 10_000])
def test_the_chosen_layers(depth: int) -> None:
    chosen = chosen_layers(range(1, depth + 1))
    assert chosen[0] == 0
    assert chosen[-1] == depth - 1
    assert chosen == sorted(set(chosen))
    assert len(chosen) == depth if depth <= MOST_LAYERS else len(chosen) <= MOST_LAYERS
    if depth > 1000:
        late = np.array([i for i in chosen if i >= 100]) + 1.0
        np.testing.assert_allclose(np.diff(np.log(late)), np.log(depth) / 47, rtol=0.06)


def pretended(**run: Any) -> Source:
    """Return a run of which nothing but its grid is known."""
    from simcore.results.open_run import to_dataset

    whole = Run(depth=1, trials=64, **run)
    points = statistics(whole)
    return Source(Path("x.h5"), to_dataset(RunResults(whole, points, complete=False)), {})


def test_the_chosen_points_are_a_grid_with_its_ends() -> None:
    ks = tuple(np.linspace(0.0, 2.0, 21).tolist())
    source = pretended(width=(8, 16, 32), ensemble="correlated", k=ks, sigma_b=(0.1, 0.2))
    chosen = chosen_points([source])
    assert 50 < len(chosen) <= MOST_POINTS
    axes = [sorted({point.place[i] for point in chosen}) for i in range(3)]
    assert axes[0] == [0, 1, 2]
    assert axes[2] == [0, 1]
    assert (axes[1][0], axes[1][-1]) == (0, 20)
    assert np.ptp(np.diff(axes[1])) <= 1
    assert len(chosen) == len(axes[0]) * len(axes[1]) * len(axes[2])
    assert chosen[0].values["k"] == 0.0
    assert len(chosen_points([source] * 7)) <= MOST_POINTS
    assert len(chosen_points([source] * 100)) == MOST_POINTS


# --- what is on the page --------------------------------------------------------------------------


def test_nothing_is_loaded_from_elsewhere(made: Make) -> None:
    html = made("few").html
    own = html[: html.index("<script>")] + html[html.rindex("<script>") :]
    assert "http://" not in own.replace("http://www.w3.org", "")
    assert "https://" not in own
    assert "default-src 'none'" in html
    assert len(html) < 2_000_000


def test_the_page_begins_with_the_result(made: Make) -> None:
    html = made("few").html
    first = html.split('<p class="result">')[1].split("</p>")[0]
    assert html.index('<p class="result">') < html.index("<h2>")
    compared = simcore.compare(simcore.open_run(made("few").run))
    assert unescape(first).strip() == compared.conclusion


@pytest.mark.slow
def test_numbers_are_those_of_the_file(made: Make) -> None:
    file = made("shared")
    ds, data = simcore.open_run(file.run), file.data
    assert [p["label"] for p in data["points"]] == [
        "pair 0 (c₀ = 0.1)",
        "pair 1 (c₀ = 0.5)",
        "pair 2 (c₀ = 0.9)",
    ]
    finer = with_controls(ds)
    assert float(finer.correlation_stderr.max()) < float(ds.correlation_stderr.max())
    for pair, point in enumerate(data["points"]):
        own = finer.isel(pair=pair)
        for name in ("correlation", "log_distance", "log_q2", "inactive_both"):
            line = point["lines"][name]
            np.testing.assert_allclose(line["mean"], own[name], rtol=1e-7)
            np.testing.assert_allclose(line["error"], own[f"{name}_stderr"], rtol=1e-2)
            few = stdtrit(own[f"{name}_count"] - 1, ndtr(2.0))
            np.testing.assert_allclose(line["reach"], few, rtol=1e-3)
            np.testing.assert_allclose(line["theory"], own[f"{name}_theory"], rtol=1e-7)
            np.testing.assert_allclose(line["first"], own[f"{name}_theory_1n"], rtol=1e-7)
        np.testing.assert_allclose(point["lines"]["dead"]["mean"], ds.dead, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "warned"), [("ten", True), ("single", False)])
def test_few_networks_are_warned_of(made: Make, name: str, warned: bool) -> None:
    assert ("Look at ln q and ln(1 − c)" in made(name).html) == warned


@pytest.mark.parametrize("name", ["single", "shared", "profile"])
def test_deviations_are_those_of_the_file(made: Make, name: str) -> None:
    """In full digits: the difference of the page's numbers would not do."""
    file = made(name)
    ds = simcore.open_run(file.run)
    scale = float(1.0 / (1.0 / ds.width).mean()) ** 2
    for pair, point in enumerate(file.data["points"]):
        own = ds.isel(pair=pair) if "pair" in ds.dims else ds
        forward = set(DEVIATIONS) - set(GRADIENT_CONTROLLED)
        assert set(point["deviations"]) == forward >= {"correlation", "log_q1"}
        for observable, found in point["deviations"].items():
            mean, error = (own[f"{observable}_controlled{end}"] for end in ("", "_stderr"))
            theory, first = (own[f"{observable}_{end}"] for end in ("theory", "theory_1n"))
            expected = {
                "mean": mean - theory,
                "error": error,
                "plain": own[observable] - theory,
                "plain_error": own[f"{observable}_stderr"],
                "first": first - theory,
                "left": (mean - first) * scale,
                "left_error": error * scale,
            }
            assert found.keys() == expected.keys()
            for part, values in expected.items():
                np.testing.assert_allclose(found[part], values, rtol=1e-7, err_msg=part)
    assert "of the variance: correlation c; distance 1 − c; ln(1 − c); ln q of" in file.html
    assert 'id="figure-left"' in file.html


@pytest.mark.parametrize("name", ["dead", "rai"])
def test_without_control_variates_no_deviation_is_shown(made: Make, name: str) -> None:
    html = made(name).html
    assert 'id="figure-deviation"' not in html
    assert "control variates" not in html[: html.index("<script>")]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (Run(depth=2, width=(8,)), "preserves the norm: σ_w² = 2π/(π − g)"),
        (
            Run(depth=2, width=(8,), ensemble="correlated", k=(1.0,), sigma_b=(0.1,)),
            "preserves the norm without bias: σ_w² = 2π/(π − g)",
        ),
        (Run(depth=2, width=(8,), ensemble="rai"), "the published value"),
        (Run(depth=2, width=(8,), ensemble="rai", sigma_w=CRITICAL), "found numerically"),
        (Run(depth=2, width=(8,), ensemble="rai", sigma_w=(0.7,)), "standard deviation"),
    ],
)
def test_the_weight_scale_in_words(run: Run, words: str) -> None:
    """2π/(π − g) preserves the norm of Gaussian weights alone, and without bias alone."""
    source = Source(Path("x.h5"), xr.Dataset(), {"config": run.config(), "trials_done": (1, 1)})
    (meaning,) = (text for symbol, _, text in described(source) if symbol == "σ_w")
    assert words in meaning
    assert ("2π" in meaning) == ("2π" in words)


def test_replaced_weights_have_no_borders_of_phases() -> None:
    columns = table(sigma_w=[0.6, 0.7, 0.6, 0.7], k=[0.5, 0.5, 1.0, 1.0])
    gaussian = phase_data(columns, ["k", "sigma_w"], asymmetric=False)
    replaced = phase_data(columns, ["k", "sigma_w"], asymmetric=True)
    assert gaussian is not None
    assert replaced is not None
    assert gaussian.keys() - replaced.keys() == {"preserving", "two"}


def test_theory_with_an_error_of_its_own(made: Make) -> None:
    file = made("rai")
    ds = simcore.open_run(file.run)
    line = file.data["points"][0]["lines"]["correlation"]
    error = np.hypot(ds.correlation_stderr, ds.correlation_theory_stderr)
    z = (ds.correlation - ds.correlation_theory) / error
    np.testing.assert_allclose(line["z"], z, rtol=1e-3)
    assert "an error of its own" in file.html
    assert "arccos" not in file.html[: file.html.index("<script>")]


@pytest.mark.parametrize("name", ["profile", "same", "one", "dead"])
def test_what_a_run_lacks_is_said(made: Make, name: str) -> None:
    said = {
        "profile": "keeps no single networks (--keep 0",
        "same": "the two inputs are the same (c₀ = 1)",
        "one": f"simcore resume {made('one').run} --trials 1000",
        "dead": "fewer than two networks in which both signals are alive",
    }
    html = made(name).html
    for own, words in said.items():
        assert (words in html) == (own == name), own
    assert 'id="figure-correlation"' in html


def test_names_can_do_no_harm(made: Make, tmp_path: Path) -> None:
    run = tmp_path / "a<b>&'.h5"
    shutil.copy(made("single").run, run)
    page = report([run], tmp_path / "page.html").path.read_text()
    assert "<b>&" not in page
    assert "a&lt;b&gt;&amp;&#39;.h5" in page


# --- files that are not whole ---------------------------------------------------------------------


def test_files_that_are_no_runs_are_named(made: Make, tmp_path: Path) -> None:
    good, noise, newer = made("single").run, tmp_path / "noise.h5", tmp_path / "newer.h5"
    noise.write_text("noise")
    shutil.copy(good, newer)
    with h5py.File(newer, "r+") as file:
        file.attrs["format_version"] = np.array([9, 0])
    missing = tmp_path / "missing.h5"
    result = report([noise, good, newer, missing, tmp_path, good], tmp_path / "page.html")
    html = result.path.read_text()
    assert len(result.problems) == 4
    for problem, words in zip(
        result.problems,
        ["is not", "has format version 9.0", "does not exist", "is a folder"],
        strict=True,
    ):
        assert words in problem
        assert "\n" not in problem
    assert html.count('class="run"') == 1
    assert "has format version 9.0" in html
    assert "Update simcore." in html


def test_a_file_in_which_damage_comes_to_light(made: Make, tmp_path: Path) -> None:
    good, bad = made("single").run, tmp_path / "bad.h5"
    shutil.copy(made("few").run, bad)
    with h5py.File(bad) as file:
        place = file["entry/log_distance/mean"].id.get_chunk_info(0)
    data = bytearray(bad.read_bytes())
    data[place.byte_offset + place.size // 2] ^= 255
    bad.write_bytes(data)
    result = report([bad, good], tmp_path / "page.html")
    assert len(result.problems) == 1
    assert "bad.h5: is damaged" in result.problems[0]
    assert result.path.read_text().count('class="run"') == 1


def test_without_any_run_there_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "noise.h5").write_text("noise")
    with pytest.raises(InputError, match=r"noise\.h5"):
        report([tmp_path / "noise.h5"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("done", [0, 64])
def test_an_unfinished_run(tmp_path: Path, done: int) -> None:
    run = Run(depth=4, width=(8, 16), trials=200)
    file = tmp_path / "half.h5"
    write_run(file, RunResults(run, statistics(run, done), complete=False), provenance={})
    result = report([file], tmp_path / "page.html")
    notes = " ".join(result.notes)
    assert f"simcore resume {file}" in notes
    assert ("No network is done yet" in notes) == (done == 0)
    html = result.path.read_text()
    assert "unfinished" in html
    assert 'id="figure-distribution"' not in html
    assert "No verdict" in html


def test_a_page_that_cannot_be_written(made: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is in no folder"):
        report([made("single").run], tmp_path / "none" / "page.html")


def test_several_runs_are_told_apart(made: Make, tmp_path: Path) -> None:
    one, two = tmp_path / "one.h5", tmp_path / "two.h5"
    for path, seed in ((one, 0), (two, 1)):
        run = replace(RUNS["single"], seed=seed, depth=3)
        write_run(path, RunResults(run, statistics(run), complete=True), provenance={})
    result = report([one, two], tmp_path / "page.html")
    data = Made(one, result.path).data
    assert [p["label"] for p in data["points"]] == ["one", "two"]
    assert data["varied"] == ["file"]


# --- width scaling --------------------------------------------------------------------------------


def test_the_fits_of_all_points_shown_are_there() -> None:
    ks, widths, layers = np.linspace(0.0, 2.0, 200), [64, 128], [1, 2, 3]
    coords = {"width": widths, "k": ks, "layer": layers}
    mean = np.arange(2 * 200 * 3, dtype=float).reshape(2, 200, 3)
    dims = ("width", "k", "layer")
    names = ("correlation", "correlation_stderr", "correlation_count")
    dataset = xr.Dataset(dict.fromkeys(names, (dims, mean)), coords)
    fits = xr.Dataset(
        {f"correlation_{part}": (dims[1:], mean[0]) for part in ("limit", "slope")},
        {name: coords[name] for name in dims[1:]},
    )
    wanted = {f"k={ks[i]:.12g}" for i in (0, 57, 199)}
    found = widths_data(Widths("", fits, dataset), ["width", "k"], wanted)
    assert found is not None
    assert set(found["groups"]) == wanted
    group = found["groups"][f"k={ks[57]:.12g}"]["correlation"]
    assert group["mean"] == mean[:, 57].T.tolist()
    assert group["limit"] == mean[0, 57].tolist()


# --- the phase diagram ----------------------------------------------------------------------------


def table(**columns: list[float]) -> dict[str, list[Any]]:
    size = len(next(iter(columns.values())))
    usual = {"k": [0.0] * size, "sigma_w": [1.5] * size, "sigma_b": [0.1] * size}
    whole = {**usual, **columns}
    return whole | {f"{name}_all": whole[name] for name in usual} | {"slopes_all": [RELU] * size}


def test_the_curve_over_sigma_w_is_the_fixed_point() -> None:
    columns = table(sigma_w=[1.2, 1.4, 1.6], k=[2.0] * 3)
    found = phase_data(columns, ["sigma_w"], asymmetric=False)
    assert found is not None
    curve = found["curves"]["0.1"]
    for x, y in zip(curve["x"][::10], curve["y"][::10], strict=True):
        star = fixed_point_of({"k": 2.0, "sigma_w": x, "sigma_b": 0.1}, asymmetric=False)[0]
        assert y == pytest.approx(star, abs=1e-6)
    assert np.ptp(curve["y"]) > 0.1


def test_the_cells_of_the_map_hold_their_points() -> None:
    columns = table(sigma_w=[1.2, 1.3, 1.6] * 2, k=[0.0] * 3 + [INFINITE] * 3)
    columns["g"] = [0.0] * 3 + [1.0] * 3
    found = phase_data(columns, ["k", "sigma_w"], asymmetric=False)
    assert found is not None
    assert (found["x"], found["y"]) == ("sigma_w", "g")
    for axis, name in (("x", "sigma_w"), ("y", "g")):
        for (low, high), value in zip(found[f"{axis}_cells"], columns[name], strict=True):
            assert low < value < high
    line = found["preserving"]
    g = np.array(line["y"])
    np.testing.assert_allclose(np.square(line["x"]), 2 * np.pi / (np.pi - g), rtol=1e-6)
    assert found["two"]["x"] == pytest.approx([np.sqrt(2.0)] * 2)


def test_there_is_no_phase_diagram_without_k_or_sigma_w() -> None:
    assert phase_data(table(k=[0.0, 0.0]), ["width"], asymmetric=False) is None
