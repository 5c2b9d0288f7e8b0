// The list of decisions as it is drawn: tabs, search, filters, rows.

import {button, el} from "./dom.js";
import {PAGE, idOf, keyOf, newOnes, state, tabCounts} from "./decisions.js";
import {now} from "./model.js";
import {OUTCOMES, chosenMinute, isFiltered, tab, view} from "./view.js";
import {capital, cell, clock, cut, date, day, local, number, reason, row, short, sign, swatch, table} from "./words.js";

/** The card. */
export function decisionsCard() {
  const {answer, entries} = state,
    counts = tabCounts() ?? {},
    fresh = newOnes();
  return [
    el(
      "div",
      {class: "head"},
      el("h2", {id: "decisions-title"}, "Decisions"),
      el(
        "span",
        {class: "seg", role: "group", "aria-label": "Outcome"},
        OUTCOMES.map((each) =>
          el(
            "button",
            {type: "button", "data-do": "tab", "data-v": each, "aria-pressed": String(tab() === each)},
            `${capital(each)} `,
            el("b", {}, short(counts[each] ?? 0)),
          ),
        ),
      ),
      el(
        "span",
        {class: "row push"},
        fresh ? button("newest", `${fresh >= PAGE ? `${PAGE}+` : fresh} new`, {class: "main"}) : null,
        button("pause", state.paused ? "Go on" : "Pause", {"aria-pressed": String(state.paused)}),
        button("link", "Copy link"),
      ),
    ),
    el(
      "form",
      {role: "search", class: "row filters", id: "search"},
      el("input", {
        type: "search",
        id: "q",
        "data-own": true,
        autocomplete: "off",
        maxlength: "256",
        value: view.q,
        "aria-label": "Search the decisions",
        placeholder: "org, session, user, rule, host, address, request id",
      }),
      view.at
        ? chip("at", `at ${day(chosenMinute()) === day(now()) ? "" : `${day(chosenMinute())} `}${view.at.slice(11)}`)
        : null,
      view.code ? chip("code", [swatch(view.code), reason(view.code)]) : null,
    ),
    addressNote(answer?.address),
    entries.length ? rows(entries) : nothing(answer),
    entries.length ? foot(entries, answer) : null,
  ];
}
const chip = (name, content) =>
  el(
    "button",
    {type: "button", class: "chip", "data-do": "clear", "data-v": name},
    content,
    el("span", {"aria-hidden": "true"}, "✕"),
    el("span", {class: "sr"}, ", take this filter away"),
  );

