// The list of decisions: tabs, search, filters, pages of a hundred. New ones wait while somebody reads.

import {action} from "./actions.js";
import {$, button, el} from "./dom.js";
import {changed, model, now} from "./model.js";
import {get} from "./server.js";
import {scale} from "./traffic.js";
import {OUTCOMES, chosenMinute, isFiltered, look, tab, view} from "./view.js";
import {capital, cell, clock, cut, date, day, local, number, reason, row, short, sign, swatch, table} from "./words.js";

const PAGE = 100;
/** Rows that the page holds at most. */
const MOST_ROWS = 1000;
const state = {asked: 0, entries: [], answer: null, next: null, waiting: null, paused: false, isLoading: false};
/** The entries that are listed, the newest first. */
export const listed = () => state.entries;
export const idOf = ({line}) => line["http.request.id"];
const keyOf = (entry) => `${entry.worker ?? 0}-${entry.number}`;

// -- asking

function query(more = {}) {
  const asked = new URLSearchParams({limit: String(PAGE), ...more});
  if (tab() !== "all") asked.set("outcome", tab());
  if (view.org) asked.set("org", view.org);
  if (view.code) asked.set("code", view.code);
  if (view.at) {
    asked.set("at", String(chosenMinute()));
    asked.set("minutes", String(scale(innerWidth < 520).minutes));
  }
  if (view.q.trim()) asked.set(isAddress(view.q.trim()) ? "address" : "q", view.q.trim());
  return `api/decisions?${asked}`;
}
/** A whole address, which is looked up as the lines hold it: truncated, or hashed. */
const isAddress = (text) => /^\d{1,3}(\.\d{1,3}){3}$/.test(text) || (/^[\da-f:.]+$/i.test(text) && text.split(":").length > 2);

/** Ask for the first page anew. What is new waits while the list is being read, unless another list is wanted. */
export async function askDecisions(isOther = false) {
  const mine = ++state.asked;
  const answer = await get(query(), "decisions");
  if (mine !== state.asked) return;
  if (!isOther && answer === state.answer) return;
  if (!isOther && isHeld() && state.answer) state.waiting = answer;
  else show(answer, isOther);
  model.decisions = {};
  changed();
}
function show(answer, isOther) {
  const known = new Set(answer.decisions.map(keyOf));
  const overlaps = state.entries.some((each) => known.has(keyOf(each)));
  const older = isOther || !overlaps ? [] : state.entries.filter((each) => !known.has(keyOf(each)));
  if (!older.length || state.entries.length <= PAGE) {
    state.entries = answer.decisions;
    state.next = answer.next;
  } else {
    state.entries = [...answer.decisions, ...older].slice(0, MOST_ROWS);
  }
  state.answer = answer;
  state.waiting = null;
}
/** Show what waits once nobody reads any more. */
export function showWaiting() {
  if (!state.waiting || isHeld()) return;
  show(state.waiting, false);
  model.decisions = {};
  changed();
}
function isHeld() {
  const rows = $("decision-list");
  return state.paused || $("story").open || Boolean(rows && (rows.matches(":hover") || rows.contains(document.activeElement) || isSelected(rows)));
}
const isSelected = (rows) => !getSelection().isCollapsed && rows.contains(getSelection().anchorNode);
const newOnes = () => {
  if (!state.waiting) return 0;
  const known = new Set(state.entries.map(keyOf));
  return state.waiting.decisions.filter((each) => !known.has(keyOf(each))).length;
};
/** Return the entry of a request, also of one that is not listed; undefined when it is not kept any more. */
export async function findDecision(id) {
  const known = state.entries.find((each) => idOf(each) === id);
  if (known) return known;
  const {decisions} = await get(`api/decisions?${new URLSearchParams({q: id, limit: "1"})}`, "decision");
  return decisions.find((each) => idOf(each) === id);
}

// -- showing

