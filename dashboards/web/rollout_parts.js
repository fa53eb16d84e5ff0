// Rollouts in plain words: where a run is, what its evidence says, and what people may ask of it.

import { post } from "./api.js";
import { h } from "./dom.js";
import { ago, percent, span } from "./format.js";
import { actorField } from "./orders.js";
import { action, badge, missing, openDialog, refusal, routeLink, section } from "./parts.js";
import { changed, now, refresh } from "./store.js";

const OVER = new Set(["rolled-back", "aborted", "done"]);
const LOUD = { "rolled-back": "bad", "rolling-back": "bad", aborted: "warn", aborting: "warn", done: "good" };
const ASKS = {
  start: "Start",
  pause: "Pause",
  resume: "Resume",
  promote: "Promote",
  abort: "Abort",
};

const ABOUT = {
  safe: "that new is no worse than is tolerated",
  errors: "that new fails more than is tolerated",
  latency: "that new is slower than is tolerated",
  mismatches: "that the answers differ more than is tolerated",
  sides: "that clients are not shared as ordered",
  legacy: "that legacy fails",
};

// The part of a route's page.
export function evidence(found, route, again) {
  if (found === undefined) return section("Evidence", missing("Asking …"));
  if (found.trouble || found.missing) return section("Evidence", missing((found.trouble || found.missing).message));
  const run = found.rollouts[0];
  if (!run) {
    return section(
      "Evidence",
      missing("No rollout has moved this route: its weight is moved by people."),
      h(
        "div",
        { class: "buttons" },
        action("operator", "Start a rollout …", () => askRollout("start", { route }, again)),
      ),
    );
  }
  return section("Evidence", runBody(run, again));
}

// A run on a card.
export function runCard(run, again) {
  return h(
    "section",
    { key: run.route, class: `run ${LOUD[run.phase] || ""}`, "aria-label": `Rollout of ${run.route}` },
    h("h2", {}, routeLink(run.route)),
    runBody(run, again),
  );
}

function runBody(run, again) {
  const waits = run.waits.filter((wait) => !run.held || !wait.includes(run.held));
  return [
    h(
      "p",
      {},
      badge(run.paused ? "warn" : LOUD[run.phase] || "", run.paused ? "paused" : run.phase.replace("-", " ")),
      ` step ${run.step} of ${run.steps.length}, ${percent(run.share)} · plan ${run.plan} · for ${span(now() - run.since)}`,
    ),
    steps(run),
    run.paused ? h("p", {}, h("b", {}, "Paused: "), run.paused) : null,
    run.held ? h("p", {}, h("b", {}, "Held: "), run.held) : null,
    waits.length ? h("p", {}, h("b", {}, "Waits for "), waits.join("; "), ".") : null,
    weighed(run),
    h("p", { class: "note" }, `Started by ${run.actor}, ${ago(run.started, now())}: “${run.reason}”`),
    h("div", { class: "buttons" }, buttons(run, again)),
  ];
}

function steps(run) {
  return h(
    "ol",
    { class: "steps", "aria-label": `Step ${run.step} of ${run.steps.length}` },
    run.steps.map((step, index) =>
      h(
        "li",
        {
          key: index,
          class: index + 1 < run.step || run.phase === "done" ? "past" : index + 1 === run.step ? "present" : "",
          "aria-current": index + 1 === run.step ? "step" : null,
        },
        step.name,
        step.gate === "manual" ? h("span", { class: "unseen" }, " (a person promotes)") : null,
      ),
    ),
  );
}

