// The way in: a token opens a session, whose cookie is all that the browser keeps.

const form = document.forms[0];
const says = document.getElementById("says");
const token = document.getElementById("token");

async function signIn() {
  const headers = { Authorization: `Bearer ${token.value.trim()}` };
  const answer = await fetch("/api/v1/session", { method: "POST", headers });
  token.value = "";
  const problem = await answer.json();
  if (answer.ok && problem.role === "metrics") {
    says.textContent = "This token may read the metrics and nothing else.";
    return;
  }
  if (answer.ok) {
    location.replace("/" + location.hash);
    return;
  }
  if (problem.code === "no-tokens") location.replace("/" + location.hash);
  says.textContent = answer.status === 401 ? "This token is not known, or has ended." : problem.detail;
  token.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  says.textContent = "";
  signIn().catch(() => {
    says.textContent = "The router does not answer. Is the admin address reachable?";
  });
});
