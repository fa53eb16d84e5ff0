// Places: which sites take requests, how well they are, what is under way there, and how to take one out of traffic.

import { get, may, name as encoded, post } from "./api.js";
import { h } from "./dom.js";
import { clock, count, percent, plural, span } from "./format.js";
import { giveOrder, giveReason, resumeOrder } from "./orders.js";
import { action, badge, missing, routeLink, section } from "./parts.js";
import { changed, eachSample, now, state } from "./store.js";

const LEVEL = { up: "good", degraded: "warn", down: "bad", drain: "warn", off: "bad", rollback: "bad" };
const SAYS = { drain: "drained", off: "switched off", rollback: "rolled back" };

export function sitesView() {
  const seen = { found: null, trouble: "" };
  let asking = false;
  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      seen.found = await get("/api/v1/sites");
      seen.trouble = "";
    } catch (error) {
      seen.trouble = error.message;
    }
    asking = false;
    changed();
  };
  const stop = eachSample(ask);
  ask();
  return {
    title: "Sites",
    draw: () => [h("h1", {}, "Sites"), seen.found ? content(seen.found) : missing(seen.trouble || "Asking …")],
    stop,
  };
}

function content(found) {
  return [
    found.sites.length
      ? h("div", { class: "cards" }, found.sites.map(siteCard))
      : missing("No upstream lives in several places: routes.yaml names endpoints without sites."),
    changes(found.changes),
    found.endpoints.length ? section("Endpoints without a site", targets(found.endpoints)) : null,
  ];
}

// Where health, capacity or an order about a site makes requests go elsewhere than the shares say.
function changes(found) {
  if (!found.length) return null;
  return section(
    "What goes elsewhere",
    h(
      "ul",
      { class: "needs" },
      found.map((change) =>
        h(
          "li",
          { key: change.text, class: "need warn" },
          h("span", { class: "what" }, plural(change.count, "route")),
          h(
            "span",
            { class: "why" },
            `${change.text}: `,
            change.routes.slice(0, 3).map((route) => [routeLink(route), "  "]),
            change.count > 3 ? `and ${plural(change.count - 3, "more", "more")}` : "",
          ),
        ),
      ),
    ),
  );
}

function siteCard(site) {
  const order = site.order && state.status?.orders.find((each) => each.id === site.order);
  const closed = site.state in SAYS;
  const held = site.targets.some((target) => target.held);
  return h(
    "section",
    {
      key: site.name,
      class: `run ${LEVEL[site.state] === "good" ? "" : LEVEL[site.state]}`,
      "aria-label": `Site ${site.name}`,
    },
    h("h2", {}, site.name, " ", badge(LEVEL[site.state] || "", SAYS[site.state] || site.state)),
    site.reason ? h("p", {}, `${site.order}: “${site.reason}”`) : null,
    meter("weight", site.weight, 100, site.weight === null ? "equal" : String(site.weight)),
    meter("targets up", site.up, site.of, `${site.up} of ${site.of}`),
    h(
      "p",
      { class: "note" },
      site.exchanges === null
        ? "The workers do not say what is under way."
        : `${plural(site.exchanges, "exchange")} and ${plural(site.tunnels, "tunnel")} under way`,
      site.capacity === null || site.capacity === 100 ? "" : ` · sized for ${site.capacity} % of full traffic`,
    ),
    site.upstreams.map((each) =>
      h(
        "p",
        { class: "note", key: each.upstream },
        `${each.upstream}: ${percent(each.healthy)} healthy, takes ${percent(each.weight)}`,
      ),
    ),
    targets(site.targets),
    h(
      "div",
      { class: "buttons" },
      closed || !may("operator")
        ? null
        : [
            action("operator", "Drain …", () => giveOrder("drain", [{ site: site.name }]), { key: "drain" }),
            action("operator", "Switch off …", () => giveOrder("off", [{ site: site.name }]), { key: "off" }),
            h(
              "a",
              { key: "back", class: "like-button danger", href: `#/rollback?site=${encoded(site.name)}` },
              "Roll back …",
            ),
          ],
      closed || held ? action("operator", "On again …", () => on(site.name), { key: "on", class: "primary" }) : null,
      order && may("operator")
        ? h("button", { type: "button", key: "resume", onclick: () => resumeOrder(order) }, `Resume ${order.id} …`)
        : null,
    ),
  );
}

function on(site) {
  const note = "Lifts what closes the site, and brings back what waits for a person there.";
  giveReason(`Site ${site} on again`, "On again", note, (reason) =>
    post(`/api/v1/sites/${encoded(site)}/on`, { reason }),
  );
}

function meter(label, value, most, text) {
  const part = value === null || !most ? 0 : (100 * value) / most;
  return h(
    "div",
    { class: "meter" },
    h("span", {}, label),
    h("span", { class: "bar", "aria-hidden": "true" }, h("span", { style: { width: `${part}%` } })),
    h("span", { class: "n" }, text),
  );
}

function targets(found) {
  if (!found.length) return null;
  return h(
    "ul",
    { class: "targets" },
    found.map((target) =>
      h(
        "li",
        { key: `${target.upstream} ${target.endpoint} ${target.address}` },
        badge(target.status === "up" ? "good" : target.status === "down" ? "bad" : "warn", target.status),
        h(
          "span",
          {},
          `${target.upstream} `,
          h("code", {}, target.endpoint),
          target.address ? ` ${target.address}` : "",
        ),
        h("small", {}, words(target)),
        target.held ? action("operator", "May come back …", () => revive(target)) : null,
      ),
    ),
  );
}

function words(target) {
  const said = [target.probed ? `for ${span(now() - target.since)}` : "not probed"];
  if (target.level < 100) said.push(`takes ${percent(target.level)}`);
  if (target.why) said.push(target.why);
  if (target.held) said.push("waits for a person");
  if (target.back_at) said.push(`back at ${clock(target.back_at)} at the earliest`);
  if (target.went_down) said.push(`down ${count(target.went_down)} times`);
  return said.join(", ");
}

function revive(target) {
  const place = target.address || target.endpoint;
  giveReason(`${place} may come back`, "May come back", "It takes requests as soon as probes succeed.", (reason) =>
    post("/api/v1/places/revive", { place, reason }),
  );
}
