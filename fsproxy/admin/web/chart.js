// Blocked pages by minute: a lane of failures, the blocks stacked by reason on a scale of their own, and below, quiet,
// what was captured. What failed is drawn on it in red, so that an outage shows as a bite.

import {$, el, morph, svg} from "./dom.js";
import {now} from "./model.js";
import {LEFT, MANY, drawInto} from "./plot.js";
import {bars, scale} from "./traffic.js";
import {chosenMinute, look, minuteText, view} from "./view.js";
import {CODES, clock, day, number, percent, reason, reasons, sign, swatch} from "./words.js";

let list = [],
  shape = null,
  pointed = -1;

const isNarrow = () => innerWidth < 520;
const barName = () => ({1: "minute", 2: "2 minutes", 15: "15 minutes", 30: "30 minutes"})[scale(isNarrow()).minutes];
const counted = () => (view.count === "pages" ? "pages" : "requests");

/** The card. */
export function chartCard() {
  list = bars(isNarrow());
  const title = view.code
    ? `Blocked with ${reason(view.code)}, by ${barName()}`
    : `Blocked ${counted()} by ${barName()}`;
  const choice = (value, text) =>
    el(
      "button",
      {type: "button", "data-do": "look", "data-v": `count=${value}`, "aria-pressed": String(view.count === value)},
      text,
    );
  return [
    el(
      "div",
      {class: "head"},
      el("h2", {id: "traffic-title"}, title),
      el("span", {class: "muted t1"}, "click a bar to list it, a reason to see it alone"),
      el(
        "span",
        {class: "seg push", role: "group", "aria-label": "What is counted"},
        choice("pages", "Pages"),
        choice("requests", "All requests"),
      ),
    ),
    el(
      "div",
      {class: "traffic"},
      el(
        "div",
        {class: "plot"},
        svg("svg", {id: "chart", "aria-hidden": "true", "data-own": true}),
        el("div", {
          id: "scrub",
          role: "slider",
          tabindex: "0",
          "data-own": true,
          "aria-label": `Chart, by ${barName()}`,
          "aria-describedby": "scrub-help",
          ...spoken(),
        }),
        el("div", {id: "tip", hidden: true, "data-own": true}),
        el("span", {class: "sr", id: "scrub-help"}, "Arrow keys move, Enter lists the decisions of that time"),
      ),
      el("div", {class: "legend"}, legend()),
    ),
  ];
}
function legend() {
  const sum = (of) => list.reduce((all, each) => all + of(each), 0);
  const all = sum((each) => each.all),
    quiet = sum((each) => each.quiet),
    failed = sum((each) => each.failed);
  const line = (attributes, mark, code, text, count) =>
    el(
      "li",
      {},
      el(
        "button",
        {type: "button", ...attributes},
        mark,
        el("span", {class: "c"}, code),
        el("span", {class: "cut"}, text),
        el("span", {class: "n"}, number(count)),
        el("span", {class: "p"}, percent(count, all)),
      ),
    );
  return el(
    "ul",
    {"aria-label": "Totals; a reason is a button that shows it alone"},
    CODES.map((code) => {
      const count = sum((each) => each.blocks[code] ?? 0);
      return line(
        {
          "data-do": "code",
          "data-v": code,
          "aria-pressed": String(view.code === String(code)),
          class: count ? "" : "zero",
        },
        swatch(code),
        String(code),
        reasons[code] ?? "",
        count,
      );
    }),
    el("li", {class: "rule", "aria-hidden": "true"}),
    line(
      {"data-do": "tab", "data-v": "all"},
      sign("captured"),
      "",
      view.count === "pages" ? "captured" : "captured or forwarded",
      quiet,
    ),
    line({"data-do": "tab", "data-v": "failed"}, sign("failed"), "", "failed", failed),
  );
}
/** The slider's value, as numbers and as a sentence. */
function spoken() {
  const bar = list[current()];
  return {
    "aria-valuemin": "0",
    "aria-valuemax": String(list.length - 1),
    "aria-valuenow": String(current()),
    "aria-valuetext": bar ? sentence(bar) : "",
  };
}
const current = () => (pointed >= 0 ? Math.min(pointed, list.length - 1) : chosen() >= 0 ? chosen() : list.length - 1);
const chosen = () =>
  list.findIndex(
    (each) => chosenMinute() !== null && each.at <= chosenMinute() && chosenMinute() < each.at + each.minutes * 60,
  );
