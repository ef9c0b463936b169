// Small helpers for the page: elements, messages, times, and what to say about a refusal.

export const byId = (id) => document.getElementById(id);

// An element with these attributes and children; no HTML is parsed, so no text can become markup.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function row(title, detail, ...actions) {
  return element("li", {}, element("div", {}, title, element("div", { class: "muted" }, ...detail)), ...actions);
}

// Tell what has happened, and put the focus where the next step is.
export function say(text, focus) {
  const status = byId("status");
  status.textContent = text;
  clearTimeout(status.timer);
  status.timer = setTimeout(() => (status.textContent = ""), 8000);
  focus?.focus();
}

export async function copy(text, name) {
  try {
    await navigator.clipboard.writeText(text);
    say(`The ${name} is copied.`);
  } catch {
    say(`The ${name} could not be copied. Please select it and copy it.`);
  }
}

export function ago(milliseconds) {
  const seconds = (milliseconds - Date.now()) / 1000;
  const [unit, length] = [["day", 86400], ["hour", 3600], ["minute", 60]].find(([, length]) => Math.abs(seconds) >= length) ?? [];
  const text = unit ? new Intl.RelativeTimeFormat("en").format(Math.round(seconds / length), unit) : "just now";
  return element("time", { datetime: new Date(milliseconds).toISOString() }, text);
}

const PROBLEMS = {
  INCORRECT_CREDENTIALS: "The password is wrong.",
  PASSWORD_TOO_SHORT: "The new password is too short. Use at least 15 characters.",
  PASSWORD_TOO_LONG: "The new password is too long. Use at most 1,024 characters.",
  PASSWORD_TOO_EASY: "The new password is too easy to guess. Use several unrelated words, and not your name.",
  NO_PASSWORD: "You sign in without a password here.",
  TOO_MANY_ATTEMPTS: "Too many attempts.",
  INCORRECT_CODE: "The code is wrong, or it has been used before.",
  INVALID_CHALLENGE: "This step has expired, or your account has changed. Please begin again.",
  PASSWORD_NEEDED: "Your sign-in was too long ago. Please sign in again.",
  SECOND_FACTOR_BLOCKED: "Too many wrong codes. Use the recovery code.",
  SECOND_FACTOR_CONNECTED: "You have a second factor already.",
  SECOND_FACTOR_NOT_CONNECTED: "You have no second factor.",
  TOO_MANY_TOKENS: "You have 100 tokens, which is the most. End one of them first.",
  SECOND_FACTOR_UNAVAILABLE: "Second factors cannot be used right now. Please try again later.",
};

export const problemText = ({ code }, texts = {}) => texts[code] ?? PROBLEMS[code] ?? "That did not work.";

export function clearProblem(form) {
  clearInterval(form.countdown);
  for (const text of form.querySelectorAll(".problem span")) text.textContent = "";
  for (const input of form.elements) input.removeAttribute("aria-invalid");
}

// Show why the form was refused. Where one must wait, count down beside it; only the start and the end are read aloud.
export function showProblem(form, refused, input, texts = {}) {
  const [problem, countdown] = form.querySelectorAll(".problem span");
  problem.textContent = problemText(refused, texts);
  if (refused.status === 429) {
    const until = Date.now() + refused.wait * 1000;
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      countdown.textContent = left > 0 ? `Try again in ${left} s.` : "";
      if (left > 0) return;
      clearInterval(form.countdown);
      problem.textContent = "You can try again now.";
    };
    form.countdown = setInterval(tick, 200);
    tick();
  } else {
    input.setAttribute("aria-invalid", "true");
  }
  input.focus();
  input.select();
}
