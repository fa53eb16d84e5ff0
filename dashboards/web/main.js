// The page: which view is shown, and what stands above every view: is this live, what is rolled back, the way back.

import { session, setActor, signOut, whoAmI } from "./api.js";
import { announce, draw, h } from "./dom.js";
import { clock, plural, span } from "./format.js";
import { openDialog } from "./parts.js";
import { changed, follow, listen, now, state } from "./store.js";
import { auditView } from "./view_audit.js";
import { boardView } from "./view_board.js";
import { rollbackView } from "./view_rollback.js";
import { rolloutsView } from "./view_rollouts.js";
import { routeView } from "./view_route.js";
import { routesView } from "./view_routes.js";
import { sitesView } from "./view_sites.js";

const TABS = [
  ["board", "Board"],
  ["routes", "Routes"],
  ["sites", "Sites"],
  ["rollouts", "Rollouts"],
  ["audit", "Audit"],
];
const VIEWS = {
  board: boardView,
  routes: routesView,
  route: routeView,
  rollback: rollbackView,
  sites: sitesView,
  rollouts: rolloutsView,
  audit: auditView,
};

// {name, argument, query}: #/route/NAME?x=y
let place = where();
let view = null;

function where() {
  const [path, query] = (location.hash.replace(/^#\/?/, "") || "board").split("?");
  const [name, ...rest] = path.split("/");
  const argument = decoded(rest.join("/"));
  return { name: name in VIEWS ? name : "board", argument, query: new URLSearchParams(query || "") };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// A view is {title, draw(): tree, stop?()}; it lives as long as its place is shown.
function enter() {
  const next = where();
  const same = view && next.name === place.name && next.argument === place.argument;
  place = next;
  if (same) {
    view.moved?.(place);
    changed();
    return;
  }
  view?.stop?.();
  view = VIEWS[place.name](place);
  document.title = `${view.title} · strangler`;
  paint();
  const main = document.getElementById("main");
  main.scrollTop = 0;
  scrollTo(0, 0);
  if (entered) main.focus({ preventScroll: true });
  entered = true;
}

let entered = false;

function paint() {
  if (!view) return;
  draw(
    document.getElementById("app"),
    h("a", { class: "skip", href: "#main", onclick: skip }, "To the content"),
    header(),
    lostBanner(),
    h(
      "main",
      { id: "main", tabindex: "-1", class: `view-${place.name}${state.link === "lost" ? " old" : ""}` },
      state.status || state.link === "lost" ? view.draw() : h("p", { class: "waiting" }, "Asking the router …"),
    ),
  );
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function header() {
  const current = place.name === "route" ? "routes" : place.name;
  return h(
    "header",
    { class: "top" },
    h(
      "a",
      { class: "brand", href: "#/board" },
      h("img", { src: "/web/icon.svg", alt: "", width: "22", height: "22" }),
      "strangler",
    ),
    h(
      "nav",
      { "aria-label": "Views" },
      TABS.map(([name, label]) =>
        h("a", { href: `#/${name}`, "aria-current": current === name ? "page" : null, key: name }, label),
      ),
    ),
    h("div", { class: "spacer" }),
    link(),
    person(),
    h(
      "a",
      {
        class: `rollback-way${place.name === "rollback" ? " here" : ""}`,
        href: place.name === "route" ? `#/rollback?route=${encodeURIComponent(place.argument)}` : "#/rollback",
      },
      "Roll back",
    ),
  );
}

// Is what the page shows the present?
function link() {
  if (state.link === "lost") {
    return h("span", { class: "link lost" }, h("i", {}), `not live for ${span(now() - state.heard)}`);
  }
  if (!state.status) return h("span", { class: "link" }, h("i", {}), "connecting");
  const { workers, revision } = state.status;
  const late = workers.filter((worker) => !worker.confirmed).length;
  return h(
    "span",
    { class: `link live${late ? " late" : ""}` },
    h("i", {}),
    "live",
    h("span", { class: "detail" }, ` · revision ${revision} · `),
    late
      ? h("b", {}, `${plural(late, "worker")} not confirmed`)
      : h("span", { class: "detail" }, `${plural(workers.length, "worker")} confirmed`),
  );
}

function lostBanner() {
  if (state.link !== "lost") return null;
  const since = state.heard ? `What you see is from ${clock(state.heard)} and is not the present.` : "";
  return h(
    "div",
    { class: "lost-banner", role: "alert" },
    h("b", {}, "Connection lost. "),
    `${since} The workers go on without this page. Trying again …`,
    state.why ? h("small", {}, ` (${state.why})`) : null,
  );
}

function person() {
  if (session.open) {
    return h("button", { type: "button", class: "quiet who", onclick: askName }, session.name || "Who are you?");
  }
  return h(
    "span",
    { class: "who" },
    h("span", { class: "detail" }, `${session.name} · ${session.role}`),
    h("button", { type: "button", class: "quiet", onclick: () => signOut() }, "Sign out"),
  );
}

function askName() {
  openDialog("Your name", (close) =>
    h(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          setActor(event.target.elements.actor.value);
          changed();
          close();
        },
      },
      h("p", {}, "No tokens are in use here, so everybody says their name themselves. It stands in the history."),
      h(
        "label",
        { class: "field" },
        h("span", {}, "Name"),
        h("input", { name: "actor", value: session.name, "data-first": "" }),
      ),
      h("div", { class: "buttons" }, h("button", { class: "primary" }, "Keep")),
    ),
  );
}

// -- beginning --------------------------------------------------------------------------------------------------------

let spoken = "";

function speak() {
  if (state.link === spoken) return;
  if (state.link === "lost") announce("Connection lost. What is shown is not live.", true);
  else if (spoken === "lost") announce("Live again.");
  spoken = state.link;
}

async function begin() {
  document.body.append(
    Object.assign(document.createElement("div"), { id: "app" }),
    region("say", "polite"),
    region("say-now", "assertive"),
  );
  await whoAmI();
  addEventListener("hashchange", enter);
  listen(() => {
    speak();
    paint();
  });
  enter();
  follow();
  setInterval(changed, 1000);
}

function region(id, how) {
  const el = document.createElement("div");
  el.id = id;
  el.className = "unseen";
  el.setAttribute("aria-live", how);
  return el;
}

begin();
