// Small plots, as SVG that is drawn anew with each sample.  Every plot says in words what it shows.

import { h } from "./dom.js";
import { clock, day } from "./format.js";

// A line of points; a gap where there is nothing to show.
function path(values, width, height, top, inset = 1) {
  const step = (width - 2 * inset) / Math.max(1, values.length - 1);
  let drawing = false;
  let d = "";
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      drawing = false;
      return;
    }
    const x = (inset + index * step).toFixed(1);
    const y = (height - inset - (Math.min(value, top) / top) * (height - 2 * inset)).toFixed(1);
    d += `${drawing ? "L" : "M"}${x} ${y}`;
    drawing = true;
  });
  return d;
}

// Both sides in one small plot: sides = {legacy: [..], new: [..]}.
export function spark(sides, { width = 62, height = 22, floor = 0 } = {}) {
  const top = Math.max(floor, 1e-9, ...all(sides));
  return h(
    "svg",
    { class: "spark", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    Object.entries(sides).map(([side, values]) =>
      h("path", { key: side, class: `line ${side}`, d: path(values, width, height, top) }),
    ),
  );
}

function all(sides) {
  return Object.values(sides)
    .flat()
    .filter((value) => value !== null && value !== undefined);
}

// A plot with axes.  lines: [{key, label, at: [..], values: [..]}], all between `from` and `to`; `format` writes a value.
export function chart({ title, lines, from, to, format, marks = [], height = 150, least = 0, area = false, most }) {
  const width = 440;
  const left = 48;
  const bottom = 18;
  const flat = lines.flatMap((line) => line.values).filter((value) => value !== null && value !== undefined);
  const top = most ?? nice(Math.max(least, 1e-9, ...flat));
  const x = (at) => left + ((at - from) / Math.max(1e-9, to - from)) * (width - left - 6);
  const y = (value) => 6 + (1 - Math.min(value, top) / top) * (height - bottom - 6);
  const label = `${title}. ${lines.map((line) => spoken(line, format)).join(" ")}`;
  return h(
    "figure",
    { class: "chart" },
    h(
      "figcaption",
      {},
      h("span", { class: "chart-title" }, title),
      lines.map((line) =>
        h(
          "span",
          { class: "legend" },
          h("i", { class: `swatch ${line.key}` }),
          `${line.label} `,
          h("b", {}, format(latest(line))),
        ),
      ),
    ),
    h(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" },
      [0, 0.5, 1].map((part) => [
        h("line", { class: "grid", x1: left, x2: width - 6, y1: y(top * part), y2: y(top * part) }),
        h("text", { class: "axis", x: left - 6, y: y(top * part) + 4, "text-anchor": "end" }, format(top * part)),
      ]),
      ticks(from, to).map(([at, text]) =>
        h("text", { class: "axis", x: x(at), y: height - 4, "text-anchor": "middle" }, text),
      ),
      marks
        .filter((mark) => mark.at >= from && mark.at <= to)
        .map((mark) =>
          h(
            "g",
            { class: `mark ${mark.kind || ""}` },
            h("line", { x1: x(mark.at), x2: x(mark.at), y1: 6, y2: height - bottom }),
            h("title", {}, mark.text),
          ),
        ),
      flat.length === 0
        ? h("text", { class: "axis", x: width / 2, y: height / 2, "text-anchor": "middle" }, "no traffic in this time")
        : null,
      lines.map((line) => [
        area && line.area !== false ? h("path", { class: `area ${line.key}`, d: filled(line, x, y) }) : null,
        h("path", { class: `line ${line.key}`, d: drawn(line, x, y) }),
      ]),
    ),
  );
}

function drawn(line, x, y) {
  let drawing = false;
  let d = "";
  line.at.forEach((at, index) => {
    const value = line.values[index];
    if (value === null || value === undefined) drawing = false;
    else {
      d += `${drawing ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      drawing = true;
    }
  });
  return d;
}

// The same down to the axis; what is not known at either end is left out.
function filled(line, x, y) {
  const known = line.at.filter((_, index) => line.values[index] !== null && line.values[index] !== undefined);
  if (known.length < 2) return "";
  return `${drawn(line, x, y)}L${x(known.at(-1)).toFixed(1)} ${y(0).toFixed(1)}L${x(known[0]).toFixed(1)} ${y(0).toFixed(1)}Z`;
}

function latest(line) {
  for (let index = line.values.length - 1; index >= 0; index -= 1) {
    if (line.values[index] !== null && line.values[index] !== undefined) return line.values[index];
  }
  return null;
}

function spoken(line, format) {
  const known = line.values.filter((value) => value !== null && value !== undefined);
  if (!known.length) return `${line.label}: nothing.`;
  return `${line.label}: ${format(latest(line))} now, ${format(Math.min(...known))} to ${format(Math.max(...known))}.`;
}

// The next round number above.
function nice(value) {
  const ten = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 2.5, 5, 10]) if (value <= step * ten * 1.0001) return step * ten;
  return 10 * ten;
}

function ticks(from, to) {
  const seconds = to - from;
  const long = seconds > 2 * 86_400;
  return [0.08, 0.36, 0.64, 0.92].map((part) => {
    const at = from + part * seconds;
    return [at, long ? day(at).slice(5) : clock(at).slice(0, seconds < 600 ? 8 : 5)];
  });
}

// How much of something each part is: parts = [{key, label, value}].
export function stack(parts, label) {
  const total = parts.reduce((sum, part) => sum + part.value, 0);
  const said = parts.filter((part) => part.value).map((part) => `${part.label} ${part.value}`);
  return h(
    "div",
    { class: "stack", role: "img", "aria-label": `${label}: ${said.join(", ") || "nothing"}` },
    parts
      .filter((part) => part.value > 0)
      .map((part) =>
        h("span", { key: part.key, class: `part ${part.key}`, style: { "flex-grow": String(part.value / total) } }),
      ),
  );
}

// A share between 0 and 100: what is in force as a bar, what is declared as a notch, what is measured as a dot.
export function shareBar(route, measured) {
  const notch = route.ordered ?? route.declared;
  return h(
    "span",
    { class: "share", "aria-hidden": "true" },
    h("span", { class: "fill", style: { width: `${route.effective}%` } }),
    notch === route.effective ? null : h("span", { class: "notch", style: { left: `${notch}%` } }),
    measured === null || measured === undefined ? null : h("span", { class: "dot", style: { left: `${measured}%` } }),
  );
}