const timeOf = (bar) => `${day(bar.at) === day(now()) ? "" : `${day(bar.at)} `}${clock(bar.at).slice(0, 5)}`;
const sentence = (bar) =>
  `${timeOf(bar)} UTC: ${number(bar.quiet)} captured, ${number(bar.blocked)} blocked, ${number(bar.failed)} failed`;
/** Draw the plot; the card is there. */
export function plot() {
  shape = drawInto($("chart"), list, chosen());
  if (shape && pointed >= 0) point(pointed);
}

// -- pointing at a bar

function point(index) {
  pointed = Math.max(0, Math.min(list.length - 1, index));
  const bar = list[pointed],
    tip = $("tip"),
    wide = shape.isPhone ? 190 : 218,
    x = shape.x(pointed);
  $("pointed")?.setAttribute("x", x);
  for (const [name, value] of Object.entries(spoken())) $("scrub").setAttribute(name, value);
  const line = (mark, name, count) =>
    el("li", {}, mark, el("span", {class: "cut"}, name), el("b", {class: "num"}, number(count)));
  const most = CODES.filter((code) => bar.blocks[code]).sort((a, b) => bar.blocks[b] - bar.blocks[a]);
  morph(
    tip,
    el("p", {}, el("b", {}, timeOf(bar)), el("span", {class: "muted"}, ` UTC, ${number(bar.all)} ${counted()}`)),
    el(
      "ul",
      {},
      bar.failed ? line(sign("failed"), "failed", bar.failed) : null,
      line(sign("captured"), view.count === "pages" ? "captured" : "captured or forwarded", bar.quiet),
      bar.rejected ? line(sign("rejected"), "rejected", bar.rejected) : null,
      most.map((code) => line(swatch(code), reason(code), bar.blocks[code])),
    ),
    el("p", {class: "muted"}, "Click or Enter: list them"),
  );
  tip.hidden = false;
  const right = x + shape.step + 8;
  tip.style.setProperty("left", `${Math.max(0, right + wide > shape.width ? x - wide - 8 : right)}px`);
}
function leave() {
  pointed = -1;
  if ($("tip")) $("tip").hidden = true;
  $("pointed")?.setAttribute("x", -99);
}
function choose() {
  const bar = list[current()];
  if (!bar) return;
  const had = chosen() === current();
  look({
    at: had ? "" : minuteText(bar.at),
    outcome: !had && bar.failed > MANY ? "failed" : view.outcome,
    code: !had && bar.failed > MANY ? "" : view.code,
  });
}
const MOVES = {
  ArrowLeft: -1,
  ArrowRight: 1,
  ArrowUp: 1,
  ArrowDown: -1,
  PageUp: 10,
  PageDown: -10,
  Home: -1e6,
  End: 1e6,
};
const overPlot = (event) => event.target.id === "scrub";

document.addEventListener("pointermove", (event) => {
  if (overPlot(event) && shape)
    point(Math.floor((event.clientX - event.target.getBoundingClientRect().left - LEFT) / shape.step));
  else if (pointed >= 0 && document.activeElement?.id !== "scrub") leave();
});
document.addEventListener("pointerout", (event) => {
  if (overPlot(event)) leave();
});
document.addEventListener("focusin", (event) => {
  if (overPlot(event) && event.target.matches(":focus-visible")) point(current());
});
document.addEventListener("focusout", (event) => {
  if (overPlot(event)) leave();
});
document.addEventListener("click", (event) => {
  if (overPlot(event)) choose();
});
document.addEventListener("keydown", (event) => {
  if (!overPlot(event)) return;
  if (MOVES[event.key]) point(current() + MOVES[event.key]);
  else if (event.key === "Enter" || event.key === " ") choose();
  else if (event.key === "Escape") {
    leave();
    look({at: ""});
  } else return;
  event.preventDefault();
});
