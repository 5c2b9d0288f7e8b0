// The list of decisions: what is asked for, by pages of a hundred. New ones wait while the list is read.

import {action} from "./actions.js";
import {$} from "./dom.js";
import {changed, model} from "./model.js";
import {get} from "./server.js";
import {scale} from "./traffic.js";
import {chosenMinute, isFiltered, look, tab, view} from "./view.js";

/** Decisions of one answer. */
export const PAGE = 100;
/** Rows that the page holds at most. */
const MOST_ROWS = 1000;
/** What is listed, what waits, and what is being asked. */
export const state = {
  asked: 0,
  /** What the entries are the answer to. */
  query: "",
  entries: [],
  answer: null,
  next: null,
  waiting: null,
  paused: false,
  isLoading: false,
};
/** The entries that are listed, the newest first. */
export const listed = () => state.entries;
export const idOf = ({line}) => line["http.request.id"];
export const keyOf = (entry) => `${entry.worker ?? 0}-${entry.number}`;

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
function isAddress(text) {
  if (text.split(":").length > 2) return URL.canParse(`http://[${text}]/`);
  return /^\d+(\.\d+){3}$/.test(text) && text.split(".").every((each) => Number(each) < 256);
}

/** Ask for the first page anew. What is new waits while the list is being read, unless another list is wanted. */
export async function askDecisions() {
  const mine = ++state.asked,
    wanted = query();
  const answer = await get(wanted, "decisions");
  if (mine !== state.asked) return;
  const isSame = wanted === state.query;
  if (isSame && answer === state.answer) return;
  if (isSame && isHeld()) state.waiting = answer;
  else show(answer, isSame);
  state.query = wanted;
  redraw();
}
function redraw() {
  model.decisions = {};
  changed();
}
/** List the answer. Older entries of the same list stay, where they follow without a gap. */
function show(answer, isSame) {
  const known = new Set(answer.decisions.map(keyOf));
  const overlaps = isSame && state.entries.some((each) => known.has(keyOf(each)));
  const older = overlaps ? state.entries.filter((each) => !known.has(keyOf(each))) : [];
  if (!older.length || state.entries.length <= PAGE) {
    state.entries = answer.decisions;
    state.next = answer.next;
  } else {
    state.entries = [...answer.decisions, ...older].slice(0, MOST_ROWS);
  }
  state.answer = answer;
  state.waiting = null;
}
/** Show what waits once the list is not read any more. */
export function showWaiting() {
  if (!state.waiting || isHeld()) return;
  show(state.waiting, true);
  redraw();
}
function isHeld() {
  const rows = $("decision-list");
  return (
    state.paused ||
    $("story").open ||
    Boolean(rows && (rows.matches(":hover") || rows.contains(document.activeElement) || isSelected(rows)))
  );
}
const isSelected = (rows) => !getSelection().isCollapsed && rows.contains(getSelection().anchorNode);
/** How many wait. */
export const newOnes = () => {
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

/** How many there are of each outcome; null before the first answer. */
export const tabCounts = () => (state.waiting ?? state.answer)?.counts ?? null;
/** Whether nothing at all has come yet, as far as the list knows. */
export const isUntouched = () => state.answer !== null && !isFiltered() && !view.org && state.answer.counts.all === 0;

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
  if (!state.paused && state.waiting) show(state.waiting, true);
  redraw();
});
action("newest", () => {
  show(state.waiting, true);
  redraw();
});
action("older", async () => {
  if (state.isLoading) return;
  state.isLoading = true;
  redraw();
  const mine = state.query;
  try {
    const answer = await get(query({before: state.next}), "older decisions");
    if (mine === state.query) {
      const known = new Set(state.entries.map(keyOf));
      state.entries = [...state.entries, ...answer.decisions.filter((each) => !known.has(keyOf(each)))].slice(
        0,
        MOST_ROWS,
      );
      state.next = state.entries.length < MOST_ROWS ? answer.next : null;
    }
  } finally {
    state.isLoading = false;
    redraw();
  }
});
let typing = 0;
document.addEventListener("input", (event) => {
  if (event.target.id !== "q") return;
  clearTimeout(typing);
  typing = setTimeout(() => look({q: event.target.value}), 200);
});
document.addEventListener("keydown", (event) => {
  if (
    event.target.matches("input, textarea, select") ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    document.querySelector("dialog[open]")
  )
    return;
  if (event.key === "/" && $("q")) {
    event.preventDefault();
    $("q").focus();
  } else if (event.key === "j" || event.key === "k") {
    const opens = [...document.querySelectorAll(".decisions .open")],
      at = opens.indexOf(document.activeElement);
    opens[Math.max(0, Math.min(opens.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
  }
});
