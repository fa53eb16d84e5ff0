// Rollouts: what moves by itself, and why.
import { h } from "./dom.js";
import { missing } from "./parts.js";
export function rolloutsView() {
  return { title: "Rollouts", draw: () => [h("h1", {}, "Rollouts"), missing("The router does not tell about rollouts yet.")] };
}
