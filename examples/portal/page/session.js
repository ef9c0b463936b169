// The session of this browser at the authentication service. The refresh token is in a cookie that no script can read,
// and the access token is in memory only. The CSRF token is in a cookie of this page, so that a reload and other tabs
// have it too; without the refresh token's cookie it is good for nothing.

export const SERVICE = document.querySelector("meta[name=auth]").content;
const CSRF_COOKIE = "portal-csrf";
const MONTH = 30 * 24 * 60 * 60;
const WRONG_INPUT = ["INCORRECT_CREDENTIALS", "INCORRECT_CODE", "INVALID_CHALLENGE"]; // a 401 that is not about the token
const tabs = new BroadcastChannel("portal");

export class SignedOut extends Error {}
export class Away extends Error {} // nobody knows whether the call was carried out
export class Refused extends Error {
  constructor(status, code, wait) {
    super(`${status} ${code}`);
    Object.assign(this, { status, code, wait });
  }
}

let accessToken = null;
let person = null; // whom the last access token was for: its claims
let refreshing = null; // one refresh at a time, however many calls need it

export const isSignedIn = () => csrfToken() !== null;
export const user = () => person;

// Call this when another tab has signed in or out.
export function onChangeElsewhere(callback) {
  tabs.onmessage = () => {
    accessToken = null;
    callback();
  };
}

// Returns the challenge, where the person has a second factor: `answerChallenge` then signs in.
export async function signIn(username, password) {
  const body = new URLSearchParams({ username, password, service: "portal" });
  const answer = await ask(`${SERVICE}/auth/login`, { method: "POST", body, headers: { Accept: "application/json" } });
  if (answer["2fa"]) return answer["2fa"];
  begin(answer);
}

export async function answerChallenge(challengeId, verificationCode) {
  const body = JSON.stringify({ challengeId, verificationCode });
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  begin(await ask(`${SERVICE}/auth/2fa/challenge`, { method: "POST", body, headers }));
}

function begin(tokens) {
  keep(tokens);
  tabs.postMessage("signed in");
}

export async function signOut() {
  try {
    await ask(`${SERVICE}/auth/logout/web`, { method: "POST", headers: { "X-CSRFToken": csrfToken() } });
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem; // a refusal means that the session had ended before
  }
  forget();
  tabs.postMessage("signed out");
}

// The JSON of a call with the access token, which is refreshed before it expires, or when it has ended early.
export async function call(method, url, body) {
  const send = () => {
    const headers = { Authorization: `Bearer ${accessToken}` };
    if (body) headers["Content-Type"] = "application/json";
    return ask(url, { method, headers, body: body && JSON.stringify(body) });
  };
  if (!accessToken || person.exp * 1000 < Date.now() + 30_000) await refresh();
  try {
    return await send();
  } catch (problem) {
    if (problem.status !== 401 || WRONG_INPUT.includes(problem.code)) throw problem;
    await refresh();
    return send();
  }
}

// Get a new access token. Its claims say what holds now.
export function refresh() {
  refreshing ??= webRefresh().finally(() => (refreshing = null));
  return refreshing;
}

async function webRefresh() {
  const csrf = csrfToken();
  if (!csrf) throw new SignedOut();
  try {
    keep(await ask(`${SERVICE}/auth/refresh/web`, { method: "POST", headers: { "X-CSRFToken": csrf } }));
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem; // away: the session is as good as before
    if (csrf !== csrfToken()) return webRefresh(); // another tab has just signed in
    forget();
    throw new SignedOut();
  }
}

async function ask(url, options) {
  const credentials = url.startsWith(`${SERVICE}/`) ? "include" : "same-origin";
  let answer;
  try {
    answer = await fetch(url, { credentials, ...options });
  } catch {
    throw new Away();
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.status >= 500 && body.errorCode !== "SECOND_FACTOR_UNAVAILABLE") throw new Away();
  if (!answer.ok) throw new Refused(answer.status, body.errorCode, Number(answer.headers.get("Retry-After")));
  return body;
}

function claims(token) {
  return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
}

function keep(tokens) {
  accessToken = tokens.accessToken;
  person = claims(accessToken);
  setCookie(tokens.csrfToken, MONTH);
}

function forget() {
  accessToken = null;
  setCookie("", 0);
}

function csrfToken() {
  const found = document.cookie.split("; ").find((cookie) => cookie.startsWith(`${CSRF_COOKIE}=`));
  return found ? found.slice(CSRF_COOKIE.length + 1) : null;
}

function setCookie(value, seconds) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${CSRF_COOKIE}=${value}; Path=/; SameSite=Strict; Max-Age=${seconds}${secure}`;
}
