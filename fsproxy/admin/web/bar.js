// The bar: whether the page is live, the rules in force, the org, the range, the mode and the reload.

import {action} from "./actions.js";
import {$, button, el, morph} from "./dom.js";
import {changed, isOff, model} from "./model.js";
import {Refused, TokenAsked, post} from "./server.js";
import {look, view} from "./view.js";
import {capital, clock, moment, plural} from "./words.js";

const ALL = "bypass all";
const modeOf = (status) => (status.mode === "bypass" && status.privacy_rules.length === 0 ? ALL : status.mode);
const MODES = {
  enforce: ["Enforce the rules?", "Sessions are blocked as the rules say."],
  shadow: [
    "Judge only, and block nothing?",
    "Every rule is judged and shown in audit lines, but all sessions are captured. The privacy rules go on blocking.",
  ],
  bypass: [
    "Judge nothing but privacy?",
    "The kill switch: everything is forwarded at once, and only the privacy rules are judged. It lasts until another mode is chosen or the proxy is restarted.",
  ],
  [ALL]: [
    "End the privacy rules too?",
    "Visitors who opted out and users who are being deleted are captured from now on, and nothing is redacted. It lasts until another mode is chosen or the proxy is restarted.",
  ],
};

/** Draw the bar. */
export function drawBar() {
  const {status, link} = model,
    shown = link !== "token" && status !== null;
  $("live").className = link === "away" ? "lost" : "";
  morph(
    $("live"),
    link === "token" || link === "starting"
      ? null
      : [
          el("span", {class: "dot", "aria-hidden": "true"}),
          link === "away" ? "no answer" : "live",
          " ",
          el("span", {class: "muted num"}, status ? `${clock(status.time)} UTC` : ""),
        ],
  );
  morph($("rules"), shown ? rules(status) : null);
  $("controls").hidden = !shown;
  if (shown) morph($("controls"), controls(status));
}
function rules(status) {
  const loaded = model.config?.reload.loaded,
    held = model.config?.held_back,
    faults = model.config?.reload.error_count;
  return [
    "rules ",
    el("b", {class: "num"}, String(status.generation)),
    loaded ? `, loaded ${moment(loaded, status.time)}` : "",
    " ",
    held
      ? el(
          "a",
          {href: "#held-back", class: "badge warn", "data-do": "jump", "data-v": "config-title"},
          "reload held back",
        )
      : null,
    faults
      ? el(
          "a",
          {href: "#config", class: "badge bad", "data-do": "jump", "data-v": "config-title"},
          `${plural(faults, "fault")} in the new rules`,
        )
      : null,
    workers(),
  ];
}
function workers() {
  const known = model.workers;
  if (!known || known.configured < 2) return null;
  return known.answered === known.configured
    ? null
    : [" ", el("span", {class: "badge warn"}, `${known.answered} of ${known.configured} workers: not all is shown`)];
}
function controls(status) {
  const orgs = [...new Set([...(model.traffic?.orgs ?? []), ...(view.org ? [view.org] : [])])].sort();
  const range = (value, text) =>
    button("look", text, {"data-v": `range=${value}`, "aria-pressed": String(view.range === value)});
  const present = modeOf(status);
  const mode = (value) =>
    button("mode", capital(value), {
      "data-v": value,
      "aria-pressed": String(present === value),
      disabled: isOff() || model.readOnly,
      class: value === present && value !== "enforce" ? "hot" : null,
    });
  // Who ends the privacy rules has pulled the kill switch before, and has seen that this did not help.
  const modes = Object.keys(MODES).filter((each) => each !== ALL || status.mode === "bypass");
  return [
    el(
      "select",
      {id: "org", "aria-label": "Org", disabled: isOff()},
      el("option", {value: ""}, orgs.length > 1 ? `all ${orgs.length} orgs` : "all orgs"),
      orgs.map((each) => el("option", {value: each, selected: each === view.org}, each)),
    ),
    el("span", {class: "seg", role: "group", "aria-label": "Time range"}, range("1h", "1 h"), range("24h", "24 h")),
    el("span", {class: "seg", role: "group", "aria-label": "Mode of the proxy"}, modes.map(mode)),
    button("reload", "Reload", {
      disabled: isOff() || model.readOnly,
      title: model.readOnly ? "This token may only read" : null,
    }),
    noteText ? el("span", {id: "note", class: noteIsFault ? "t1 fault" : "t1 muted"}, noteText) : null,
  ];
}

// -- what the reader does

action("look", (value) => {
  const [name, chosen] = value.split("=");
  look({[name]: chosen, ...(name === "range" ? {at: ""} : {})});
});
document.addEventListener("change", (event) => {
  if (event.target.id === "org") look({org: event.target.value});
});
action("jump", (id, target, event) => {
  event.preventDefault();
  $(id)?.scrollIntoView({block: "center"});
});
action("mode", (mode) => {
  if (mode === modeOf(model.status)) return;
  const [title, text] = MODES[mode];
  confirmed(title, text, `Switch to ${mode}`, () =>
    give(
      () => post("mode", mode === ALL ? {mode: "bypass", privacy: "off"} : {mode}),
      () => `Switched to ${mode}.`,
    ),
  );
});
action("reload", () => give(() => post("reload", {}), loaded));
action("force", () =>
  confirmed(
    "Load it anyway?",
    "The configuration is put into force, although it changes more pages than reload.max_change allows.",
    "Load it",
    () => give(() => post("reload", {force: true}), loaded),
  ),
);
const loaded = (answer) => `Generation ${answer.generation} is in force.`;

let confirm = null;
function confirmed(title, text, yes, act) {
  confirm = act;
  morph(
    $("confirm"),
    el("h2", {id: "confirm-title"}, title),
    el("p", {id: "confirm-text", class: "gap"}, text),
    el("p", {class: "row"}, button("close", "Cancel", {autofocus: true}), button("confirm", yes, {class: "main"})),
  );
  $("confirm").showModal();
}
action("confirm", () => {
  $("confirm").close();
  confirm();
});

let noteText = "",
  noteIsFault = false,
  fading = 0;
/** Say what became of an order: beside the buttons, and to screen readers. */
function note(text, isFault = false) {
  clearTimeout(fading);
  [noteText, noteIsFault] = [text, isFault];
  $("announce").textContent = text;
  if (text && !isFault) fading = setTimeout(() => note(""), 10_000);
  drawBar();
}
function refusal({answer, message}) {
  if (answer.held_back) return "Held back: see Configuration.";
  if (answer.errors) return `Not used: ${plural(answer.error_count, "fault")}.`;
  const silent = Array.isArray(answer.workers) ? ` (worker ${answer.workers.join(", ")})` : "";
  return `Not done: ${answer.error ?? message}${silent}.`;
}
/** Carry out an order and say what became of it. */
export async function give(order, done) {
  note("");
  try {
    note(done(await order()));
  } catch (fault) {
    if (fault instanceof TokenAsked) throw fault;
    if (!(fault instanceof Refused)) return note("Not done: the proxy did not answer.", true);
    if (fault.status === 403) model.readOnly = true;
    note(refusal(fault), true);
    changed();
  }
}
