// The lists of the portal. Files and jobs are the portal's own; sessions and delegations are the authentication service's.

import { SERVICE, call } from "./session.js";
import { ago, byId, element, row, say } from "./view.js";

// `attempt` runs an action, and shows where it cannot be done.
export function wire(attempt) {
  byId("start-job").addEventListener("click", () => attempt(startJob));
  byId("end-others").addEventListener("click", () => attempt(endOtherSessions));
  buttonAction = (action) => () => attempt(action);
}

let buttonAction;

export async function load() {
  await Promise.all([loadFiles(), loadJobs(), loadDelegations(), loadSessions()]);
}

async function loadFiles() {
  const { files } = await call("GET", "/files");
  byId("files").replaceChildren(
    ...files.map(({ name, bytes }) => {
      const create = buttonAction(() => createLink(name, button));
      const button = element("button", { class: "quiet", "aria-label": `Create a link to ${name}`, click: create }, "Create a link");
      return row(element("strong", {}, name), [`${bytes} bytes`], button);
    }),
  );
}

// A one-time token for this file alone. The link takes the button's place, until it has been used or has expired.
async function createLink(name, button) {
  const audience = `files.download:read:file!${btoa(name)}`;
  const { accessToken } = await call("POST", `${SERVICE}/auth/request?audience=${encodeURIComponent(audience)}`);
  const href = `/files/${encodeURIComponent(name)}?token=${accessToken}`;
  const link = element("a", { href, target: "_blank", rel: "noopener", "aria-label": `Open once: ${name}` }, "Open once");
  button.replaceWith(link);
  setTimeout(() => link.replaceWith(button), 30_000);
  say(`The link to ${name} is ready.`, link);
}

export let jobsGoOn = false;

export async function loadJobs() {
  const { jobs } = await call("GET", "/jobs");
  byId("jobs").replaceChildren(
    ...jobs.map(({ id, state, runs, started_at }) => {
      const text = { running: "Running", waiting: "Waiting for the sign-in service", ended: "Ended" }[state];
      const title = element("strong", { class: `state ${state}`, "data-job": id }, text);
      return row(title, [`${runs} ${runs === 1 ? "backup" : "backups"} made · started `, ago(started_at)]);
    }),
  );
  jobsGoOn = jobs.some((job) => job.state !== "ended");
}

async function startJob() {
  await call("POST", "/jobs");
  await Promise.all([loadJobs(), loadDelegations()]);
  say("The backup has started. It is listed under “Who acts for me”.", byId("jobs-title"));
}

export async function loadDelegations() {
  const { items } = await call("GET", `${SERVICE}/auth/delegations?itemsPerPage=250`);
  byId("no-delegations").hidden = items.length > 0;
  byId("delegations").replaceChildren(
    ...items.map((item) => {
      const name = item.title ?? item.extendedByChain.join(", then ");
      const mark = item.title === null ? null : element("span", { class: "mark" }, "script");
      const scopes = item.scopes.flatMap((scope) => [element("code", {}, scope), " "]);
      const used = item.lastUsedAt ? ["last used ", ago(item.lastUsedAt)] : ["never used"];
      const end = buttonAction(() => endDelegation(item.id));
      const button = element("button", { class: "quiet", "aria-label": `End what ${name} does for me`, click: end }, "End");
      const times = ["since ", ago(item.createdAt), " · ", ...used, " · expires ", ago(item.expiresAt)];
      const parts = [element("strong", {}, name), " ", ...scopes, mark];
      return row(element("span", {}, ...parts), times, button);
    }),
  );
}

async function endDelegation(id) {
  await end("delegations", id);
  await Promise.all([loadDelegations(), loadJobs()]);
  say("Ended. It no longer acts for you.", byId("delegations-title"));
}

const sessions = async () => (await call("GET", `${SERVICE}/auth/sessions?itemsPerPage=250`)).items;

async function loadSessions() {
  const items = await sessions();
  byId("end-others").hidden = items.length < 2;
  byId("sessions").replaceChildren(
    ...items.map((item) => {
      const device = deviceOf(item.userAgent);
      const end = buttonAction(() => endSession(item.id));
      const label = `End the session of ${device} at ${item.ipAddress}`;
      const action = item.current ? null : element("button", { class: "quiet", "aria-label": label, click: end }, "End");
      const mark = item.current ? element("span", { class: "mark" }, "this one") : "";
      const times = [`${item.ipAddress} · since `, ago(item.createdAt), " · last used ", ago(item.lastUsedAt)];
      return row(element("span", {}, element("strong", { title: item.userAgent }, device), " ", mark), times, action);
    }),
  );
}

async function endSession(id) {
  await end("sessions", id);
  await loadSessions();
  say("The session has ended.", byId("sessions-title"));
}

async function endOtherSessions() {
  const others = (await sessions()).filter((session) => !session.current);
  for (const { id } of others) await end("sessions", id);
  await loadSessions();
  say("All other sessions have ended.", byId("sessions-title"));
}

// What has ended by itself, or in another tab, has ended too.
async function end(kind, id) {
  try {
    await call("DELETE", `${SERVICE}/auth/${kind}/${id}`);
  } catch (problem) {
    if (problem.status !== 404) throw problem;
  }
}

// A browser and its system in words, or the start of what any other program calls itself.
function deviceOf(agent) {
  const first = (names) => Object.keys(names).find((name) => names[name].test(agent));
  const browser = first({ Edge: /Edg\//, Firefox: /Firefox\//, Chrome: /Chrome\//, Safari: /Safari\// });
  const system = first({ Android: /Android/, iPhone: /iPhone/, iPad: /iPad/, Windows: /Windows/, Mac: /Mac OS/, Linux: /Linux/ });
  return browser && system ? `${browser} on ${system}` : agent.slice(0, 40);
}
