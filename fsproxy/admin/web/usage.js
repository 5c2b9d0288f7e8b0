// How much of its quota and of its names each org has used, and where the cycle will end.

import {el} from "./dom.js";
import {model, now} from "./model.js";
import {view} from "./view.js";
import {day, moment, number} from "./words.js";

/** From this part on it is amber, as the alerts of config/deploy go off. */
const WARNS = 0.8;
const MOST = 12;
const KINDS = {
  user_property: "User properties",
  event_name: "Event names",
  event_property: "Event properties",
  page_property: "Page properties",
  page_name: "Page names",
};

const part = (used, limit) => (limit ? used / limit : used ? 1 : 0);
const level = (share) => (share >= 1 ? "full" : share >= WARNS ? "warn" : "");
function shares(org) {
  const names = Object.values(org.names)
    .filter((each) => each.mode !== "off")
    .map((each) => part(each.known, each.limit));
  return Math.max(0, ...names, org.quota ? part(org.quota.used, org.quota.limit) : 0);
}
/** The card; null when no org has used anything. */
export function usageCard() {
  const {orgs = [], known = true} = model.usage ?? {};
  const found = orgs.filter((each) => !view.org || each.org === view.org);
  if (!found.length) return null;
  const sorted = found.toSorted((a, b) => shares(b) - shares(a) || (a.org < b.org ? -1 : 1)),
    more = sorted.length - MOST;
  return [
    el(
      "div",
      {class: "head"},
      el("h2", {id: "usage-title"}, "Quota and names"),
      el("span", {class: "muted t1 push"}, "warns from 80 %; hatched: where the cycle ends"),
    ),
    known ? null : el("p", {class: "warned"}, "The store that counts is down: what is used is not known."),
    el("div", {}, sorted.slice(0, MOST).map(use)),
    more > 0
      ? el("p", {class: "muted gap"}, `${number(more)} more use a smaller share; choose one in the bar above.`)
      : null,
  ];
}
function use(org) {
  const {quota} = org,
    share = quota ? part(quota.used, quota.limit) : 0,
    kind = level(share);
  return el(
    "div",
    {class: "use", "data-key": org.org || "(none)"},
    el(
      "span",
      {class: "row"},
      el("h3", {class: "cut", title: org.org}, org.org || "(no org)"),
      el(
        "span",
        {class: "push num"},
        quota
          ? [
              kind ? el("b", {class: kind === "full" ? "fault" : "warned"}, `${Math.floor(share * 100)} % `) : null,
              quota.used === null ? "unknown" : number(quota.used),
              el(
                "span",
                {class: "muted"},
                ` of ${number(quota.limit)} sessions${quota.mode === "shadow" ? " (shadow)" : ""}`,
              ),
            ]
          : el("span", {class: "muted"}, "no quota"),
      ),
    ),
    quota
      ? [
          track(`Sessions of ${org.org}`, quota.used, quota.limit, quota.forecast?.at_end),
          el("span", {class: kind ? "t1" : "t1 muted"}, forecast(quota)),
        ]
      : null,
    el(
      "div",
      {class: "small-uses"},
      Object.entries(org.names).map(([name, each]) => names(name, each, org.org)),
    ),
    newest(org),
  );
}
function track(name, used, limit, ahead = null) {
  const share = part(used, limit),
    width = (value) => `${Math.min(100, part(value, limit) * 100)}%`;
  return el(
    "span",
    {
      class: `track ${level(share)}`,
      role: "meter",
      "aria-label": name,
      "aria-valuemin": "0",
      "aria-valuemax": String(limit),
      "aria-valuenow": String(Math.min(used ?? 0, limit)),
      "aria-valuetext": used === null ? "unknown" : `${number(used)} of ${number(limit)}`,
    },
    ahead ? el("i", {class: "ahead", "--part": width(ahead)}) : null,
    el("i", {"--part": width(used ?? 0)}),
  );
}
function forecast({used, limit, mode, forecast: ahead, ends, cycle}) {
  const end = `the cycle ends ${day(ends)}`;
  const full = mode === "shadow" ? "used up, in shadow: new sessions go on" : "used up: no new sessions";
  if (used !== null && used >= limit) return `${full}; ${end}`;
  if (!ahead) return `cycle of ${cycle}; ${end}`;
  if (ahead.used_up_at) return `used up ${day(ahead.used_up_at)} at this pace; ${end}`;
  return `ends ${day(ends)} with about ${number(ahead.at_end)}`;
}
function names(kind, {known, limit, mode}, org) {
  const title = KINDS[kind] ?? kind,
    isFull = known !== null && known >= limit;
  const text =
    known === null
      ? "unknown"
      : isFull
        ? el("b", {class: "fault"}, `${number(known)}, full`)
        : [number(known), el("span", {class: "muted"}, ` / ${number(limit)}`)];
  return el(
    "span",
    {},
    el("span", {class: "cut muted"}, title),
    el("span", {class: "num"}, mode === "off" ? "no limit" : text),
    mode === "shadow" ? el("span", {class: "muted"}, " shadow") : null,
    mode === "off" ? null : track(`${title} of ${org}`, known, limit),
  );
}
/** The names that were new or refused last, which show where a flood of them comes from. */
function newest(org) {
  const lists = Object.entries(org.names)
    .flatMap(([kind, each]) => [
      [`${KINDS[kind] ?? kind}, refused last`, each.refused],
      [`${KINDS[kind] ?? kind}, newest`, each.newest],
    ])
    .filter(([, list]) => list.length);
  if (!lists.length) return null;
  const refused = Object.values(org.names).some((each) => each.refused.length);
  return el(
    "details",
    {class: "names t1"},
    el("summary", {}, refused ? "Newest names, and those refused" : "Newest names"),
    lists.map(([title, list]) => [
      el("h4", {}, title),
      el(
        "ol",
        {},
        list.map(({name, at}) =>
          el("li", {}, el("bdi", {class: "mono"}, name || '""'), el("span", {class: "muted num"}, moment(at, now()))),
        ),
      ),
    ]),
  );
}
