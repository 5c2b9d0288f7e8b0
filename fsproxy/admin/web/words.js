// Numbers, times and reasons in words. All times are UTC, as in audit lines; titles add the reader's own.

import {el} from "./dom.js";

/** The reason codes in their fixed order: that of the stack and of the list, which never sort themselves anew. */
export const CODES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, -1];
/** Reasons that say that set-up, account or user is at fault; the others are rules and wishes. */
export const HATCHED = new Set([1, 2, 9, 11, 12, -1]);
/** The texts of the codes, as the proxy has them. */
export const reasons = {};

export const number = (value) => Math.round(value).toLocaleString("en-US");
/** 10634 as 10.6k. */
export const short = (value) => (value >= 1e4 ? `${(value / 1e3).toFixed(1)}k` : number(value));
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
/** A share as 12.3 %, or – of nothing. */
export const percent = (part, whole) => (whole ? `${shareText(part / whole)} %` : "–");
/** A share from 0 to 1 as 12.3; one that is not zero never looks like it. */
export function shareText(share) {
  const value = share * 100;
  return value > 0 && value < 0.05 ? "< 0.1" : value < 100 && value > 99.95 ? "> 99.9" : value.toFixed(1);
}
/** Seconds as milliseconds, two digits that count. */
export function milliseconds(seconds) {
  const value = seconds * 1000;
  return value >= 100 ? number(value) : value >= 10 ? value.toFixed(0) : value.toFixed(1);
}

const part = (options) => new Intl.DateTimeFormat("en-GB", {timeZone: "UTC", hourCycle: "h23", ...options});
const CLOCK = part({hour: "2-digit", minute: "2-digit", second: "2-digit"});
const MINUTE = part({hour: "2-digit", minute: "2-digit"});
const DAY = part({day: "numeric", month: "short"});
const DATE = part({day: "numeric", month: "short", year: "numeric"});
const of = (format) => (seconds) => format.format(new Date(seconds * 1000));
export const clock = of(CLOCK);
const minuteOf = of(MINUTE);
export const day = of(DAY);
export const date = of(DATE);
/** A time: without its day while that is today. */
export const moment = (seconds, now) =>
  day(seconds) === day(now) ? clock(seconds) : `${day(seconds)} ${minuteOf(seconds)}`;
/** A time as since when something is so: its clock while that is today, and its day later. */
export const since = (seconds, now) => (day(seconds) === day(now) ? clock(seconds) : day(seconds));
/** The same time by the reader's own clock, for a title. */
export const local = (seconds) =>
  `${new Date(seconds * 1000).toLocaleString("en-GB", {dateStyle: "medium", timeStyle: "long"})}, by your clock`;
/** A length of time in its two largest units: 2 min 11 s. */
export function long(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const units = [
    [86400, whole >= 172800 ? "days" : "day"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([size]) => whole >= size);
  if (first < 0) return "0 s";
  const [size, name] = units[first],
    [below, belowName] = units[first + 1] ?? [0, ""];
  const rest = below && first < 3 ? Math.floor((whole % size) / below) : 0;
  return `${Math.floor(whole / size)} ${name}${rest ? ` ${rest} ${belowName}` : ""}`;
}
/** The same, roughly: 16 min. */
export const roughly = (seconds) => (seconds < 60 ? long(seconds) : long(seconds).split(" ").slice(0, 2).join(" "));

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
/** The mark of a reason code: coloured, and hatched where set-up, account or user is at fault. */
export const swatch = (code) =>
  el("span", {class: `swatch code-${code}${HATCHED.has(Number(code)) ? " hatched" : ""}`});
/** The mark of an end that is no block: captured, forwarded, rejected, failed. */
export const sign = (outcome) => el("span", {class: `swatch ${outcome}`});
export const reason = (code) => `${code} ${reasons[code] ?? "reason"}`;
/** Mark and name of a decision: a reason code, or "captured" and the like. */
export const decided = (what) =>
  Number.isFinite(Number(what)) && what !== "" && what !== null
    ? [swatch(what), reason(what)]
    : [sign(what || "captured"), what || "captured"];
/** The file's name and the place in it. */
export const place = (where) => where.replace(/^.*\//, "");
/** A button that copies its text. */
export const copy = (text, what) =>
  el(
    "button",
    {type: "button", class: "copy mono", "data-do": "copy", "data-v": text, "aria-label": `Copy ${what}: ${text}`},
    text,
  );
/** A table: the heads are [class, text]. The roles outlive the grid that it becomes on phones. */
export const table = (kind, heads, rows) =>
  el(
    "table",
    {class: kind, role: "table"},
    el(
      "colgroup",
      {},
      heads.map(([width]) => el("col", {class: width})),
    ),
    el(
      "thead",
      {role: "rowgroup"},
      el(
        "tr",
        {role: "row"},
        heads.map(([, text, side]) => el("th", {scope: "col", role: "columnheader", class: side}, text)),
      ),
    ),
    el("tbody", {role: "rowgroup"}, rows),
  );
export const row = (attributes, ...cells) => el("tr", {role: "row", ...attributes}, cells);
export const cell = (kind, ...children) => el("td", {role: "cell", class: kind}, children);
/** A line that is cut where there is no room, with the whole as its title. */
export const cut = (text, kind = "", tag = "span") =>
  el(tag, {class: `cut ${kind}`, title: text || null}, text || "\u00a0");
