// What is measured: rates of every route with each sample, and the last hour of those that are in sight.

import { get, name as encoded } from "./api.js";
import { changed, eachSample, now, state } from "./store.js";

const MANY = 60; // names in one question
const STEP = 10_000;
const LONGEST = 6_000; // characters of a query

// Rates of all routes, as long as somebody looks; returns what ends it.
export function watchRates() {
  let asking = false;
  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const found = await get("/api/v1/rates");
      state.figures = { ...found, taken: now() };
      changed();
    } catch {
      // the stream tells whether the router is there
    } finally {
      asking = false;
    }
  };
  ask();
  return eachSample(ask);
}

const NOTHING = [0, 0];

export function rateOf(name) {
  const [legacy, fresh] = state.figures?.routes[name] || NOTHING;
  return { legacy, new: fresh, total: legacy + fresh };
}

// The share of the new side that is measured, in percent; null without traffic.
export function measuredOf(name) {
  const { new: fresh, total } = rateOf(name);
  return total > 0 ? (100 * fresh) / total : null;
}

const EMPTY = { rate: 0, errors: null, p50: null, p99: null };

// The last ten seconds of both sides: requests a second, errors in percent, milliseconds.
export function latestOf(name) {
  const found = state.figures?.latest[name];
  if (!found) return { legacy: EMPTY, new: EMPTY };
  return { legacy: sideOf(found, 0), new: sideOf(found, 4) };
}

function sideOf(found, at) {
  const [rate, errors, p50, p99] = found.slice(at, at + 4);
  return { rate, errors: rate ? (100 * errors) / rate : null, p50: scaled(p50), p99: scaled(p99) };
}

const scaled = (seconds) => (seconds === null || seconds === undefined ? null : seconds * 1000);

// One series of the last hour as the plots want it.
export function plotted(found) {
  const side = (raw) => ({
    rate: raw.rate,
    errors: raw.rate.map((rate, index) => (rate ? (100 * raw.errors[index]) / rate : null)),
    p50: raw.p50.map(scaled),
    p99: raw.p99.map(scaled),
  });
  return { legacy: side(found.legacy), new: side(found.new) };
}

// The series of the routes in sight: asked for when others come into sight, and every ten seconds.
export class InSight {
  constructor(points) {
    this.points = points;
    this.known = new Map();
    this.names = [];
    this.timer = setInterval(() => this.ask(), STEP);
    this.soon = 0;
  }

  need(names) {
    this.names = names.slice(0, MANY);
    if (this.names.every((each) => this.known.has(each)) || this.soon) return;
    this.soon = setTimeout(() => this.ask(), 120);
  }

  async ask() {
    clearTimeout(this.soon);
    this.soon = 0;
    const names = this.names.filter((each) => state.byName.has(each));
    if (!names.length || document.hidden) return;
    if (this.known.size > 500) this.known.clear();
    try {
      for (const query of queries(names)) {
        const found = await get(`/api/v1/series?points=${this.points}${query}`);
        for (const [each, series] of Object.entries(found.routes)) this.known.set(each, plotted(series));
      }
      changed();
    } catch {
      // the next turn tries again
    }
  }

  of(name) {
    return this.known.get(name);
  }

  stop() {
    clearInterval(this.timer);
    clearTimeout(this.soon);
  }
}

// The names in as few questions as fit into the first line of a request.
function queries(names) {
  const found = [""];
  for (const each of names) {
    const part = `&name=${encoded(each)}`;
    if (found.at(-1).length + part.length > LONGEST) found.push("");
    found[found.length - 1] += part;
  }
  return found.filter(Boolean);
}

// Of one route (or everything), with times.
export async function lastHour(name, points = 360) {
  const found = await get(`/api/v1/series?points=${points}${name ? `&name=${encoded(name)}` : ""}`);
  return { at: found.at, sides: plotted(name ? found.routes[name] : found.all) };
}
