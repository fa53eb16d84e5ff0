// The way back: choose what, say why, one button.  Then every worker's word, then what traffic says, then how to undo it.

import { get, may, post, session } from "./api.js";
import { announce, h } from "./dom.js";
import { rateOf, watchRates } from "./figures.js";
import { percent, plural, rate } from "./format.js";
import { actorField, resumeOrder } from "./orders.js";
import { missing, moves, orderWhen, refusal, scopeLink, workerList } from "./parts.js";
import { isRaised, PACES, RAISED, result, whatText } from "./rollback_result.js";
import { changed, refresh, state } from "./store.js";

const LOOK = 400;
const LOOKS = 25; // ten seconds; a long poll or a tunnel may take longer than that
const LISTED = 60;
const WATCH = 300; // between two looks at the workers while their word is awaited

export function rollbackView(place) {
  const stopRates = watchRates();
  const seen = {
    text: "",
    scope: asked(place),
    reason: "",
    over: "",
    preview: null,
    previewed: "",
    busy: false,
    refused: null,
    done: null,
  };
  let stopped = false;
  if (seen.scope) look();

  function asked({ query }) {
    for (const kind of ["route", "group", "site"]) if (query.get(kind)) return { [kind]: query.get(kind) };
    return query.has("all") ? { all: true } : null;
  }

  function choose(scope) {
    Object.assign(seen, { scope, refused: null });
    look();
    changed();
  }

  async function look() {
    const scope = seen.scope;
    seen.previewed = JSON.stringify(scope);
    if (isRaised(scope)) {
      seen.preview = null;
      return changed();
    }
    try {
      const found = await post("/api/v1/preview", { kind: "rollback", scope });
      if (seen.previewed === JSON.stringify(scope)) seen.preview = found;
    } catch (error) {
      seen.preview = null;
      if (error.status === 404) seen.refused = error;
    }
    return changed();
  }

  async function give(event) {
    event.preventDefault();
    if (seen.busy || !seen.scope) return;
    Object.assign(seen, { busy: true, refused: null, done: null, before: state.status?.revision ?? 0 });
    announce("Rolling back");
    changed();
    const watching = setInterval(() => refresh().catch(() => {}), WATCH);
    try {
      const reason = seen.reason.trim() || "no reason given yet (from the page)";
      const what = isRaised(seen.scope) ? seen.scope : { scope: seen.scope };
      const change = await post("/api/v1/rollbacks", { ...what, reason, ...(seen.over ? { over: seen.over } : {}) });
      seen.done = { change, looks: [], quiet: null, scope: seen.scope, over: seen.over };
      const late = change.workers.filter((worker) => worker.ms === undefined).length;
      announce(
        late
          ? `In force, but ${plural(late, "worker has", "workers have")} not confirmed`
          : "Rolled back, confirmed by all workers",
        true,
      );
      prove(seen.done);
    } catch (error) {
      seen.refused = error;
    }
    clearInterval(watching);
    seen.busy = false;
    refresh().catch(() => {});
    changed();
    requestAnimationFrame(() => document.getElementById("rollback-result")?.focus());
  }

  // Looks at the new side until nothing is answered there any more and nothing is under way.
  async function prove(done) {
    const orders = given(done.change);
    for (let number = 0; number < LOOKS && !stopped && seen.done === done; number += 1) {
      try {
        done.looks.push(together(await Promise.all(orders.map(({ id }) => get(`/api/v1/orders/${id}/traffic`)))));
      } catch (error) {
        done.blind = error.message;
      }
      const [before, after] = done.looks.slice(-2);
      if (after && after.answered === before.answered && !after.in_flight) {
        done.quiet ??= after.at - done.looks[0].at;
        if (number >= 4) break;
      } else {
        done.quiet = null;
      }
      changed();
      await new Promise((next) => setTimeout(next, LOOK));
    }
    done.finished = true;
    if (done.quiet !== null) announce("Nothing goes to the new side any more");
    changed();
  }

  function given(change) {
    return change.orders?.length ? change.orders : [change.order];
  }

  return {
    title: "Roll back",
    moved(next) {
      const scope = asked(next);
      if (scope && !seen.done) choose(scope);
    },
    draw: () => [
      h("h1", {}, "Roll back to legacy"),
      !may("operator")
        ? missing(
            `${session.name} is signed in as ${session.role}. Rolling back needs the role operator; ask somebody who has it.`,
          )
        : seen.done
          ? result(seen, () => {
              Object.assign(seen, { done: null, scope: null, preview: null, reason: "" });
              changed();
            })
          : form(seen, choose, give),
      inForce(),
    ],
    stop() {
      stopped = true;
      stopRates();
    },
  };
}

