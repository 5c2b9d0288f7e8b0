// API errors, shadow rules and what was redacted, of the last 24 hours.

import {el} from "./dom.js";
import {model, now} from "./model.js";
import {view} from "./view.js";
import {cell, cut, decided, local, moment, number, percent, plural, row, table} from "./words.js";

const MOST = 100;

const time = (seconds) => el("span", {title: local(seconds)}, moment(seconds, now()));
const count = (groups) => groups.reduce((sum, each) => sum + each.count, 0);

/** The groups that are shown: of the org that is chosen, the most frequent first; null without any. */
export function errorsCard() {
  const {groups = [], shadow = [], unlisted = 0} = model.rejections ?? {};
  const ours = (list) => list.filter((each) => !view.org || each.org === view.org);
  const found = [...ours(groups).map((each) => [each, ""]), ...ours(shadow).map((each) => [each, "shadow"])].slice(
    0,
    MOST,
  );
  if (!found.length) return null;
  const would = count(ours(shadow));
  const heads = [
    ["w-25", "Code"],
    [null, "Call and property"],
    ["w-20", "Org"],
    ["w-count", "Count", "right"],
    ["w-time", "Last", "right"],
  ];
  return [
    el(
      "div",
      {class: "head"},
      el("h2", {id: "errors-title"}, "API errors, 24 hours"),
      el(
        "span",
        {class: "muted"},
        `${number(count(ours(groups)))} in ${plural(ours(groups).length, "group")}`,
        would ? `; ${number(would)} more are only reported (shadow)` : "",
        unlisted ? `; ${number(unlisted)} are counted, but not listed (audit.rejections)` : "",
      ),
    ),
    table(
      "errors",
      heads,
      found.map(([each, mode]) =>
        row(
          {"data-key": [each.org, each.code, each.call, each.property, mode].join("\n")},
          cell(null, cut(each.code), mode ? el("span", {class: "badge warn"}, "shadow") : null),
          cell(
            null,
            el(
              "bdi",
              {class: "cut", title: [each.call, each.property].filter(Boolean).join(" · ")},
              each.call || "(no name)",
              each.property ? [" ", el("bdi", {class: "mono muted"}, each.property)] : null,
            ),
          ),
          cell(null, cut(each.org, "muted")),
          cell("right", el("b", {}, number(each.count))),
          cell("right muted", time(each.last)),
        ),
      ),
    ),
  ];
}

/** What shadow rules would have blocked; null when none was hit. */
export function shadowCard() {
  const rules = (model.shadow?.rules ?? []).slice(0, MOST);
  if (!rules.length) return null;
  const heads = [
    [null, "Rule"],
    ["w-would", "Would block", "right"],
    ["w-time", "Last", "right"],
  ];
  return [
    el("div", {class: "head"}, el("h2", {id: "shadow-title"}, "Shadow rules, 24 hours")),
    table(
      "shadows",
      heads,
      rules.map((each) =>
        row(
          {"data-key": each.rule},
          cell(null, el("code", {}, each.rule), el("span", {class: "row near"}, decided(each.reason_code))),
          cell(
            "right",
            el("b", {}, number(each.pages)),
            ` ${each.pages === 1 ? "page" : "pages"} `,
            model.pages24 ? el("span", {class: "muted line"}, percent(each.pages, model.pages24)) : null,
            each.count > each.pages
              ? el("span", {class: "muted line"}, ` ${plural(each.count - each.pages, "other request")}`)
              : null,
          ),
          cell("right muted", time(each.last)),
        ),
      ),
    ),
  ];
}

/** How often each redaction rule was found; null when none was. */
export function redactionsCard() {
  const rules = (model.redactions?.rules ?? []).slice(0, MOST);
  if (!rules.length) return null;
  const heads = [
    [null, "Rule"],
    ["w-count", "Matches", "right"],
    ["w-time", "Last", "right"],
  ];
  return [
    el("div", {class: "head"}, el("h2", {id: "redactions-title"}, "Redacted, 24 hours")),
    table(
      "redactions",
      heads,
      rules.map((each) =>
        row(
          {"data-key": [each.rule, each.mode].join("\n")},
          cell(
            null,
            el("code", {}, each.rule),
            each.mode === "shadow" ? [" ", el("span", {class: "badge warn"}, "shadow")] : null,
          ),
          cell("right", el("b", {}, number(each.count))),
          cell("right muted", time(each.last)),
        ),
      ),
    ),
  ];
}
