// Blocked pages by minute: a lane of failures, the blocks stacked by reason on a scale of their own, and below, quiet,
// what was captured. What failed stands on it in red, so that an outage shows as a bite.

import {$, el, morph, svg} from "./dom.js";
import {model, now} from "./model.js";
import {bars, drawnCodes, scale} from "./traffic.js";
import {chosenMinute, look, minuteText, view} from "./view.js";
import {CODES, HATCHED, clock, day, number, percent, reason, reasons, sign, swatch} from "./words.js";

const LEFT = 38, RIGHT = 4, TOP = 40, BOTTOM = 20, GAP = 24;
/** A bar with more failures than this opens their list. */
const MANY = 9;
let list = [], shape = null, pointed = -1;

const isNarrow = () => innerWidth < 520;
const barName = () => ({1: "minute", 2: "2 minutes", 15: "15 minutes", 30: "30 minutes"})[scale(isNarrow()).minutes];
const counted = () => (view.count === "pages" ? "pages" : "requests");

/** The card. */
export function chartCard() {
  list = bars(isNarrow());
  const title = view.code ? `Blocked with ${reason(view.code)}, by ${barName()}` : `Blocked ${counted()} by ${barName()}`;
  const choice = (value, text) =>
    el("button", {type: "button", "data-do": "look", "data-v": `count=${value}`, "aria-pressed": String(view.count === value)}, text);
  return [
    el("div", {class: "head"},
      el("h2", {id: "traffic-title"}, title),
      el("span", {class: "muted t1"}, "click a bar to list it, a reason to see it alone"),
      el("span", {class: "seg push", role: "group", "aria-label": "What is counted"}, choice("pages", "Pages"), choice("requests", "All requests"))),
    el("div", {class: "traffic"},
      el("div", {class: "plot"},
        svg("svg", {id: "chart", "aria-hidden": "true", "data-own": true}),
        el("div", {id: "scrub", role: "slider", tabindex: "0", "data-own": true, "aria-label": `Chart, by ${barName()}`, "aria-describedby": "scrub-help", ...spoken()}),
        el("div", {id: "tip", hidden: true, "data-own": true}),
        el("span", {class: "sr", id: "scrub-help"}, "Arrow keys move, Enter lists the decisions of that time")),
      el("div", {class: "legend"}, legend())),
  ];
}
function legend() {
  const sum = (of) => list.reduce((all, each) => all + of(each), 0);
  const all = sum((each) => each.all), quiet = sum((each) => each.quiet), failed = sum((each) => each.failed);
  const line = (attributes, mark, code, text, count) =>
    el("li", {}, el("button", {type: "button", ...attributes}, mark, el("span", {class: "c"}, code), el("span", {class: "cut"}, text),
      el("span", {class: "n"}, number(count)), el("span", {class: "p"}, percent(count, all))));
  return el("ul", {"aria-label": "Totals; a reason is a button that shows it alone"},
    CODES.map((code) => {
      const count = sum((each) => each.blocks[code] ?? 0);
      return line({"data-do": "code", "data-v": code, "aria-pressed": String(view.code === String(code)), class: count ? "" : "zero"},
        swatch(code), String(code), reasons[code] ?? "", count);
    }),
    el("li", {class: "rule", "aria-hidden": "true"}),
    line({"data-do": "tab", "data-v": "all"}, sign("captured"), "", view.count === "pages" ? "captured" : "captured or forwarded", quiet),
    line({"data-do": "tab", "data-v": "failed"}, sign("failed"), "", "failed", failed));
}
/** What the slider stands at, as numbers and as a sentence. */
function spoken() {
  const bar = list[current()];
  return {"aria-valuemin": "0", "aria-valuemax": String(list.length - 1), "aria-valuenow": String(current()), "aria-valuetext": bar ? sentence(bar) : ""};
}
const current = () => (pointed >= 0 ? Math.min(pointed, list.length - 1) : chosen() >= 0 ? chosen() : list.length - 1);
const chosen = () => list.findIndex((each) => chosenMinute() !== null && each.at <= chosenMinute() && chosenMinute() < each.at + each.minutes * 60);
const timeOf = (bar) => `${day(bar.at) === day(now()) ? "" : `${day(bar.at)} `}${clock(bar.at).slice(0, 5)}`;
const sentence = (bar) =>
  `${timeOf(bar)} UTC: ${number(bar.quiet)} captured, ${number(bar.blocked)} blocked, ${number(bar.failed)} failed`;

