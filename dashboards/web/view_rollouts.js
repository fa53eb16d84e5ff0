// Rollouts: what moves by itself, what it waits for, and what its evidence says.

import { get } from "./api.js";
import { h } from "./dom.js";
import { plural, span } from "./format.js";
import { action, missing, section } from "./parts.js";
import { askRollout, runCard } from "./rollout_parts.js";
import { changed, eachSample } from "./store.js";

const PHASES = { active: "Under way", waiting: "Wait for a person", over: "Over", all: "All" };
const OVER = new Set(["rolled-back", "aborted", "done"]);
const SHOWN = 60;

export function rolloutsView() {
  const seen = { found: null, calendar: null, phase: "active", text: "", trouble: "" };
  let asking = false;
  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      seen.found = await get("/api/v1/rollouts");
      seen.trouble = "";
    } catch (error) {
      seen.trouble = error.message;
    }
    asking = false;
    changed();
  };
  const stop = eachSample(ask);
  ask();
  get("/api/v1/rollouts/plan")
    .then((found) => (seen.calendar = found.calendar))
    .catch(() => {})
    .finally(changed);
  return {
    title: "Rollouts",
    draw: () => [h("h1", {}, "Rollouts"), toolbar(seen, ask), cards(seen, ask), foresight(seen)],
    stop,
  };
}

function fits(seen) {
  const words = seen.text.toLowerCase().split(/\s+/).filter(Boolean);
  const phases = {
    active: (run) => !OVER.has(run.phase),
    waiting: (run) => !OVER.has(run.phase) && (run.paused || run.held || run.waits.length > 0),
    over: (run) => OVER.has(run.phase),
    all: () => true,
  };
  return (run) =>
    phases[seen.phase](run) &&
    words.every((word) => `${run.route} ${run.plan} ${run.upstream}`.toLowerCase().includes(word));
}

function toolbar(seen, ask) {
  const found = seen.found?.rollouts || [];
  return h(
    "div",
    { class: "toolbar", role: "search" },
    h("input", {
      type: "search",
      class: "search",
      "aria-label": "Search rollouts by route, plan or upstream",
      placeholder: "Search route, plan, upstream",
      value: seen.text,
      oninput: (event) => {
        seen.text = event.target.value;
        changed();
      },
    }),
    h(
      "div",
      { class: "segments", role: "group", "aria-label": "Show" },
      Object.entries(PHASES).map(([key, label]) =>
        h(
          "button",
          {
            type: "button",
            key,
            "aria-pressed": String(seen.phase === key),
            onclick: () => {
              seen.phase = key;
              changed();
            },
          },
          label,
        ),
      ),
    ),
    h(
      "span",
      { class: "found", role: "status" },
      seen.found ? `${found.filter(fits(seen)).length} of ${plural(found.length, "rollout")}` : "",
    ),
    seen.found && !seen.found.armed
      ? h("b", { class: "bad-text" }, "The controller raises nothing: it is not armed.")
      : null,
    action("operator", "Start everything that has a plan …", () => askRollout("start", { all: true }, ask)),
  );
}

function cards(seen, ask) {
  if (seen.trouble) return missing(seen.trouble);
  if (!seen.found) return missing("Asking …");
  const found = seen.found.rollouts.filter(fits(seen));
  if (!found.length) {
    const none = seen.found.rollouts.length
      ? "None is like that."
      : "None has been started. Give routes a `rollout:` in routes.yaml, then start them here or with `strangler rollout start ROUTE`.";
    return missing(none);
  }
  return [
    h(
      "div",
      { class: "cards" },
      found.slice(0, SHOWN).map((run) => runCard(run, ask)),
    ),
    found.length > SHOWN ? missing(`and ${found.length - SHOWN} more: search for them.`) : null,
  ];
}

// What it would take, from the traffic of the last minute.
function foresight({ calendar }) {
  if (!calendar || !calendar.routes) return null;
  return section(
    "What it would take",
    h(
      "p",
      {},
      `${plural(calendar.routes, "route")} with a plan: ${calendar.day} would be through within a day, ${calendar.week} within a week, ${calendar.month} within a month.`,
    ),
    calendar.slow.length
      ? h(
          "details",
          {},
          h("summary", {}, `${plural(calendar.slow.length, "route")} with too little traffic for that`),
          h(
            "ul",
            {},
            calendar.slow
              .slice(0, 50)
              .map((each) =>
                h("li", { key: each.route }, `${each.route}: ${each.seconds === null ? "never" : span(each.seconds)}`),
              ),
          ),
        )
      : null,
  );
}
