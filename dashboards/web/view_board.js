// How far the migration is, and what needs a person now.

import { get } from "./api.js";
import { h } from "./dom.js";
import { lastHour, watchRates } from "./figures.js";
import { ago, clock, count, day, errorPercent, ms, percent, plural, rate, span } from "./format.js";
import { confirmOrder, resumeOrder } from "./orders.js";
import { action, badge, missing, orderWhen, routeLink, scopeLink, section } from "./parts.js";
import { chart, stack } from "./plot.js";
import { changed, now, state } from "./store.js";

export const STAGES = {
  legacy: "legacy",
  shadowing: "shadowing",
  ramping: "ramping",
  holding: "holding",
  done: "done",
  retired: "retired",
  unlisted: "unlisted",
};
const AGAIN = 15_000;
const SOON = 15 * 60;

export function boardView() {
  const seen = { progress: null, curve: null, hour: null, rollouts: null, by: "groups", trouble: "" };
  const ask = async () => {
    if (document.hidden) return;
    const wishes = {
      progress: get("/api/v1/progress"),
      curve: get("/api/v1/progress/history?days=90"),
      hour: lastHour(""),
      rollouts: get("/api/v1/rollouts"),
    };
    for (const [key, wish] of Object.entries(wishes)) {
      try {
        seen[key] = await wish;
      } catch (error) {
        if (error.status) seen.trouble = error.message;
      }
    }
    changed();
  };
  const stopRates = watchRates();
  const timer = setInterval(ask, AGAIN);
  ask();
  return {
    title: "Board",
    draw: () => [
      h("h1", { class: "unseen" }, "Board"),
      h(
        "div",
        { class: "board" },
        needs(seen),
        figures(seen),
        hour(seen),
        standing(seen),
        burnUp(seen),
        groups(seen),
        feed(),
      ),
    ],
    stop() {
      clearInterval(timer);
      stopRates();
    },
  };
}

// -- what needs a person ----------------------------------------------------------------------------------------------

function needs(seen) {
  const found = state.status
    ? [
        ...trouble(state.status),
        ...places(state.status),
        ...orders(state.status),
        ...runs(seen.rollouts),
        ...stuck(seen.progress),
      ]
    : [];
  return section(
    "Needs a person now",
    found.length
      ? h("ul", { class: "needs" }, found)
      : h(
          "p",
          { class: "calm" },
          "Nothing. Every worker has confirmed what is in force, and no order waits for anybody.",
        ),
  );
}

function need(key, level, what, detail, buttons = null) {
  return h(
    "li",
    { key, class: `need ${level}` },
    h("span", { class: "what" }, what),
    h("span", { class: "why" }, detail),
    h("span", { class: "do" }, buttons),
  );
}

function* trouble(status) {
  const { source } = status;
  if (source.status !== "ok") {
    const good = source.last_good_at ? ` of ${clock(source.last_good_at)}` : "";
    yield need("source", "bad", `${source.path} is ${source.status}`, [
      `The last good one${good} stays in force.`,
      h("pre", {}, source.problems.slice(0, 8).join("\n")),
    ]);
  }
  if (source.confirm_until) {
    yield need(
      "file",
      "warn",
      `${source.path} is on trial`,
      `Taken back in ${span(source.confirm_until - now())} unless somebody confirms it.`,
      action("operator", "Confirm", () => confirmOrder("file")),
    );
  }
  if (!status.persisted) {
    yield need(
      "store",
      "bad",
      "The store does not answer",
      "What is in force is not recorded yet; it holds all the same.",
    );
  }
  for (const worker of status.workers) {
    if (worker.confirmed) continue;
    const says = worker.connected ? `still has revision ${worker.revision}` : "is not connected";
    yield need(`w${worker.id}`, "bad", `Worker ${worker.id} ${says}`, `Revision ${status.revision} is in force.`);
  }
}

// Places that are not as they should be, and what that changes.
function* places(status) {
  for (const target of status.places?.down || []) {
    const when = target.held
      ? "waits for a person"
      : target.back_at
        ? `back at ${clock(target.back_at)} at the earliest`
        : "";
    yield need(
      `down-${target.upstream}-${target.endpoint}-${target.address}`,
      "bad",
      `${target.endpoint} is down`,
      [target.upstream, target.site, target.why, when].filter(Boolean).join(", "),
      h("a", { href: "#/sites" }, "Sites"),
    );
  }
  const changes = status.places?.changes || [];
  if (changes.length) {
    const routes = changes.reduce((sum, change) => sum + change.count, 0);
    const more =
      changes.length > 1 ? `, and ${plural(changes.length - 1, "more of that kind", "more of that kind")}` : "";
    yield need(
      "changes",
      "warn",
      `${plural(routes, "route")} elsewhere than ordered`,
      changes[0].text + more,
      h("a", { href: "#/sites" }, "Sites"),
    );
  }
}

