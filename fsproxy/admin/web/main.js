// The operators' page: asks the admin port, keeps what it says, and draws it.

import {action} from "./actions.js";
import {$, el, morph} from "./dom.js";
import {drawAlerts, onRetry} from "./alerts.js";
import {drawBar} from "./bar.js";
import {chartCard, plot} from "./chart.js";
import {configCard} from "./config.js";
import {askDecisions, decisionsCard, isUntouched, showWaiting, tabCounts} from "./decisions.js";
import {explainCard} from "./explain.js";
import {changed, model, part} from "./model.js";
import {Refused, TokenAsked, get, hasToken, keepToken, stream} from "./server.js";
import {gateCard, startCard} from "./start.js";
import {followStory} from "./story.js";
import {errorsCard, shadowCard} from "./tables.js";
import {tiles} from "./tiles.js";
import {total} from "./traffic.js";
import {trialCard} from "./trial.js";
import {usageCard} from "./usage.js";
import {isFiltered, look, onLook, view} from "./view.js";
import {reasons} from "./words.js";

// -- layout: each card is made once and moved, never made anew

const section = (id, kind = "card") => el("section", {id, class: kind, "aria-labelledby": `${id}-title`});
const cards = Object.fromEntries(["traffic", "start", "decisions", "explain", "errors", "trial", "shadow", "usage", "config", "gate"].map((id) => [id, section(id, {start: "card start", gate: "card gate"}[id])]));
const places = {alerts: el("div", {id: "alerts"}), tiles: el("div", {id: "tiles", class: "tiles", role: "group", "aria-label": "Health"}), columns: el("div", {class: "columns"}), left: el("div", {class: "column"}), right: el("div", {class: "column"})};
const narrow = matchMedia("(max-width: 999px)");

function arrange() {
  const isStart = isNew(), {alerts, tiles: row, columns, left, right} = places;
  const wanted = model.link === "token" ? [cards.gate] : [alerts, row, isStart ? cards.start : cards.traffic, columns];
  if (model.link !== "token" && model.status === null) wanted.splice(1);
  put($("main"), wanted);
  put(columns, [left, right]);
  put(left, isStart ? [cards.explain] : [cards.decisions, narrow.matches ? cards.explain : null, cards.errors, cards.trial, cards.shadow]);
  put(right, [isStart || narrow.matches ? null : cards.explain, cards.usage, cards.config]);
}
/** Make these the children, and move only what stands elsewhere. */
function put(parent, wanted) {
  const nodes = wanted.filter(Boolean);
  for (const node of [...parent.children]) if (!nodes.includes(node)) node.remove();
  nodes.forEach((node, index) => { if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null); });
}
/** Nothing has come yet, so there is nothing to show. */
const isNew = () => model.decisions !== null && isUntouched() && total("requests").all === 0;
const card = (id, content) => {
  cards[id].hidden = content === null;
  if (content !== null) morph(cards[id], content);
};

part(() => [model.link, model.status === null, narrow.matches, isNew(), model.decisions], () => {
  const focused = document.activeElement;
  arrange();
  $("main").className = model.link === "away" ? "stale" : "";
  if (document.contains(focused) && document.activeElement !== focused) focused.focus({preventScroll: true});
});
part(() => [model.link, model.status, model.config, model.traffic?.orgs, model.workers, view.org, view.range, model.readOnly], drawBar);
part(() => [model.link, model.status, model.workers, model.fault, model.retry, Math.floor(Date.now() / 1000)], drawAlerts);
part(() => [model.link, model.status, model.traffic, view.range, view.org, view.outcome], () => morph(places.tiles, tiles()));
part(() => [model.traffic, view.range, view.count, view.code, view.at, view.org, isNew(), innerWidth], () => {
  if (model.traffic && !isNew()) { morph(cards.traffic, chartCard()); plot(); }
});
part(() => [model.link, model.config, model.status?.upstream, isNew()], () => { if (isNew()) morph(cards.start, startCard()); });
part(() => [model.decisions, model.link, view.outcome, view.code, view.at, view.d], () => card("decisions", decisionsCard()));
part(() => [model.link, model.status?.generation], () => card("explain", explainCard(model.status?.generation)));
part(() => [model.rejections, view.org], () => card("errors", errorsCard()));
part(() => [model.shadow, model.pages24], () => card("shadow", shadowCard()));
part(() => [model.trial, model.link, model.readOnly], () => card("trial", trialCard()));
part(() => [model.usage, view.org], () => card("usage", usageCard()));
part(() => [model.config, model.link, model.readOnly, Math.floor((model.status?.time ?? 0) / 60)], () => card("config", configCard()));
part(() => [model.link, model.tokenFault], () => {
  if (model.link !== "token") return;
  morph(cards.gate, gateCard());
  $("token")?.focus();
});

// -- asking

/** Seconds without a word after which the proxy is away, and until the next try. */
const SILENT = 5, RETRY = 3;
let aborter = null, round = 0, wake = () => {};

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
  model.pages24 = minutes.reduce((sum, {pages}) => sum + pages.captured + pages.forwarded + pages.rejected + pages.failed + Object.values(pages.blocked).reduce((a, b) => a + b, 0), 0);
}
/** Wait for all of them, also when one fails; then fail as that one did. */
async function all(asking) {
  const failed = (await Promise.allSettled(asking)).find((each) => each.status === "rejected");
  if (failed) throw failed.reason;
}
/** The traffic first: it has the names of the reasons. */
async function askAll() {
  await askTraffic();
  await all([ask("config", "api/config"), askSlow(), askDecisions(true)]);
}
const askSlow = () => all([ask("rejections", "api/rejections"), ask("shadow", "api/shadow"), ask("usage", "api/usage"), askTrial(), askDay()]);
const askTrial = () => ask("trial", "api/try").catch((fault) => { if (!(fault instanceof Refused)) throw fault; });