// E against its threshold: how much more likely the counts are if new were worse than tolerated.
function weighed(run) {
  const verdict = run.verdict;
  if (!verdict) return h("p", { class: "note" }, "No evidence yet.");
  const known = verdict.log_e !== null && verdict.log_threshold !== null;
  const part = known ? Math.max(0, Math.min(1, verdict.log_e / verdict.log_threshold)) : 0;
  const bad = verdict.standing === "failed" || verdict.kind.includes("rollback");
  return h(
    "div",
    { class: "weighed" },
    known
      ? h(
          "div",
          { class: "meter" },
          h("span", {}, verdict.metric.replaceAll("-", " ")),
          h(
            "span",
            {
              class: "bar",
              role: "img",
              "aria-label": `E is ${odds(verdict.log_e)}, due at ${odds(verdict.log_threshold)}`,
            },
            h("span", { class: bad ? "bad" : "", style: { width: `${(100 * part).toFixed(1)}%` } }),
          ),
          h("span", { class: "n" }, `E ${odds(verdict.log_e)} of ${odds(verdict.log_threshold)}`),
        )
      : null,
    h(
      "p",
      {},
      plain(verdict),
      known
        ? ` E weighs the evidence ${ABOUT[verdict.metric] || ""}: 1 is what chance gives, ${odds(verdict.log_threshold)} is enough.`
        : "",
    ),
    verdict.sentence === run.held ? null : h("p", { class: "note" }, verdict.sentence),
  );
}

function plain(verdict) {
  const worse = "that new is worse than is tolerated";
  switch (verdict.standing) {
    case "failed":
      return `The evidence is enough to say ${worse}.`;
    case "passed":
      return "The evidence is enough to say that new is no worse than is tolerated.";
    case "no-data":
      return "Too little has been seen to say anything.";
    default:
      return "The evidence so far decides nothing; it goes on being gathered.";
  }
}

function odds(logarithm) {
  const ten = logarithm / Math.LN10;
  if (ten > 6) return `10^${ten.toFixed(0)}`;
  if (ten < -3) return "<0.001";
  const value = Math.exp(logarithm);
  return value < 10 ? value.toFixed(2) : Math.round(value).toLocaleString("en");
}

function buttons(run, again) {
  const scope = { route: run.route };
  const button = (what, more) =>
    action("operator", `${ASKS[what]} …`, () => askRollout(what, scope, again), { key: what, ...more });
  if (OVER.has(run.phase)) return [button("start")];
  return [run.paused ? button("resume") : button("pause"), button("promote"), button("abort", { class: "danger" })];
}

export function askRollout(what, scope, again) {
  const form = { reason: "", unproven: false };
  const sight = { done: null, refused: null, busy: false };
  const named = Object.values(scope)[0];
  openDialog(`${ASKS[what]} the rollout of ${named}`, (close, redraw) => {
    const give = async (event) => {
      event.preventDefault();
      if (sight.busy) return;
      Object.assign(sight, { busy: true, refused: null });
      redraw();
      const body = { do: what, scope, reason: form.reason.trim() };
      if (form.unproven) body.without_evidence = true;
      try {
        sight.done = await post("/api/v1/rollouts", body);
      } catch (error) {
        sight.refused = error;
      }
      sight.busy = false;
      refresh().catch(() => {});
      again?.();
      redraw();
      changed();
    };
    if (sight.done) {
      return h(
        "div",
        { class: "order" },
        h(
          "div",
          { class: "result good", role: "status" },
          sight.done.rollouts.map((run) => h("p", { key: run.route }, h("b", {}, run.route), `: ${run.text}`)),
          sight.done.refused.map((each) => h("p", { key: each.route }, `${each.route} refused: ${each.why}`)),
        ),
        h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: close }, "Done")),
      );
    }
    return h(
      "form",
      { class: "order", onsubmit: give },
      what === "abort" ? h("p", {}, "The share with which it began is wanted again.") : null,
      h(
        "label",
        { class: "field" },
        h("span", {}, "Reason"),
        h("input", {
          required: true,
          maxlength: "1000",
          "data-first": "",
          value: form.reason,
          oninput: (event) => (form.reason = event.target.value),
        }),
      ),
      what === "promote"
        ? h(
            "label",
            { class: "check" },
            h("input", {
              type: "checkbox",
              checked: form.unproven,
              onchange: (event) => (form.unproven = event.target.checked),
            }),
            " Also without evidence",
          )
        : null,
      actorField(redraw),
      sight.refused ? refusal(sight.refused) : null,
      h(
        "div",
        { class: "buttons" },
        h("button", { class: "primary", disabled: sight.busy }, ASKS[what]),
        h("button", { type: "button", onclick: close }, "Cancel"),
      ),
    );
  });
}
