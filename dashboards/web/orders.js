// Giving orders: a weight for one route or many, caps, pins, freezes, drains; and lifting and confirming them.

import { ask, post, Problem, session, setActor } from "./api.js";
import { h } from "./dom.js";
import { percent, plural } from "./format.js";
import { openDialog, outcome, refusal } from "./parts.js";
import { previewed, together } from "./preview.js";
import { refresh } from "./store.js";

const KINDS = {
  weight: { path: "/api/v1/weights", title: "Weight", verb: "Set weight" },
  cap: { path: "/api/v1/caps", title: "Cap", verb: "Set cap" },
  freeze: { path: "/api/v1/freezes", title: "Freeze", verb: "Freeze" },
  pin: { path: "/api/v1/pins", title: "Pin", verb: "Pin" },
  drain: { path: "/api/v1/drains", title: "Drain", verb: "Drain" },
  off: { path: "/api/v1/offs", title: "Switch off", verb: "Switch off" },
  rollback: { path: "/api/v1/rollbacks", title: "Roll back", verb: "Roll back" },
};
const SPANS = { "": "until it is lifted", "15m": "15 minutes", "1h": "1 hour", "2h": "2 hours", "8h": "8 hours" };
const TRIALS = { "": "no", "10m": "10 minutes", "30m": "30 minutes", "1h": "1 hour" };

// Who says so: without tokens people are asked for their name once.
export function actorField(redraw) {
  if (!session.open) return null;
  return h(
    "label",
    { class: "field" },
    h("span", {}, "Your name"),
    h("input", {
      value: session.name,
      maxlength: "100",
      autocomplete: "name",
      placeholder: "stands in the history",
      onchange: (event) => {
        setActor(event.target.value);
        redraw();
      },
    }),
  );
}

// An order for one scope, or one after the other for several.
export function giveOrder(kind, scopes, { title, value, side = "legacy" } = {}) {
  const form = { value: value ?? "", side, reason: "", lasts: "", trial: "", override: false };
  const sight = { preview: null, refused: null, done: [], busy: false, wait: 0, asked: 0 };
  // Rollbacks of several scopes are one change; of other orders there is one for each.
  const targets = kind === "rollback" && scopes.length > 1 ? [{ scopes }] : scopes.map((scope) => ({ scope }));
  let redraw = () => {};

  const order = () => {
    if (kind === "weight" || kind === "cap") return { [kind]: Number(form.value) };
    return kind === "pin" ? { side: form.side } : {};
  };
  const complete = () => !(kind === "weight" || kind === "cap") || isPercent(form.value);

  const look = () => {
    clearTimeout(sight.wait);
    sight.wait = setTimeout(async () => {
      if (!complete()) {
        sight.preview = null;
        return redraw();
      }
      const number = ++sight.asked;
      try {
        const asked = scopes.slice(0, 20).map((scope) => post("/api/v1/preview", { kind, scope, ...order() }));
        const found = await Promise.all(asked);
        if (number === sight.asked) Object.assign(sight, { preview: together(found), refused: null });
      } catch (error) {
        if (number === sight.asked) Object.assign(sight, { preview: null, refused: error });
      }
      return redraw();
    }, 120);
  };

  const give = async (event) => {
    event.preventDefault();
    if (!complete() || sight.busy) return;
    Object.assign(sight, { busy: true, done: [], refused: null });
    redraw();
    const body = { ...order(), reason: form.reason.trim() };
    if (form.lasts) body.for = form.lasts;
    if (form.trial) body.confirm_within = form.trial;
    const broken = [...new Set((sight.preview?.violations || []).map((each) => each.rule))];
    if (form.override && broken.length) body.override = broken;
    try {
      for (const target of targets) {
        sight.done.push(await post(KINDS[kind].path, { ...target, ...body }));
        redraw();
      }
    } catch (error) {
      sight.refused = error;
    }
    sight.busy = false;
    refresh().catch(() => {});
    redraw();
  };

  const content = (close, again) => {
    redraw = again;
    const finished = sight.done.length === targets.length;
    return h(
      "form",
      { onsubmit: give, class: "order" },
      targets.length > 1
        ? h("p", { class: "note" }, `${plural(targets.length, "order")}, one after the other; a refused one ends it.`)
        : null,
      finished
        ? null
        : [
            valueField(kind, form, () => {
              again();
              look();
            }),
            previewed(kind, sight, form, again, (allowed) => {
              form.value = String(allowed);
              again();
              look();
            }),
            h(
              "label",
              { class: "field" },
              h("span", {}, "Reason"),
              h("input", {
                required: true,
                maxlength: "1000",
                value: form.reason,
                "data-first": kind === "weight" || kind === "cap" ? null : "",
                placeholder: "for those who read the history at 3 a.m.",
                oninput: (event) => (form.reason = event.target.value),
              }),
            ),
            actorField(again),
            h(
              "div",
              { class: "pair" },
              picker("Lasts", SPANS, form.lasts, (chosen) => {
                form.lasts = chosen;
                if (chosen) form.trial = "";
                again();
              }),
              kind === "rollback"
                ? null
                : picker("On trial", TRIALS, form.trial, (chosen) => {
                    form.trial = chosen;
                    if (chosen) form.lasts = "";
                    again();
                  }),
            ),
          ],
      sight.done.map((change) => outcome(change)),
      sight.refused ? refusal(sight.refused) : null,
      h(
        "div",
        { class: "buttons" },
        finished
          ? h("button", { type: "button", class: "primary", onclick: close }, "Done")
          : [
              h(
                "button",
                { class: "primary", disabled: sight.busy || !complete() },
                sight.busy ? "Waiting for the workers …" : KINDS[kind].verb,
              ),
              h("button", { type: "button", onclick: close }, "Cancel"),
            ],
      ),
    );
  };
  const what = scopes.length === 1 ? named(scopes[0]) : plural(scopes.length, "route");
  openDialog(title || `${KINDS[kind].title}: ${what}`, content);
  look();
}

