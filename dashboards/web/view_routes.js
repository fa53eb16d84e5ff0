// All routes: find them, compare both sides, change what they weigh.  1,500 of them scroll like ten.

import { may } from "./api.js";
import { h } from "./dom.js";
import { InSight, latestOf, measuredOf, rateOf, watchRates } from "./figures.js";
import { count, errorPercent, ms, percent, plural, rate } from "./format.js";
import { Grid } from "./grid.js";
import { giveOrder } from "./orders.js";
import { action, routeHref } from "./parts.js";
import { shareBar, spark } from "./plot.js";
import { changed, state } from "./store.js";

const ROW = 46;
const FILTERS = {
  all: ["All", () => true],
  moving: ["Moving", (route) => route.effective > 0 && route.effective < 100],
  legacy: ["On legacy", (route) => route.effective === 0],
  done: ["On new", (route) => route.effective === 100],
  ordered: ["Under an order", (route) => route.order !== null || route.ordered !== null],
  failing: ["With errors", (route) => worst(route) > 0],
};

function worst(route) {
  const { legacy, new: fresh } = latestOf(route.name);
  return Math.max(legacy.errors ?? 0, fresh.errors ?? 0);
}

const SORTS = {
  name: (route) => route.name.toLowerCase(),
  group: (route) => route.group,
  share: (route) => route.effective,
  measured: (route) => measuredOf(route.name) ?? -1,
  rate: (route) => rateOf(route.name).total,
  errors: (route) => worst(route),
  p99: (route) => Math.max(latestOf(route.name).new.p99 ?? -1, latestOf(route.name).legacy.p99 ?? -1),
};

// How the list was left, for who comes back to it.
const kept = { text: "", group: "", filter: "all", sort: { key: "", down: false }, top: 0 };

