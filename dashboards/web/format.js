// Numbers and times as people read them; nothing here knows the page.

const PERCENT = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const COARSE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const NONE = "–";

export function percent(value) {
  return value === null || value === undefined ? NONE : `${PERCENT.format(value)} %`;
}

// A share of errors: what is above nothing never reads as nothing.
export function errorPercent(value) {
  if (value === null || value === undefined) return NONE;
  if (value > 0 && value < 0.01) return "<0.01 %";
  return `${value < 1 ? PERCENT.format(value) : COARSE.format(value)} %`;
}

export function rate(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return "0";
  if (value < 0.1) return "<0.1";
  return value < 100 ? COARSE.format(value) : WHOLE.format(value);
}

export function count(value) {
  return value === null || value === undefined ? NONE : WHOLE.format(value);
}

// Milliseconds.
export function ms(value) {
  if (value === null || value === undefined) return NONE;
  if (value >= 10_000) return `${COARSE.format(value / 1000)} s`;
  if (value >= 1000) return `${PERCENT.format(value / 1000)} s`;
  return `${value < 10 ? COARSE.format(value) : WHOLE.format(value)} ms`;
}

export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) {
    const minutes = Math.floor((s % 3600) / 60);
    return `${Math.floor(s / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  return `${Math.floor(s / 86_400)} days`;
}

export function ago(at, now) {
  const seconds = now - at;
  return seconds < 5 ? "just now" : `${span(seconds)} ago`;
}

const two = (value) => String(value).padStart(2, "0");

// 18:42:07
export function clock(at) {
  const d = new Date(at * 1000);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

// 2026-11-25
export function day(at) {
  const d = new Date(at * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

export function moment(at) {
  return `${day(at)} ${clock(at)}`;
}

export function scopeText(scope) {
  if (!scope) return "";
  if (scope.all) return "everything";
  const [kind, name] = Object.entries(scope)[0];
  return `${kind} ${name}`;
}

export function scopeOption(scope) {
  if (scope.all) return "--all";
  const [kind, name] = Object.entries(scope)[0];
  return kind === "route" ? quoted(name) : `--${kind} ${quoted(name)}`;
}

// As a shell reads it.
export function quoted(text) {
  return /^[A-Za-z0-9._/:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export function plural(number, one, many = `${one}s`) {
  return `${WHOLE.format(number)} ${number === 1 ? one : many}`;
}
