// One route: what is in force and why, both sides beside each other, its history, its evidence, and any request explained.

import { get, may, name as encoded } from "./api.js";
import { h } from "./dom.js";
import { lastHour, latestOf, measuredOf, rateOf, watchRates } from "./figures.js";
import { ago, errorPercent, moment, ms, percent, rate } from "./format.js";
import { giveOrder, resumeOrder } from "./orders.js";
import { action, badge, missing, section } from "./parts.js";
import { chart, shareBar } from "./plot.js";
import { evidence } from "./rollout_parts.js";
import { shadowing } from "./shadow_parts.js";
import { changed, now, state } from "./store.js";

const AGAIN = 10_000;
const LOG_PAGES = 6;
const QUIET = new Set(["rollout.waiting", "rollout.step"]);

export function routeView(place) {
  const route = place.argument;
  const seen = { hour: null, past: null, log: [], heard: 0, rollout: undefined, shadow: undefined, trouble: "" };
  let known = "";
  const ask = async () => {
    if (document.hidden || !state.byName.has(route)) return;
    await Promise.allSettled([
      lastHour(route).then((found) => (seen.hour = found)),
      hear(route, seen),
      optional(`/api/v1/rollouts?route=${encoded(route)}`).then((found) => (seen.rollout = found)),
      optional(`/api/v1/shadow/${encoded(route)}`).then((found) => (seen.shadow = found)),
    ]);
    changed();
  };
  const history = async () => {
    seen.past = (await get(`/api/v1/revisions?limit=30&route=${encoded(route)}`)).revisions;
    changed();
  };
  const stopRates = watchRates();
  const timer = setInterval(ask, AGAIN);
  const box = explainBox(route);
  let first = true;
  return {
    title: route,
    draw() {
      const found = state.byName.get(route);
      if (!found) return [h("h1", {}, route), missing("There is no route of this name in the routes.yaml in force.")];
      if (first) ask();
      first = false;
      const stands = [found.declared, found.ordered, found.effective, found.order].join();
      if (stands !== known) history().catch((error) => (seen.trouble = error.message));
      known = stands;
      return [
        head(found),
        sides(found, seen),
        h(
          "div",
          { class: "route-body" },
          h("div", {}, timeline(route, seen), shadowing(seen.shadow)),
          h("div", {}, evidence(seen.rollout, route, ask), box(found)),
        ),
      ];
    },
    stop() {
      clearInterval(timer);
      stopRates();
    },
  };
}

// What rollouts said about the route since the last look; the newest of it is kept.
async function hear(route, seen) {
  for (let page = 0; page < LOG_PAGES; page += 1) {
    const after = seen.heard ? `&after=${seen.heard}` : "";
    const said = await optional(`/api/v1/rollouts/log?limit=500&route=${encoded(route)}${after}`);
    if (!said.lines?.length) break;
    seen.heard = said.lines.at(-1).number;
    seen.log = [...seen.log, ...said.lines.filter((line) => !QUIET.has(line.kind))].slice(-40);
    if (said.lines.length < 500) break;
  }
}

// What may not be there: null then.
async function optional(path) {
  try {
    return await get(path);
  } catch (error) {
    return error.status === 404 ? { missing: error } : { trouble: error };
  }
}

// -- what is in force -------------------------------------------------------------------------------------------------

function head(route) {
  const scope = [{ route: route.name }];
  const measured = measuredOf(route.name);
  const order = route.order && state.status?.orders.find((each) => each.id === route.order);
  return h(
    "header",
    { class: "route-head", key: "head" },
    h(
      "div",
      { class: "route-title" },
      h("h1", {}, route.name),
      h(
        "p",
        { class: "sub" },
        h("code", {}, `${route.methods.join(",") || "any method"} ${route.host || ""}${route.path}`),
        route.group ? [" · group ", h("a", { href: `#/routes?group=${encoded(route.group)}` }, route.group)] : null,
        ` · ${route.legacy} → ${route.new || "no new side"} · line ${route.line} of routes.yaml`,
      ),
    ),
    h(
      "dl",
      { class: "shares" },
      layer("declared", percent(route.declared), "in routes.yaml"),
      layer("ordered", percent(route.ordered), route.ordered_by || "no weight order"),
      layer("in force", percent(route.effective), why(route, order), shareBar(route, measured), "strong"),
      layer(
        "measured",
        measured === null ? "–" : percent(Math.round(measured * 10) / 10),
        `${rate(rateOf(route.name).total)} requests/s`,
      ),
    ),
    h(
      "div",
      { class: "buttons" },
      route.new
        ? action("operator", "Weight …", () => giveOrder("weight", scope, { value: String(route.effective) }), {
            class: "primary",
            key: "w",
          })
        : null,
      action("operator", "Cap …", () => giveOrder("cap", scope), { key: "c" }),
      action("operator", "Freeze …", () => giveOrder("freeze", scope), { key: "f" }),
      action("operator", "Pin …", () => giveOrder("pin", scope), { key: "p" }),
      order && may("operator")
        ? h("button", { type: "button", key: "r", onclick: () => resumeOrder(order) }, `Resume ${order.id} …`)
        : null,
    ),
  );
}

