// The drawing of the chart: the lane of failures, the blocks, what was captured, and the loads of rules.

import {svg} from "./dom.js";
import {model} from "./model.js";
import {drawnCodes} from "./traffic.js";
import {view} from "./view.js";
import {HATCHED, clock, number} from "./words.js";

/** Pixels: left of the bars, right of them, above, below, and between the two scales. */
export const LEFT = 38;
const RIGHT = 4,
  TOP = 40,
  BOTTOM = 20,
  GAP = 24;
/** Half of what a time of day needs below the bars. */
const HALF_TIME = 18;
/** A bar with more failures than this shows them in red below as well, and a click on it opens their list. */
export const MANY = 9;
/** What is drawn, and where: the last drawing. */
let list = [],
  shape = null;

/** Draw these bars into the element. Return where they are; null where there is no room. ``chosen``: an index, or -1. */
export function drawInto(drawing, bars, chosen) {
  const width = Math.round(drawing?.parentNode.getBoundingClientRect().width ?? 0);
  if (width < 80 || !bars.length) return null;
  list = bars;
  shape = measured(width);
  drawing.setAttribute("height", shape.height);
  drawing.setAttribute("viewBox", `0 0 ${width} ${shape.height}`);
  drawing.replaceChildren(
    patterns(),
    ...scales(),
    ...captured(),
    ...list.flatMap(column),
    ...failures(),
    ...hours(),
    ...loads(),
    ...marks(chosen),
  );
  return shape;
}
function measured(width) {
  const isPhone = width < 480,
    height = isPhone ? 270 : 366,
    quietHigh = isPhone ? 44 : 70;
  const high = height - TOP - BOTTOM - quietHigh - GAP,
    floor = TOP + high + GAP + quietHigh,
    step = (width - LEFT - RIGHT) / list.length;
  const codes = drawnCodes(),
    most = Math.max(4, ...list.map((bar) => codes.reduce((all, code) => all + (bar.blocks[code] ?? 0), 0)));
  const power = 10 ** Math.floor(Math.log10(most / 3)),
    tick = [1, 2, 5, 10].map((each) => Math.max(1, each * power)).find((each) => most / each <= 4.2);
  const top = Math.ceil(most / tick) * tick,
    quietMost = Math.max(1, ...list.map((bar) => bar.quiet + bar.failed));
  return {
    width,
    height,
    isPhone,
    quietHigh,
    floor,
    step,
    codes,
    tick,
    top,
    quietMost,
    x: (index) => LEFT + index * step,
    y: (value) => TOP + high - (value / top) * high,
    quietY: (value) => floor - (value / quietMost) * quietHigh,
  };
}
const thousands = (value) => (value >= 1e4 ? `${+(value / 1e3).toFixed(1)}k` : number(value));
const text = (x, y, content, attributes = {}) => svg("text", {x, y, ...attributes}, content);
const level = (y) => svg("line", {class: "grid", x1: LEFT, x2: shape.width - RIGHT, y1: y, y2: y});
const patterns = () =>
  svg(
    "defs",
    {},
    [...HATCHED].map((code) =>
      svg(
        "pattern",
        {
          id: `hatched-${code}`,
          class: `code-${code}`,
          width: 5,
          height: 5,
          patternUnits: "userSpaceOnUse",
          patternTransform: "rotate(45)",
        },
        svg("rect", {width: 5, height: 5}),
        svg("rect", {class: "stripe", width: 1.9, height: 5}),
      ),
    ),
  );

