// A table of any length, of which only the rows in sight exist.
//
// The focus stays on the table and points at a row (aria-activedescendant), so it survives scrolling; arrows, page keys,
// Home and End move it, Enter opens, the space bar selects.

import { draw, h } from "./dom.js";

const AROUND = 8; // rows beyond either edge

export class Grid {
  // columns: [{key, label, title?, sort?, cell(row), class?}]
  constructor({ id, label, columns, rowHeight, key, open, toggle, sortBy, empty }) {
    Object.assign(this, { id, label, columns, rowHeight, keyOf: key, open, toggle, sortBy, empty });
    this.rows = [];
    this.selected = new Set();
    this.sort = { key: "", down: false };
    this.at = 0;
    this.waiting = false;
    this.drawn = new Map(); // rows as they were drawn last, as long as nothing but the place has changed
  }

  mount(host) {
    this.host = host;
    draw(
      host,
      h("div", {
        class: "grid",
        id: this.id,
        role: "grid",
        tabindex: "0",
        "aria-label": this.label,
        "aria-multiselectable": this.toggle ? "true" : null,
        onscroll: () => this.soon(),
        onkeydown: (event) => this.pressed(event),
        onfocus: () => this.soon(),
        onblur: () => this.soon(),
      }),
    );
    this.scroller = host.firstChild;
    const watcher = new ResizeObserver(() => this.soon());
    watcher.observe(this.scroller);
    this.paint();
    return () => {
      watcher.disconnect();
      this.scroller = null;
    };
  }

  // Rows whose content may have changed.
  show(rows) {
    this.rows = rows;
    this.at = Math.min(this.at, Math.max(0, rows.length - 1));
    this.renew();
  }

  renew() {
    this.drawn.clear();
    this.paint();
  }

  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const el = this.scroller;
    if (!el) return;
    const head = 30;
    const first = Math.max(0, Math.floor((el.scrollTop - head) / this.rowHeight) - AROUND);
    const last = Math.min(this.rows.length, Math.ceil((el.scrollTop + el.clientHeight) / this.rowHeight) + AROUND);
    const shown = this.rows.slice(first, last);
    const slots = Math.ceil(el.clientHeight / this.rowHeight) + 2 * AROUND + 2; // always more than are shown
    el.setAttribute("aria-rowcount", String(this.rows.length + 1));
    el.setAttribute("aria-colcount", String(this.columns.length));
    const active = this.rows[this.at];
    const inSight = active && this.at >= first && this.at < last;
    if (inSight) el.setAttribute("aria-activedescendant", `${this.id}-${this.at}`);
    else el.removeAttribute("aria-activedescendant");
    draw(
      el,
      h("div", { role: "rowgroup", class: "grid-head" }, this.head()),
      h(
        "div",
        {
          role: "rowgroup",
          class: "grid-body",
          style: { height: `${this.rows.length * this.rowHeight}px` },
        },
        shown.map((row, index) => this.known(row, first + index, (first + index) % slots)),
      ),
      this.rows.length ? null : h("p", { class: "empty" }, this.empty()),
    );
  }

  head() {
    return h(
      "div",
      { role: "row", class: "grid-row", "aria-rowindex": "1" },
      this.columns.map((column) => {
        const sorted = this.sort.key === column.key;
        const direction = sorted ? (this.sort.down ? "descending" : "ascending") : "none";
        return h(
          "span",
          {
            role: "columnheader",
            class: `cell ${column.class || ""}`,
            "aria-sort": column.sort ? direction : null,
            title: column.title,
          },
          column.sort
            ? h(
                "button",
                { class: "sort", tabindex: "-1", onclick: () => this.sortBy(column.key) },
                column.label,
                h("i", { class: sorted ? (this.sort.down ? "down" : "up") : "", "aria-hidden": "true" }),
              )
            : (column.head?.() ?? column.label),
        );
      }),
    );
  }

  known(row, index, slot) {
    const current = index === this.at && document.activeElement === this.scroller;
    const known = this.drawn.get(index);
    if (known && known.current === current && known.slot === slot) return known.tree;
    const tree = this.row(row, index, slot, current);
    if (this.drawn.size > 500) this.drawn.clear();
    this.drawn.set(index, { tree, current, slot });
    return tree;
  }

  row(row, index, slot, current) {
    const chosen = this.selected.has(this.keyOf(row));
    return h(
      "div",
      {
        key: slot,
        role: "row",
        id: `${this.id}-${index}`,
        class: `grid-row${chosen ? " chosen" : ""}${current ? " current" : ""}${row.loud ? " loud" : ""}`,
        "aria-rowindex": String(index + 2),
        "aria-selected": this.toggle ? String(chosen) : null,
        style: { transform: `translateY(${index * this.rowHeight}px)`, height: `${this.rowHeight}px` },
        onclick: (event) => this.clicked(event, index),
      },
      this.columns.map((column) =>
        h("span", { role: "gridcell", class: `cell ${column.class || ""}` }, column.cell(row)),
      ),
    );
  }

  clicked(event, index) {
    if (event.target.closest("a, button, input, label")) return;
    this.at = index;
    this.scroller.focus({ preventScroll: true });
    this.open(this.rows[index]);
  }

  pressed(event) {
    if (event.target !== this.scroller || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.at, End: this.rows.length };
    const row = this.rows[this.at];
    if (event.key in steps) this.move(this.at + steps[event.key]);
    else if (event.key === "Enter" && row) this.open(row);
    else if (event.key === " " && row && this.toggle) this.toggle(row);
    else return;
    event.preventDefault();
  }

  move(to) {
    this.at = Math.max(0, Math.min(this.rows.length - 1, to));
    const el = this.scroller;
    const top = this.at * this.rowHeight;
    const seen = el.clientHeight - 30;
    if (top < el.scrollTop) el.scrollTop = top;
    else if (top + this.rowHeight > el.scrollTop + seen) el.scrollTop = top + this.rowHeight - seen;
    this.paint();
  }
}