function named(scope) {
  return scope.all ? "everything" : Object.values(scope)[0];
}

function isPercent(text) {
  return /^\d{1,3}(\.\d{1,2})?$/.test(String(text)) && Number(text) <= 100;
}

function valueField(kind, form, onchange) {
  if (kind === "pin") {
    return h(
      "fieldset",
      { class: "radio-row" },
      h("legend", {}, "Side"),
      ["legacy", "new"].map((side) =>
        h(
          "label",
          {},
          h("input", {
            type: "radio",
            name: "side",
            value: side,
            checked: form.side === side,
            onchange: () => {
              form.side = side;
              onchange();
            },
          }),
          ` ${side}`,
        ),
      ),
    );
  }
  if (kind !== "weight" && kind !== "cap") return null;
  const set = (event) => {
    form.value = event.target.value;
    onchange();
  };
  return h(
    "div",
    { class: "field" },
    h(
      "label",
      { for: "order-value" },
      kind === "weight" ? "Weight of the new side, in percent" : "At most, in percent",
    ),
    h(
      "div",
      { class: "weight-row" },
      h("input", {
        id: "order-value",
        inputmode: "decimal",
        value: form.value,
        "data-first": "",
        "aria-invalid": form.value !== "" && !isPercent(form.value) ? "true" : null,
        oninput: set,
      }),
      h("input", {
        type: "range",
        min: "0",
        max: "100",
        step: "1",
        value: String(Math.round(Number(form.value)) || 0),
        "aria-label": "The same, by a slider",
        oninput: set,
      }),
    ),
    h(
      "div",
      { class: "chips", role: "group", "aria-label": "Usual weights" },
      [0, 1, 5, 10, 25, 50, 75, 100].map((each) =>
        h("button", { type: "button", class: "chip", value: String(each), onclick: set, key: each }, `${each} %`),
      ),
    ),
  );
}

function picker(label, choices, value, onchoose) {
  return h(
    "label",
    { class: "field" },
    h("span", {}, label),
    h(
      "select",
      { onchange: (event) => onchoose(event.target.value), value },
      Object.entries(choices).map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
    ),
  );
}

