// What an order would move, before it is given: shares, users, requests, and the rules that would refuse it.

import { h } from "./dom.js";
import { rateOf } from "./figures.js";
import { percent, rate } from "./format.js";
import { moves, violations } from "./parts.js";
import { state } from "./store.js";

export function together(found) {
  return {
    routes: found.flatMap((each) => each.routes),
    violations: found.flatMap((each) => each.violations),
    allowed: found.length === 1 ? found[0].allowed : null,
    subjects: Math.max(...found.map((each) => each.subjects_per_million)),
    several: found.length > 1,
  };
}

// Requests a second that would change side, by what is measured now: [to new, to legacy].
function moving(routes) {
  const sums = [0, 0];
  for (const { name, before, after } of routes) {
    const step = ((after ?? 0) - (before ?? 0)) / 100;
    sums[step > 0 ? 0 : 1] += Math.abs(step) * rateOf(name).total;
  }
  return sums;
}

export function previewed(kind, sight, form, redraw, take) {
  const found = sight.preview;
  if (!found)
    return h("div", { class: "preview", "aria-live": "polite" }, h("p", {}, "Say how much to see what it moves."));
  const [forward, back] = state.figures ? moving(found.routes) : [null, null];
  const users = found.subjects / 10_000;
  const nothing = !found.routes.length;
  return h(
    "div",
    { class: "preview", "aria-live": "polite" },
    h("h3", {}, "What it moves"),
    nothing
      ? h("p", {}, kind === "freeze" ? "No share now; none of them may rise from now on." : "No share changes.")
      : null,
    moves(found.routes),
    nothing
      ? null
      : h(
          "p",
          {},
          h("b", {}, `${percent(users)} of users`),
          found.several ? " at most" : "",
          " meet another side",
          forward ? [", ", h("b", {}, `${rate(forward)} requests/s`), " go to new"] : null,
          back ? [", ", h("b", {}, `${rate(back)} requests/s`), " come back to legacy"] : null,
          ".",
        ),
    found.violations.length
      ? h(
          "div",
          { class: "result warn" },
          h("p", {}, h("b", {}, "The safety rules would refuse it")),
          violations(found.violations),
          found.allowed === null
            ? null
            : h(
                "button",
                { type: "button", onclick: () => take(found.allowed) },
                `Take ${percent(found.allowed)}, which is allowed`,
              ),
          h(
            "label",
            { class: "check" },
            h("input", {
              type: "checkbox",
              checked: form.override,
              onchange: (event) => {
                form.override = event.target.checked;
                redraw();
              },
            }),
            " Override them this once; the reason goes on record",
          ),
        )
      : null,
  );
}
