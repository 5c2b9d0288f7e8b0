// Seven numbers that show within a second whether all is well and, if not, whether it is us or the backend.

import {el, svg} from "./dom.js";
import {model} from "./model.js";
import {total} from "./traffic.js";
import {tab, view} from "./view.js";
import {long, milliseconds, number, plural, roughly, shareText, since} from "./words.js";

const HIGH = 20;

function sparkline(values) {
  if (!values || values.length < 2) return null;
  const most = Math.max(...values, 1e-9);
  const points = values.map((value, index) => `${index} ${(HIGH - 1 - (value / most) * (HIGH - 2)).toFixed(1)}`);
  return svg(
    "svg",
    {viewBox: `0 0 ${values.length - 1} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true"},
    svg("path", {d: `M${points.join("L")}`}),
  );
}
function tile(name, value, below, values, {outcome = "", kind = ""} = {}) {
  const attributes = outcome
    ? {type: "button", "data-do": "tab", "data-v": outcome, "aria-pressed": String(tab() === outcome)}
    : {};
  return el(
    outcome ? "button" : "div",
    {...attributes, class: `tile ${kind}`, "data-key": name},
    el("span", {class: "k"}, name),
    el("span", {class: "v"}, value),
    el("span", {class: "s"}, below),
    sparkline(values),
  );
}
const unit = (text) => el("i", {}, text);
const share = (count, all) => (all ? [shareText(count / all), unit("%")] : "–");

/** From this part on of what went up, what fails is an incident. */
const MANY = 0.05,
  FEW = 9;
/** The part that failed of all that went up within the last two minutes; 0 where it is too few to say. */
function failingPart() {
  const last = (model.traffic?.minutes ?? [])
    .filter((each) => each.minute > model.status.time - 120)
    .map((each) => each.requests);
  const failed = last.reduce((sum, each) => sum + each.failed, 0);
  const all = last.reduce((sum, each) => sum + each.failed + each.captured + each.forwarded, 0);
  return failed > FEW ? failed / all : 0;
}
function failedTile({failed, all}, isDown, values) {
  const part = failingPart(),
    isBad = part >= MANY || (isDown && failed > 0);
  const below = all
    ? `${plural(failed, "request")}${part >= MANY ? `; now ${shareText(part)} % of what goes up` : ""}`
    : "of all requests";
  return tile("Failed", share(failed, all), below, values, {outcome: "failed", kind: isBad ? "bad" : ""});
}
/** The tiles. */
export function tiles() {
  const status = model.status;
  if (!status) return [];
  const {sparks = {}, latency = {}, upstream = {}, store = {}, time} = status;
  const pages = total("pages"),
    requests = total("requests"),
    hour = view.range === "1h";
  const ago = status.hour_ago?.rate;
  const rate = view.org
    ? requests.all / Math.min(hour ? 3600 : 86400, Math.max(60, time - status.started))
    : status.rate;
  const rateText = rate >= 10 ? number(rate) : rate ? rate.toFixed(1) : "0";
  const below = view.org
    ? "of this org, on average"
    : ago
      ? `an hour ago ${ago >= 10 ? number(ago) : ago.toFixed(1)}`
      : requests.all
        ? "over ten seconds"
        : "none yet";
  // The small lines are of the last hour and of all orgs.
  const line = (name) => (hour && !view.org && requests.all ? sparks[name] : null);
  return [
    tile("Requests", [rateText, unit("/s")], below, line("requests")),
    tile(
      "Blocked",
      share(pages.blocked, pages.all),
      pages.all ? plural(pages.blocked, "page") : "of pages",
      line("blocked"),
      {outcome: "blocked"},
    ),
    tile(
      "Rejected",
      share(requests.rejected, requests.all),
      requests.all ? plural(requests.rejected, "request") : "of all requests",
      line("rejected"),
      {outcome: "rejected"},
    ),
    failedTile(requests, upstream.state === "failing", line("failed")),
    latencyTile(latency, line("latency")),
    upstreamTile(upstream, latency, time, line("upstream")),
    storeTile(store, time),
  ];
}
function latencyTile({own_p50: half, own_p99: most}, values) {
  const known = half !== null && half !== undefined;
  return tile(
    "Latency added",
    known ? [milliseconds(half), unit("/"), milliseconds(most), unit("ms")] : "–",
    known ? "p50 / p99, by us alone" : "p50 / p99",
    values,
  );
}
function upstreamTile({state, since: at, kind, text}, {upstream_p50: half}, time, values) {
  const takes = half !== null && half !== undefined ? `${milliseconds(half)} ms` : "";
  if (state === "failing")
    return tile(
      "Upstream",
      "Failing",
      `${at ? `${long(time - at)}: ` : ""}${kind || text || "no answer"}`.replaceAll("_", " "),
      null,
      {kind: "bad down first"},
    );
  if (state !== "up") return tile("Upstream", "–", "not asked yet");
  return tile(
    "Upstream",
    "Up",
    [at ? `since ${since(at, time)}` : "", takes].filter(Boolean).join("; ") || "it answers",
    values,
    {kind: "up"},
  );
}
function storeTile({kind, state, since: at, text, latency}, time) {
  if (kind === "memory") return tile("Store", "Memory", "in this process alone", null, {kind: "up"});
  const takes = latency !== null && latency !== undefined ? `${milliseconds(latency)} ms` : "";
  if (state !== "up")
    return tile(
      "Store",
      ["Down", unit("Redis")],
      [at ? roughly(time - at) : "", text].filter(Boolean).join(": "),
      null,
      {kind: "bad down"},
    );
  return tile(
    "Store",
    ["Up", unit("Redis")],
    [at ? `since ${since(at, time)}` : "", takes].filter(Boolean).join("; "),
    null,
    {kind: "up"},
  );
}
