// Rollouts in plain words: where a run is, what its evidence says.

import { h } from "./dom.js";
import { missing, section } from "./parts.js";

export function evidence(found) {
  if (found === undefined) return section("Evidence", missing("Asking …"));
  if (found.missing) return section("Evidence", missing("No rollout has this route: its weight is moved by people."));
  if (found.trouble) return section("Evidence", missing(found.trouble.message));
  return section("Evidence", h("pre", {}, JSON.stringify(found, null, 1)));
}
