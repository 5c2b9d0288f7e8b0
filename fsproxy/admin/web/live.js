// Asks the admin port, keeps what it says, listens to what is new, and tries again while it is away.

import {$} from "./dom.js";
import {onRetry} from "./alerts.js";
import {askDecisions, isUntouched, showWaiting, tabCounts} from "./decisions.js";
import {changed, model} from "./model.js";
import {Refused, TokenAsked, get, hasToken, keepToken, stream} from "./server.js";
import {followStory} from "./story.js";
import {isFiltered, look, onLook, view} from "./view.js";
import {reasons} from "./words.js";

/** Seconds without a word after which the proxy is away, or a try is given up; and until the next try. */
const SILENT = 5,
  RETRY = 3;
/** Stops what is waited for, which is the state or the stream; when that was asked for; whether "Try now" was pressed. */
let aborter = null,
  askedAt = 0,
  isUrged = false;
let round = 0,
  wake = () => {};
/** Ask for the state or the stream with this signal. */
function untilSilent() {
  aborter = new AbortController();
  askedAt = Date.now();
  return aborter.signal;
}
const askStatus = () => get("api/status", "status", untilSilent());

async function askTraffic() {
  const asked = new URLSearchParams(view.range === "1h" ? {minutes: "60"} : {minutes: "1440", step: "5"});
  if (view.org) asked.set("org", view.org);
  const key = asked.toString();
  const answer = await get(`api/traffic?${asked}`, "traffic");
  Object.assign(reasons, answer.reasons);
  if (model.traffic?.source === answer) return;
  model.traffic = {...answer, source: answer, key};
  changed();
}
const ask = async (name, path) => {
  model[name] = await get(path);
  changed();
};
/** Pages of 24 hours, of which shadow rules would have blocked a part. */
async function askDay() {
  const {minutes} = await get("api/traffic?minutes=1440&step=24", "day");
  model.pages24 = minutes.reduce(
    (sum, {pages}) =>
      sum +
      pages.captured +
      pages.forwarded +
      pages.rejected +
      pages.failed +
      Object.values(pages.blocked).reduce((a, b) => a + b, 0),
    0,
  );
}
/** Ask for everything, and wait for the traffic, which has the names of the reasons, and for the decisions. */
async function askAll() {
  await softly("traffic", askTraffic());
  softly("config", askConfig());
  askSlow();
  await softly("decisions", askDecisions());
}
const askConfig = () => ask("config", "api/config");
/** What need not be of this second. */
function askSlow() {
  for (const name of ["rejections", "shadow", "redactions", "usage"]) softly(name, ask(name, `api/${name}`));
  softly("trial", askTrial());
  softly("day", askDay());
}
const askTrial = () =>
  ask("trial", "api/try").catch((fault) => {
    if (!(fault instanceof Refused)) throw fault;
  });

const faults = new Map();
/** Ask in the background. What cannot be answered is said until it can be, and does not stop the rest. */
async function softly(kind, asking) {
  try {
    await asking;
    faults.delete(kind);
  } catch (fault) {
    if (fault instanceof TokenAsked) return askToken();
    if (fault instanceof Refused) faults.set(kind, fault.message);
    if (fault.name === "TimeoutError") faults.set(kind, "no answer in time");
  }
  model.fault = [...new Set(faults.values())].join("; ");
  changed();
}
function onTick(event) {
  const {status, minutes = [], decisions = []} = event,
    {workers} = status,
    before = model.status;
  const came = model.workers && workers.answered > model.workers.answered;
  model.workers = workers;
  model.status = status;
  model.answered = Date.now();
  model.link = "live";
  if (view.range === "1h" && !view.org && model.traffic?.key === "minutes=60") merge(minutes, status.time);
  changed();
  if (document.hidden) return;
  round += 1;
  if (decisions.length || isUntouched()) softly("decisions", askDecisions().then(chooseTab));
  showWaiting();
  // A worker that answers again brings the minutes that it was missed in.
  if (came || round % (view.range === "24h" ? 30 : 5) === 0) softly("traffic", askTraffic());
  if (round % 5 === 0) askSlow();
  if (!before || round % 5 === 0 || before.generation !== status.generation) softly("config", askConfig());
}
function merge(minutes, time) {
  const known = new Map(model.traffic.minutes.map((each) => [each.minute, each]));
  for (const each of minutes) known.set(each.minute, each);
  model.traffic = {...model.traffic, minutes: [...known.values()].filter((each) => each.minute > time - 7200)};
}
async function listen() {
  try {
    await stream("api/events", onTick, untilSilent());
  } catch (fault) {
    // There are too many streams already, which says that the proxy is there.
    if (!(fault instanceof Refused)) throw fault;
    for (;;) {
      const status = await askStatus();
      onTick({status, decisions: [null]});
      await pause(2);
    }
  }
}
const pause = (seconds) =>
  new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, seconds * 1000);
  });
/** Go on until a token is asked for. */
export async function run() {
  model.answered = Date.now();
  for (;;) {
    try {
      model.status = await askStatus();
      model.readOnly = model.status.may_change === false;
      model.answered = Date.now();
      model.link = "live";
      await askAll();
      if (model.link !== "live") return;
      chooseTab();
      followStory();
      await listen();
    } catch (fault) {
      if (fault instanceof TokenAsked) return askToken();
      model.refusal = fault instanceof Refused ? fault.message : "";
      if (!(fault instanceof TypeError || fault instanceof DOMException)) console.warn(String(fault));
    }
    if (model.link === "token") return;
    model.link = "away";
    model.retry = Date.now() + RETRY * 1000;
    changed();
    if (!isUrged) await pause(RETRY);
    isUrged = false;
  }
}
let isChosen = view.outcome !== "" || isFiltered();
/** What the reader sees first: the failed while the upstream fails; and where nothing was blocked, all. */
function chooseTab() {
  const counts = tabCounts();
  if (isChosen || !counts?.all) return;
  isChosen = true;
  if (model.status.upstream.state === "failing" && counts.failed) look({outcome: "failed"});
  else if (!counts.blocked) look({outcome: counts.failed ? "failed" : "all"});
}
setInterval(() => {
  if (Date.now() - Math.max(model.answered, askedAt) > SILENT * 1000) aborter?.abort();
  if (model.link === "away") changed();
}, 1000);

// -- the token

function askToken() {
  if (model.link === "token") return;
  model.tokenFault = hasToken() ? `This is not the token. Tried at ${new Date().toISOString().slice(11, 19)} UTC.` : "";
  keepToken("");
  model.link = "token";
  aborter?.abort();
  changed();
}
document.addEventListener("submit", (event) => {
  if (event.target.id !== "token-form") return;
  event.preventDefault();
  keepToken($("token").value.trim());
  $("token").value = "";
  model.link = "starting";
  run();
});

// -- what the reader looks at

onLook((before) => {
  if (model.link === "token" || model.status === null) return;
  if (before.range !== view.range || before.org !== view.org) softly("traffic", askTraffic());
  if (["org", "outcome", "code", "at", "q"].some((name) => before[name] !== view[name])) softly("decisions", askDecisions());
  if (before.outcome !== view.outcome) isChosen = true;
  if (before.d !== view.d) followStory();
  if ($("q") && document.activeElement !== $("q")) $("q").value = view.q;
  changed();
});
onRetry(() => {
  isUrged = true;
  aborter.abort();
  wake();
});
// While the page is hidden, nothing is asked but what comes by itself.
document.addEventListener("visibilitychange", () => {
  if (document.hidden || model.link !== "live") return;
  softly("traffic", askTraffic());
  softly("decisions", askDecisions());
  askSlow();
});