function why(route, order) {
  if (order) return [badge(order.kind === "rollback" ? "bad" : "", order.id), ` ${order.kind} by ${order.actor}`];
  return route.cause === "weight" || !route.cause ? "as declared" : route.cause;
}

function layer(label, value, detail, bar = null, kind = "") {
  return h(
    "div",
    { key: label, class: kind },
    h("dt", {}, label),
    h("dd", {}, h("b", {}, value), bar, h("small", {}, detail)),
  );
}

// -- both sides -------------------------------------------------------------------------------------------------------

function sides(route, seen) {
  const latest = latestOf(route.name);
  const rates = rateOf(route.name);
  const row = (label, of) =>
    h(
      "tr",
      { key: label },
      h("th", { scope: "row" }, label),
      h("td", { class: "n" }, of("legacy")),
      h("td", { class: "n" }, of("new")),
    );
  return section(
    "Both sides",
    h(
      "div",
      { class: "both" },
      h(
        "table",
        { class: "versus" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("td", {}),
            h("th", { scope: "col", class: "n" }, h("i", { class: "swatch legacy" }), route.legacy),
            h("th", { scope: "col", class: "n" }, h("i", { class: "swatch new" }), route.new || "no new side"),
          ),
        ),
        h(
          "tbody",
          {},
          row("requests/s", (side) => rate(rates[side])),
          row("errors", (side) => errorPercent(latest[side].errors)),
          row("p50", (side) => ms(latest[side].p50)),
          row("p99", (side) => ms(latest[side].p99)),
        ),
      ),
      plots(seen),
    ),
  );
}

function plots(seen) {
  if (!seen.hour?.at.length) return missing("The plots begin with the first figures, after ten seconds.");
  const { at, sides: both } = seen.hour;
  const to = at.at(-1);
  const from = Math.min(at[0], to - 300);
  const marks = (seen.past || []).map((revision) => ({
    at: revision.at,
    kind: revision.order?.startsWith("R") ? "bad" : "",
    text: `revision ${revision.revision}: ${revision.summary}`,
  }));
  const lines = (field, label = "") =>
    ["legacy", "new"].map((side) => ({ key: side, label: `${side}${label}`, at, values: both[side][field] }));
  const more = { from, to, marks, height: 140 };
  return h(
    "div",
    { class: "charts" },
    chart({ title: "Requests/s", lines: lines("rate"), format: rate, area: true, ...more }),
    chart({ title: "Errors", lines: lines("errors"), format: errorPercent, least: 1, ...more }),
    chart({ title: "p50", lines: lines("p50"), format: ms, ...more }),
    chart({ title: "p99", lines: lines("p99"), format: ms, ...more }),
  );
}

// -- history ----------------------------------------------------------------------------------------------------------

function timeline(route, seen) {
  if (!seen.past) return section("History", missing(seen.trouble || "Asking …"));
  const entries = [
    ...seen.past.map((revision) => ({
      at: revision.at,
      key: `r${revision.revision}`,
      tree: () => revised(route, revision),
    })),
    ...seen.log.map((line) => ({ at: line.at, key: `l${line.number}`, tree: () => judged(line) })),
  ].sort((a, b) => b.at - a.at);
  if (!entries.length) return section("History", missing("No revision that is kept has changed this route."));
  return section(
    "History",
    h(
      "ol",
      { class: "timeline" },
      entries.map((entry) => ({ ...entry.tree(), key: entry.key })),
    ),
  );
}

function revised(route, revision) {
  const own = revision.routes?.find((each) => each.name === route);
  return h(
    "li",
    { class: (own?.after ?? 0) > (own?.before ?? 0) ? "up" : "down" },
    h("time", { title: moment(revision.at) }, ago(revision.at, now())),
    h(
      "span",
      { class: "what" },
      own ? h("b", {}, `${percent(own.before)} → ${percent(own.after)}`) : null,
      " ",
      h("a", { href: `#/audit/${revision.revision}` }, `revision ${revision.revision}`),
      revision.order ? ` · ${revision.order}` : "",
      ` · ${revision.actor}`,
    ),
    h("span", { class: "why" }, revision.reason ? `“${revision.reason}”` : revision.source),
  );
}