function* orders(status) {
  for (const order of status.orders) {
    const left = order.expires === undefined ? Infinity : order.expires - now();
    const who = `${order.actor}: “${order.reason}”`;
    const when = orderWhen(order);
    if (order.kind === "rollback") {
      yield need(
        order.id,
        "bad",
        [badge("bad", order.id), " Rolled back: ", scopeLink(order.scope)],
        `${who}, ${when}`,
        action("operator", "Resume …", () => resumeOrder(order)),
      );
    } else if (order.provisional) {
      yield need(
        order.id,
        "warn",
        [badge("warn", order.id), ` ${order.text}`],
        `${who}, ${when}`,
        action("operator", "Confirm", () => confirmOrder(order.id)),
      );
    } else if (["freeze", "drain", "off"].includes(order.kind) || left < SOON) {
      yield need(
        order.id,
        left < 0 ? "warn" : "mild",
        [badge("", order.id), ` ${order.text}`],
        `${who}, ${when}`,
        action("operator", "Resume …", () => resumeOrder(order)),
      );
    }
  }
}

// Rollouts that have gone back, or that wait for somebody.
function* runs(found) {
  for (const run of found?.rollouts || []) {
    const level =
      run.phase === "rolled-back" || run.phase === "rolling-back" ? "bad" : run.held || run.paused ? "warn" : "";
    if (!level) continue;
    const why = run.verdict?.sentence && level === "bad" ? run.verdict.sentence : run.held || run.paused || run.text;
    yield need(
      `run-${run.route}`,
      level,
      [badge(level, "rollout"), " ", routeLink(run.route)],
      why,
      h("a", { href: "#/rollouts" }, "Rollouts"),
    );
  }
}

function* stuck(progress) {
  if (!progress) return;
  for (const each of progress.stuck.slice(0, 8)) {
    const what = each.route ? routeLink(each.route) : [`${each.kind} `, scopeLink(each.scope)];
    yield need(
      `stuck-${each.route}-${each.order}`,
      "mild",
      ["Stuck: ", what],
      `${each.why.replaceAll("-", " ")} at ${percent(each.share)} for ${plural(each.days, "day")}` +
        (each.order ? ` (${each.order})` : ""),
    );
  }
  const more = progress.stuck.length - 8 + progress.more_stuck;
  if (more > 0) yield need("stuck-more", "mild", `and ${plural(more, "more stuck route")}`, "");
}

// -- how it stands ----------------------------------------------------------------------------------------------------

function figures(seen) {
  const total = state.figures?.total;
  const all = seen.progress?.all;
  const share = total && total[0] + total[1] > 0 ? (100 * total[1]) / (total[0] + total[1]) : null;
  return h(
    "section",
    { class: "tiles", "aria-label": "In short", key: "tiles" },
    tile(
      "of traffic is on new",
      share === null ? "–" : `${share.toFixed(1)} %`,
      total ? `${rate(total[1])} of ${rate(total[0] + total[1])} requests/s` : "no traffic",
    ),
    tile(
      "of APIs are finished",
      all ? percent(all.percent) : "–",
      all ? `${count(all.finished)} of ${count(all.total)}` : "",
    ),
    tile("is the likely end", all?.forecast ? day(all.forecast.likely) : "–", forecastWords(all)),
    tile("orders in force", state.status ? count(state.status.orders.length) : "–", orderWords()),
  );
}

function tile(label, value, detail) {
  return h("div", { class: "tile", key: label }, h("b", {}, value), h("span", {}, label), h("small", {}, detail));
}

function forecastWords(all) {
  if (!all) return "";
  if (!all.forecast) return all.no_forecast || "no forecast yet";
  const { earliest, latest, weekly } = all.forecast;
  return `${day(earliest)} to ${latest ? day(latest) : "open"}, ${weekly} APIs a week`;
}

function orderWords() {
  const kinds = new Map();
  for (const order of state.status?.orders || []) kinds.set(order.kind, (kinds.get(order.kind) || 0) + 1);
  return [...kinds].map(([kind, number]) => `${number} ${kind}`).join(", ") || "every route follows routes.yaml";
}

function standing(seen) {
  const all = seen.progress?.all;
  if (!all) return section("Stages", missing(seen.trouble || "Asking …"));
  const parts = (counts) =>
    Object.entries(STAGES).map(([key, label]) => ({ key: `s-${key}`, label, value: counts[key] || 0 }));
  return section(
    "Stages",
    h("div", { class: "stage-line" }, h("span", {}, "APIs"), stack(parts(all.apis), "APIs by stage")),
    h(
      "div",
      { class: "stage-line" },
      h("span", {}, "traffic"),
      stack(parts(all.traffic_by_stage), "Traffic by stage, in percent"),
    ),
    h(
      "ul",
      { class: "stage-key" },
      Object.entries(STAGES).map(([key, label]) =>
        h(
          "li",
          { key },
          h("i", { class: `swatch s-${key}` }),
          h("span", {}, label),
          h("b", {}, count(all.apis[key] || 0)),
          h("small", {}, percent(all.traffic_by_stage[key])),
        ),
      ),
    ),
  );
}