export function routesView(place) {
  const inSight = new InSight(60);
  const stopRates = watchRates();
  if (place.query.has("group")) kept.group = place.query.get("group");
  if (place.query.has("filter")) kept.filter = place.query.get("filter") in FILTERS ? place.query.get("filter") : "all";
  let order = null; // the rows as they stand; figures change them only when somebody asks
  let last = "";

  const grid = new Grid({
    id: "routes",
    label: "Routes",
    rowHeight: ROW,
    key: (route) => route.name,
    open: (route) => (location.hash = routeHref(route.name).slice(1)),
    toggle: may("operator") ? toggle : null,
    sortBy: (key) => {
      kept.sort = { key, down: kept.sort.key === key ? !kept.sort.down : key !== "name" && key !== "group" };
      order = null;
      changed();
    },
    empty: () => (state.routes.length ? "No route is like that." : "There are no routes."),
    columns: columns(),
  });

  function columns() {
    const select = {
      key: "select",
      label: "Select",
      class: "c-select",
      head: () => {
        const chosen = grid.rows.length > 0 && grid.rows.every((route) => grid.selected.has(route.name));
        return h("input", {
          type: "checkbox",
          tabindex: "-1",
          "aria-label": "Select all that are listed",
          checked: chosen,
          onchange: () => {
            for (const route of grid.rows) {
              if (chosen) grid.selected.delete(route.name);
              else grid.selected.add(route.name);
            }
            changed();
          },
        });
      },
      cell: (route) =>
        h("input", {
          type: "checkbox",
          tabindex: "-1",
          "aria-label": `Select ${route.name}`,
          checked: grid.selected.has(route.name),
          onchange: () => toggle(route),
        }),
    };
    const found = [
      {
        key: "name",
        label: "Route",
        sort: true,
        class: "c-name",
        cell: (route) => [
          h("a", { href: routeHref(route.name), tabindex: "-1", class: "name", title: route.name }, route.name),
          h(
            "span",
            { class: "sub" },
            route.group ? `${route.group} · ` : "",
            route.name.endsWith(route.path) ? route.new || "no new side" : route.path,
          ),
        ],
      },
      {
        key: "share",
        label: "New side",
        title:
          "what is in force; the bar has a notch where something else is declared or ordered, a dot for what is measured",
        sort: true,
        class: "c-share",
        cell: (route) => {
          const measured = measuredOf(route.name);
          return [
            h(
              "span",
              { class: "line1" },
              h("b", {}, percent(route.effective)),
              shareBar(route, measured),
              causeOf(route),
            ),
            h(
              "span",
              { class: "sub" },
              `declared ${route.declared}`,
              route.ordered === null ? "" : ` · ordered ${route.ordered}`,
              measured === null ? " %" : ` · measured ${Math.round(measured)} %`,
            ),
          ];
        },
      },
      two("rate", "Requests/s", (side, route) => rate(rateOf(route.name)[side]), "rate", 0.5),
      two("errors", "Errors", (side, route) => errorPercent(latestOf(route.name)[side].errors), "errors", 1),
      two(
        "p99",
        "p50 / p99",
        (side, route) => {
          const { p50, p99 } = latestOf(route.name)[side];
          return p99 === null ? "–" : `${ms(p50)} / ${ms(p99)}`;
        },
        "p99",
        10,
        "c-wide",
      ),
      {
        key: "do",
        label: "Weight",
        class: "c-do",
        cell: (route) =>
          route.new
            ? h(
                "button",
                {
                  type: "button",
                  class: "small",
                  tabindex: "-1",
                  "aria-label": `Weight of ${route.name}`,
                  onclick: () => giveOrder("weight", [{ route: route.name }], { value: String(route.effective) }),
                },
                "Weight …",
              )
            : null,
      },
    ];
    return may("operator") ? [select, ...found] : found.slice(0, -1);
  }

  // Both sides' numbers, one below the other, beside a plot of the last ten minutes.
  function two(key, label, text, field, floor, more = "") {
    return {
      key,
      label,
      sort: true,
      class: `c-two ${more}`,
      cell: (route) => {
        const series = inSight.of(route.name);
        return h(
          "span",
          { class: "two" },
          h(
            "span",
            { class: "pairs" },
            h("span", { class: "legacy" }, h("span", { class: "unseen" }, "legacy "), text("legacy", route)),
            h("span", { class: "new" }, h("span", { class: "unseen" }, "new "), text("new", route)),
          ),
          spark({ legacy: series?.legacy[field] ?? [], new: series?.new[field] ?? [] }, { floor }),
        );
      },
    };
  }

  function toggle(route) {
    if (grid.selected.has(route.name)) grid.selected.delete(route.name);
    else grid.selected.add(route.name);
    grid.renew();
    changed();
  }

  function rows() {
    const signature = `${kept.text}\n${kept.group}\n${kept.filter}\n${kept.sort.key}${kept.sort.down}`;
    const words = kept.text.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (route) => {
      const text = `${route.name}\n${route.path}\n${route.host}\n${route.group}\n${route.new ?? ""}`.toLowerCase();
      return words.every((word) => text.includes(word));
    };
    if (order === null || signature !== last || order.from !== state.routes) {
      let found = state.routes.filter((route) => !kept.group || route.group === kept.group);
      found = found.filter(FILTERS[kept.filter][1]).filter(fits);
      if (kept.sort.key) found = sorted(found, SORTS[kept.sort.key], kept.sort.down);
      order = { from: state.routes, rows: found };
      last = signature;
    }
    return order.rows;
  }

  function update() {
    grid.sort = kept.sort;
    grid.show(rows());
    plots();
  }

  // The plots of the rows in sight, and of a few around them.
  function plots() {
    if (!grid.scroller) return;
    const first = Math.max(0, Math.floor(grid.scroller.scrollTop / ROW) - 4);
    inSight.need(
      grid.rows.slice(first, first + Math.ceil(grid.scroller.clientHeight / ROW) + 12).map((route) => route.name),
    );
  }
  const whenScrolled = () => {
    kept.top = grid.scroller.scrollTop;
    plots.wait ??= setTimeout(() => {
      plots.wait = undefined;
      plots();
    }, 100);
  };

  return {
    title: "Routes",
    moved(next) {
      if (next.query.has("group")) kept.group = next.query.get("group");
    },
    draw() {
      queueMicrotask(update);
      return [
        h("h1", { class: "unseen" }, "Routes"),
        toolbar(rows().length, () => (order = null)),
        grid.selected.size ? chosenBar(grid) : null,
        h("div", {
          class: `grid-frame${may("operator") ? "" : " viewer"}`,
          key: "frame",
          mount: (el) => {
            const stop = grid.mount(el);
            grid.scroller.addEventListener("scroll", whenScrolled, { passive: true });
            grid.show(rows());
            grid.scroller.scrollTop = kept.top;
            update();
            return stop;
          },
        }),
      ];
    },
    stop() {
      inSight.stop();
      stopRates();
      clearTimeout(plots.wait);
    },
  };
}

