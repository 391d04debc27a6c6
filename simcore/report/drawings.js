// Fills the figures from the page's JSON for the chosen point, layer and observable. Stands in one
// function with page.js, after it.

const nameOf = (select) => select.selectedOptions[0].textContent;
const asNumbers = (values, n) => Array.from({ length: n }, (_, i) => values?.[i] ?? NaN);
// Intervals: `reaches` standard errors to each side, two where networks are many.
const bars = (values, errors, reaches) => {
  const half = values.map((_, i) => (reaches?.[i] ?? 2) * (errors[i] || 0));
  return { low: values.map((v, i) => v - half[i]), high: values.map((v, i) => v + half[i]) };
};

// What a figure along the layers needs of one observable. On a logarithmic axis a band that
// reaches 0 is cut at a thousandth of the mean.
function lineData(layers, line, logarithmic = false) {
  if (!line?.mean) return {};
  const n = layers.length;
  const y = asNumbers(line.mean, n).map((v) => (logarithmic && v <= 0 ? NaN : v));
  // Intervals of shares have ends of their own: none is below 0 or above 1.
  const { low, high } = line.low
    ? { low: asNumbers(line.low, n), high: asNumbers(line.high, n) }
    : bars(y, asNumbers(line.error, n), line.reach);
  const measured = (i) => (line.counted
    ? `${plain(line.mean[i], 3)} (${plain(line.low[i], 2)} to ${plain(line.high[i], 2)})`
    : withError(line.mean[i], line.error?.[i]));
  const text = (values, digits) => layers.map((_, i) => plain(values?.[i], digits));
  return {
    x: layers, y, high,
    low: logarithmic ? low.map((v, i) => Math.max(v, y[i] * 1e-3)) : low,
    theory: asNumbers(line.theory, n),
    first: asNumbers(line.first, n),
    text: layers.map((_, i) => measured(i)),
    theory_text: text(line.theory, 8),
    first_text: text(line.first, 8),
    z: text(line.z, 3),
  };
}

// The lines of a figure along the layers; the first is also drawn thin of the other points.
const LINES = {
  correlation: ["correlation"],
  distance: ["distance", "typical"],
  log_q: ["log_q1", "log_q2"],
  inactive: ["inactive_both", "inactive1", "inactive2", "dead"],
  dead: ["dead_network1", "dead_network2", "dead_inputs"],
  gradient: ["log_gradient1", "log_gradient2"],
  gradient_correlation: ["gradient_correlation"],
  tangent: ["tangent11", "tangent22", "tangent12"],
};

// exp of the mean of ln(1 − c), with the error of the exponential.
function typical(line) {
  if (!line?.mean) return undefined;
  const power = (values) => values?.map((v) => (known(v) ? Math.exp(v) : null));
  const mean = power(line.mean);
  const error = line.error?.map((e, i) => (known(e) && known(mean[i]) ? e * mean[i] : null));
  return { mean, error, reach: line.reach, theory: power(line.theory), first: power(line.first), z: line.z };
}

const lineOf = (point, name) =>
  name === "typical" ? typical(point.lines.log_distance) : point.lines[name];

function drawLayers(point) {
  for (const [figure, names] of Object.entries(LINES)) {
    const logarithmic = figure === "distance";
    for (const name of names) {
      fill(figure, name, lineData(point.layers, lineOf(point, name), logarithmic));
    }
    drawContext(figure, names[0], point, logarithmic);
  }
  drawSingle(point);
  markDecades();
  for (const figure of Object.keys(LINES)) figures[figure]?.reset.emit();
}

function drawContext(figure, name, point, logarithmic) {
  const others = page.points.filter((p) => p !== point && p.lines[name]?.mean);
  const lines = others.map((p) => lineData(p.layers, p.lines[name], logarithmic));
  const coloured = few && figure === "correlation";
  fill(figure, "context", {
    xs: others.map((p) => p.layers), ys: lines.map((line) => line.y),
    label: others.map((p) => p.label),
    colour: others.map((p) => (coloured ? colourOf(p) : colour("muted"))),
  });
  fill(figure, "context_theory", coloured ? {
    xs: others.map((p) => p.layers), ys: lines.map((line) => line.theory),
  } : {});
}

function drawSingle(point) {
  const shown = byId("single")?.checked;
  const bundle = (figure, name, f) => {
    const ys = (shown ? point.single[name] ?? [] : [])
      .map((row) => row.map((v) => (known(v) ? f(v) : NaN)));
    fill(figure, "single", { xs: ys.map(() => point.layers), ys, label: ys.map(() => ""),
                             colour: ys.map(() => colour("muted")) });
  };
  bundle("correlation", "correlation", (v) => v);
  bundle("distance", "log_distance", Math.exp);
}

