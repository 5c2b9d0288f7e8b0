// How requests ended, by bar of the chart.

import {model, now} from "./model.js";
import {view} from "./view.js";
import {CODES} from "./words.js";

/** Minutes of a bar and how many bars there are: fewer and wider ones where there is little room. */
export function scale(isNarrow) {
  const minutes = view.range === "1h" ? (isNarrow ? 2 : 1) : isNarrow ? 30 : 15;
  return {minutes, count: (view.range === "1h" ? 60 : 1440) / minutes};
}
const empty = (at, minutes) => ({at, minutes, blocks: {}, blocked: 0, quiet: 0, rejected: 0, failed: 0, all: 0});

/** Return the bars, oldest first; the last one is not over. quiet: captured, or only forwarded. */
export function bars(isNarrow) {
  const {minutes, count} = scale(isNarrow),
    size = minutes * 60;
  const last = Math.floor(now() / size) * size;
  const list = Array.from({length: count}, (_, index) => empty(last - (count - 1 - index) * size, minutes));
  for (const entry of model.traffic?.minutes ?? []) {
    const bar = list[count - 1 - (last - Math.floor(entry.minute / size) * size) / size];
    if (bar) add(bar, entry[view.count]);
  }
  return list;
}
function add(bar, ends) {
  for (const [code, count] of Object.entries(ends.blocked)) {
    bar.blocks[code] = (bar.blocks[code] ?? 0) + count;
    bar.blocked += count;
    bar.all += count;
  }
  bar.quiet += ends.captured + ends.forwarded;
  bar.rejected += ends.rejected;
  bar.failed += ends.failed;
  bar.all += ends.captured + ends.forwarded + ends.rejected + ends.failed;
}
/** Return all of the range as one bar, by pages or by requests. Requests that lost a part count as rejected, too. */
export function total(count) {
  const whole = empty(0, 0),
    since = now() - (view.range === "1h" ? 3600 : 86400);
  for (const entry of model.traffic?.minutes ?? [])
    if (entry.minute > since) {
      add(whole, entry[count]);
      // They were forwarded, so they are among the others as well.
      if (count === "requests") whole.rejected += entry.rejected_in_part;
    }
  return whole;
}
/** The codes that are drawn: all of them, or the one that is chosen. */
export const drawnCodes = () => (view.code ? CODES.filter((code) => String(code) === view.code) : CODES);