/** How many there are of each outcome; null before the first answer. */
export const tabCounts = () => (state.waiting ?? state.answer)?.counts ?? null;
/** Whether nothing at all has come yet, as far as the list knows. */
export const isUntouched = () => state.answer !== null && !isFiltered() && !view.org && state.answer.counts.all === 0;
/** The card. */
export function decisionsCard() {
  const {answer, entries} = state, counts = tabCounts() ?? {}, fresh = newOnes();
  return [
    el("div", {class: "head"},
      el("h2", {id: "decisions-title"}, "Decisions"),
      el("span", {class: "seg", role: "group", "aria-label": "Outcome"}, OUTCOMES.map((each) =>
        el("button", {type: "button", "data-do": "tab", "data-v": each, "aria-pressed": String(tab() === each)}, `${capital(each)} `, el("b", {}, short(counts[each] ?? 0))))),
      el("span", {class: "row push"},
        fresh ? button("newest", `${fresh >= PAGE ? `${PAGE}+` : fresh} new`, {class: "main"}) : null,
        button("pause", state.paused ? "Go on" : "Pause", {"aria-pressed": String(state.paused)}),
        button("link", "Copy link"))),
    el("form", {role: "search", class: "row filters", id: "search"},
      el("input", {type: "search", id: "q", "data-own": true, autocomplete: "off", maxlength: "256", value: view.q, "aria-label": "Search the decisions", placeholder: "org, session, user, rule, host, address, request id"}),
      view.at ? chip("at", `at ${day(chosenMinute()) === day(now()) ? "" : `${day(chosenMinute())} `}${view.at.slice(11)}`) : null,
      view.code ? chip("code", [swatch(view.code), reason(view.code)]) : null),
    addressNote(answer?.address),
    entries.length ? rows(entries) : nothing(answer),
    entries.length ? foot(entries, answer) : null,
  ];
}
const chip = (name, content) =>
  el("button", {type: "button", class: "chip", "data-do": "clear", "data-v": name}, content, el("span", {"aria-hidden": "true"}, "✕"), el("span", {class: "sr"}, ", take this filter away"));

function addressNote(address) {
  if (!address) return null;
  const {asked, listed_as: known, stands_for: many} = address, code = (text) => el("code", {}, text), key = "audit.client_ip";
  if (!known) return el("p", {class: "muted filters"}, "No address is kept (", code(key), "), so none can be found.");
  if (!many || many === 1) return known === asked ? null : el("p", {class: "muted filters"}, "Addresses are kept as hashes (", code(key), "): listed is what has the hash of ", code(asked), ".");
  return el("p", {class: "muted filters"}, "The last part of addresses is not kept (", code(`${key}: truncated`), "): listed is all of ", code(known), `, which stands for ${number(many)} addresses; any of them may be ${asked}.`);
}
function nothing(answer) {
  if (!answer) return el("p", {class: "muted"}, "Asking …");
  const kept = answer.kept ? ` of the last ${number(answer.kept.decisions)} that are kept` : "";
  return el("p", {class: "muted"}, `None of this kind${kept}${isFiltered() ? " with these filters. " : "."}`, isFiltered() ? button("clear", "Take the filters away", {class: "link", "data-v": "all"}) : null);
}
function foot(entries, {matching, kept, workers}) {
  const each = workers ? ", of each worker" : "";
  return el("p", {class: "row muted gap"},
    el("span", {class: "num"}, `${number(entries.length)} of ${number(Math.max(matching, entries.length))}`),
    state.next ? button("older", state.isLoading ? "Asking …" : `${Math.min(PAGE, Math.max(1, matching - entries.length))} older`, {"data-switch": true}) : null,
    kept ? el("span", {class: "push t1"}, `kept: the last ${number(kept.decisions)} that were decided about and ${number(kept.forwarded)} that were only forwarded${each}`) : null);
}
const timeOf = (line) => Date.parse(line["@timestamp"]) / 1000;
function rows(entries) {
  const today = day(timeOf(entries[0].line));
  const heads = [["w-stamp", `UTC, ${today}`], ["w-36", "Outcome and rule"], [null, "Org and page"], ["w-25", "Address and session"]];
  return el("div", {id: "decision-list"}, table("decisions", heads, entries.map((each) => decisionRow(each, today))));
}
function decisionRow(entry, today) {
  const {line, where} = entry, time = timeOf(line), isToday = day(time) === today, id = idOf(entry);
  const route = line["event.action"], shadows = line["fsproxy.shadow"] ?? [];
  const rule = line["rule.id"] ?? shadows.map((each) => `shadow: ${each["rule.id"]}`).join(", ");
  const address = [line["client.ip"] ?? line["client.address"], line["client.geo.country_iso_code"]].filter(Boolean).join(" · ");
  const kept = (text, kind, tag) => (text ? cut(text, kind, tag) : el("span", {class: "cut muted"}, "kept back"));
  return row({"data-key": keyOf(entry), "data-do": "story", "data-v": id, class: id === view.d ? "on" : null},
    cell(null,
      el("button", {type: "button", class: "open", "data-do": "story", "data-v": id, title: `${date(time)}; ${local(time)}`, "aria-label": `Story of the request at ${clock(time)}, ${said(line)}`}, clock(time)),
      el("span", {class: "cut t1 muted", title: route}, `${isToday ? "" : `${day(time)} · `}${route.split("_")[0]}`)),
    cell(null, outcome(line), below(line) ? cut(below(line), "muted") : el("span", {class: "cut mono muted", title: [rule, where].filter(Boolean).join(", ")}, rule || "\u00a0")),
    cell(null, kept(line["organization.id"]), cut(line["url.domain"] ?? line["url.path"], "muted", "bdi")),
    cell(null, kept(address), line["fsproxy.session_id"] ? cut(line["fsproxy.session_id"], "mono muted") : cut("", "")));
}
const said = (line) => (line["fsproxy.reason_code"] === undefined ? line["fsproxy.decision"] : `blocked, ${reason(line["fsproxy.reason_code"])}`);
/** The mark and the name of what became of a request. */
export function outcome(line) {
  const kind = line["fsproxy.decision"], code = line["fsproxy.reason_code"];
  const rejections = line["fsproxy.rejections"] ?? [];
  const first = kind === "failed" ? (line["fsproxy.error"] ?? "failed").replaceAll("_", " ") : rejections.length ? rejections[0].code : kind;
  const isRejected = kind === "rejected" || (kind === "forwarded" && line["fsproxy.rejections_count"]);
  if (kind === "blocked") return el("span", {class: "outcome"}, swatch(code), cut(reason(code)));
  return el("span", {class: `outcome ${isRejected ? "rejected" : kind}`}, sign(isRejected ? "rejected" : kind), cut(first));
}
/** What stands below the name, where it is no rule. */
function below(line) {
  const kind = line["fsproxy.decision"], count = line["fsproxy.rejections_count"] ?? 0;
  if (kind === "failed") return `failed: ${line["event.reason"] ?? `status ${line["http.response.status_code"] ?? "none"}`}`;
  if (!count) return "";
  const [first] = line["fsproxy.rejections"] ?? [{}];
  const what = [first.call, first.property].filter(Boolean).join(" · ");
  return `${kind === "rejected" ? "rejected" : `${number(count)} rejected in it`}${what ? `: ${what}` : ""}`;
}