function causeOf(route) {
  if (route.cause === "rollback") return h("span", { class: "badge bad" }, "rolled back");
  if (route.cause === "pin") return h("span", { class: "badge warn" }, "pinned");
  if (route.order) return h("span", { class: "badge" }, route.order);
  return null;
}

function sorted(routes, value, down) {
  const keyed = routes.map((route, index) => ({ route, index, value: value(route) }));
  keyed.sort((a, b) => {
    if (a.value !== b.value) return (a.value < b.value ? -1 : 1) * (down ? -1 : 1);
    return a.index - b.index;
  });
  return keyed.map((each) => each.route);
}

function toolbar(found, anew) {
  const set = (field) => (event) => {
    kept[field] = event.target.value;
    anew();
    changed();
  };
  return h(
    "div",
    { class: "toolbar", role: "search", key: "toolbar" },
    h("input", {
      type: "search",
      class: "search",
      "aria-label": "Search routes by name, path, group or upstream",
      placeholder: "Search name, path, group, upstream",
      value: kept.text,
      oninput: set("text"),
    }),
    h(
      "select",
      { "aria-label": "Group", onchange: set("group"), value: kept.group },
      h("option", { value: "" }, "all groups"),
      state.groups.map((group) => h("option", { value: group.name, key: group.name }, group.name)),
    ),
    h(
      "div",
      { class: "segments", role: "group", "aria-label": "Show" },
      Object.entries(FILTERS).map(([key, [label]]) =>
        h(
          "button",
          { type: "button", key, value: key, "aria-pressed": String(kept.filter === key), onclick: set("filter") },
          label,
        ),
      ),
    ),
    h("span", { class: "found", role: "status" }, `${count(found)} of ${count(state.routes.length)}`),
    h(
      "span",
      { class: "legend" },
      h("i", { class: "swatch legacy" }),
      "legacy ",
      h("i", { class: "swatch new" }),
      "new",
    ),
  );
}

// -- several at once --------------------------------------------------------------------------------------------------

function chosenBar(grid) {
  const names = [...grid.selected].filter((name) => state.byName.has(name));
  const scopes = scopesOf(names);
  const give = (kind, more) => () => giveOrder(kind, scopes, more);
  return h(
    "div",
    { class: "chosen-bar", role: "region", "aria-label": "Selected routes", key: "chosen" },
    h("b", {}, `${plural(names.length, "route")} selected`),
    scopes.length < names.length ? h("span", { class: "note" }, `as ${plural(scopes.length, "order")}`) : null,
    action("operator", "Weight …", give("weight"), { key: "weight" }),
    action("operator", "Cap …", give("cap"), { key: "cap" }),
    action("operator", "Freeze …", give("freeze"), { key: "freeze" }),
    action("operator", "Roll back …", give("rollback"), { class: "danger", key: "rollback" }),
    h(
      "button",
      {
        type: "button",
        class: "quiet",
        onclick: () => {
          grid.selected.clear();
          grid.renew();
          changed();
        },
      },
      "Clear",
    ),
  );
}

// Whole groups as one scope each, which the router takes in one step; the rest by name.
function scopesOf(names) {
  const chosen = new Set(names);
  if (names.length === state.routes.length) return [{ all: true }];
  const whole = new Set(state.groups.map((group) => group.name));
  for (const route of state.routes) if (!chosen.has(route.name)) whole.delete(route.group);
  const rest = names.filter((name) => !whole.has(state.byName.get(name).group));
  return [...[...whole].map((group) => ({ group })), ...rest.map((route) => ({ route }))];
}
