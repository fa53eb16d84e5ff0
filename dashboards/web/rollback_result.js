// What became of a rollback: every worker's word, what traffic says, what moved, whether legacy can bear it, the undo.

import { h } from "./dom.js";
import { ms, plural, rate, scopeOption, scopeText } from "./format.js";
import { resumeOrder } from "./orders.js";
import { copyButton, moves, workerList } from "./parts.js";
import { state } from "./store.js";

export const PACES = {
  "": "at once",
  "20s": "in steps, over 20 s",
  "1m": "in steps, over a minute",
  "5m": "in steps, over 5 minutes",
};

// Rollbacks whose scope the router looks up itself.
export const RAISED = [
  { said: { last: true }, label: "What the newest change raised", option: "--last" },
  { said: { since: "60m" }, label: "All that was raised within the last hour", option: "--since 60m" },
];

export function isRaised(scope) {
  return "last" in scope || "since" in scope;
}

export function whatText(scope) {
  const raised = RAISED.find((each) => JSON.stringify(each.said) === JSON.stringify(scope));
  return raised ? raised.label.toLowerCase() : scopeText(scope);
}

export function result(seen, anew) {
  const { change, scope, over } = seen.done;
  const confirmed = change.confirmed || caughtUp(change);
  const orders = change.orders?.length ? change.orders : [change.order];
  const headline = over
    ? `${capital(whatText(scope))} goes to legacy, ${PACES[over]}`
    : `${capital(whatText(scope))} is on legacy`;
  return h(
    "section",
    {
      class: "rollback-result",
      id: "rollback-result",
      tabindex: "-1",
      "aria-label": "What became of it",
      key: "result",
    },
    h(
      "div",
      { class: `verdict ${confirmed ? "good" : "bad"}` },
      h("h2", {}, confirmed ? headline : "In force, but not confirmed by all workers"),
      h(
        "p",
        {},
        change.already
          ? `It was already: ${change.order.id} by ${change.order.actor} holds it.`
          : `${orders.map(({ id }) => id).join(", ")}, revision ${change.revision}, after ${ms(change.ms)}.`,
        change.persisted ? "" : " Not recorded yet: the store does not answer. It holds all the same.",
      ),
    ),
    h("div", { class: "columns" }, [
      h("div", { key: "w" }, h("h3", {}, "Every worker's word"), workerList(words(change))),
      h("div", { key: "p" }, h("h3", {}, "What traffic says"), proof(seen.done), legacyNote(change.legacy)),
      h(
        "div",
        { key: "r" },
        h("h3", {}, plural(change.routes.length, "route moved", "routes moved")),
        moves(change.routes, 6) || h("p", { class: "note" }, "None: no share was above 0 %."),
        skipped(change.skipped),
      ),
    ]),
    h("h3", {}, "Undo"),
    orders.map(({ id }) => h("div", { key: id }, copyButton(`strangler resume ${id} --reason '...'`))),
    h(
      "div",
      { class: "buttons" },
      orders
        .slice(0, 6)
        .map((order) =>
          h(
            "button",
            { type: "button", key: order.id, onclick: () => resumeOrder(order) },
            orders.length > 1 ? `Undo ${order.id}: resume …` : "Undo: resume …",
          ),
        ),
      h("button", { type: "button", class: "quiet", onclick: anew }, "Roll back something else"),
    ),
    h("p", { class: "note" }, "The same on the command line: ", h("code", {}, command(scope, over))),
  );
}

function command(scope, over) {
  const raised = RAISED.find((each) => JSON.stringify(each.said) === JSON.stringify(scope));
  return `strangler rollback ${raised ? raised.option : scopeOption(scope)} ${over ? `--over ${over} ` : ""}--reason '...'`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

// Has every worker confirmed it, or something newer, meanwhile?
function caughtUp(change) {
  const workers = state.status?.workers || [];
  return workers.length > 0 && state.status.revision >= change.revision && workers.every((worker) => worker.confirmed);
}

function words(change) {
  return change.workers.map((worker) => {
    if (worker.ms !== undefined) return { id: worker.id, done: true, says: `confirmed in ${ms(worker.ms)}` };
    const present = state.status?.workers.find((each) => each.id === worker.id);
    if (present?.confirmed && present.revision >= change.revision)
      return { id: worker.id, done: true, says: "confirmed since" };
    return { id: worker.id, failed: true, says: worker.error || "has not confirmed" };
  });
}

function proof(done) {
  const [before, after] = done.looks.slice(-2);
  if (!after) return h("p", { class: "note" }, done.blind ? `Not known: ${done.blind}` : "Looking …");
  const per = (after.answered - before.answered) / Math.max(0.001, after.at - before.at);
  return h(
    "ul",
    { class: "proof" },
    h(
      "li",
      { class: per === 0 ? "done" : "waiting" },
      h("span", {}, "answered by new"),
      h("b", {}, `${rate(per)} requests/s`),
    ),
    after.in_flight === null
      ? null
      : h(
          "li",
          { class: after.in_flight ? "waiting" : "done" },
          h("span", {}, "still under way there"),
          h("b", {}, String(after.in_flight)),
        ),
    after.tunnels
      ? h("li", { class: "waiting" }, h("span", {}, "open tunnels"), h("b", {}, String(after.tunnels)))
      : null,
    done.quiet === null || done.quiet === undefined
      ? h(
          "li",
          { class: "waiting" },
          h("span", {}, done.finished ? "not quiet yet: look again at the route" : "looking on …"),
        )
      : h("li", { class: "done" }, h("span", {}, "quiet"), h("b", {}, "nothing goes to the new side")),
  );
}

function skipped(found) {
  if (!found?.length) return null;
  return h(
    "details",
    {},
    h("summary", {}, `${plural(found.length, "route")} skipped`),
    h(
      "ul",
      {},
      found.slice(0, 20).map((each) => h("li", {}, `${each.name}: ${each.why}`)),
    ),
  );
}

function legacyNote(legacy) {
  if (!legacy) return null;
  return h(
    "p",
    { class: legacy.above_highest ? "result warn" : "note" },
    `Legacy serves ${rate(legacy.requests_per_second)} requests/s, and ${rate(legacy.returning)} come back to it. `,
    legacy.above_highest
      ? h(
          "b",
          {},
          `That is more than the ${rate(legacy.highest)} it has served at most lately. If it falters, resume with a small weight.`,
        )
      : "",
  );
}
