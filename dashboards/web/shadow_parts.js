// What shadow traffic has shown: how far the new side's answers differ, by the place in the answer.

import { h } from "./dom.js";
import { missing, section } from "./parts.js";

export function shadowing(found) {
  if (found === undefined) return section("Shadow differences", missing("Asking …"));
  if (found.missing) return section("Shadow differences", missing("Nothing of this route is shadowed."));
  if (found.trouble) return section("Shadow differences", missing(found.trouble.message));
  return section("Shadow differences", h("pre", {}, JSON.stringify(found, null, 1)));
}
