// Who changed what, when and why: every revision, what it moved, and the way back to it.

import { get, may, post } from "./api.js";
import { h } from "./dom.js";
import { ago, moment, percent, plural } from "./format.js";
import { giveReason } from "./orders.js";
import { action, badge, missing, moves, openDialog, refusal, routeLink } from "./parts.js";
import { changed, now, state } from "./store.js";

const PAGE = 50;

export function auditView(place) {
  const seen = { list: null, end: false, text: "", open: new Map(), newest: 0, trouble: "" };
  let asking = false;

  async function more() {
    if (asking || seen.end) return;
    asking = true;
    try {
      const before = seen.list?.length ? `&before=${seen.list.at(-1).revision}` : "";
      const { revisions } = await get(`/api/v1/revisions?limit=${PAGE}${before}`);
      seen.list = [...(seen.list || []), ...revisions];
      seen.end = revisions.length < PAGE;
    } catch (error) {
      seen.trouble = error.message;
    }
    asking = false;
    changed();
  }

  async function newer() {
    if (asking) return;
    asking = true;
    try {
      const { revisions } = await get(`/api/v1/revisions?limit=${PAGE}`);
      const known = new Set(seen.list.map((revision) => revision.revision));
      const fresh = revisions.filter((revision) => !known.has(revision.revision));
      seen.list = fresh.length === PAGE ? revisions : [...fresh, ...seen.list];
      if (fresh.length === PAGE) seen.end = false;
    } catch (error) {
      seen.trouble = error.message;
    }
    asking = false;
    changed();
  }

  async function open(number) {
    if (seen.open.has(number)) {
      seen.open.delete(number);
      return changed();
    }
    seen.open.set(number, null);
    changed();
    try {
      seen.open.set(number, await get(`/api/v1/revisions/${number}`));
    } catch (error) {
      seen.open.set(number, { trouble: error.message });
    }
    return changed();
  }

  more();
  if (/^\d+$/.test(place.argument)) open(Number(place.argument));
  return {
    title: "Audit",
    draw() {
      const revision = state.status?.revision || 0;
      if (seen.list && revision > seen.newest) {
        if (seen.newest) newer();
        seen.newest = revision;
      }
      const words = seen.text.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = (each) =>
        words.every((word) =>
          `${each.revision} ${each.actor} ${each.source} ${each.reason} ${each.summary} ${each.order ?? ""}`
            .toLowerCase()
            .includes(word),
        );
      let listed = (seen.list || []).filter(fits);
      const alone = Number(place.argument);
      if (alone && seen.list && !listed.some((each) => each.revision === alone)) {
        const found = seen.open.get(alone);
        if (found?.revision) listed = [found, ...listed];
      }
      return [
        h("h1", {}, "Audit"),
        h(
          "div",
          { class: "toolbar", role: "search" },
          h("input", {
            type: "search",
            class: "search",
            "aria-label": "Search what is listed",
            placeholder: "Search who, what, why",
            value: seen.text,
            oninput: (event) => {
              seen.text = event.target.value;
              changed();
            },
          }),
          h(
            "span",
            { class: "found", role: "status" },
            seen.list ? `${plural(listed.length, "revision")}${seen.end ? "" : " so far"}` : "",
          ),
        ),
        seen.trouble ? missing(seen.trouble) : null,
        h(
          "ol",
          { class: "revisions" },
          listed.map((revision) => entry(revision, seen, open, alone)),
        ),
        seen.end || !seen.list ? null : h("button", { type: "button", onclick: more }, "Older revisions"),
      ];
    },
  };
}

function entry(revision, seen, open, alone) {
  const number = revision.revision;
  const opened = seen.open.has(number);
  return h(
    "li",
    { key: number, class: `revision${alone === number ? " alone" : ""}` },
    h(
      "div",
      { class: "line" },
      h(
        "button",
        {
          type: "button",
          class: "quiet unfold",
          "aria-expanded": String(opened),
          "aria-label": `Revision ${number}`,
          onclick: () => open(number),
        },
        h("i", { "aria-hidden": "true" }),
        String(number),
      ),
      h("time", { title: moment(revision.at) }, ago(revision.at, now())),
      h("span", { class: "who-did" }, revision.actor),
      h(
        "span",
        { class: "what" },
        revision.order
          ? badge(revision.order.startsWith("R") ? "bad" : "", revision.order)
          : badge("", revision.source),
        ` ${summary(revision)}`,
      ),
      h("span", { class: "why" }, revision.reason ? `“${revision.reason}”` : ""),
      h("span", { class: "n" }, revision.changed_routes ? plural(revision.changed_routes, "route") : ""),
    ),
    opened ? detail(number, seen.open.get(number)) : null,
  );
}

// The first line, without the order that stands before it already.
function summary(revision) {
  const told = `${revision.order}: `;
  return revision.order && revision.summary.startsWith(told) ? revision.summary.slice(told.length) : revision.summary;
}

function detail(number, found) {
  if (!found) return missing("Asking …");
  if (found.trouble) return missing(found.trouble);
  const current = state.status?.revision === number;
  return h(
    "div",
    { class: "detail-box" },
    h("p", {}, `${moment(found.at)}, from ${found.source}`),
    h("pre", {}, found.lines.join("\n")),
    found.overridden?.length
      ? h(
          "p",
          {},
          h("b", {}, "Overridden: "),
          found.overridden.map((each) => `${each.rule} (${each.reason})`).join("; "),
        )
      : null,
    found.routes.length
      ? h(
          "ul",
          { class: "moves" },
          found.routes
            .slice(0, 12)
            .map((route) =>
              h(
                "li",
                {},
                state.byName.has(route.name) ? routeLink(route.name) : route.name,
                ` ${percent(route.before)} → ${percent(route.after)}`,
              ),
            ),
          found.routes.length > 12 ? h("li", {}, `and ${found.routes.length - 12} more`) : null,
        )
      : null,
    h(
      "div",
      { class: "buttons" },
      current ? null : h("button", { type: "button", onclick: () => compare(number) }, "What differs from now"),
      current || !may("editor") ? null : action("editor", "Restore …", () => restore(number)),
    ),
  );
}

async function compare(number) {
  let shown;
  try {
    const found = await get(`/api/v1/revisions/${number}/diff/${state.status.revision}`);
    shown = h(
      "div",
      {},
      h("p", {}, `From revision ${number} to what is in force (${state.status.revision}).`),
      found.changes.length ? h("pre", {}, found.changes.join("\n")) : h("p", {}, "routes.yaml is the same."),
      moves(found.routes, 20),
      found.orders_gone.map((order) => h("p", {}, `gone: ${order.id} ${order.text}`)),
      found.orders_given.map((order) => h("p", {}, `given: ${order.id} ${order.text}`)),
    );
  } catch (error) {
    shown = refusal(error);
  }
  openDialog(`What has changed since revision ${number}`, (close) =>
    h(
      "div",
      { class: "order" },
      shown,
      h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: close }, "Done")),
    ),
  );
}

function restore(number) {
  const note =
    "Its orders and its routes.yaml become a new revision. Rollbacks and freezes in force stay, and the file on the " +
    "disk is set aside until somebody edits it.";
  giveReason(`Restore revision ${number}`, "Restore", note, (reason) =>
    post(`/api/v1/revisions/${number}/restore`, { reason }),
  );
}