function hour(seen) {
  if (!seen.hour?.at.length) return section("Last hour", missing("The first figures come after ten seconds."));
  const { at, sides } = seen.hour;
  const to = at.at(-1);
  const from = Math.min(at[0], to - 300);
  const lines = (field) =>
    ["legacy", "new"].map((side) => ({ key: side, label: side, at, values: sides[side][field] }));
  return section(
    "Last hour",
    h(
      "div",
      { class: "charts" },
      chart({ title: "Requests/s", lines: lines("rate"), from, to, format: rate, height: 130, area: true }),
      chart({ title: "Errors", lines: lines("errors"), from, to, format: errorPercent, height: 130, least: 1 }),
      chart({ title: "p99", lines: lines("p99"), from, to, format: ms, height: 130 }),
    ),
  );
}

function burnUp(seen) {
  const points = seen.curve?.points || [];
  if (points.length < 2)
    return section("Burn-up", missing("The curve begins with the second point, a few minutes after the first start."));
  const at = points.map((point) => point.at);
  const forecast = seen.progress?.all.forecast;
  const total = points.at(-1).total;
  const lines = [
    { key: "done", label: "finished", at, values: points.map((point) => point.finished) },
    { key: "total", label: "APIs", at, values: points.map((point) => point.total), area: false },
  ];
  let to = at.at(-1);
  if (forecast) {
    const end = Math.min(forecast.latest ?? forecast.likely, forecast.likely + 365 * 86_400);
    to = Math.max(to, end);
    const last = points.at(-1);
    lines.push({
      key: "likely",
      label: "likely",
      at: [last.at, forecast.likely],
      values: [last.finished, total],
      area: false,
    });
  }
  const shares = [{ key: "new", label: "of traffic on new", at, values: points.map((point) => point.traffic) }];
  return section(
    "Burn-up",
    h(
      "div",
      { class: "charts" },
      chart({ title: "APIs finished", lines, from: at[0], to, format: count, area: true }),
      chart({
        title: "Share of traffic",
        lines: shares,
        from: at[0],
        to: at.at(-1),
        format: percent,
        area: true,
        most: 100,
      }),
    ),
  );
}

const TEAMS = { groups: "Groups", owners: "Owners" };

function groups(seen) {
  const found = seen.progress?.[seen.by] || [];
  if (!seen.progress || !seen.progress.groups.length) return null;
  const heads = seen.by === "groups" ? ["Group", "Owner"] : ["Owner"];
  return section(
    "Teams",
    h(
      "div",
      { class: "segments small", role: "group", "aria-label": "By" },
      Object.entries(TEAMS).map(([key, label]) =>
        h(
          "button",
          {
            type: "button",
            key,
            "aria-pressed": String(seen.by === key),
            onclick: () => {
              seen.by = key;
              changed();
            },
          },
          label,
        ),
      ),
    ),
    h(
      "div",
      { class: "table-frame", tabindex: "0", role: "region", "aria-label": `${TEAMS[seen.by]}, scrollable` },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            [...heads, "Stages", "Finished", "Share", "Traffic on new", "Likely end"].map((label, index) =>
              h("th", { scope: "col", class: index > heads.length ? "n" : "", key: label }, label),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          found.map((each) => teamRow(each, seen.by)),
        ),
      ),
    ),
  );
}

function teamRow(team, by) {
  const parts = Object.entries(STAGES).map(([key, label]) => ({ key: `s-${key}`, label, value: team.apis[key] || 0 }));
  const name = by === "owners" ? team.owner || "nobody" : team.group || "without a group";
  const linked = by === "groups" && team.group;
  return h(
    "tr",
    { key: `${by} ${name}` },
    h("th", { scope: "row" }, linked ? h("a", { href: `#/routes?group=${encodeURIComponent(name)}` }, name) : name),
    by === "groups" ? h("td", {}, team.owner || "–") : null,
    h("td", { class: "wide" }, stack(parts, `Stages of ${name}`)),
    h("td", { class: "n" }, `${count(team.finished)} of ${count(team.total)}`),
    h("td", { class: "n" }, percent(team.share)),
    h("td", { class: "n" }, percent(team.traffic)),
    h("td", { class: "n" }, team.forecast ? day(team.forecast.likely) : "–"),
  );
}

// -- what happens -----------------------------------------------------------------------------------------------------

function feed() {
  return section(
    "As it happens",
    state.feed.length
      ? h(
          "ol",
          { class: "feed" },
          state.feed
            .slice(0, 14)
            .map((event, index) =>
              h(
                "li",
                { key: `${event.at}-${index}` },
                h("time", { title: ago(event.at, now()) }, clock(event.at)),
                h("b", {}, event.name),
                h("span", {}, eventText(event.fields)),
              ),
            ),
        )
      : h("p", { class: "calm" }, "Quiet since this page was opened."),
  );
}

function eventText(fields) {
  const known = [
    fields.action && `${fields.action} ${fields.target ?? ""}`,
    fields.order,
    fields.actor && `by ${fields.actor}`,
    fields.reason && `“${fields.reason}”`,
    fields.detail,
    fields.revision && `revision ${fields.revision}`,
    fields.worker !== undefined && `worker ${fields.worker}`,
    fields.why,
  ];
  return known.filter(Boolean).join(" · ");
}
