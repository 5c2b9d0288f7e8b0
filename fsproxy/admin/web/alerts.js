// What needs attention: state changes only, one line a cause, the worst first. The log and /readyz say the same words.

import {action} from "./actions.js";
import {$, button, el, morph} from "./dom.js";
import {model} from "./model.js";
import {capital, clock, day, local, long} from "./words.js";

const ORDER = ["bad", "warn", "info"];
const SIGNS = {bad: "▲", warn: "!", info: "i"};

/** Draw the alerts, and announce those that are new or over to screen readers. */
export function drawAlerts() {
  const alerts = model.link === "away" ? [away()] : all();
  if ($("alerts")) morph($("alerts"), alerts.map(alert));
  announce(alerts);
}
function all() {
  const {status, fault} = model;
  if (!status || model.link === "token") return [];
  const alerts = status.alerts.filter((each) => !ELSEWHERE.test(each.id)).map(shown);
  if (fault) alerts.push({id: "fault", level: "warn", text: `Not all of this page could be asked: ${fault}`});
  return alerts.sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
}
/** A reload that is held back is shown in the bar and, with what it would change, in Configuration. */
const ELSEWHERE = /^reload:held-back/;
/** Shadow and bypass are meant to be so. But an engineer in an incident must not miss them. */
const shown = (each) => ({...each, text: capital(each.text), level: each.id.startsWith("mode:") ? "warn" : each.level});
function away() {
  const seconds = Math.ceil((model.retry - Date.now()) / 1000);
  const next = seconds > 0 ? `Trying again in ${seconds} s.` : "Trying now.";
  return {
    id: "away",
    level: "bad",
    retries: true,
    text: capital(model.refusal) || `No answer from the admin port for ${long((Date.now() - model.answered) / 1000)}`,
    more: model.status
      ? `Since ${clock(model.status.time)} UTC. ${next} What stands below is as of then; buttons are off.`
      : next,
  };
}
function alert({id, level, since, text, more, retries}) {
  const time = model.status?.time,
    isToday = since && time && day(since) === day(time);
  const from = since
    ? el(
        "span",
        {title: local(since)},
        ` since ${isToday ? "" : `${day(since)}, `}${clock(since)} UTC (${long(time - since)}).`,
      )
    : "";
  return el(
    "div",
    {class: `alert ${level}`, "data-key": id},
    el("b", {"aria-hidden": "true"}, SIGNS[level] ?? "!"),
    el(
      "div",
      {},
      el("strong", {}, `${text.replace(/\.$/, "")}${since ? "," : "."}`),
      from,
      more ? [el("br"), el("span", {class: "t1"}, more)] : null,
    ),
    retries
      ? button("retry", "Try now")
      : id.startsWith("upstream") && level === "bad"
        ? button("tab", "List the failed", {"data-v": "failed"})
        : null,
  );
}
let told = new Map();
/** The list changes each second; only what is new, or over, is worth a word. */
function announce(alerts) {
  const now = new Map(alerts.map((each) => [each.id, each.text]));
  const said = [
    ...alerts.filter((each) => !told.has(each.id)).map((each) => each.text),
    ...[...told].filter(([id]) => !now.has(id)).map(([, text]) => `Over: ${text}`),
  ];
  told = now;
  if (said.length) $("announce").textContent = said.join(". ");
}
/** What "Try now" does. */
export const onRetry = (act) => action("retry", act);
