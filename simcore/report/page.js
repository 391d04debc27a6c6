// The page in the browser: choices, words, and colours for a light or a dark page. Every number
// comes from the JSON in the page, every colour from its style sheet. drawings.js fills the figures;
// page.html.j2 puts both into one function and starts it.

const byId = (id) => document.getElementById(id);
const page = JSON.parse(byId("page-data").textContent);
const items = JSON.parse(byId("page-figures").textContent);
const figures = {};
const few = page.points.length > 1 && page.points.length <= 7;
const chosenPoint = () => page.points[Number(byId("point")?.value ?? 0)];
const known = (x) => x !== null && x !== undefined;

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

// Columns that `data` lacks are emptied.
function fill(figure, source, data = {}) {
  const found = figures[figure]?.document.get_model_by_name(source);
  if (!found) return;
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

// --- words and tables ------------------------------------------------------------------------

function made(tag, text, className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

function tellPoint(point) {
  byId("verdicts")?.replaceChildren(...point.verdicts.map((verdict) => made(
    "li", verdict.words, { true: "agrees", false: "deviates" }[verdict.agrees] ?? "unknown")));
  if (byId("verdicts-of")) {
    byId("verdicts-of").textContent = point.label ? `The tests of ${point.label}` : "The tests";
  }
  const last = point.layers.length - 1;
  const every = Math.ceil(point.layers.length / 16);
  byId("layers-table").replaceChildren(...point.layers.flatMap((layer, i) => {
    if (i % every && i !== last) return [];
    const mean = (name) =>
      withError(point.lines[name]?.mean?.[i], point.lines[name]?.error?.[i]);
    const { theory, z } = point.lines.correlation ?? {};
    const row = document.createElement("tr");
    row.append(...[layer, mean("correlation"), plain(theory?.[i], 9), plain(z?.[i], 2),
                   mean("log_distance"), mean("log_q1"), mean("inactive_both")]
      .map((text) => made("td", text)));
    return [row];
  }));
  for (const name of document.querySelectorAll("[data-point-label]")) {
    const free = name.dataset.pointLabel.split(" ");
    const parts = Object.entries(point.parts).filter(([part]) => !free.includes(part));
    name.textContent = parts.map(([, text]) => text).join(", ");
  }
  for (const chip of document.querySelectorAll("[data-chip]")) {
    chip.setAttribute("aria-pressed", String(page.points[chip.dataset.chip] === point));
  }
}

function drawPoint() {
  const point = chosenPoint();
  if (point) {
    tellPoint(point);
    drawLayers(point);
    for (const draw of [drawDeviation, drawZ, drawDistribution, drawWidths, drawLast, drawPhase]) draw();
  }
  recolour();
}

// Show or hide an ensemble in the figures of its file of training.
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

// The colour of a role in the style sheet: first, ink, … or few0, few1, … of things side by side.
const colour = (role) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${role}`).trim();
const colourOf = (point) => colour(`few${few ? page.points.indexOf(point) : 0}`);

// A colour between two, as #rrggbb.
function mixed(one, other, share) {
  const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const second = parts(other);
  return `#${parts(one).map((x, i) => Math.round(x + share * (second[i] - x)))
    .map((x) => x.toString(16).padStart(2, "0")).join("")}`;
}

// A hue is that of a point on the whole page: the lines of the chosen point have shades of its hue.
function shadeRoles() {
  const point = chosenPoint();
  if (!point) return;
  const own = colourOf(point);
  const shades = {
    first: own, second: mixed(own, colour("ink"), 0.55), third: mixed(own, colour("page"), 0.45),
    fourth: mixed(own, colour("page"), 0.7),
  };
  for (const [role, shade] of Object.entries(shades)) {
    document.documentElement.style.setProperty(`--${role}`, shade);
  }
}

function paint(renderer, value) {
  for (const name of ["line_color", "fill_color"]) {
    if (known(renderer.glyph[name]?.value)) renderer.glyph[name] = { value };
  }
}

function recolour() {
  shadeRoles();
  for (const [name, model] of Object.entries(figures)) {
    for (const axis of [...model.below, ...model.left]) {
      axis.axis_line_color = axis.major_tick_line_color = colour("axis");
      axis.minor_tick_line_color = colour("axis");
      axis.major_label_text_color = axis.axis_label_text_color = colour("ink");
    }
    for (const bar of model.right) bar.major_label_text_color = colour("ink");
    for (const part of model.center) {
      if (part.type === "Grid") part.grid_line_color = colour("grid");
      if (part.type === "Span") part.line_color = colour(part.tags[0]);
      if (part.type === "BoxAnnotation") part.fill_color = colour(part.tags[0]);
    }
    for (const renderer of model.renderers) {
      const [role] = renderer.tags;
      if (role && colour(role)) paint(renderer, colour(role));
      if (few && name === "correlation" && role === "context") {
        renderer.glyph.line_width = { value: 2 };
      }
    }
  }
}

// --- start -----------------------------------------------------------------------------------

function listen() {
  const on = (id, draw, event = "change") => byId(id)?.addEventListener(event, draw);
  const choose = (index) => {
    byId("point").selectedIndex = index;
    drawPoint();
  };
  const step = (by) => () => {
    const { selectedIndex, length } = byId("point");
    choose((selectedIndex + by + length) % length);
  };
  on("point", drawPoint);
  on("previous-point", step(-1), "click");
  on("next-point", step(1), "click");
  on("single", () => drawSingle(chosenPoint()));
  on("deviation-observable", drawDeviation);
  on("z-observable", drawZ);
  on("distribution-observable", drawDistribution);
  on("distribution-layer", drawDistribution, "input");
  on("widths-observable", drawWidths);
  on("widths-layer", drawWidths, "input");
  on("last-x", drawLast);
  on("last-observable", drawLast);
  for (const chip of document.querySelectorAll("[data-chip]")) {
    chip.addEventListener("click", () => choose(Number(chip.dataset.chip)));
  }
  for (const button of document.querySelectorAll("[data-ensemble]")) {
    button.addEventListener("click", () => toggle(button));
  }
}

async function start() {
  for (const [name, item] of Object.entries(items)) {
    const views = await Bokeh.embed.embed_item(item, `figure-${name}`);
    const model = figures[name] = views.roots[0].model;
    byId(`figure-${name}`).dataset.model = model.id;
    // Dragging zooms where there is a mouse; on a touch screen it must go on scrolling the page.
    if (matchMedia("(pointer: coarse)").matches) continue;
    for (const tool of model.toolbar.tools) if (tool.type === "BoxZoomTool") tool.active = true;
  }
  listen();
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  const setScheme = () => {
    document.documentElement.dataset.scheme = darkScheme.matches ? "dark" : "light";
    drawPoint();
  };
  darkScheme.addEventListener("change", setScheme);
  setScheme();
  document.documentElement.dataset.ready = "yes";
}