function addressNote(address) {
  if (!address) return null;
  const {asked, listed_as: known, stands_for: many} = address,
    code = (text) => el("code", {}, text),
    key = "audit.client_ip";
  if (!known) return el("p", {class: "muted filters"}, "No address is kept (", code(key), "), so none can be found.");
  if (!many || many === 1)
    return known === asked
      ? null
      : el(
          "p",
          {class: "muted filters"},
          "Addresses are kept as hashes (",
          code(key),
          "): listed is what has the hash of ",
          code(asked),
          ".",
        );
  return el(
    "p",
    {class: "muted filters"},
    "The last part of addresses is not kept (",
    code(`${key}: truncated`),
    "): listed is all of ",
    code(known),
    `, which stands for ${number(many)} addresses; any of them may be ${asked}.`,
  );
}
function nothing(answer) {
  if (!answer) return el("p", {class: "muted"}, "Asking …");
  const kept = answer.kept ? ` of the last ${number(answer.kept.decisions)} that are kept` : "";
  return el(
    "p",
    {class: "muted"},
    `None of this kind${kept}${isFiltered() ? " with these filters. " : "."}`,
    isFiltered() ? button("clear", "Take the filters away", {class: "link", "data-v": "all"}) : null,
  );
}
function foot(entries, {matching, kept, workers}) {
  const each = workers ? ", of each worker" : "";
  return el(
    "p",
    {class: "row muted gap"},
    el("span", {class: "num"}, `${number(entries.length)} of ${number(Math.max(matching, entries.length))}`),
    state.next
      ? button(
          "older",
          state.isLoading ? "Asking …" : `${Math.min(PAGE, Math.max(1, matching - entries.length))} older`,
          {"data-switch": true},
        )
      : null,
    kept
      ? el(
          "span",
          {class: "push t1"},
          `kept: the last ${number(kept.decisions)} that were decided about and ${number(kept.forwarded)} that were only forwarded${each}`,
        )
      : null,
  );
}
const timeOf = (line) => Date.parse(line["@timestamp"]) / 1000;
function rows(entries) {
  const today = day(timeOf(entries[0].line));
  const heads = [
    ["w-stamp", `UTC, ${today}`],
    ["w-36", "Outcome and rule"],
    [null, "Org and page"],
    ["w-25", "Address and session"],
  ];
  return el(
    "div",
    {id: "decision-list"},
    table(
      "decisions",
      heads,
      entries.map((each) => decisionRow(each, today)),
    ),
  );
}
function decisionRow(entry, today) {
  const {line, where} = entry,
    time = timeOf(line),
    isToday = day(time) === today,
    id = idOf(entry);
  const route = line["event.action"],
    shadows = line["fsproxy.shadow"] ?? [];
  const rule = line["rule.id"] ?? shadows.map((each) => `shadow: ${each["rule.id"]}`).join(", ");
  const address = [line["client.ip"] ?? line["client.address"], line["client.geo.country_iso_code"]]
    .filter(Boolean)
    .join(" · ");
  const kept = (text, kind, tag) => (text ? cut(text, kind, tag) : el("span", {class: "cut muted"}, "kept back"));
  return row(
    {"data-key": keyOf(entry), "data-do": "story", "data-v": id, class: id === view.d ? "on" : null},
    cell(
      null,
      el(
        "button",
        {
          type: "button",
          class: "open",
          "data-do": "story",
          "data-v": id,
          title: `${date(time)}; ${local(time)}`,
          "aria-label": `Story of the request at ${clock(time)}, ${said(line)}`,
        },
        clock(time),
      ),
      el("span", {class: "cut t1 muted", title: route}, `${isToday ? "" : `${day(time)} · `}${route.split("_")[0]}`),
    ),
    cell(
      null,
      outcome(line),
      below(line)
        ? cut(below(line), "muted")
        : el("span", {class: "cut mono muted", title: [rule, where].filter(Boolean).join(", ")}, rule || "\u00a0"),
    ),
    cell(null, kept(line["organization.id"]), cut(line["url.domain"] ?? line["url.path"], "muted", "bdi")),
    cell(null, kept(address), line["fsproxy.session_id"] ? cut(line["fsproxy.session_id"], "mono muted") : cut("", "")),
  );
}
const said = (line) =>
  line["fsproxy.reason_code"] === undefined
    ? line["fsproxy.decision"]
    : `blocked, ${reason(line["fsproxy.reason_code"])}`;
/** The mark and the name of what became of a request. */
export function outcome(line) {
  const kind = line["fsproxy.decision"],
    code = line["fsproxy.reason_code"];
  const rejections = line["fsproxy.rejections"] ?? [];
  const first =
    kind === "failed"
      ? (line["fsproxy.error"] ?? "failed").replaceAll("_", " ")
      : rejections.length
        ? rejections[0].code
        : kind;
  const isRejected = kind === "rejected" || (kind === "forwarded" && line["fsproxy.rejections_count"]);
  if (kind === "blocked") return el("span", {class: "outcome"}, swatch(code), cut(reason(code)));
  return el(
    "span",
    {class: `outcome ${isRejected ? "rejected" : kind}`},
    sign(isRejected ? "rejected" : kind),
    cut(first),
  );
}
/** What is written below the name, where it is no rule. */
function below(line) {
  const kind = line["fsproxy.decision"],
    count = line["fsproxy.rejections_count"] ?? 0;
  if (kind === "failed")
    return `failed: ${line["event.reason"] ?? `status ${line["http.response.status_code"] ?? "none"}`}`;
  if (!count) return "";
  const [first] = line["fsproxy.rejections"] ?? [{}];
  const what = [first.call, first.property].filter(Boolean).join(" · ");
  return `${kind === "rejected" ? "rejected" : `${number(count)} rejected in it`}${what ? `: ${what}` : ""}`;
}
