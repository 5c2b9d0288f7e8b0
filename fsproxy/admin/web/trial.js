// A candidate that is judged on live traffic beside the rules in force (fsproxy try), and how that ended.

import {action} from "./actions.js";
import {button, el} from "./dom.js";
import {give} from "./bar.js";
import {changed, isOff, model} from "./model.js";
import {remove} from "./server.js";
import {cell, clock, number, percent, plural, reason, row, sign, swatch, table} from "./words.js";

const duration = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** What changes is counted by sort; pages come first. And what each is called while no rule is against it. */
const SORTS = [
  ["pages", "page", "captured"],
  ["uploads", "upload", "forwarded"],
  ["calls", "API call", "accepted"],
];
const sortsOf = (change) => SORTS.filter(([name]) => change[name]);
/** A reason code, the code of a rejected call, or none. */
function side(code, otherwise) {
  const both = (mark, name) => el("span", {class: "row near together"}, mark, el("span", {}, name));
  if (code === null) return both(sign(otherwise === "captured" ? "captured" : "forwarded"), otherwise);
  return Number.isInteger(code) ? both(swatch(code), reason(code)) : both(sign("rejected"), code);
}
const ruleOf = (old, then) =>
  old.rule && then.rule && old.rule !== then.rule ? `${old.rule} → ${then.rule}` : then.rule || old.rule;

/** A table of what changes: old and new, the rule behind it, and a hint. Also for a reload that is held back. */
export function changesTable(changes) {
  const heads = [
    ["w-count", "Count", "right"],
    ["w-36", "Now and then"],
    [null, "Rule, and a hint"],
  ];
  return table(
    "changes",
    heads,
    changes.map((change) => {
      const {old, new: then, hint, examples} = change,
        [, , otherwise] = sortsOf(change)[0] ?? SORTS[0],
        rule = ruleOf(old, then);
      return row(
        {"data-key": [old.code, old.rule, then.code, then.rule].join("\n")},
        cell(
          "right",
          sortsOf(change).map(([name, one]) => [
            el("b", {class: "line"}, number(change[name])),
            name === "pages" ? null : el("span", {class: "muted t1 line"}, change[name] === 1 ? one : `${one}s`),
          ]),
        ),
        cell(
          null,
          el(
            "span",
            {class: "row near"},
            side(old.code, otherwise),
            el("span", {class: "muted"}, "→"),
            side(then.code, otherwise),
          ),
        ),
        cell(
          null,
          rule ? el("code", {}, rule) : null,
          hint ? el("span", {class: "muted line"}, hint) : null,
          examples.length
            ? el(
                "span",
                {class: "t1 muted line"},
                "such as ",
                examples.slice(0, 3).map((id) => [button("story", id, {class: "link mono", "data-v": id}), " "]),
              )
            : null,
        ),
      );
    }),
  );
}
function sentence(trial) {
  const {
    pages,
    changed: changes,
    uploads,
    uploads_changed: uploadsChanged,
    calls,
    calls_changed: callsChanged,
    share,
  } = trial;
  const also = (name, all, some) => (all ? `; ${name}: ${some ? number(some) : "none"} of ${number(all)}` : "");
  return el(
    "p",
    {},
    el("b", {class: "num"}, number(changes)),
    " of ",
    el("b", {class: "num"}, number(pages)),
    ` ${pages === 1 ? "page" : "pages"}`,
    pages ? [" (", el("b", {}, percent(changes, pages)), ")"] : null,
    ` would be decided otherwise${also("uploads", uploads, uploadsChanged)}${also("API calls", calls, callsChanged)}. `,
    `Judged in memory with whole addresses, ${share >= 1 ? "all" : `${+(share * 100).toFixed(2)} %`} of the traffic, quota not spent.`,
  );
}
function notes({undecidable_because: because, beyond, restart_needed_for: waits}) {
  const said = Object.entries(because).map(([why, count]) => `${number(count)} could not be decided: ${why}.`);
  if (beyond) said.push(`${number(beyond)} more changes are of further kinds, which are counted together.`);
  if (waits.length) said.push(`Not tried, as only a restart changes them: ${waits.join(", ")}.`);
  return said.map((each) => el("p", {class: "muted gap"}, each));
}
let putAway = 0;
/** The card; null when nothing is tried. */
export function trialCard() {
  const trial = model.trial;
  if (!trial || trial.state === "none" || (trial.state === "ended" && trial.since === putAway)) return null;
  const runs = trial.state === "running",
    passed = Math.max(0, trial.for - (trial.left ?? 0)),
    part = trial.for ? Math.min(1, passed / trial.for) : 1;
  return [
    el(
      "div",
      {class: "head"},
      el("h2", {id: "trial-title"}, `Try: ${trial.name || "a candidate"} on live traffic`),
      el(
        "span",
        {class: `badge ${runs ? "" : trial.changed ? "warn" : "ok"}`},
        runs ? `${duration(passed)} of ${duration(trial.for)}` : "ended",
      ),
      el(
        "span",
        {class: "row push"},
        runs ? button("stop-trial", "Stop", {disabled: isOff() || model.readOnly}) : button("put-away", "Put away"),
        button("copy-trial", "Copy as text"),
      ),
    ),
    runs ? null : el("p", {class: "muted"}, ended(trial)),
    sentence(trial),
    runs
      ? el(
          "div",
          {
            class: "track gap",
            role: "img",
            "aria-label": `${Math.round(part * 100)} % of the time has passed`,
            "--part": `${part * 100}%`,
          },
          el("i"),
        )
      : null,
    trial.changes.length
      ? el("div", {class: "gap"}, changesTable(trial.changes))
      : el(
          "p",
          {class: "muted gap"},
          runs ? "No change so far." : "Nothing changes: the candidate decides as the rules in force do.",
        ),
    notes(trial),
  ];
}
const ended = ({ended_because: because, since, for: length}) =>
  `Began at ${clock(since)} UTC, for ${duration(length)}. ${because ? `Ended: ${because.replace(/\.$/, "")}.` : ""}`;

function asText(trial) {
  const name = (code, otherwise) => (code === null ? otherwise : Number.isInteger(code) ? reason(code) : code);
  const lines = trial.changes.flatMap((change) =>
    sortsOf(change).map(([sort, , otherwise]) =>
      `  ${String(change[sort]).padStart(7)} ${sort}: ${name(change.old.code, otherwise)} -> ${name(change.new.code, otherwise)}   ${ruleOf(change.old, change.new)}   ${change.hint}`.trimEnd(),
    ),
  );
  return [
    `${trial.name}: ${plural(trial.pages, "page")}, ${number(trial.changed)} (${percent(trial.changed, trial.pages)}) change`,
    ...lines,
  ].join("\n");
}
action("copy-trial", (value, target) => {
  navigator.clipboard?.writeText(asText(model.trial)).catch(() => {});
  target.classList.add("done");
});
action("stop-trial", () =>
  give(
    () => remove("api/try"),
    (answer) => {
      model.trial = answer;
      changed();
      return "The try is stopped.";
    },
  ),
);
action("put-away", () => {
  putAway = model.trial.since;
  model.trial = {...model.trial};
  changed();
});