// Whatever needs nothing but a reason: `send(reason)` asks, and answers a change.
export function giveReason(title, verb, note, send) {
  const form = { reason: "" };
  const sight = { done: null, refused: null, busy: false };
  openDialog(title, (close, redraw) => {
    const give = async (event) => {
      event.preventDefault();
      if (sight.busy) return;
      Object.assign(sight, { busy: true, refused: null });
      redraw();
      try {
        sight.done = await send(form.reason.trim());
      } catch (error) {
        sight.refused = error;
      }
      sight.busy = false;
      refresh().catch(() => {});
      redraw();
    };
    if (sight.done) {
      return h(
        "div",
        { class: "order" },
        outcome(sight.done),
        h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: close }, "Done")),
      );
    }
    return h(
      "form",
      { class: "order", onsubmit: give },
      note ? h("p", {}, note) : null,
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
      actorField(redraw),
      sight.refused ? refusal(sight.refused) : null,
      h(
        "div",
        { class: "buttons" },
        h("button", { class: "primary", disabled: sight.busy }, sight.busy ? "Waiting for the workers …" : verb),
        h("button", { type: "button", onclick: close }, "Cancel"),
      ),
    );
  });
}

// -- lifting ----------------------------------------------------------------------------------------------------------

export function resumeOrder(order) {
  const form = { reason: "", weight: "" };
  const sight = { done: null, refused: null, busy: false };
  openDialog(`Resume ${order.id}: ${order.text}`, (close, redraw) => {
    const lift = async (event) => {
      event.preventDefault();
      if (sight.busy) return;
      Object.assign(sight, { busy: true, refused: null });
      redraw();
      const body = { reason: form.reason.trim() };
      if (form.weight !== "") body.weight = Number(form.weight);
      try {
        sight.done = await ask("DELETE", `/api/v1/orders/${order.id}`, body);
      } catch (error) {
        sight.refused = error;
        if (error instanceof Problem && error.allowed !== null) form.weight = String(error.allowed);
      }
      sight.busy = false;
      refresh().catch(() => {});
      redraw();
    };
    if (sight.done) {
      return h(
        "div",
        { class: "order" },
        outcome(sight.done),
        h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: close }, "Done")),
      );
    }
    return h(
      "form",
      { class: "order", onsubmit: lift },
      h(
        "p",
        {},
        `Given by ${order.actor}: “${order.reason}”. Without a weight, what was declared or ordered before holds again.`,
      ),
      h(
        "label",
        { class: "field" },
        h("span", {}, "Reason"),
        h("input", {
          required: true,
          "data-first": "",
          maxlength: "1000",
          value: form.reason,
          oninput: (event) => (form.reason = event.target.value),
        }),
      ),
      order.scope.site
        ? null
        : h(
            "label",
            { class: "field" },
            h("span", {}, "Begin again with a weight, in percent (may be left empty)"),
            h("input", {
              inputmode: "decimal",
              value: form.weight,
              pattern: "\\d{1,3}(\\.\\d{1,2})?",
              oninput: (event) => (form.weight = event.target.value),
            }),
          ),
      actorField(redraw),
      sight.refused ? refusal(sight.refused) : null,
      sight.refused?.allowed !== null && sight.refused?.allowed !== undefined
        ? h("p", {}, `A weight of ${percent(sight.refused.allowed)} would be allowed and is filled in.`)
        : null,
      h(
        "div",
        { class: "buttons" },
        h("button", { class: "primary", disabled: sight.busy }, sight.busy ? "Waiting for the workers …" : "Resume"),
        h("button", { type: "button", onclick: close }, "Cancel"),
      ),
    );
  });
}

export async function confirmOrder(id) {
  let shown;
  try {
    shown = outcome(await post(`/api/v1/orders/${id}/confirm`, {}));
  } catch (error) {
    shown = refusal(error);
  }
  refresh().catch(() => {});
  openDialog(`Confirm ${id === "file" ? "routes.yaml" : id}`, (close) =>
    h(
      "div",
      { class: "order" },
      shown,
      h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: close }, "Done")),
    ),
  );
}