// Ticks of the distance: powers of ten, and 2 and 5 between them where there are few.
function markDecades() {
  const data = (name) => figures.distance.document.get_model_by_name(name).data;
  const own = LINES.distance.flatMap((name) => [...data(name).y, ...data(name).theory]);
  const logs = [...own, ...data("context").ys.flat()].filter((v) => v > 0).map(Math.log10);
  const low = Math.floor(Math.min(0, ...logs));
  const span = Math.max(...logs) - Math.min(...logs);
  const mantissas = span > 2.2 ? [1] : [1, 2, 5];
  const step = Math.max(1, Math.ceil(span / 9));
  const labels = new Map();
  for (let power = 1; power >= low; power -= 1) {
    if (power % step) continue;
    for (const m of mantissas) labels.set(Number(`${m}e${power}`), powerText(m, power));
  }
  const axis = figures.distance.left[0];
  axis.ticker.ticks = [...labels.keys()];
  axis.major_label_overrides = labels;
}

function powerText(mantissa, power) {
  if (power >= -2) return String(Number(`${mantissa}e${power}`));
  const raised = [...String(-power)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("");
  return `${mantissa === 1 ? "" : `${mantissa}·`}10⁻${raised}`;
}

function drawDeviation() {
  const select = byId("deviation-observable");
  if (!select) return;
  const { layers: x, deviations, lines } = chosenPoint();
  const found = deviations[select.value];
  byId("deviation-note").textContent = !found
    ? "This point has no means with control variates, for its networks may die."
    : found.left ? "" : "There is no first order in 1/N for networks deeper than wide.";
  const band = (mean, error) => {
    const y = asNumbers(found[mean], x.length);
    const errors = asNumbers(found[error], x.length);
    const text = x.map((_, i) => withError(found[mean][i], found[error][i]));
    return { x, y, ...bars(y, errors, lines[select.value].reach), text };
  };
  fill("deviation", "plain", found && band("plain", "plain_error"));
  fill("deviation", "deviation", found && {
    ...band("mean", "error"), first: asNumbers(found.first, x.length),
    first_text: x.map((_, i) => plain(found.first?.[i], 4)),
  });
  fill("left", "left", found?.left && {
    ...band("left", "left_error"), first: x.map(() => NaN), first_text: x.map(() => ""),
  });
  label("deviation", null, `${nameOf(select)} − mean field`);
  label("left", null, "N² (mean − first order)");
}

function drawZ() {
  const { layers, lines } = chosenPoint();
  const line = lines[byId("z-observable").value] ?? {};
  for (const name of ["z", "z_first"]) {
    const values = line[name];
    fill("z", name, values && {
      x: layers, y: asNumbers(values, layers.length), text: values.map((v) => plain(v, 3)),
    });
  }
  const strip = figures.z?.document.get_model_by_name("strip");
  if (strip) {
    const reaches = (line.reach ?? []).filter(known);
    strip.top = reaches.length ? Math.min(...reaches) : 2;
    strip.bottom = -strip.top;
  }
  figures.z?.reset.emit();
}

// --- one layer -------------------------------------------------------------------------------

// The place among `layers` that a slider stands at, whose layer is shown beside it.
function sliderPlace(name, layers) {
  const slider = byId(`${name}-layer`);
  slider.max = layers.length - 1;
  const i = Math.min(Number(slider.value), layers.length - 1);
  byId(`${name}-layer-shown`).textContent = `layer ${layers[i]}`;
  return i;
}

function drawDistribution() {
  const select = byId("distribution-observable");
  if (!select) return;
  const { layers, observables } = chosenPoint().distributions;
  const i = sliderPlace("distribution", layers);
  const found = observables[select.value];
  const missing = noDistribution(found, i);
  byId("distribution-note").textContent = missing;
  if (missing) {
    for (const name of ["bars", "first", "mean", "theory"]) fill("distribution", name);
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
  for (const name of ["mean", "theory"]) {
    const x = found[name]?.[i];
    fill("distribution", name, known(x) ? { x: [x, x], y: [0, top * 1.08] } : {});
  }
  const spread = found.first_std?.[i] > 0.2 * width ? found.first_std[i] : null;
  fill("distribution", "first", normal(found.first?.[i], spread, total * width));
  label("distribution", nameOf(select));
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

function drawWidths() {
  const select = byId("widths-observable");
  if (!select) return;
  const i = sliderPlace("widths", page.widths.layers);
  const group = page.widths.groups[chosenPoint().group]?.[select.value];
  const at = (name) => group?.[name]?.[i] ?? null;
  byId("widths-note").textContent = group ? fitText(at) : "These points have no fit across widths.";
  const xs = group ? group.width.map((n) => 1 / n) : [];
  const ys = asNumbers(group?.mean[i], xs.length);
  const errors = asNumbers(group?.error[i], xs.length);
  fill("widths", "means", {
    x: xs, y: ys, ...bars(ys, errors, group?.reach[i]),
    text: xs.map((_, j) =>
      `N = ${group.width[j]}: ${withError(group.mean[i][j], group.error[i][j])}`),
  });
  const limit = at("limit");
  fill("widths", "limit", known(limit) ? {
    x: [0], y: [limit], ...bars([limit], [at("limit_stderr") ?? NaN], [Math.max(...group.reach[i])]),
    text: [`limit of the fit: ${withError(limit, at("limit_stderr"))}`],
  } : {});
  const field = at("mean_field");
  fill("widths", "mean_field", known(field)
    ? { x: [0], y: [field], text: [`mean field: ${plain(field, 8)}`] } : {});
  const farthest = Math.max(0, ...xs) * 1.05;
  const x = Array.from({ length: 41 }, (_, j) => (farthest * j) / 40);
  const curve = (a, b, c) => (known(a) && known(b)
    ? { x, y: x.map((v) => a + b * v + (c ?? 0) * v * v) } : {});
  fill("widths", "fit", curve(limit, at("slope"), at("curvature")));
  fill("widths", "slope", curve(field, at("slope_theory"), 0));
  label("widths", null, `${nameOf(select)}, layer ${page.widths.layers[i]}`);
}

function fitText(at) {
  const part = (name, theory, words) => {
    const against = known(at(theory))
      ? ` (${words}: ${plain(at(theory))}, z = ${plain(at(`${name}_z`), 2)})` : "";
    return withError(at(name), at(`${name}_stderr`)) + against;
  };
  return `Here a = ${part("limit", "mean_field", "mean field")} and `
    + `b = ${part("slope", "slope_theory", "first order")}.`;
}

// --- all points ------------------------------------------------------------------------------

const rows = page.rows;
const allRows = rows?.label.map((_, i) => i);
const column = (name, chosen) => chosen.map((i) => rows[name]?.[i] ?? NaN);
const rowText = (name, i) =>
  `${rows.label[i]}: ${withError(rows[name][i], rows[`${name}_stderr`][i])}`;

// Numbers of the rows whose parameters, but for those in `free`, are the chosen point's.
function matching(free) {
  const { values } = chosenPoint();
  const names = page.varied.filter((name) => !free.includes(name));
  return allRows.filter((i) => names.every((name) => rows[name][i] === values[name]));
}

// Means with their errors, and what is shown under the pointer.
const measured = (x, name, chosen, text) => {
  const y = column(name, chosen);
  const ends = rows[`${name}_low`]
    ? { low: column(`${name}_low`, chosen), high: column(`${name}_high`, chosen) }
    : bars(y, column(`${name}_stderr`, chosen), chosen.map((i) => rows[`${name}_reach`]?.[i]));
  return { x: column(x, chosen), y, ...ends, text: chosen.map(text) };
};

function drawLast() {
  const xSelect = byId("last-x");
  if (!xSelect) return;
  const x = xSelect.value;
  const ySelect = byId("last-observable");
  const y = ySelect.value;
  const text = (i) => rowText(y, i);
  const follows = ["k", "g"].includes(x) && !page.varied.includes("sigma_w");
  const own = matching([x === "g" ? "k" : x, ...(follows ? ["sigma_w"] : [])]);
  const inside = new Set(own);
  const others = allRows.filter((i) => !inside.has(i));
  fill("last", "matching", measured(x, y, own, text));
  fill("last", "others", measured(x, y, others, text));
  const sorted = [...own].sort((a, b) => rows[x][a] - rows[x][b]);
  fill("last", "theory", { x: column(x, sorted), y: column(`${y}_theory`, sorted) });
  label("last", nameOf(xSelect), nameOf(ySelect));
}

function drawPhase() {
  const { phase } = page;
  if (!phase || !figures.phase) return;
  const chosen = matching(["k", "sigma_w"]);
  const text = (i) => {
    const star = rows.c_star[i];
    return rowText("correlation", i)
      + (known(star) ? `, c* ${plain(star)}, depth scale ${plain(rows.scale[i], 3)}` : "");
  };
  if (phase.y === "correlation") {
    fill("phase", "curve", phase.curves[chosenPoint().bias] ?? Object.values(phase.curves)[0]);
    fill("phase", "measured", measured(phase.x, "correlation", chosen, text));
  } else {
    const edge = (edges, end) => chosen.map((i) => edges[i][end]);
    fill("phase", "cells", {
      left: edge(phase.x_cells, 0), right: edge(phase.x_cells, 1),
      bottom: edge(phase.y_cells, 0), top: edge(phase.y_cells, 1),
      c: column("correlation", chosen), text: chosen.map(text),
    });
    fill("phase", "preserving", phase.preserving);
    fill("phase", "two", phase.two);
  }
  figures.phase.reset.emit();
}