/** Ask in the background. What cannot be answered for now is said, and does not stop the rest. */
async function softly(asking) {
  try {
    await asking;
    model.fault = "";
  } catch (fault) {
    if (fault instanceof TokenAsked) return askToken();
    if (fault instanceof Refused) model.fault = fault.message;
  }
  changed();
}
function onTick(event) {
  const {status, minutes = [], decisions = []} = event, {workers} = status, before = model.status;
  const came = model.workers && workers.answered > model.workers.answered;
  model.workers = workers;
  model.status = status;
  model.heard = Date.now();
  model.link = "live";
  if (view.range === "1h" && !view.org && model.traffic?.key === "minutes=60") merge(minutes, status.time);
  changed();
  if (document.hidden) return;
  round += 1;
  if (decisions.length || isUntouched()) softly(askDecisions().then(chooseTab));
  showWaiting();
  // A worker that answers again brings the minutes that it was missed in.
  if (came || round % (view.range === "24h" ? 30 : 5) === 0) softly(askTraffic());
  if (round % 5 === 0) softly(askSlow());
  if (!before || round % 5 === 0 || before.generation !== status.generation) softly(ask("config", "api/config"));
}
function merge(minutes, time) {
  const known = new Map(model.traffic.minutes.map((each) => [each.minute, each]));
  for (const each of minutes) known.set(each.minute, each);
  model.traffic = {...model.traffic, minutes: [...known.values()].filter((each) => each.minute > time - 7200)};
}
async function listen() {
  aborter = new AbortController();
  try {
    await stream("api/events", onTick, aborter.signal);
  } catch (fault) {
    // There are too many streams already, which says that the proxy is there.
    if (!(fault instanceof Refused)) throw fault;
    for (;;) {
      const status = await get("api/status");
      onTick({status, decisions: [null]});
      await pause(2);
    }
  }
}
const pause = (seconds) => new Promise((resolve) => {
  wake = resolve;
  setTimeout(resolve, seconds * 1000);
});
async function run() {
  model.heard = Date.now();
  for (;;) {
    try {
      model.status = await get("api/status");
      model.readOnly = model.status.may_change === false;
      model.heard = Date.now();
      model.link = "live";
      await softly(askAll());
      if (model.link !== "live") return;
      chooseTab();
      followStory();
      await listen();
    } catch (fault) {
      if (fault instanceof TokenAsked) return askToken();
      if (!(fault instanceof TypeError || fault instanceof DOMException)) console.warn(String(fault));
    }
    model.link = "away";
    model.retry = Date.now() + RETRY * 1000;
    changed();
    await pause(RETRY);
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
  if (model.link === "live" && Date.now() - model.heard > SILENT * 1000) aborter?.abort();
  if (model.link === "away") changed();
}, 1000);

// -- the token

function askToken() {
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

// -- what the reader does

onLook((before) => {
  if (model.link === "token" || model.status === null) return;
  if (before.range !== view.range || before.org !== view.org) softly(askTraffic());
  if (["org", "outcome", "code", "at", "q"].some((name) => before[name] !== view[name])) softly(askDecisions(true));
  if (before.outcome !== view.outcome) isChosen = true;
  if (before.d !== view.d) followStory();
  if ($("q") && document.activeElement !== $("q")) $("q").value = view.q;
  changed();
});
onRetry(() => wake());
action("copy", (text, target) => copied(text, target));
action("link", (_, target) => copied(location.href, target));
function copied(text, target) {
  navigator.clipboard?.writeText(text).catch(() => {});
  target.classList.add("done");
  $("announce").textContent = "Copied";
  setTimeout(() => target.classList.remove("done"), 1400);
}
const THEMES = {"": ["◐", "as the system", "dark"], dark: ["●", "dark", "light"], light: ["○", "light", ""]};
function showTheme(name) {
  const [sign, words] = THEMES[name];
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  $("theme").textContent = sign;
  $("theme").setAttribute("aria-label", `Theme: ${words}`);
}
const keptTheme = () => (localStorage.getItem("fsproxy-theme") in THEMES ? localStorage.getItem("fsproxy-theme") : "");
action("theme", () => {
  const next = THEMES[keptTheme()][2];
  localStorage.setItem("fsproxy-theme", next);
  showTheme(next);
});
showTheme(keptTheme());
narrow.addEventListener("change", changed);
addEventListener("resize", changed);
morph($("foot"), el("span", {}, "Keys: ", el("kbd", {}, "/"), " search, ", el("kbd", {}, "j"), " ", el("kbd", {}, "k"), " rows, ", el("kbd", {}, "Enter"), " story, ", el("kbd", {}, "Esc"), " close"),
  el("span", {}, el("a", {href: "metrics"}, "Metrics"), ". The API is described at ", el("code", {}, "/openapi.json"), "."), el("span", {}, "All times are UTC."));
run();
