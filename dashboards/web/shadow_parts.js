// What shadow traffic has shown: how far the new side's answers differ, by the place in the answer.

import { h } from "./dom.js";
import { clock, count, percent, plural } from "./format.js";
import { badge, copyButton, missing, section } from "./parts.js";
import { stack } from "./plot.js";

const TITLE = "Shadow differences";
const VERDICTS = { matched: "matched", mismatched: "differed", not_comparable: "not comparable" };
const SEVERITY = { 1: ["minor", ""], 2: ["major", "warn"], 3: ["critical", "bad"] };
const SHOWN = 12;

export function shadowing(found) {
  if (found === undefined) return section(TITLE, missing("Asking …"));
  if (found.missing?.code === "http-404")
    return section(TITLE, missing("This router does not tell about shadow traffic."));
  if (found.missing) return section(TITLE, missing(`${found.missing.message}. ${sentence(found.missing.instead)}`));
  if (found.trouble) return section(TITLE, missing(found.trouble.message));
  if (!found.compared) return section(TITLE, missing("Nothing has been compared yet."), copies(found.copies));
  return section(TITLE, verdicts(found), places(found), rules(found.rules), copies(found.copies));
}

const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "");

function verdicts(found) {
  const parts = Object.entries(VERDICTS).map(([key, label]) => ({
    key: `v-${key}`,
    label,
    value: found.verdicts[key] || 0,
  }));
  const { parity, noise } = found;
  return [
    h(
      "p",
      {},
      `${plural(found.compared, "answer")} of ${found.legacy} and ${found.new} compared; the last at ${clock(found.until)}.`,
    ),
    stack(parts, "Verdicts"),
    h(
      "ul",
      { class: "stage-key" },
      parts.map((part) =>
        h(
          "li",
          { key: part.key },
          h("i", { class: `swatch ${part.key}` }),
          h("span", {}, part.label),
          h("b", {}, count(part.value)),
          h("small", {}, share(part.value, found.compared)),
        ),
      ),
    ),
    parity.paired
      ? h(
          "p",
          { class: "note" },
          `Legacy was asked twice ${count(parity.paired)} times: only new differed ${count(parity.only_sides)}, only legacy from itself ${count(parity.only_noise)}, both ${count(parity.both)}.`,
        )
      : null,
    noise.places?.length
      ? h(
          "p",
          { class: "note" },
          "Noise, where only type and shape count: ",
          noise.places.map(([path, kind]) => h("code", { key: path }, `${path} (${kind}) `)),
        )
      : null,
  ];
}

const share = (value, of) => (of ? percent(Math.round((10_000 * value) / of) / 100) : "–");

function places(found) {
  const listed = found.places.filter((place) => place.count);
  if (!listed.length) return h("p", { class: "calm" }, "No place differs.");
  return [
    h("h3", {}, "Where answers differ"),
    h(
      "ul",
      { class: "places" },
      listed.slice(0, SHOWN).map((place) => placeRow(place, found.compared)),
    ),
    listed.length > SHOWN
      ? h("p", { class: "note" }, `and ${listed.length - SHOWN} more: strangler shadow report ${found.route} --all`)
      : null,
  ];
}

function placeRow(place, compared) {
  const [label, kind] = SEVERITY[place.severity] || ["", ""];
  const types = Object.entries(place.types).map(([pair, number]) => `${pair} ${count(number)}`);
  return h(
    "li",
    { key: `${place.path} ${place.kind}` },
    h(
      "details",
      {},
      h(
        "summary",
        {},
        badge(kind, label),
        " ",
        h("code", {}, place.path),
        ` ${place.kind} · ${count(place.count)} (${share(place.count, compared)})`,
      ),
      types.length ? h("p", { class: "note" }, types.join(", ")) : null,
      place.samples.map((sample, index) =>
        h(
          "div",
          { key: index, class: "sample" },
          h(
            "p",
            {},
            h("code", { class: "side legacy" }, shown(sample.legacy)),
            " → ",
            h("code", { class: "side new" }, shown(sample.new)),
          ),
          copyButton(sample.command),
        ),
      ),
    ),
  );
}

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value)) ?? "nothing";

function rules(found) {
  if (!found.length) return null;
  return [
    h("h3", {}, "Rules, and what they hide"),
    h(
      "ul",
      {},
      found.map((rule) =>
        h(
          "li",
          { key: `${rule.path} ${rule.treat}` },
          h("code", {}, rule.path),
          ` ${rule.treat} (${rule.owner}, until ${rule.until}) `,
          rule.expired ? badge("warn", "expired: hides nothing any more") : `hid something in ${count(rule.hidden)}`,
        ),
      ),
    ),
  ];
}

function copies(found) {
  const dropped = Object.entries(found).filter(([reason]) => reason !== "copied");
  const said = dropped.map(([reason, number]) => `${reason.replaceAll("_", " ")} ${count(number)}`).join(", ");
  return h(
    "p",
    { class: "note" },
    `${count(found.copied || 0)} copies made${said ? `; not made or not used: ${said}` : ""}.`,
  );
}