// What is left on the new side, of several orders.
function together(looks) {
  const sum = (field) =>
    looks.reduce((total, look) => (look[field] === null ? total : (total ?? 0) + look[field]), null);
  return { at: looks[0].at, answered: sum("answered"), in_flight: sum("in_flight"), tunnels: sum("tunnels") };
}

// -- before -----------------------------------------------------------------------------------------------------------

function form(seen, choose, give) {
  return h(
    "form",
    { class: "rollback-form", onsubmit: give, key: "form" },
    h(
      "fieldset",
      { class: "chooser" },
      h("legend", {}, "What"),
      h("input", {
        type: "search",
        "aria-label": "Find a route, a group or a site",
        placeholder: "Find a route, a group or a site",
        value: seen.text,
        oninput: (event) => {
          seen.text = event.target.value;
          changed();
        },
      }),
      h("p", { class: "scope-head", "aria-hidden": "true" }, "requests/s on new"),
      h(
        "div",
        { class: "scopes" },
        scopes(seen).map((each) => scopeRow(each, seen, choose)),
      ),
    ),
    h(
      "div",
      { class: "rollback-go" },
      h(
        "label",
        { class: "field" },
        h("span", {}, "Reason"),
        h("input", {
          value: seen.reason,
          maxlength: "1000",
          placeholder: "what you have seen; it may wait, but stands in the history for good",
          oninput: (event) => (seen.reason = event.target.value),
        }),
      ),
      h(
        "label",
        { class: "field" },
        h("span", {}, "How fast"),
        h(
          "select",
          { value: seen.over, onchange: (event) => (seen.over = event.target.value) },
          Object.entries(PACES).map(([key, text]) => h("option", { value: key, key }, text)),
        ),
      ),
      actorField(changed),
      consequences(seen),
      seen.refused ? refusal(seen.refused) : null,
      seen.busy ? workerList(awaited(seen.before)) : null,
      h(
        "button",
        { class: "rollback-button", disabled: !seen.scope || seen.busy },
        seen.busy
          ? "Waiting for the workers …"
          : seen.scope
            ? `Roll back ${whatText(seen.scope)}`
            : "Choose what to roll back",
      ),
      h("p", { class: "note" }, "At once, and until somebody resumes it. No rule stands in the way."),
    ),
  );
}

// What the workers have said since the button was pressed.
function awaited(before) {
  const { revision, workers } = state.status || { revision: 0, workers: [] };
  return workers.map((worker) => {
    const done = revision > before && worker.confirmed;
    return { id: worker.id, done, says: done ? "confirmed" : "not yet" };
  });
}