// A verdict, or what else a rollout had to say.
function judged(line) {
  const { verdict, reason, actor, why } = line.body;
  const said = [
    verdict?.sentence,
    typeof verdict === "string" ? verdict : "",
    why,
    actor && `by ${actor}`,
    reason && `“${reason}”`,
  ];
  return h(
    "li",
    { class: "said" },
    h("time", { title: moment(line.at) }, ago(line.at, now())),
    h(
      "span",
      { class: "what" },
      badge(
        line.kind.includes("roll") && line.kind.endsWith("back") ? "bad" : "",
        line.kind.replace("rollout.", "").replaceAll("_", " "),
      ),
      " rollout",
    ),
    h("span", { class: "why" }, said.filter(Boolean).join(" · ")),
  );
}

// -- explain ----------------------------------------------------------------------------------------------------------

function explainBox(name) {
  const form = { method: null, path: null, headers: "", client: "", id: "" };
  const sight = { found: null, refused: null };
  const explain = async (event) => {
    event.preventDefault();
    const query = form.id.trim()
      ? [["request-id", form.id.trim()]]
      : [["method", form.method], ["path", form.path], ...lines(form.headers).map((line) => ["header", line])];
    if (!form.id.trim() && form.client.trim()) query.push(["client", form.client.trim()]);
    try {
      sight.found = await get(`/api/v1/explain?${new URLSearchParams(query)}`);
      sight.refused = null;
    } catch (error) {
      Object.assign(sight, { found: null, refused: error });
    }
    changed();
  };
  const lines = (text) =>
    text
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  const field = (label, key, more = {}) =>
    h(
      "label",
      { class: "field", key },
      h("span", {}, label),
      h(more.tall ? "textarea" : "input", {
        value: form[key] ?? "",
        oninput: (event) => (form[key] = event.target.value),
        ...more.props,
      }),
    );
  return (route) => {
    form.method ??= route.methods[0] || "GET";
    form.path ??= route.path.replace(/\{[^}]*\}/g, "1");
    return section(
      "Explain a request",
      h(
        "form",
        { class: "explain", onsubmit: explain, "aria-label": `Explain a request to ${name}` },
        field("Method", "method", { props: { size: "8" } }),
        field("Path", "path"),
        field("Headers, one a line", "headers", { tall: true, props: { rows: "2", placeholder: "X-User-Id: u-77" } }),
        field("Client's address", "client", { props: { placeholder: "10.0.0.1" } }),
        field("Or the X-Request-Id of an answer", "id", { props: { class: "long" } }),
        h("div", { class: "buttons" }, h("button", { class: "primary" }, "Explain")),
      ),
      h(
        "div",
        { "aria-live": "polite" },
        sight.refused ? h("p", { class: "bad-text" }, sight.refused.message) : null,
        sight.found ? told(sight.found) : null,
      ),
    );
  };
}

function told(found) {
  if (found.exchanges) {
    return h(
      "ul",
      { class: "told" },
      found.exchanges.map((each) =>
        h("li", {}, h("b", { class: `side ${each.side}` }, each.side), ` ${each.route}: ${each.why}`),
      ),
    );
  }
  return h(
    "div",
    { class: "told" },
    h(
      "p",
      {},
      found.side ? [h("b", { class: `side ${found.side}` }, found.side), " answers it: "] : h("b", {}, "It is drawn: "),
      found.route
        ? `route ${found.route}, ${percent(found.share)} on new. `
        : found.hint || "no route takes it, so legacy answers. ",
      found.subject !== null && found.subject !== undefined
        ? ["Subject ", h("code", {}, `${found.subject_source} = ${found.subject}`), `, bucket ${found.bucket}. `]
        : null,
      found.flips_at !== null && found.flips_at !== undefined
        ? `It meets new from ${percent(found.flips_at)} on.`
        : null,
    ),
    h(
      "ul",
      {},
      found.layers.map((each) =>
        h(
          "li",
          { class: each.rules ? "rules" : "" },
          h("b", {}, each.layer),
          ` ${percent(each.share)} ${each.order}: ${each.why}`,
          each.rules ? badge("", "rules") : null,
        ),
      ),
    ),
    found.candidates.length > 1
      ? h(
          "details",
          {},
          h("summary", {}, "Candidates, and why each lost"),
          h(
            "ul",
            {},
            found.candidates.map((each) =>
              h("li", {}, h("b", {}, each.route), ` ${each.won ? "won" : "lost"}: ${each.why}`),
            ),
          ),
        )
      : null,
  );
}
