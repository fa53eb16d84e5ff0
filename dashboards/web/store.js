// What the page knows of the router, and whether that is the present.
//
// Events come as a stream; each says that something has changed, and what has changed is asked for.  A stream that has
// been silent for too long is lost: from then on everything here is old, and says so, until the router is heard again.

import { get, toTheWayIn } from "./api.js";

const SILENCE = 7_000; // the router speaks every two seconds at least
const LONGEST_PAUSE = 5_000;
const FEED = 60;
const GAP = 200; // between two questions, while changes come thick and fast
const QUIET = new Set(["hello", "sample", "change.confirmed"]);

export const state = {
  status: null,
  routes: [],
  byName: new Map(),
  groups: [],
  figures: null, // see figures.js
  feed: [], // events, newest first
  link: "connecting", // "connecting", "live" or "lost"
  heard: 0, // when the router was heard last, by this machine's clock, in seconds
  why: "",
};

const listeners = new Set();
const samplers = new Set();
let drawing = false;

export const now = () => Date.now() / 1000;

export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// Called with every sample of the router's counters.
export function eachSample(sampler) {
  samplers.add(sampler);
  return () => samplers.delete(sampler);
}

export function changed() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    for (const listener of [...listeners]) listener();
  });
}

// -- what is in force -------------------------------------------------------------------------------------------------

let asking = null;
let again = false;

// At most one question is on its way; what happens meanwhile is asked about after it.
export function refresh() {
  if (asking) {
    again = true;
    return asking;
  }
  asking = fetchState().finally(() => {
    asking = null;
    if (again) setTimeout(() => refresh().catch(() => {}), GAP);
    again = false;
  });
  return asking;
}

async function fetchState() {
  const [status, routes] = await Promise.all([
    get("/api/v1/status?routes=false"),
    get("/api/v1/routes?rates=false", { cached: true }),
  ]);
  state.status = status;
  take(routes.routes);
  changed();
}

function take(routes) {
  state.routes = routes;
  state.byName = new Map(routes.map((route) => [route.name, route]));
  const groups = new Map();
  for (const route of routes) {
    if (!route.group) continue;
    const group = groups.get(route.group) || { name: route.group, routes: 0, onNew: 0, highest: 0 };
    group.routes += 1;
    group.onNew += route.effective > 0 ? 1 : 0;
    group.highest = Math.max(group.highest, route.effective);
    groups.set(route.group, group);
  }
  state.groups = [...groups.values()].sort((a, b) => a.name.localeCompare(b.name));
}

// -- the stream -------------------------------------------------------------------------------------------------------

let last = ""; // the id of the last event, from which the stream goes on
let line = null; // what ends the stream that is open

export function follow() {
  setInterval(watch, 500);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh().catch(() => {});
  });
  run();
}

async function run() {
  let pause = 250;
  for (;;) {
    const began = Date.now();
    try {
      await stream();
      lost("the router has closed the stream");
    } catch (error) {
      lost(error.name === "AbortError" ? "nothing has been heard" : error.message);
    }
    if (Date.now() - began > 10_000) pause = 250;
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

async function stream() {
  line = new AbortController();
  const headers = last ? { "Last-Event-ID": last } : {};
  const answer = await fetch("/api/v1/events?samples=true", { headers, signal: line.signal, cache: "no-store" });
  if (answer.status === 401) return toTheWayIn();
  if (!answer.ok) throw new Error(`the event stream is refused (${answer.status})`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  heard();
  await refresh();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return undefined;
    heard();
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    blocks.forEach(block);
  }
}

function block(text) {
  const event = { name: "", at: now() };
  for (const part of text.split("\n")) {
    if (part.startsWith("event: ")) event.name = part.slice(7);
    else if (part.startsWith("id: ")) last = part.slice(4);
    else if (part.startsWith("data: ")) Object.assign(event, { fields: JSON.parse(part.slice(6)) });
  }
  if (event.name) told(event);
}

function told(event) {
  if (event.name === "sample") {
    for (const sampler of [...samplers]) sampler(event.fields);
    // Nobody tells of a worker that confirms late: it is looked after as long as one is missing.
    if (state.status?.workers.some((worker) => !worker.confirmed)) refresh().catch(() => {});
    return;
  }
  if (event.name !== "hello") refresh().catch(() => {});
  if (QUIET.has(event.name)) return;
  event.at = event.fields.at || event.at;
  state.feed.unshift(event);
  state.feed.length = Math.min(state.feed.length, FEED);
  changed();
}

function heard() {
  state.heard = now();
  if (state.link === "live") return;
  state.link = "live";
  state.why = "";
  changed();
}

function lost(why) {
  state.link = "lost";
  state.why = why;
  changed();
}

function watch() {
  if (state.link === "live" && now() - state.heard > SILENCE / 1000) {
    lost("nothing has been heard");
    line?.abort();
  }
  if (state.link !== "live") changed();
}
