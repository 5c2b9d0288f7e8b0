// A candidate that is judged on live traffic beside the rules in force (fsproxy try), and how that ended.

import {action} from "./actions.js";
import {button, el} from "./dom.js";
import {give} from "./bar.js";
import {changed, isOff, model} from "./model.js";
import {remove} from "./server.js";
import {cell, clock, decided, number, percent, plural, reason, row, table} from "./words.js";

const duration = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** A table of what changes: old and new, the rule behind it, and a hint. Also for a reload that is held back. */
export function changesTable(changes) {
  const heads = [["w-count", "Pages", "right"], ["w-36", "Now and then"], [null, "New rule, and a hint"]];
  return table("changes", heads, changes.map(({pages, old, new: then, hint, examples = []}) => {
    const rule = then.rule || old.rule;
    return row({"data-key": [old.code, old.rule, then.code, then.rule].join("\n")},
      cell("right", el("b", {}, number(pages))),
      cell(null, el("span", {class: "row near"}, decided(old.code), el("span", {class: "muted"}, "→"), decided(then.code))),
      cell(null, rule ? el("code", {}, rule) : null, !then.rule && old.rule ? el("span", {class: "muted"}, " does not hit it any more") : null,
        hint ? [el("br"), el("span", {class: "muted"}, hint)] : null,
        examples.length ? [el("br"), el("span", {class: "t1 muted"}, "such as "), examples.slice(0, 3).map((id) => [button("story", id, {class: "link mono", "data-v": id}), " "])] : null));
  }));
}
function sentence({pages, changed: changes, calls, calls_changed: callsChanged, undecidable, share}) {
  return el("p", {},
    el("b", {class: "num"}, number(changes)), " of ", el("b", {class: "num"}, plural(pages, "page")), pages ? [" (", el("b", {}, percent(changes, pages)), ")"] : null,
    ` would be decided otherwise; API calls: ${callsChanged ? number(callsChanged) : "none"} of ${number(calls)}. `,
    undecidable ? `${plural(undecidable, "page")} could not be judged by both. ` : "",
    `Judged in memory with whole addresses, ${share >= 1 ? "all" : `${+(share * 100).toFixed(1)} %`} of the traffic, quota not spent.`);
}
/** The card; null when nothing is tried. */
export function trialCard() {
  const trial = model.trial;
  if (!trial || !trial.state || trial.state === "none") return null;
  const runs = trial.state === "running", passed = Math.max(0, trial.for - (trial.left ?? 0)), part = trial.for ? Math.min(1, passed / trial.for) : 1;
  return [
    el("div", {class: "head"}, el("h2", {id: "trial-title"}, `Try: ${trial.name || "a candidate"} on live traffic`),
      el("span", {class: `badge ${runs ? "" : trial.changed ? "warn" : "ok"}`}, runs ? `${duration(passed)} of ${duration(trial.for)}` : "ended"),
      el("span", {class: "row push"}, button("stop-trial", runs ? "Stop" : "Put away", {disabled: isOff() || model.readOnly}),
        button("copy-trial", "Copy as text"))),
    runs ? null : el("p", {class: "muted"}, ended(trial)),
    sentence(trial),
    runs ? el("div", {class: "track gap", role: "img", "aria-label": `${Math.round(part * 100)} % of the time has passed`, "--part": `${part * 100}%`}, el("i")) : null,
    trial.changes?.length ? el("div", {class: "gap"}, changesTable(trial.changes)) : el("p", {class: "muted gap"}, runs ? "No change so far." : "Nothing changes: the candidate decides as the rules in force do."),
  ];
}
const ended = ({ended_because: because, since, for: length}) => `Began at ${clock(since)} UTC, for ${duration(length)}. ${because ? `Ended: ${because.replace(/\.$/, "")}.` : ""}`;

function asText(trial) {
  const name = (each) => (each.code ? reason(each.code) : "captured");
  const lines = (trial.changes ?? []).map(({pages, old, new: then, hint}) => `  ${String(pages).padStart(6)} ${name(old)} -> ${name(then)}   ${then.rule || old.rule}   ${hint ?? ""}`.trimEnd());
  return [`${number(trial.pages)} pages: ${number(trial.changed)} (${percent(trial.changed, trial.pages)}) change`, ...lines].join("\n");
}
action("copy-trial", (value, target) => {
  navigator.clipboard?.writeText(asText(model.trial)).catch(() => {});
  target.classList.add("done");
});
action("stop-trial", () => give(() => remove("api/try"), (answer) => {
  model.trial = answer;
  changed();
  return answer.state === "none" ? "The try is put away." : "The try is stopped.";
}));
