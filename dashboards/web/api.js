// Asks the admin address.  Who is signed in, what they may do, and every refusal as a Problem.

const LIMIT = 15_000;
const RANK = { anybody: 0, viewer: 1, operator: 2, editor: 3 };

export const session = { name: "", role: "viewer", csrf: "", open: false, known: false };

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || `the router answered ${status}`);
    this.status = status;
    this.code = body.code || "";
    this.instead = body.instead || "";
    this.violations = body.violations || [];
    this.allowed = body.allowed ?? null;
    this.problems = body.problems || [];
  }
}

// May this person do what needs the role?
export function may(role) {
  return (RANK[session.role] ?? 0) >= RANK[role];
}

export async function whoAmI() {
  const answer = await fetch("/api/v1/session", { signal: AbortSignal.timeout(LIMIT) });
  if (answer.status === 401) return toTheWayIn();
  if (answer.ok) Object.assign(session, await answer.json(), { open: false, known: true });
  else Object.assign(session, { name: localStorage.getItem("actor") || "", role: "editor", open: true, known: true });
  return session;
}

export function toTheWayIn() {
  location.replace("/login" + location.hash);
  return new Promise(() => {});
}

export async function signOut() {
  await ask("DELETE", "/api/v1/session");
  return toTheWayIn();
}

// Without tokens people say their names themselves; headers are ASCII.
export function setActor(name) {
  session.name = name
    .replace(/[^ -~]/g, "")
    .trim()
    .slice(0, 100);
  localStorage.setItem("actor", session.name);
}

export async function ask(method, path, body, more = {}) {
  const headers = { Accept: "application/json", ...more.headers };
  if (body !== undefined) headers["Content-Type"] = more.type || "application/json";
  if (session.csrf) headers["X-Strangler-CSRF"] = session.csrf;
  if (session.open && session.name) headers["X-Strangler-Actor"] = session.name;
  const answer = await fetch(path, {
    method,
    headers,
    body: body === undefined ? undefined : more.type ? body : JSON.stringify(body),
    cache: method === "GET" && !more.cached ? "no-store" : "default",
    signal: more.signal || AbortSignal.timeout(LIMIT),
  });
  if (answer.status === 401) return toTheWayIn();
  const text = await answer.text();
  const found = text ? parsed(text) : {};
  if (!answer.ok) throw new Problem(answer.status, found);
  return found;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { detail: "the answer is not JSON" };
  }
}

export const get = (path, more) => ask("GET", path, undefined, more);
export const post = (path, body, more) => ask("POST", path, body, more);

export const name = encodeURIComponent;