function scales() {
  const {y, floor, quietMost, quietY, tick, top} = shape,
    made = [];
  for (let value = 0; value <= top; value += tick)
    made.push(level(y(value)), text(LEFT - 6, y(value) + 4, thousands(value), {"text-anchor": "end"}));
  made.push(
    level(floor),
    text(LEFT - 6, quietY(quietMost) + 9, thousands(quietMost), {"text-anchor": "end"}),
    text(LEFT - 6, floor + 1, "0", {"text-anchor": "end"}),
  );
  made.push(text(LEFT - 6, TOP - 16, "failed", {"text-anchor": "end"}), level(TOP - 13));
  return made;
}
function captured() {
  const {x, quietY, floor, quietHigh} = shape;
  const line = list
    .map(
      (bar, index) =>
        `${index ? "L" : ""}${x(index).toFixed(1)} ${quietY(bar.quiet).toFixed(1)}H${x(index + 1).toFixed(1)}`,
    )
    .join("");
  const name = `captured${view.count === "requests" ? " or forwarded" : ""}${list.some((bar) => bar.failed > MANY) ? ", and failed in red" : ""}`;
  return [svg("path", {class: "area", d: `M${line}V${floor}H${LEFT}Z`}), text(LEFT, floor - quietHigh - 7, name)];
}
const between = (name, index, y1, y2) =>
  svg("rect", {
    class: name,
    x: (shape.x(index) + 0.8).toFixed(1),
    width: Math.max(0.6, shape.step - 1.6).toFixed(1),
    y: y1.toFixed(1),
    height: Math.max(0, y2 - y1).toFixed(1),
  });
function column(bar, index) {
  let below = 0;
  return shape.codes
    .filter((code) => bar.blocks[code])
    .map((code) => {
      const from = below;
      below += bar.blocks[code];
      return between(`bar code-${code}`, index, shape.y(below), shape.y(from));
    });
}
function failures() {
  const {x, step, quietY} = shape;
  return list.flatMap((bar, index) => {
    if (!bar.failed) return [];
    const size = Math.max(8, Math.min(15, 4 + Math.sqrt(bar.failed) * 0.6)),
      middle = x(index) + step / 2,
      half = Math.min(size / 2, Math.max(2.5, step / 2 - 0.5));
    const triangle = svg("path", {
      class: "fail",
      d: `M${middle} ${TOP - 14 - size}L${middle + half} ${TOP - 14}H${middle - half}Z`,
    });
    return bar.failed > MANY
      ? [between("fail", index, quietY(bar.quiet + bar.failed), quietY(bar.quiet)), triangle]
      : [triangle];
  });
}
function hours() {
  const every = 60 * (view.range === "1h" ? (shape.isPhone ? 20 : 10) : shape.isPhone ? 480 : 180);
  // The newest one's place may be too near to the edge for its text.
  const middle = (index) => Math.min(shape.x(index) + shape.step / 2, shape.width - HALF_TIME);
  return list.flatMap((bar, index) =>
    bar.at % every
      ? []
      : [text(middle(index), shape.height - 4, clock(bar.at).slice(0, 5), {"text-anchor": "middle"})],
  );
}
/** A dotted line for each load of rules. A name only where there is room for it. */
function loads() {
  const first = list[0].at,
    span = list.length * list[0].minutes * 60;
  let free = shape.width;
  return (model.traffic?.loads ?? []).toReversed().flatMap(({at, generation}) => {
    if (at < first || at >= first + span) return [];
    const x = LEFT + ((at - first) / span) * (shape.width - LEFT - RIGHT),
      name = `rules ${generation} loaded`,
      fits = x < free && x > 110 + LEFT;
    if (fits) free = x - 110;
    return [
      svg("line", {class: "load", x1: x, x2: x, y1: TOP - 4, y2: shape.floor}),
      fits ? text(x - 5, TOP + 10, name, {class: "load-text", "text-anchor": "end"}) : null,
    ];
  });
}
function marks(index) {
  const mark = (attributes) =>
    svg("rect", {y: TOP - 4, width: shape.step, height: shape.floor - TOP + 4, ...attributes});
  return [
    index >= 0 ? mark({class: "chosen", x: shape.x(index)}) : null,
    mark({class: "pointed", id: "pointed", x: -99}),
  ].filter(Boolean);
}
