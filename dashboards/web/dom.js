// Draws: a tree of plain values becomes elements, and the next tree changes only what differs.
//
//   h("button", { class: "primary", onclick: save, key: "save" }, "Save")
//   draw(host, [tree, ...])
//
// Text is only ever text.  Properties that begin with "on" are listeners; `style` is an object of CSS properties;
// `mount: (element) => unmount` runs when an element appears, and what it returns when it goes; `update: (element)`
// runs after every drawing.

const SVG = "http://www.w3.org/2000/svg";
const AS_PROPERTY = new Set(["value", "checked", "disabled", "open", "hidden", "selected", "indeterminate"]);

export function h(tag, props, ...children) {
  return { tag, props: props || {}, children: flat(children, []), key: props?.key, el: null };
}

function flat(children, into) {
  for (const child of children) {
    if (Array.isArray(child)) flat(child, into);
    else if (child === null || child === undefined || child === false || child === true) continue;
    else into.push(typeof child === "object" ? child : { text: String(child), el: null });
  }
  return into;
}

export function draw(host, ...children) {
  const next = flat(children, []);
  patchChildren(host, host.drawn || [], next, host.namespaceURI === SVG);
  host.drawn = next;
}

function create(node, svg) {
  if (node.tag === undefined) return (node.el = document.createTextNode(node.text));
  const inSvg = svg || node.tag === "svg";
  const el = inSvg ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  node.el = el;
  for (const child of node.children) el.append(create(child, inSvg));
  for (const [name, value] of Object.entries(node.props)) setProp(el, name, undefined, value, inSvg);
  if (node.props.mount) queueMicrotask(() => (node.gone ? null : (el.unmount = node.props.mount(el))));
  if (node.props.update) queueMicrotask(() => node.props.update(el));
  return el;
}

function patch(old, node, svg) {
  if (old === node) return; // the same tree again: nothing can differ
  const el = (node.el = old.el);
  if (node.tag === undefined) {
    if (old.text !== node.text) el.data = node.text;
    return;
  }
  const inSvg = svg || node.tag === "svg";
  patchChildren(el, old.children, node.children, inSvg);
  for (const name of Object.keys(old.props)) {
    if (!(name in node.props)) setProp(el, name, old.props[name], undefined, inSvg);
  }
  for (const [name, value] of Object.entries(node.props)) {
    if (value !== old.props[name] || name === "value" || name === "checked") {
      setProp(el, name, old.props[name], value, inSvg);
    }
  }
  if (node.props.update) queueMicrotask(() => node.props.update(el));
}

function patchChildren(host, before, after, svg) {
  const keyed = new Map();
  for (const node of before) if (node.key !== undefined) keyed.set(node.key, node);
  const loose = before.filter((node) => node.key === undefined);
  const used = new Set();
  let position = 0;
  let at = before.length ? before[0].el : null;
  if (at && at.parentNode !== host) at = null;
  for (const node of after) {
    let old = node.key === undefined ? loose[position] : keyed.get(node.key);
    if (node.key === undefined) position += 1;
    if (old && (old.tag !== node.tag || used.has(old))) old = undefined;
    if (old) {
      used.add(old);
      patch(old, node, svg);
    } else {
      create(node, svg);
    }
    if (node.el === at) at = at.nextSibling;
    else host.insertBefore(node.el, at);
  }
  for (const node of before) if (!used.has(node)) remove(node);
}

function remove(node) {
  leave(node);
  node.el.remove();
}

function leave(node) {
  node.gone = true;
  node.el.unmount?.();
  for (const child of node.children || []) leave(child);
}

function setProp(el, name, old, value, svg) {
  if (name === "key" || name === "mount" || name === "update") return;
  if (name.startsWith("on")) el[name] = value || null;
  else if (name === "style") setStyle(el, old || {}, value || {});
  else if (!svg && AS_PROPERTY.has(name)) {
    const wanted = value === undefined ? (name === "value" ? "" : false) : value;
    if (el[name] !== wanted) el[name] = wanted;
  } else if (value === undefined || value === null || value === false) el.removeAttribute(name);
  else el.setAttribute(name, value === true ? "" : value);
}

function setStyle(el, old, value) {
  for (const name of Object.keys(old)) if (!(name in value)) el.style.removeProperty(name);
  for (const [name, wanted] of Object.entries(value)) {
    if (old[name] !== wanted) el.style.setProperty(name, wanted);
  }
}

// Says something to those who listen to the page instead of looking at it.
export function announce(text, assertive = false) {
  const region = document.getElementById(assertive ? "say-now" : "say");
  if (region) region.textContent = text;
}
