// The answer to "why": the verdict, the lines of the configuration behind it, and what each filter concluded.

import {el} from "./dom.js";
import {place, reason, swatch} from "./words.js";

const SIGNS = {
  pass: ["✓", "pass", "passes"],
  hit: ["✕", "hit", "blocks"],
  shadow: ["!", "shadow", "would block (shadow)"],
  failed: ["!", "failed", "failed: a fault of the proxy"],
  "not reached": ["·", "none", "not reached"],
  "asks the ledger": ["✓", "pass", "passes: not used up"],
};
const words = (list) => list.join(", ").replaceAll("_", " ");

/** All of the answer. ``line``: the audit line that was asked about, or null. */
export function explained(answer, line) {
  const parts = [verdict(answer, line)];
  if (answer.filters.length) parts.push(el("ol", {class: "trace"}, answer.filters.map(step)));
  if (answer.not_given.length)
    parts.push(
      el("p", {class: "t1 warned gap"}, `Rules look at these too, which were not given: ${words(answer.not_given)}.`),
    );
  if (answer.filters.length && answer.not_judged.length)
    parts.push(el("p", {class: "t1 muted gap"}, `No rules for: ${words(answer.not_judged)}.`));
  if (answer.filters.length)
    parts.push(
      el(
        "p",
        {class: "t1 muted"},
        `One that is under way passes ramping and quota.${answer.quota_known ? "" : " The store that counts the quota's use is down; it is taken as 0 here."}`,
      ),
    );
  if (line)
    parts.push(
      el(
        "p",
        {class: "t1 muted gap"},
        "Judged by what the audit line holds. The form is filled in from it: add what you know, such as the whole address, and ask again.",
      ),
    );
  return parts;
}
function verdict(answer, line) {
  const code = answer.reason_code,
    heads = {
      blocked: [swatch(code), ` Blocked: ${code} ${answer.reason}`],
      captured: "✓ Captured",
      undecidable: "? It cannot be known",
      not_judged: "Not judged",
    };
  const kind = {blocked: `code-${code}`, captured: "captured", undecidable: "unknown", not_judged: ""}[answer.decision];
  return el(
    "div",
    {class: `verdict ${kind}`},
    el("b", {class: "row near"}, heads[answer.decision]),
    answer.rule
      ? el(
          "span",
          {},
          "by ",
          el("code", {}, answer.rule.id),
          answer.rule.where
            ? [" in ", el("code", {title: answer.rule.where}, place(answer.rule.where))]
            : ", a default",
        )
      : null,
    answer.means ? el("span", {}, sentence(answer.means)) : null,
    answer.decision === "undecidable"
      ? unknown(answer, line)
      : answer.because
        ? el("span", {}, sentence(answer.because))
        : null,
    answer.source?.length ? sourceLines(answer.source) : null,
    answer.mode === "bypass" ? el("span", {class: "warned"}, "The mode is bypass: only privacy rules are judged.") : null,
    answer.mode === "shadow"
      ? el("span", {class: "warned"}, "The mode is shadow: only privacy rules block, the others that would are marked.")
      : null,
  );
}
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? "" : "."}`;

/** What each answer would take, where the line holds too little. */
function unknown(answer, line) {
  const isAddress = answer.because.startsWith("ip:"),
    address = line?.["client.ip"];
  const each = (rule) =>
    isAddress
      ? el("span", {}, el("b", {}, reason(5)), " if ", el("code", {}, rule), " hits the whole address;")
      : el("span", {}, "It depends on ", el("code", {}, rule), ".");
  return [
    isAddress && address
      ? el(
          "span",
          {},
          "This line keeps ",
          el("code", {}, address),
          `, which stands for ${address.includes(":") ? "2⁸⁰" : "256"} addresses.`,
        )
      : el("span", {}, sentence(answer.because)),
    answer.rules.map(each),
    isAddress ? el("span", {}, el("b", {}, "the other filters decide"), " if none hits it.") : null,
    isAddress
      ? el(
          "span",
          {class: "t1 muted"},
          "Enter the whole address, or set ",
          el("code", {}, "audit.client_ip: full"),
          " for lines to come.",
        )
      : null,
  ];
}
/** Lines of the configuration, with a mark on the rule. */
export const sourceLines = (lines) =>
  el(
    "div",
    {class: "src mono"},
    lines.map(({number: at, text, start, end}, index) => [
      index ? "\n" : "",
      `${at} │ `,
      text.slice(0, start).trimStart(),
      el("mark", {}, text.slice(start, end)),
      text.slice(end),
    ]),
  );

function step({filter, judgement, rule}) {
  const [sign, kind, text] = SIGNS[judgement] ?? ["·", "none", judgement];
  const shows = rule && kind !== "none" && kind !== "pass";
  return el(
    "li",
    {class: kind},
    el("i", {"aria-hidden": "true"}, sign),
    el("span", {}, filter.replaceAll("_", " ")),
    el(
      "span",
      {},
      text,
      shows
        ? [
            el("br"),
            el("code", {}, rule.id),
            " ",
            rule.where ? el("code", {class: "muted", title: rule.where}, place(rule.where)) : "",
          ]
        : null,
    ),
  );
}
