// Pieces that several views share: names, badges, buttons that may be refused, dialogs, results of changes.

import { may, Problem } from "./api.js";
import { announce, draw, h } from "./dom.js";
import { ago, ms, percent, plural } from "./format.js";
import { now, state } from "./store.js";

export const routeHref = (name) => `#/route/${encodeURIComponent(name)}`;

export function routeLink(name) {
  return h("a", { href: routeHref(name), class: "name" }, name);
}

export function scopeLink(scope) {
  if (scope.all) return "everything";
  if (scope.route) return state.byName.has(scope.route) ? routeLink(scope.route) : `route ${scope.route}`;
  if (scope.group) return h("a", { href: `#/routes?group=${encodeURIComponent(scope.group)}` }, `group ${scope.group}`);
  return h("a", { href: "#/sites" }, `site ${scope.site}`);
}

export function badge(kind, text) {
  return h("span", { class: `badge ${kind}` }, text);
}

// A button for those who may; others do not see it.
export function action(role, label, onclick, more = {}) {
  return may(role) ? h("button", { type: "button", onclick, ...more }, label) : null;
}

export function missing(what) {
  return h("p", { class: "missing" }, what);
}

export function section(title, ...children) {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h("section", { "aria-labelledby": id, key: id }, h("h2", { id }, title), children);
}

// -- dialogs ----------------------------------------------------------------------------------------------------------

// One dialog at a time; `content(close, redraw)` gives its tree.
export function openDialog(title, content, { onclose } = {}) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "dialog-title");
  document.body.append(dialog);
  const close = () => dialog.close();
  const redraw = () =>
    draw(
      dialog,
      h(
        "div",
        { class: "dialog" },
        h(
          "header",
          {},
          h("h2", { id: "dialog-title" }, title),
          h("button", { type: "button", class: "quiet close", "aria-label": "Close", onclick: close }, "✕"),
        ),
        content(close, redraw),
      ),
    );
  dialog.onclose = () => {
    dialog.remove();
    onclose?.();
  };
  redraw();
  dialog.showModal();
  dialog.querySelector("[data-first]")?.focus();
  return { redraw, close };
}

// -- what became of a change ------------------------------------------------------------------------------------------

export function refusal(problem) {
  if (!(problem instanceof Problem)) {
    const late = problem.name === "TimeoutError";
    return h(
      "div",
      { class: "result bad", role: "alert" },
      h("p", {}, h("b", {}, late ? "No answer in time." : "The router does not answer.")),
      h("p", {}, "Whether it took force is not known; look at Audit once the connection is back."),
    );
  }
  return h(
    "div",
    { class: "result bad", role: "alert" },
    h("p", {}, h("b", {}, "Refused, nothing is changed. "), problem.violations.length ? "" : problem.message),
    violations(problem.violations),
    problem.problems.length && !problem.violations.length ? h("pre", {}, problem.problems.join("\n")) : null,
    problem.instead && !problem.violations.length ? h("p", {}, problem.instead) : null,
  );
}

export function violations(found) {
  if (!found.length) return null;
  return h(
    "ul",
    { class: "violations" },
    found.slice(0, 8).map((each) => h("li", {}, h("code", {}, each.rule), ` ${each.route || ""}: ${each.detail}`)),
    found.length > 8 ? h("li", {}, `and ${found.length - 8} more`) : null,
  );
}

export function outcome(change) {
  const slow = change.workers.filter((worker) => worker.ms === undefined);
  const words = change.already
    ? "It was in force already."
    : change.confirmed
      ? `Confirmed by all ${plural(change.workers.length, "worker")} in ${ms(change.ms)}.`
      : `In force, but not confirmed by all: ${slow.map((worker) => `worker ${worker.id}`).join(", ")}.`;
  return h(
    "div",
    { class: `result ${change.confirmed ? "good" : "bad"}`, role: "status" },
    h("p", {}, h("b", {}, words), ` Revision ${change.revision}.`),
    change.persisted
      ? null
      : h("p", {}, "Not recorded yet: the store does not answer. It is kept, and recorded later."),
    moves(change.routes),
    change.notes.map((note) => h("p", { class: "note" }, note)),
  );
}

export function moves(routes, most = 6) {
  if (!routes.length) return null;
  return h(
    "ul",
    { class: "moves" },
    routes
      .slice(0, most)
      .map((route) =>
        h("li", {}, h("span", { class: "name" }, route.name), ` ${percent(route.before)} → ${percent(route.after)}`),
      ),
    routes.length > most ? h("li", {}, `and ${routes.length - most} more`) : null,
  );
}

export function workerList(workers) {
  return h(
    "ul",
    { class: "workers" },
    workers.map((worker) =>
      h(
        "li",
        { key: worker.id, class: worker.done ? "done" : worker.failed ? "failed" : "waiting" },
        h("span", {}, `worker ${worker.id}`),
        h("b", {}, worker.says),
      ),
    ),
  );
}

// -- orders -----------------------------------------------------------------------------------------------------------

export function orderWhen(order) {
  if (order.expires === undefined) return ago(order.created, now());
  const left = order.expires - now();
  if (order.provisional) return left > 0 ? `on trial, ${until(left)} to confirm it` : "on trial, time is up";
  if (left > 0) return `ends in ${until(left)}`;
  return order.kind === "rollback" ? `overdue for ${until(-left)}: resume it` : `overdue for ${until(-left)}`;
}

function until(seconds) {
  const s = Math.round(seconds);
  return s < 120 ? `${s} s` : s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}

export function copyButton(text) {
  const copy = async (event) => {
    const button = event.currentTarget;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      announce("Copied");
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
    }
  };
  return h(
    "span",
    { class: "command" },
    h("code", {}, text),
    h("button", { type: "button", class: "quiet", onclick: copy }, "Copy"),
  );
}
