// The terms of use: shown to those who have not accepted the latest version.

import { SERVICE, call, refresh, user } from "./session.js";
import { byId, say } from "./view.js";

let version = null; // of the terms on the page

export function wireTerms(attempt, show) {
  byId("accept").addEventListener("click", () => attempt(() => accept(show)));
}

export async function loadTerms() {
  const isAccepted = user().serviceLicenseAgreement;
  const terms = isAccepted ? { version: null, text: "" } : await call("GET", `${SERVICE}/api/sla`);
  version = terms.version;
  byId("terms-text").textContent = terms.text;
  byId("terms").hidden = isAccepted;
}

async function accept(show) {
  try {
    await call("POST", `${SERVICE}/api/sla/accept`, { version });
  } catch (problem) {
    if (problem.code !== "WRONG_SLA_VERSION") throw problem;
    await loadTerms();
    return say("The terms have changed. Please read them again.", byId("terms-title"));
  }
  await refresh();
  await show();
  say("You have accepted the terms.", byId("signed-in").querySelector("h1"));
}
