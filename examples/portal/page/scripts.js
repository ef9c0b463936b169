// Tokens for scripts: this card makes them. The list "Who acts for me" shows and ends them.

import { loadDelegations } from "./lists.js";
import { Refused, SERVICE, call } from "./session.js";
import { byId, copy, element, say, showProblem } from "./view.js";

const SCOPES = ["files:read"];

export function wireScripts(onSubmit) {
  onSubmit(byId("make-token"), makeToken);
  document.addEventListener("click", ({ target }) => {
    if (target.matches("button:not(#copy-token)")) clearToken(); // the token is on the page until the next action
  });
}

export function clearToken() {
  byId("made-token").replaceChildren();
}

async function makeToken() {
  const form = byId("make-token");
  const { title, days } = form.elements;
  let made;
  try {
    made = await call("POST", `${SERVICE}/auth/tokens`, { title: title.value, scopes: SCOPES, days: days.valueAsNumber });
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem;
    return showProblem(form, problem, title, { INVALID_REQUEST: "The title is too long. Use at most 100 characters." });
  }
  form.reset();
  await loadDelegations();
  showToken(made.token);
}

function showToken(token) {
  const button = element("button", { id: "copy-token", class: "quiet", click: () => copy(token, "token") }, "Copy the token");
  byId("made-token").replaceChildren(
    element("p", {}, "Keep the token. It is shown only now."),
    element("p", { class: "title" }, element("code", { id: "token" }, token), " ", button),
  );
  say("The token is ready.", button);
}
