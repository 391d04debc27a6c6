"""The page in a browser: what it asks for, how it fits, and that choices show what the file has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr

import simcore
from simcore.results.controlled import with_controls
from simcore.results.intervals import reach
from tests.report.browser import Browser, Page
from tests.report.conftest import Made

pytestmark = pytest.mark.xdist_group("report")

PHONE, DESK = 390, 1440

Make = Callable[[str], Made]

OVERFLOWING = """
[...document.querySelectorAll("body *")].filter((element) => {
  if (element.closest(".scroll, script, style, svg, .plot")) return false;
  const box = element.getBoundingClientRect();
  const cut = element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0
    && getComputedStyle(element).display !== "inline" && element.tagName !== "SELECT";
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1 || cut);
}).map((element) => `${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`)
"""

DRAWN = """
[...document.querySelectorAll(".plot")].map((place) => {
  const canvas = place.firstElementChild?.shadowRoot?.querySelector(".bk-Canvas");
  const drawn = canvas?.shadowRoot?.querySelector("canvas");
  const inside = place.getBoundingClientRect();
  const box = drawn?.getBoundingClientRect();
  return [place.id, box?.width ?? 0, box?.height ?? 0, box ? box.right <= inside.right + 1 : false];
})
"""


def choose(page: Page, control: str, value: object) -> None:
    """Set a select or a slider as a reader does."""
    kind = "input" if control.endswith("-layer") else "change"
    page.evaluate(
        f"(() => {{ const e = document.getElementById({json.dumps(control)});"
        f" e.value = {json.dumps(str(value))}; e.dispatchEvent(new Event('{kind}')); }})()"
    )


def source(page: Page, figure: str, name: str) -> dict[str, list[Any]]:
    """Return what a figure draws."""
    found = page.evaluate(
        "(() => { const clean = (v) => Array.isArray(v) || ArrayBuffer.isView(v)"
        " ? [...v].map(clean) : Number.isNaN(v) ? null : v;"
        f" const place = document.getElementById('figure-{figure}');"
        " const models = Bokeh.documents.filter((d) => place.dataset.model === d.roots()[0].id);"
        f" const data = models[0].get_model_by_name('{name}').data;"
        " return Object.fromEntries(Object.entries(data).map(([k, v]) => [k, clean(v)])); })()"
    )
    assert isinstance(found, dict)
    return found


def agree(shown: list[Any], values: Any, digits: int = 7) -> None:
    """Assert that numbers on the page are those of the file, to so many digits."""
    found = np.array([np.nan if x is None else x for x in shown], dtype=float)
    np.testing.assert_allclose(found, np.asarray(values), rtol=10.0**-digits, equal_nan=True)


class Shown(NamedTuple):
    """A page in the browser, what it holds, and the run that it is about."""

    page: Page
    data: dict[str, Any]
    ds: xr.Dataset


def shown_page(browser: Browser, file: Made) -> Shown:
    return Shown(browser.open(file.page), file.data, simcore.open_run(file.run))


@pytest.fixture(scope="module")
def widths(browser: Browser, made: Make) -> Shown:
    return shown_page(browser, made("widths"))


@pytest.fixture(scope="module")
def few(browser: Browser, made: Make) -> Shown:
    return shown_page(browser, made("few"))


@pytest.mark.parametrize("name", ["single", "widths", "shared", "dead"])
def test_it_renders_without_network_or_complaints(browser: Browser, made: Make, name: str) -> None:
    file = made(name).page
    page = browser.open(file, width=DESK)
    assert page.complaints() == []
    assert page.requests() == [file.resolve().as_uri()]
    drawn = page.evaluate(DRAWN)
    assert len(drawn) >= 5
    for place, width, height, inside in drawn:
        assert width > 250, place
        assert height > 250, place
        assert inside, place
    assert page.evaluate(OVERFLOWING) == []
    page.resize(PHONE, 844)
    page.settle()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    assert page.evaluate(OVERFLOWING) == []
    assert all(width < PHONE and inside for _, width, _, inside in page.evaluate(DRAWN))
    assert page.complaints() == []


def test_the_choice_of_a_point(widths: Shown) -> None:
    page, data, ds = widths
    compared = simcore.compare(ds)
    labels = [point["label"] for point in data["points"]]
    for place in ({"width": 0, "k": 0, "sigma_w": 0}, {"width": 2, "k": 1, "sigma_w": 1}):
        point = with_controls(ds.isel(place))
        values = [float(point[name]) for name in ("width", "k", "sigma_w")]
        label = "N = {:g}, k = {:g}, σ_w = {:g}".format(*values).replace("-", "−")
        choose(page, "point", labels.index(label))
        shown = source(page, "correlation", "correlation")
        own = point.sel(layer=shown["x"])
        agree(shown["y"], own.correlation)
        agree(shown["theory"], own.correlation_theory)
        agree(shown["first"], own.correlation_theory_1n)
        agree(
            shown["high"],
            own.correlation + reach(own.correlation_count) * own.correlation_stderr,
            4,
        )
        agree(source(page, "distance", "distance")["y"], own.distance)
        agree(source(page, "log_q", "log_q1")["y"], own.log_q1)
        agree(source(page, "inactive", "inactive_both")["y"], own.inactive_both)
        z = compared.z.correlation_z.isel(place).sel(layer=shown["x"])
        agree(source(page, "z", "z")["y"], z, 3)
        words = page.evaluate("document.getElementById('verdicts').innerText")
        at = {"width": int(values[0]), "k": values[1], "sigma_w": values[2]}
        told = [verdict.words for verdict in compared.verdicts if dict(verdict.point) == at]
        assert len(told) == 6
        assert words.split("\n") == told
        assert label.split(", ")[1] in page.evaluate("document.querySelector('#z h3').innerText")


def test_the_deviation_from_mean_field(few: Shown) -> None:
    page, _, ds = few

    def band(shown: dict[str, list[Any]]) -> list[float]:
        return [b - a for a, b in zip(shown["low"], shown["high"], strict=True)]

    for point, observable in ((0, "correlation"), (2, "log_q1")):
        choose(page, "point", point)
        choose(page, "deviation-observable", observable)
        own = ds.isel(k=point)
        mean, error = (own[f"{observable}_controlled{end}"] for end in ("", "_stderr"))
        half = reach(100) * error
        gap, first = mean - own[f"{observable}_theory"], own[f"{observable}_theory_1n"]
        shown = source(page, "deviation", "deviation")
        agree(shown["y"], gap)
        agree(band(shown), 2.0 * half, 3)
        agree(shown["first"], first - own[f"{observable}_theory"])
        plain = source(page, "deviation", "plain")
        agree(band(plain), 2.0 * reach(100) * own[f"{observable}_stderr"], 3)
        left = source(page, "left", "left")
        agree(left["y"], (mean - first) * 32.0**2)
        agree(band(left), 2.0 * 32.0**2 * half, 3)
        if observable == "log_q1":
            axis = "document.getElementById('figure-deviation').dataset.model"
            found = page.evaluate(
                f"Bokeh.documents.find((d) => d.roots()[0].id === {axis}).roots()[0]"
                ".left[0].axis_label"
            )
            assert found == "ln q of signal 1 − mean field"


def test_intervals_of_ten_networks_are_those_of_student(browser: Browser, made: Make) -> None:
    """At 95.45 % they reach 2.32 standard errors to each side, with nine degrees of freedom."""
    page, _, ds = shown_page(browser, made("ten"))
    own, most = ds.isel(width=0), 2.3198
    line = source(page, "correlation", "correlation")
    agree(line["high"], own.correlation + most * own.correlation_stderr, 3)
    typical = source(page, "distance", "typical")
    size = np.exp(own.log_distance)
    agree(typical["high"], size * (1.0 + most * own.log_distance_stderr), 3)
    dots = source(page, "last", "matching")
    last = with_controls(ds).isel(layer=-1)
    agree(sorted(dots["low"]), np.sort(last.correlation - most * last.correlation_stderr), 3)
    choose(page, "widths-observable", "correlation")
    means = source(page, "widths", "means")
    half = (np.array(means["high"]) - np.array(means["low"])) / 2.0
    layer = page.evaluate("document.getElementById('widths-layer-shown').textContent")
    error = ds.correlation_stderr.sel(layer=int(layer.split()[1]))
    agree(sorted(half), np.sort(most * error), 2)
    strip = "Bokeh.documents.flatMap((d) => d.get_model_by_name('strip') ?? [])[0].top"
    assert page.evaluate(strip) == pytest.approx(most, rel=1e-3)


def test_theories_of_other_points_are_thin_lines_where_points_are_few(
    widths: Shown, few: Shown
) -> None:
    assert source(widths.page, "correlation", "context_theory")["xs"] == []
    assert len(source(few.page, "correlation", "context_theory")["xs"]) == 2


def test_buttons_and_chips_choose_points(few: Shown) -> None:
    page, _, ds = few

    def last() -> float:
        return float(source(page, "correlation", "correlation")["y"][-1])

    expected = [float(x) for x in with_controls(ds).correlation.isel(layer=-1)]
    choose(page, "point", 0)
    assert last() == pytest.approx(expected[0])
    page.evaluate("document.getElementById('previous-point').click()")
    assert last() == pytest.approx(expected[2], rel=1e-6)
    page.evaluate("document.querySelector('[data-chip=\"1\"]').click()")
    assert last() == pytest.approx(expected[1])
    pressed = "document.querySelector('[aria-pressed=\"true\"]').textContent"
    assert page.evaluate(pressed) == "k = 1"
    assert len(source(page, "correlation", "context")["xs"]) == 2


def test_a_hue_is_that_of_one_point_on_the_whole_page(few: Shown) -> None:
    page = few.page
    choose(page, "point", 1)
    colours = page.evaluate(
        "(() => { const style = getComputedStyle(document.documentElement);"
        " const of = (name) => style.getPropertyValue(`--${name}`).trim();"
        " const roles = ['first', 'second', 'third', 'fourth'].map(of);"
        " const lines = Bokeh.documents.flatMap((d) => d.roots()[0].renderers ?? [])"
        " .filter((r) => r.tags?.[0] === 'first').map((r) => r.glyph.line_color?.value"
        " ?? r.glyph.fill_color?.value);"
        " return { roles, lines, points: [0, 1, 2, 3, 4, 5, 6].map((i) => of(`few${i}`)) }; })()"
    )
    assert colours["roles"][0] == colours["points"][1]
    assert not set(colours["roles"][1:]) & set(colours["points"])
    assert len(set(colours["roles"])) == 4
    assert set(filter(None, colours["lines"])) == {colours["points"][1]}
    choose(page, "point", 0)


def test_single_networks(few: Shown) -> None:
    page, _, ds = few
    choose(page, "point", 0)
    assert source(page, "correlation", "single")["xs"] == []
    page.evaluate("document.getElementById('single').click()")
    drawn = source(page, "correlation", "single")["ys"]
    agree(np.ravel(drawn).tolist(), np.ravel(ds.correlation_trajectories.isel(k=0)), 3)


def test_the_distribution_at_a_layer(browser: Browser, made: Make) -> None:
    file = made("single")
    page, ds = browser.open(file.page), simcore.open_run(file.run)
    layers = file.data["points"][0]["distributions"]["layers"]
    for observable, number in (("correlation", 3), ("log_q1", len(layers) - 1), ("inactive1", 0)):
        choose(page, "distribution-observable", observable)
        choose(page, "distribution-layer", number)
        own = ds.sel(layer=layers[number])
        counts = own[f"{observable}_histogram"].to_numpy()
        filled = np.flatnonzero(counts)
        bars = source(page, "distribution", "bars")
        assert bars["top"] == counts[filled[0] : filled[-1] + 1].tolist()
        lower, width = (float(own[f"{observable}_bin_{x}"]) for x in ("lower", "width"))
        agree(bars["left"][:1], [lower + (filled[0] - 1) * width], 6)
        agree(source(page, "distribution", "mean")["x"], [float(own[observable])] * 2)
        shown = page.evaluate("document.getElementById('distribution-layer-shown').textContent")
        assert shown == f"layer {layers[number]}"


def test_the_scaling_with_width(widths: Shown) -> None:
    page, data, ds = widths
    fits = simcore.scaling(ds).fits
    layers = data["widths"]["layers"]
    for observable, number in (("correlation", 2), ("log_q1", len(layers) - 1)):
        choose(page, "widths-observable", observable)
        choose(page, "widths-layer", number)
        at = {"k": 0, "sigma_w": 0}
        choose(page, "point", 0)
        own = with_controls(ds)[observable].isel(at).sel(layer=layers[number])
        means = source(page, "widths", "means")
        agree(means["x"], 1.0 / ds.width.to_numpy())
        agree(means["y"], own)
        limit = fits[f"{observable}_limit"].isel(at).sel(layer=layers[number])
        agree(source(page, "widths", "limit")["y"], [float(limit)])
        field = fits[f"{observable}_mean_field"].isel(at).sel(layer=layers[number])
        agree(source(page, "widths", "mean_field")["y"], [float(field)])


def test_all_points_at_the_last_layer(widths: Shown) -> None:
    page, _, ds = widths
    last: xr.Dataset = with_controls(ds).isel(layer=-1)
    choose(page, "point", 0)
    choose(page, "last-observable", "inactive_both")
    choose(page, "last-x", "k")
    shown = source(page, "last", "matching")
    assert shown["x"] == [0.5, 1.0, 2.0]
    agree(shown["y"], last.inactive_both.isel(width=0, sigma_w=0))
    assert len(source(page, "last", "others")["x"]) == 15
    cells = source(page, "phase", "cells")
    agree(cells["c"], np.ravel(last.correlation.isel(width=0)))


def test_the_phase_diagram_over_g(few: Shown) -> None:
    page = few.page
    assert source(page, "phase", "measured")["x"] == [0.0, 0.5, 1.0]
    curve = source(page, "phase", "curve")
    middle = int(np.argmin(np.abs(np.array(curve["x"]) - 0.5)))
    g = curve["x"][middle]
    star = simcore.theory.fixed_point(k=g / (1 - g)).correlation
    assert curve["y"][middle] == pytest.approx(star, abs=1e-6)
    assert curve["y"][-1] == pytest.approx(0.0, abs=1e-6)


def test_light_dark_and_print(browser: Browser, made: Make, tmp_path: Path) -> None:
    file = made("single").page
    ink = (
        "Bokeh.documents.map((d) => d.roots()[0].left[0].major_label_text_color)"
        ".filter((c, i, all) => all.indexOf(c) === i)"
    )
    page = "getComputedStyle(document.body).backgroundColor"
    light, dark = browser.open(file), browser.open(file, dark=True)
    assert light.evaluate(ink) == ["#1b1f24"]
    assert light.evaluate(page) == "rgb(255, 255, 255)"
    assert dark.evaluate(ink) == ["#e6edf3"]
    assert dark.evaluate(page) == "rgb(20, 23, 27)"
    dark.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    dark.send("Emulation.setEmulatedMedia", media="print")
    assert dark.evaluate(page) == "rgb(255, 255, 255)"


def test_dragging_zooms_only_with_a_mouse(browser: Browser, made: Make) -> None:
    page = browser.open(made("single").page)
    zooms = (
        "Bokeh.documents.map((d) => d.roots()[0].toolbar.tools"
        ".find((t) => t.type === 'BoxZoomTool').active).filter((x) => x).length"
    )
    assert page.evaluate(zooms) == page.evaluate("Bokeh.documents.length")
    page.send("Emulation.setTouchEmulationEnabled", enabled=True)
    page.show(made("single").page, width=PHONE)
    assert page.evaluate(zooms) == 0


def test_values_under_the_pointer(browser: Browser, made: Make) -> None:
    page = browser.open(made("single").page)
    where = page.evaluate(
        "(() => { const place = document.getElementById('figure-correlation');"
        " place.scrollIntoView({ block: 'center' });"
        " const view = Object.values(Bokeh.index.roots ?? Bokeh.index).find("
        "   (v) => v.model.id === place.dataset.model);"
        " const box = place.getBoundingClientRect(); const data = view.model.document"
        "   .get_model_by_name('correlation').data;"
        " const frame = view.frame.bbox;"
        " const x = view.frame.x_scale.compute(data.x[5]);"
        " const y = view.frame.y_scale.compute(data.y[5]);"
        " return [box.left + x, box.top + y]; })()"
    )
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=where[0], y=where[1])
    page.wait_for(
        "(() => { const seek = (root) => [...root.querySelectorAll('*')].some((e) =>"
        " (e.className + '').includes('bk-Tooltip') && e.shadowRoot?.textContent.includes('±')"
        " || e.shadowRoot && seek(e.shadowRoot)); return seek(document); })()"
    )
