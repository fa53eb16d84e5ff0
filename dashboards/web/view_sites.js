// Places: where endpoints live, and how to take one out of traffic.
import { h } from "./dom.js";
import { missing } from "./parts.js";
export function sitesView() {
  return { title: "Sites", draw: () => [h("h1", {}, "Sites"), missing("The router does not tell about sites yet.")] };
}