// -- what the reader does

action("tab", (value) => look({outcome: value, code: value === "blocked" ? view.code : ""}));
action("code", (value) => look({code: view.code === value ? "" : value, outcome: "blocked"}));
action("clear", (value) => {
  look(value === "all" ? {q: "", code: "", at: ""} : {[value]: ""});
  $("q").value = view.q;
  $("q").focus({preventScroll: true});
});
action("pause", () => {
  state.paused = !state.paused;
  if (!state.paused && state.waiting) show(state.waiting, false);
  model.decisions = {};
  changed();
});
action("newest", () => {
  show(state.waiting, false);
  model.decisions = {};
  changed();
});
action("older", async () => {
  if (state.isLoading) return;
  state.isLoading = true;
  model.decisions = {};
  changed();
  const mine = state.asked;
  try {
    const answer = await get(query({before: state.next}), "older decisions");
    if (mine === state.asked || tab()) {
      const known = new Set(state.entries.map(keyOf));
      state.entries = [...state.entries, ...answer.decisions.filter((each) => !known.has(keyOf(each)))].slice(0, MOST_ROWS);
      state.next = state.entries.length < MOST_ROWS ? answer.next : null;
    }
  } finally {
    state.isLoading = false;
    model.decisions = {};
    changed();
  }
});
let typing = 0;
document.addEventListener("input", (event) => {
  if (event.target.id !== "q") return;
  clearTimeout(typing);
  typing = setTimeout(() => look({q: event.target.value}), 200);
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "/" && $("q")) {
    event.preventDefault();
    $("q").focus();
  } else if (event.key === "j" || event.key === "k") {
    const opens = [...document.querySelectorAll(".decisions .open")], at = opens.indexOf(document.activeElement);
    opens[Math.max(0, Math.min(opens.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
  }
});
