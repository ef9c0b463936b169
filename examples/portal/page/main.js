// The page: who is signed in, what happens while the service is away, and the forms for the password.

import { askForCode, clearFactor, loadFactor, wireFactor } from "./factor.js";
import { jobsGoOn, load, loadJobs, wire } from "./lists.js";
import { clearToken, wireScripts } from "./scripts.js";
import { Away, Refused, SERVICE, SignedOut, call, isSignedIn, onChangeElsewhere, signIn, signOut, user } from "./session.js";
import { loadTerms, wireTerms } from "./terms.js";
import { byId, clearProblem, say, showProblem } from "./view.js";

const RETRY_MS = 2000;
const JOBS_MS = 2000;
const needsFactor = document.querySelectorAll(".needs-factor"); // hidden while a second factor is required and missing

let retry = null; // the timer of the next attempt, while the service is away

// Run the action. A session that has ended leads to the form; a service that is away leads nowhere: it is tried again.
async function attempt(action) {
  try {
    await action();
  } catch (problem) {
    if (problem instanceof SignedOut) return showForm("Your session has ended. Please sign in again.");
    if (problem instanceof Refused && isNewlyRestricted()) return attempt(show);
    if (problem instanceof Refused) return say("That did not work. Please try again.");
    if (!(problem instanceof Away)) throw problem;
    return waitForService();
  }
}

// A second factor is required of this person since the last access token.
function isNewlyRestricted() {
  return isSignedIn() && !user().twoFactorAuthentication && !needsFactor[0].hidden;
}

function waitForService() {
  const next = isSignedIn() ? "You stay signed in. Trying again…" : "Please try again in a moment.";
  byId("away").textContent = `The sign-in service cannot be reached. ${next}`;
  if (isSignedIn()) retry ??= setTimeout(() => ((retry = null), attempt(show)), RETRY_MS);
}

function isBack() {
  if (!byId("away").textContent) return;
  byId("away").textContent = "";
  say("The sign-in service is back.");
}

function showForm(text, focus = byId("signed-out").querySelector("h1")) {
  byId("away").textContent = "";
  byId("signed-in").hidden = byId("account").hidden = true;
  byId("signed-out").hidden = false;
  clearSecrets();
  say(text, focus);
}

function clearSecrets() {
  clearFactor();
  clearToken();
}

// What the signed-in person sees. While the service is away that is what was there before.
async function show() {
  byId("signed-out").hidden = true;
  byId("signed-in").hidden = byId("account").hidden = false;
  await loadFactor(); // and the access token, whose claims say what else may be loaded
  const { sub, firstNames, twoFactorAuthentication } = user();
  for (const part of needsFactor) part.hidden = !twoFactorAuthentication;
  await Promise.all([loadTerms(), twoFactorAuthentication && load()]);
  byId("name").textContent = sub;
  byId("signed-in").querySelector("h1").textContent = `Welcome, ${firstNames}`;
  byId("change-password").elements.username.value = sub;
  isBack();
}

async function welcome(text = "You are signed in.") {
  await show();
  say(text, byId("signed-in").querySelector("h1"));
}

async function start() {
  if (!isSignedIn()) return showForm("", null);
  await attempt(show);
}

// Backups go on by themselves, and so does their list.
async function follow() {
  if (jobsGoOn && byId("jobs").checkVisibility() && !document.hidden) await attempt(loadJobs);
  setTimeout(follow, JOBS_MS);
}

function onSubmit(form, action) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearProblem(form);
    if (!isSignedIn()) byId("away").textContent = "";
    say("");
    attempt(action);
  });
}

onSubmit(byId("sign-in"), async () => {
  const form = byId("sign-in");
  const { username, password } = form.elements;
  let challenge;
  try {
    challenge = await signIn(username.value, password.value);
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem;
    return showProblem(form, problem, password, { INCORRECT_CREDENTIALS: "User name or password is wrong." });
  }
  form.reset();
  if (challenge) return askForCode(challenge);
  await welcome();
});

onSubmit(byId("change-password"), async () => {
  const form = byId("change-password");
  const { current, new: fresh } = form.elements;
  try {
    await call("POST", `${SERVICE}/auth/password`, { currentPassword: current.value, newPassword: fresh.value });
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem;
    const wrong = problem.code === "INCORRECT_CREDENTIALS" || problem.status === 429 ? current : fresh;
    return showProblem(form, problem, wrong, { INCORRECT_CREDENTIALS: "The current password is wrong." });
  }
  form.reset();
  await load();
  say("Your password has changed. All other sessions, and all that acted for you, have ended.", byId("password-title"));
});

byId("sign-out").addEventListener("click", () =>
  attempt(async () => {
    await signOut();
    showForm("You are signed out.");
  }),
);

wire(attempt);
wireTerms(attempt, show);
wireScripts(onSubmit);
wireFactor({ attempt, onSubmit, show, showForm, welcome });
onChangeElsewhere(() => {
  clearSecrets();
  start();
});
start();
follow();
