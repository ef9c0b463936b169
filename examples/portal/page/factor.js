// The second factor: the code at sign-in, and the card where people set a factor up and remove it.

import { Refused, SERVICE, answerChallenge, call, refresh, user } from "./session.js";
import { byId, clearProblem, copy, problemText, say, showProblem } from "./view.js";

// Refusals of what the page offers: the factor has changed since it was shown.
const CHANGED = ["INVALID_CHALLENGE", "SECOND_FACTOR_CONNECTED", "SECOND_FACTOR_NOT_CONNECTED"];

let page; // functions of main.js
let challenge = null; // of a sign-in with the right password

export function wireFactor(functions) {
  page = functions;
  page.onSubmit(byId("sign-in-code"), signInByCode);
  page.onSubmit(byId("remove-factor"), removeFactor);
  byId("set-up").addEventListener("click", () => page.attempt(beginSetUp));
  byId("other-person").addEventListener("click", () => page.showForm(""));
  for (const button of document.querySelectorAll(".recovery")) {
    button.addEventListener("click", () => {
      expectCode(button.form, button.form.elements.code.inputMode === "numeric");
      button.form.elements.code.focus();
    });
  }
}

export function askForCode(challengeId) {
  challenge = challengeId;
  byId("sign-in").hidden = true;
  byId("sign-in-code").hidden = false;
  say("The password is right. Now enter the code.", byId("code"));
}

// Remove the challenge, the secrets and all typed codes from the page.
export function clearFactor() {
  challenge = null;
  endSetUp();
  for (const form of [byId("sign-in-code"), byId("remove-factor")]) clearForm(form);
  byId("sign-in-code").hidden = true;
  byId("sign-in").hidden = false;
}

// A lost answer, or another tab, may have changed the factor: then the claims of the access token are old.
export async function loadFactor() {
  const { connected } = await call("GET", `${SERVICE}/auth/2fa/status`);
  if (connected !== user().amr.includes("otp")) await refresh();
  if (connected) endSetUp();
  const none = user().twoFactorAuthentication ? "No second factor is set up." : "You need a second factor before you can go on.";
  byId("factor-status").textContent = connected ? "A second factor is set up." : none;
  byId("set-up").hidden = connected || byId("set-up-steps").hasChildNodes();
  byId("remove-factor").hidden = !connected;
}

async function signInByCode() {
  const form = byId("sign-in-code");
  try {
    await answerChallenge(challenge, form.elements.code.value);
  } catch (problem) {
    if (problem.code === "INVALID_CHALLENGE") return page.showForm(problemText(problem));
    return refuse(form, problem);
  }
  clearFactor();
  const isRemoved = !user().amr.includes("otp");
  await page.welcome(isRemoved ? "You are signed in. The recovery code has removed your second factor." : undefined);
}

async function beginSetUp() {
  let made;
  try {
    made = await call("POST", `${SERVICE}/auth/2fa`);
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem;
    await page.show();
    return say(problemText(problem), byId("factor-title"));
  }
  byId("set-up").hidden = true;
  byId("set-up-steps").replaceChildren(byId("set-up-template").content.cloneNode(true));
  byId("qr-code").src = made.qrCodeB64Data;
  byId("otp-link").href = made.otpAuthUri;
  byId("secret").textContent = made.secret.match(/.{1,4}/g).join(" ");
  byId("recovery-code").textContent = made.recoveryCode;
  byId("copy").addEventListener("click", () => copy(made.recoveryCode, "recovery code"));
  if (!made.passwordNeeded) byId("confirm-password").remove();
  page.onSubmit(byId("confirm"), () => confirm(made.challengeId));
  say("", byId("factor-title"));
}

function endSetUp() {
  byId("set-up-steps").replaceChildren();
}

async function confirm(challengeId) {
  const { code, password } = byId("confirm").elements;
  try {
    const body = { challengeId, verificationCode: code.value, currentPassword: password?.value };
    await call("POST", `${SERVICE}/auth/2fa/challenge`, body);
  } catch (problem) {
    return refuse(byId("confirm"), problem);
  }
  endSetUp();
  await page.show();
  say("Your second factor is set up. All other sessions have ended.", byId("factor-title"));
}

async function removeFactor() {
  const form = byId("remove-factor");
  const { code, password } = form.elements;
  try {
    await call("POST", `${SERVICE}/auth/2fa/remove`, { currentPassword: password.value, verificationCode: code.value });
  } catch (problem) {
    return refuse(form, problem);
  }
  clearForm(form);
  await page.show();
  say("Your second factor is removed. All other sessions have ended.", byId("factor-title"));
}

async function refuse(form, problem) {
  if (!(problem instanceof Refused)) throw problem;
  const { code, password } = form.elements;
  if (!CHANGED.includes(problem.code)) return showProblem(form, problem, problem.code === "INCORRECT_CREDENTIALS" ? password : code);
  endSetUp();
  clearForm(byId("remove-factor"));
  await page.show();
  say(problemText(problem), byId("factor-title"));
}

function clearForm(form) {
  clearProblem(form);
  form.reset();
  expectCode(form, false);
}

// A form has one field for both kinds of code. A code of the app has digits only.
function expectCode(form, isRecovery) {
  const { code } = form.elements;
  code.value = "";
  code.labels[0].textContent = isRecovery ? "Recovery code" : "Code";
  code.inputMode = isRecovery ? "text" : "numeric";
  code.autocomplete = isRecovery ? "off" : "one-time-code";
  form.querySelector(".recovery").textContent = isRecovery ? "Use a code of the app" : "Use the recovery code";
}
