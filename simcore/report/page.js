"use strict";
// Fills the figures as points, layers and observables are chosen, and colours them for a light or a
// dark page. Every number comes from the JSON in the page; nothing is loaded.
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const items = JSON.parse(document.getElementById("page-figures").textContent);
  const figures = {};

  const LIGHT = {
    first: "#0072B2", second: "#D55E00", third: "#009E73", fourth: "#CC79A7",
    ink: "#1b1f24", muted: "#8b949e", grid: "#e3e6ea", axis: "#57606a",
    few: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1b1f24"],
  };
  const DARK = {
    first: "#56B4E9", second: "#E69F00", third: "#009E73", fourth: "#CC79A7",
    ink: "#e6edf3", muted: "#7d8590", grid: "#2d333b", axis: "#adbac7",
    few: ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#e6edf3"],
  };
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  let colours = LIGHT;

  const byId = (id) => document.getElementById(id);
  const few = page.points.length > 1 && page.points.length <= colours.few.length;
  const known = (x) => x !== null && x !== undefined;
  const chosenPoint = () => page.points[Number(byId("point")?.value ?? 0)];
  const ensembleButtons = document.querySelectorAll("[data-ensemble]");

  // --- numbers as text -------------------------------------------------------------------------

  const plain = (x, digits = 6) => (known(x) ? String(Number(x.toPrecision(digits))) : "–");

  // A value and its error, which has two digits, with the same number of decimals.
  function withError(x, error) {
    if (!known(x)) return "–";
    if (!error) return plain(x);
    const large = Math.max(Math.abs(x), error);
    if (large < 1e-3 || large >= 1e6) {
      const power = Math.floor(Math.log10(large));
      return `(${withError(x / 10 ** power, error / 10 ** power)})e${power}`;
    }
    const exponent = Number(error.toExponential(1).split("e")[1]);
    const decimals = Math.min(Math.max(1 - exponent, 0), 12);
    return `${x.toFixed(decimals)} ± ${error.toFixed(decimals)}`;
  }

  // --- figures ---------------------------------------------------------------------------------

  function fill(figure, source, data) {
    const model = figures[figure];
    if (!model) return;
    const found = model.document.get_model_by_name(source);
    const columns = Object.keys(found.data);
    found.data = Object.fromEntries(columns.map((name) => [name, data[name] ?? []]));
  }

  function label(figure, x, y) {
    const model = figures[figure];
    if (!model) return;
    if (x) model.below[0].axis_label = x;
    if (y) model.left[0].axis_label = y;
    model.reset.emit();
  }

  const asNumbers = (values, n) => Array.from({ length: n }, (_, i) => values?.[i] ?? NaN);

  // What a figure along the layers needs of one observable. On a logarithmic axis a band that
  // reaches 0 is cut at a thousandth of the mean.
  function lineData(layers, line, logarithmic) {
    if (!line?.mean) return {};
    const n = layers.length;
    const y = asNumbers(line.mean, n).map((v) => (logarithmic && v <= 0 ? NaN : v));
    const error = asNumbers(line.error, n);
    const span = y.map((v, i) => (Number.isNaN(error[i]) ? 0 : 2 * error[i]));
    return {
      x: layers,
      y,
      low: y.map((v, i) => (logarithmic ? Math.max(v - span[i], v * 1e-3) : v - span[i])),
      high: y.map((v, i) => v + span[i]),
      theory: asNumbers(line.theory, n),
      first: asNumbers(line.first, n),
      text: layers.map((_, i) => withError(line.mean[i], line.error?.[i])),
      theory_text: layers.map((_, i) => plain(line.theory?.[i], 8)),
      first_text: layers.map((_, i) => plain(line.first?.[i], 8)),
      z: layers.map((_, i) => plain(line.z?.[i], 3)),
    };
  }

  const SHOWN = {
    correlation: ["correlation"],
    inactive: ["inactive1", "inactive2", "inactive_both", "dead"],
    log_q: ["log_q1", "log_q2"],
    dead: ["dead_network1", "dead_network2", "dead_inputs"],
  };
  const BUNDLED = { correlation: "correlation", distance: "distance", log_q: "log_q1",
                    inactive: "inactive_both", dead: "dead_network1" };

  // exp of the mean of ln(1 − c), with the error of the exponential.
  function typical(line) {
    if (!line?.mean) return undefined;
    const power = (values) => values?.map((v) => (known(v) ? Math.exp(v) : null));
    const mean = power(line.mean);
    const error = line.error?.map((e, i) => (known(e) && known(mean[i]) ? e * mean[i] : null));
    return { mean, error, theory: power(line.theory), first: power(line.first), z: line.z };
  }

  function drawLayers(point) {
    for (const [figure, names] of Object.entries(SHOWN)) {
      for (const name of names) {
        if (figures[figure]?.document.get_model_by_name(name)) {
          fill(figure, name, lineData(point.layers, point.lines[name], false));
        }
      }
    }
    const distance = { ...point.lines.distance };
    fill("distance", "distance", lineData(point.layers, distance, true));
    const usual = lineData(point.layers, typical(point.lines.log_distance), true);
    fill("distance", "typical", usual);
    drawSingle(point);
    drawContext(point);
    markDecades();
    for (const figure of [...Object.keys(SHOWN), "distance"]) figures[figure]?.reset.emit();
  }

  // Ticks of the distance: powers of ten, and 2 and 5 between them where there are few.
  function markDecades() {
    const document_ = figures.distance.document;
    const lines = document_.get_model_by_name("context").data.ys;
    const own = ["distance", "typical"].flatMap((name) => {
      const { y, theory } = document_.get_model_by_name(name).data;
      return [...y, ...theory];
    });
    const logs = [...own, ...lines.flat()].filter((v) => v > 0).map(Math.log10);
    const low = Math.floor(Math.min(0, ...logs));
    const span = Math.max(...logs) - Math.min(...logs);
    const mantissas = span > 2.2 ? [1] : [1, 2, 5];
    const step = Math.max(1, Math.ceil(span / 9));
    const axis = figures.distance.left[0];
    const ticks = [];
    for (let power = 1; power >= low; power -= 1) {
      if (power % step === 0) ticks.push(...mantissas.map((m) => [Number(`${m}e${power}`), m, power]));
    }
    axis.ticker.ticks = ticks.map(([tick]) => tick);
    axis.major_label_overrides = new Map(ticks.map(([tick, m, p]) => [tick, powerText(tick, m, p)]));
  }

  const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶",
                         7: "⁷", 8: "⁸", 9: "⁹" };

  function powerText(tick, mantissa, power) {
    if (power >= -2) return String(tick);
    const raised = `10${[...String(power)].map((c) => SUPERSCRIPTS[c]).join("")}`;
    return mantissa === 1 ? raised : `${mantissa}·${raised}`;
  }

  function drawSingle(point) {
    const shown = byId("single")?.checked;
    const of = (name, f) => (shown ? point.single[name] ?? [] : [])
      .map((row) => row.map((v) => (known(v) ? f(v) : NaN)));
    const bundle = (ys) => ({ xs: ys.map(() => point.layers), ys, label: ys.map(() => ""),
                              colour: ys.map(() => colours.muted) });
    fill("correlation", "single", bundle(of("correlation", (v) => v)));
    fill("distance", "single", bundle(of("log_distance", Math.exp)));
  }

  function drawContext(point) {
    for (const [figure, name] of Object.entries(BUNDLED)) {
      const others = page.points.filter((p) => p !== point && p.lines[name]?.mean);
      const logarithmic = figure === "distance";
      fill(figure, "context", {
        xs: others.map((p) => p.layers),
        ys: others.map((p) => lineData(p.layers, p.lines[name], logarithmic).y),
        label: others.map((p) => p.label),
        colour: others.map((p) => (few && figure === "correlation" ? colourOf(p) : colours.muted)),
      });
    }
    const compared = few ? page.points.filter((p) => p !== point) : [];
    const theories = compared.map((p) => lineData(p.layers, p.lines.correlation, false));
    fill("correlation", "context_theory", {
      xs: compared.map((p) => p.layers), ys: theories.map((line) => line.theory ?? []),
    });
  }

  const colourOf = (point) => colours.few[page.points.indexOf(point)];

  // --- z ---------------------------------------------------------------------------------------

  function drawZ() {
    const point = chosenPoint();
    const line = point.lines[byId("z-observable").value] ?? {};
    for (const [source, values] of [["z", line.z], ["z_first", line.z_first]]) {
      const drawn = values
        ? { x: point.layers, y: asNumbers(values, point.layers.length),
            text: values.map((v) => plain(v, 3)) }
        : {};
      fill("z", source, drawn);
    }
    figures.z?.reset.emit();
  }

  // --- distribution ----------------------------------------------------------------------------

  function drawDistribution() {
    const select = byId("distribution-observable");
    if (!select) return;
    const { layers, observables } = chosenPoint().distributions;
    const slider = byId("distribution-layer");
    slider.max = layers.length - 1;
    const i = Math.min(Number(slider.value), layers.length - 1);
    byId("distribution-layer-shown").textContent = `layer ${layers[i]}`;
    const found = observables[select.value];
    const empty = {};
    const missing = noDistribution(found, i);
    byId("distribution-note").textContent = missing;
    if (missing) {
      for (const name of ["bars", "first", "mean", "theory"]) fill("distribution", name, empty);
      return;
    }
    const [start, counts] = found.counts[i];
    const width = found.width[i] || Math.max(Math.abs(found.lower[i]) * 1e-6, 1e-12);
    const left = counts.map((_, j) => found.lower[i] + (start + j - 1) * width);
    const top = Math.max(...counts);
    const total = counts.reduce((sum, n) => sum + n, 0);
    fill("distribution", "bars", {
      left, right: left.map((x) => x + width), top: counts,
      text: left.map((x) => `${plain(x, 5)} and ${plain(x + width, 5)}`),
    });
    const rule = (x) => (known(x) ? { x: [x, x], y: [0, top * 1.08] } : empty);
    fill("distribution", "mean", rule(found.mean?.[i]));
    fill("distribution", "theory", rule(found.theory?.[i]));
    const spread = found.first_std?.[i] > 0.2 * width ? found.first_std[i] : null;
    fill("distribution", "first", normal(found.first?.[i], spread, total * width));
    label("distribution", select.selectedOptions[0].textContent);
  }

  // Why a distribution can't be drawn; "" if it can.
  function noDistribution(found, i) {
    if (!found || found.counts[i][1].length === 0 || !known(found.lower[i])) {
      return "No network has a value here.";
    }
    const share = found.width[i] / Math.abs(found.lower[i]);
    if (found.width[i] > 0 && share < 1e-9) {
      return `All networks are within rounding of ${plain(found.lower[i])}: look at ln(1 − c).`;
    }
    return "";
  }

  function normal(mean, std, area) {
    if (!known(mean) || !std) return {};
    const x = Array.from({ length: 101 }, (_, j) => mean + (j - 50) * 0.08 * std);
    const height = area / (std * Math.sqrt(2 * Math.PI));
    return { x, y: x.map((v) => height * Math.exp(-0.5 * ((v - mean) / std) ** 2)) };
  }

  // --- widths ----------------------------------------------------------------------------------

  function drawWidths() {
    const select = byId("widths-observable");
    if (!select || !page.widths) return;
    const slider = byId("widths-layer");
    const i = Number(slider.value);
    byId("widths-layer-shown").textContent = `layer ${page.widths.layers[i]}`;
    const group = page.widths.groups[chosenPoint().group]?.[select.value];
    const at = (name) => group?.[name]?.[i] ?? null;
    byId("widths-note").textContent = group ? fitText(at) : "These points have no fit across widths.";
    const xs = group ? group.width.map((n) => 1 / n) : [];
    const ys = asNumbers(group?.mean[i], xs.length);
    const errors = asNumbers(group?.error[i], xs.length);
    fill("widths", "means", {
      x: xs, y: ys, ...bars(ys, errors),
      text: xs.map((_, j) =>
        `N = ${group.width[j]}: ${withError(group.mean[i][j], group.error[i][j])}`),
    });
    const limit = at("limit");
    const limits = known(limit) ? [limit] : [];
    fill("widths", "limit", {
      x: limits.map(() => 0), y: limits, ...bars(limits, [at("limit_stderr") ?? NaN]),
      text: limits.map(() => `limit of the fit: ${withError(limit, at("limit_stderr"))}`),
    });
    const field = at("mean_field");
    fill("widths", "mean_field", known(field)
      ? { x: [0], y: [field], text: [`mean field: ${plain(field, 8)}`] } : {});
    const farthest = Math.max(0, ...xs) * 1.05;
    const grid = Array.from({ length: 41 }, (_, j) => (farthest * j) / 40);
    const curve = (a, b, c) => (known(a) && known(b)
      ? { x: grid, y: grid.map((x) => a + b * x + (c ?? 0) * x * x) } : {});
    fill("widths", "fit", curve(limit, at("slope"), at("curvature")));
    fill("widths", "slope", curve(field, at("slope_theory"), 0));
    label("widths", null, `${select.selectedOptions[0].textContent}, layer ${page.widths.layers[i]}`);
  }

  function fitText(at) {
    const against = (name, theory, words) => (known(at(theory))
      ? ` (${words}: ${plain(at(theory))}, z = ${plain((at(name) - at(theory)) / at(`${name}_stderr`), 2)})`
      : "");
    return `Here a = ${withError(at("limit"), at("limit_stderr"))}`
      + `${against("limit", "mean_field", "mean field")} and `
      + `b = ${withError(at("slope"), at("slope_stderr"))}`
      + `${against("slope", "slope_theory", "first order")}.`;
  }

  const bars = (values, errors) => ({
    low: values.map((v, i) => v - 2 * (errors[i] || 0)),
    high: values.map((v, i) => v + 2 * (errors[i] || 0)),
  });

  // --- all points ------------------------------------------------------------------------------

  // Numbers of the rows whose parameters, but for those in `free`, are the chosen point's.
  function matching(free) {
    const values = chosenPoint().values;
    const names = page.varied.filter((name) => !free.includes(name));
    return page.rows.label
      .map((_, i) => i)
      .filter((i) => names.every((name) => page.rows[name][i] === values[name]));
  }

  const column = (name, rows) => rows.map((i) => page.rows[name]?.[i] ?? NaN);

  function drawLast() {
    const xSelect = byId("last-x");
    if (!xSelect) return;
    const x = xSelect.value;
    const y = byId("last-observable").value;
    const free = x === "g" ? "k" : x;
    const matched = matching([free, ...(free === "k" && !page.varied.includes("sigma_w") ? ["sigma_w"] : [])]);
    const inside = new Set(matched);
    const others = page.rows.label.map((_, i) => i).filter((i) => !inside.has(i));
    const text = (i) => `${page.rows.label[i]}: ${withError(page.rows[y][i], page.rows[`${y}_stderr`][i])}`;
    const ys = column(y, matched);
    fill("last", "matching", {
      x: column(x, matched), y: ys, ...bars(ys, column(`${y}_stderr`, matched)),
      text: matched.map(text),
    });
    fill("last", "others", { x: column(x, others), y: column(y, others), text: others.map(text) });
    const sorted = [...matched].sort((a, b) => page.rows[x][a] - page.rows[x][b]);
    fill("last", "theory", { x: column(x, sorted), y: column(`${y}_theory`, sorted) });
    label("last", xSelect.selectedOptions[0].textContent,
          byId("last-observable").selectedOptions[0].textContent);
  }

  function drawPhase() {
    const phase = page.phase;
    if (!phase || !figures.phase) return;
    const rows = matching(["k", "sigma_w"]);
    const text = (i) => {
      const star = page.rows.c_star[i];
      const ends = known(star) ? `, c* ${plain(star)}, depth scale ${plain(page.rows.scale[i], 3)}` : "";
      return `${page.rows.label[i]}: ${withError(page.rows.correlation[i], page.rows.correlation_stderr[i])}${ends}`;
    };
    if (phase.y === "correlation") {
      const curve = phase.curves[chosenPoint().bias] ?? Object.values(phase.curves)[0] ?? {};
      fill("phase", "curve", curve);
      const ys = column("correlation", rows);
      fill("phase", "measured", {
        x: column(phase.x, rows), y: ys, ...bars(ys, column("correlation_stderr", rows)),
        text: rows.map(text),
      });
    } else {
      const edge = (edges, end) => rows.map((i) => edges[i][end]);
      fill("phase", "cells", {
        left: edge(phase.x_cells, 0), right: edge(phase.x_cells, 1),
        bottom: edge(phase.y_cells, 0), top: edge(phase.y_cells, 1),
        c: column("correlation", rows), text: rows.map(text),
      });
      fill("phase", "preserving", phase.preserving);
      fill("phase", "two", phase.two);
    }
    figures.phase.reset.emit();
  }

  // --- words and tables ------------------------------------------------------------------------

  function tellPoint(point) {
    const list = byId("verdicts");
    if (list) {
      list.replaceChildren(...point.verdicts.map((verdict) => {
        const item = document.createElement("li");
        item.className = { true: "agrees", false: "deviates" }[verdict.agrees] ?? "unknown";
        item.textContent = verdict.words;
        return item;
      }));
      byId("verdicts-of").textContent = point.label ? `The tests of ${point.label}` : "The tests";
    }
    const body = byId("layers-table");
    const few = point.layers.filter((_, i) => i % Math.ceil(point.layers.length / 16) === 0);
    const last = point.layers.at(-1);
    const rows = few.includes(last) ? few : [...few, last];
    body.replaceChildren(...rows.map((layer) => {
      const i = point.layers.indexOf(layer);
      const cell = (name, part = "mean") => {
        const line = point.lines[name];
        const value = line?.[part]?.[i];
        return part === "mean" ? withError(value, line?.error?.[i]) : plain(value, part === "z" ? 2 : 7);
      };
      const row = document.createElement("tr");
      const texts = [layer, cell("correlation"), cell("correlation", "theory"),
                     cell("correlation", "z"), cell("log_distance"), cell("log_q1"),
                     cell("inactive_both")];
      row.append(...texts.map((text) => {
        const made = document.createElement("td");
        made.textContent = text;
        return made;
      }));
      return row;
    }));
    for (const name of document.querySelectorAll("[data-point-label]")) {
      const free = name.dataset.pointLabel.split(" ");
      const parts = Object.entries(point.parts).filter(([part]) => !free.includes(part));
      name.textContent = parts.map(([, text]) => text).join(", ");
    }
    for (const chip of document.querySelectorAll("[data-chip]")) {
      const own = page.points[Number(chip.dataset.chip)];
      chip.setAttribute("aria-pressed", String(own === point));
      chip.style.setProperty("--chip", colourOf(own));
    }
  }

  function drawPoint() {
    const point = chosenPoint();
    if (point) {
      tellPoint(point);
      drawLayers(point);
      drawZ();
      drawDistribution();
      drawWidths();
      drawLast();
      drawPhase();
    }
    colour();
  }

  // --- training --------------------------------------------------------------------------------

  // Show or hide an ensemble in the figures of its file.
  function toggle(button) {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    for (const [name, model] of Object.entries(figures)) {
      if (!name.startsWith(`${button.dataset.training}-`)) continue;
      for (const renderer of model.renderers) {
        if (renderer.tags[1] === button.dataset.ensemble) renderer.visible = shown;
      }
    }
  }

  // --- colours ---------------------------------------------------------------------------------

  function recolour(renderer, value) {
    for (const name of ["line_color", "fill_color"]) {
      if (known(renderer.glyph[name]?.value)) renderer.glyph[name] = { value };
    }
  }

  // The colour of a role: few0, few1, … are things side by side.
  const ofRole = (role) => role?.startsWith("few") ? colours.few[Number(role.slice(3))] : colours[role];

  function colour() {
    for (const button of ensembleButtons) {
      button.style.setProperty("--chip", colours.few[button.dataset.few % colours.few.length]);
    }
    for (const [name, model] of Object.entries(figures)) {
      for (const axis of [...model.below, ...model.left]) {
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = colours.axis;
        axis.major_label_text_color = axis.axis_label_text_color = colours.ink;
      }
      for (const bar of model.right) bar.major_label_text_color = colours.ink;
      for (const part of model.center) {
        if (part.type === "Grid") part.grid_line_color = colours.grid;
        if (part.type === "Span") part.line_color = colours[part.tags[0]];
        if (part.type === "BoxAnnotation") part.fill_color = colours[part.tags[0]];
      }
      for (const renderer of model.renderers) {
        const own = ofRole(renderer.tags[0]);
        if (own) recolour(renderer, own);
      }
      if (few && name === "correlation") {
        for (const renderer of model.renderers) {
          if (renderer.tags[0] === "first") recolour(renderer, colourOf(chosenPoint()));
          if (renderer.tags[0] === "context") renderer.glyph.line_width = { value: 2 };
        }
      }
    }
  }

  function setScheme(dark) {
    colours = dark ? DARK : LIGHT;
    document.documentElement.dataset.scheme = dark ? "dark" : "light";
    if (Object.keys(figures).length) drawPoint();
  }

  // --- start -----------------------------------------------------------------------------------

  function listen() {
    const on = (id, draw, event = "change") => byId(id)?.addEventListener(event, draw);
    on("point", drawPoint);
    on("single", () => drawSingle(chosenPoint()));
    on("z-observable", drawZ);
    on("distribution-observable", drawDistribution);
    on("distribution-layer", drawDistribution, "input");
    on("widths-observable", drawWidths);
    on("widths-layer", drawWidths, "input");
    on("last-x", drawLast);
    on("last-observable", drawLast);
    const step = (by) => () => {
      const select = byId("point");
      select.selectedIndex = (select.selectedIndex + by + select.length) % select.length;
      drawPoint();
    };
    on("previous-point", step(-1), "click");
    on("next-point", step(1), "click");
    for (const chip of document.querySelectorAll("[data-chip]")) {
      chip.addEventListener("click", () => {
        byId("point").value = chip.dataset.chip;
        drawPoint();
      });
    }
    for (const button of ensembleButtons) button.addEventListener("click", () => toggle(button));
    darkScheme.addEventListener("change", () => setScheme(darkScheme.matches));
  }

  // Dragging zooms where there is a mouse; on a touch screen it must go on scrolling the page.
  function chooseTools(model) {
    if (matchMedia("(pointer: coarse)").matches) return;
    for (const tool of model.toolbar.tools) if (tool.type === "BoxZoomTool") tool.active = true;
  }

  async function start() {
    for (const [name, item] of Object.entries(items)) {
      const views = await Bokeh.embed.embed_item(item, `figure-${name}`);
      figures[name] = views.roots[0].model;
      byId(`figure-${name}`).dataset.model = figures[name].id;
      chooseTools(figures[name]);
    }
    listen();
    setScheme(darkScheme.matches);
    document.documentElement.dataset.ready = "yes";
  }

  start();
})();