// Everything, then groups and sites, then routes with the most on new: those that match what was typed.
function scopes(seen) {
  const words = seen.text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text) => words.every((word) => text.toLowerCase().includes(word));
  const rates = new Map();
  let all = 0;
  for (const route of state.routes) {
    const fresh = rateOf(route.name).new;
    all += fresh;
    rates.set(route.group, (rates.get(route.group) || 0) + fresh);
  }
  const found = [];
  const groups = [];
  if (fits("everything all"))
    found.push({
      scope: { all: true },
      label: "Everything",
      rate: all,
      sub: plural(state.routes.length, "route"),
      words: true,
    });
  for (const { said, label, option } of RAISED) {
    if (fits(label))
      found.push({ scope: said, label, rate: null, sub: `as strangler rollback ${option}`, words: true });
  }
  for (const group of state.groups) {
    if (!fits(`group ${group.name}`)) continue;
    const at = group.onNew
      ? `${group.onNew} of ${group.routes} on new, up to ${percent(group.highest)}`
      : "all on legacy";
    groups.push({ scope: { group: group.name }, label: group.name, rate: rates.get(group.name), sub: `group · ${at}` });
  }
  groups.sort((a, b) => b.rate - a.rate);
  found.push(...groups);
  for (const site of state.status?.places?.sites || []) {
    if (fits(`site ${site.name}`))
      found.push({ scope: { site: site.name }, label: site.name, rate: null, sub: "site · its requests go to legacy" });
  }
  const routes = state.routes.filter((route) => fits(`${route.name} ${route.path} ${route.group}`));
  const live = routes.map((route) => ({
    scope: { route: route.name },
    label: route.name,
    rate: rateOf(route.name).new,
    share: route.effective,
    sub: `route · ${route.cause === "rollback" ? "rolled back already" : `at ${percent(route.effective)}`}`,
  }));
  live.sort((a, b) => (b.share > 0) - (a.share > 0) || b.rate - a.rate || b.share - a.share);
  const chosen = seen.scope?.route && live.find((each) => each.scope.route === seen.scope.route);
  const shown = live.slice(0, LISTED);
  if (chosen && !shown.includes(chosen)) shown.unshift(chosen);
  return [...found, ...shown];
}

function scopeRow(each, seen, choose) {
  const key = JSON.stringify(each.scope);
  const chosen = JSON.stringify(seen.scope) === key;
  return h(
    "label",
    { key, class: `scope-row${chosen ? " chosen" : ""}` },
    h("input", { type: "radio", name: "scope", checked: chosen, onchange: () => choose(each.scope) }),
    h("span", { class: each.words ? "" : "name" }, each.label),
    h("small", {}, each.sub),
    h(
      "span",
      { class: "n" },
      each.rate === null ? "" : rate(each.rate),
      h("span", { class: "unseen" }, " requests a second on new"),
    ),
  );
}

function consequences(seen) {
  if (!seen.scope)
    return h(
      "p",
      { class: "note", "aria-live": "polite" },
      "Choose on the left; the busiest on the new side stand first.",
    );
  const found = seen.preview;
  if (isRaised(seen.scope))
    return h("p", { class: "note", "aria-live": "polite" }, "The router looks up which routes these are.");
  if (!found) return h("p", { class: "note", "aria-live": "polite" }, "");
  const back = found.routes.reduce((sum, route) => sum + rateOf(route.name).new, 0);
  return h(
    "div",
    { class: "preview", "aria-live": "polite" },
    found.routes.length
      ? [
          h(
            "p",
            {},
            h("b", {}, plural(found.routes.length, "route")),
            ` to 0 %; about `,
            h("b", {}, `${rate(back)} requests/s`),
            " come back to legacy.",
          ),
          moves(found.routes, 5),
        ]
      : h("p", {}, "No share changes: nothing of it is on new, or it is held on legacy already."),
  );
}

// -- what is rolled back already --------------------------------------------------------------------------------------

function inForce() {
  const found = (state.status?.orders || []).filter((order) => order.kind === "rollback");
  if (!found.length) return null;
  return h(
    "section",
    { "aria-labelledby": "in-force", key: "in-force" },
    h("h2", { id: "in-force" }, "In force"),
    h(
      "ul",
      { class: "needs" },
      found.map((order) =>
        h(
          "li",
          { key: order.id, class: "need bad" },
          h("span", { class: "what" }, `${order.id}: `, scopeLink(order.scope)),
          h("span", { class: "why" }, `${order.actor}: “${order.reason}”, ${orderWhen(order)}`),
          h(
            "span",
            { class: "do" },
            may("operator") ? h("button", { type: "button", onclick: () => resumeOrder(order) }, "Resume …") : null,
          ),
        ),
      ),
    ),
  );
}