// -- drawing

/** Draw the plot; the card is there. */
export function plot() {
  const drawing = $("chart");
  const width = Math.round(drawing?.parentNode.getBoundingClientRect().width ?? 0);
  if (width < 80 || !list.length) return;
  shape = measured(width);
  drawing.setAttribute("height", shape.height);
  drawing.setAttribute("viewBox", `0 0 ${width} ${shape.height}`);
  drawing.replaceChildren(patterns(), ...scales(), ...captured(), ...list.flatMap(column), ...failures(), ...hours(), ...loads(), ...marks());
  if (pointed >= 0) point(pointed);
}
function measured(width) {
  const isPhone = width < 480, height = isPhone ? 270 : 366, quietHigh = isPhone ? 44 : 70;
  const high = height - TOP - BOTTOM - quietHigh - GAP, floor = TOP + high + GAP + quietHigh, step = (width - LEFT - RIGHT) / list.length;
  const codes = drawnCodes(), most = Math.max(4, ...list.map((bar) => codes.reduce((all, code) => all + (bar.blocks[code] ?? 0), 0)));
  const power = 10 ** Math.floor(Math.log10(most / 3)), tick = [1, 2, 5, 10].map((each) => Math.max(1, each * power)).find((each) => most / each <= 4.2);
  const top = Math.ceil(most / tick) * tick, quietMost = Math.max(1, ...list.map((bar) => bar.quiet + bar.failed));
  return {
    width, height, isPhone, quietHigh, floor, step, codes, tick, top, quietMost,
    x: (index) => LEFT + index * step,
    y: (value) => TOP + high - (value / top) * high,
    quietY: (value) => floor - (value / quietMost) * quietHigh,
  };
}
const thousands = (value) => (value >= 1e4 ? `${+(value / 1e3).toFixed(1)}k` : number(value));
const text = (x, y, content, attributes = {}) => svg("text", {x, y, ...attributes}, content);
const level = (y) => svg("line", {class: "grid", x1: LEFT, x2: shape.width - RIGHT, y1: y, y2: y});
const patterns = () => svg("defs", {}, [...HATCHED].map((code) =>
  svg("pattern", {id: `hatched-${code}`, class: `code-${code}`, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
    svg("rect", {width: 5, height: 5}), svg("rect", {class: "stripe", width: 1.9, height: 5}))));

function scales() {
  const {y, floor, quietMost, quietY, tick, top} = shape, made = [];
  for (let value = 0; value <= top; value += tick) made.push(level(y(value)), text(LEFT - 6, y(value) + 4, thousands(value), {"text-anchor": "end"}));
  made.push(level(floor), text(LEFT - 6, quietY(quietMost) + 9, thousands(quietMost), {"text-anchor": "end"}), text(LEFT - 6, floor + 1, "0", {"text-anchor": "end"}));
  made.push(text(LEFT - 6, TOP - 16, "failed", {"text-anchor": "end"}), level(TOP - 13));
  return made;
}
function captured() {
  const {x, quietY, floor, quietHigh} = shape;
  const line = list.map((bar, index) => `${index ? "L" : ""}${x(index).toFixed(1)} ${quietY(bar.quiet).toFixed(1)}H${x(index + 1).toFixed(1)}`).join("");
  const name = `captured${view.count === "requests" ? " or forwarded" : ""}${list.some((bar) => bar.failed > MANY) ? ", and failed in red" : ""}`;
  return [svg("path", {class: "area", d: `M${line}V${floor}H${LEFT}Z`}), text(LEFT, floor - quietHigh - 7, name)];
}
const between = (name, index, y1, y2) =>
  svg("rect", {class: name, x: (shape.x(index) + .8).toFixed(1), width: Math.max(.6, shape.step - 1.6).toFixed(1), y: y1.toFixed(1), height: Math.max(0, y2 - y1).toFixed(1)});
function column(bar, index) {
  let below = 0;
  return shape.codes.filter((code) => bar.blocks[code]).map((code) => {
    const from = below;
    below += bar.blocks[code];
    return between(`bar code-${code}`, index, shape.y(below), shape.y(from));
  });
}
function failures() {
  const {x, step, quietY} = shape;
  return list.flatMap((bar, index) => {
    if (!bar.failed) return [];
    const size = Math.max(8, Math.min(15, 4 + Math.sqrt(bar.failed) * .6)), middle = x(index) + step / 2, half = Math.min(size / 2, Math.max(2.5, step / 2 - .5));
    const triangle = svg("path", {class: "fail", d: `M${middle} ${TOP - 14 - size}L${middle + half} ${TOP - 14}H${middle - half}Z`});
    return bar.failed > MANY ? [between("fail", index, quietY(bar.quiet + bar.failed), quietY(bar.quiet)), triangle] : [triangle];
  });
}
function hours() {
  const every = 60 * (view.range === "1h" ? (shape.isPhone ? 20 : 10) : shape.isPhone ? 480 : 180);
  return list.flatMap((bar, index) => (bar.at % every ? [] : [text(shape.x(index) + shape.step / 2, shape.height - 4, clock(bar.at).slice(0, 5), {"text-anchor": "middle"})]));
}
/** A dotted line for each load of rules. A name only where there is room for it. */
function loads() {
  const first = list[0].at, span = list.length * list[0].minutes * 60;
  let free = shape.width;
  return (model.traffic?.loads ?? []).toReversed().flatMap(({at, generation}) => {
    if (at < first || at >= first + span) return [];
    const x = LEFT + ((at - first) / span) * (shape.width - LEFT - RIGHT), name = `rules ${generation} loaded`, fits = x < free && x > 110 + LEFT;
    if (fits) free = x - 110;
    return [svg("line", {class: "load", x1: x, x2: x, y1: TOP - 4, y2: shape.floor}), fits ? text(x - 5, TOP + 10, name, {class: "load-text", "text-anchor": "end"}) : null];
  });
}
function marks() {
  const mark = (attributes) => svg("rect", {y: TOP - 4, width: shape.step, height: shape.floor - TOP + 4, ...attributes});
  const index = chosen();
  return [index >= 0 ? mark({class: "chosen", x: shape.x(index)}) : null, mark({class: "pointed", id: "pointed", x: -99})].filter(Boolean);
}

// -- pointing at a bar

function point(index) {
  pointed = Math.max(0, Math.min(list.length - 1, index));
  const bar = list[pointed], tip = $("tip"), wide = shape.isPhone ? 190 : 218, x = shape.x(pointed);
  $("pointed")?.setAttribute("x", x);
  for (const [name, value] of Object.entries(spoken())) $("scrub").setAttribute(name, value);
  const line = (mark, name, count) => el("li", {}, mark, el("span", {class: "cut"}, name), el("b", {class: "num"}, number(count)));
  const most = CODES.filter((code) => bar.blocks[code]).sort((a, b) => bar.blocks[b] - bar.blocks[a]);
  morph(tip,
    el("p", {}, el("b", {}, timeOf(bar)), el("span", {class: "muted"}, ` UTC, ${number(bar.all)} ${counted()}`)),
    el("ul", {}, bar.failed ? line(sign("failed"), "failed", bar.failed) : null, line(sign("captured"), view.count === "pages" ? "captured" : "captured or forwarded", bar.quiet),
      bar.rejected ? line(sign("rejected"), "rejected", bar.rejected) : null, most.map((code) => line(swatch(code), reason(code), bar.blocks[code]))),
    el("p", {class: "muted"}, "Click or Enter: list them"));
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
  look({at: had ? "" : minuteText(bar.at), outcome: !had && bar.failed > MANY ? "failed" : view.outcome, code: !had && bar.failed > MANY ? "" : view.code});
}
const MOVES = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -1e6, End: 1e6};
const overPlot = (event) => event.target.id === "scrub";

document.addEventListener("pointermove", (event) => {
  if (overPlot(event) && shape) point(Math.floor((event.clientX - event.target.getBoundingClientRect().left - LEFT) / shape.step));
  else if (pointed >= 0 && document.activeElement?.id !== "scrub") leave();
});
document.addEventListener("pointerout", (event) => { if (overPlot(event)) leave(); });
document.addEventListener("focusin", (event) => { if (overPlot(event) && event.target.matches(":focus-visible")) point(current()); });
document.addEventListener("focusout", (event) => { if (overPlot(event)) leave(); });
document.addEventListener("click", (event) => { if (overPlot(event)) choose(); });
document.addEventListener("keydown", (event) => {
  if (!overPlot(event)) return;
  if (MOVES[event.key]) point(current() + MOVES[event.key]);
  else if (event.key === "Enter" || event.key === " ") choose();
  else if (event.key === "Escape") { leave(); look({at: ""}); }
  else return;
  event.preventDefault();
});
