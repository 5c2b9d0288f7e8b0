// The operators' page: where each card is, and when it is drawn. live.js asks for what is shown.

import {action} from "./actions.js";
import {$, el, morph} from "./dom.js";
import {drawAlerts} from "./alerts.js";
import {drawBar} from "./bar.js";
import {chartCard, plot} from "./chart.js";
import {configCard} from "./config.js";
import {isUntouched} from "./decisions.js";
import {explainCard} from "./explain.js";
import {decisionsCard} from "./list.js";
import {run} from "./live.js";
import {changed, model, part} from "./model.js";
import {gateCard, startCard} from "./start.js";
import {errorsCard, redactionsCard, shadowCard} from "./tables.js";
import {tiles} from "./tiles.js";
import {total} from "./traffic.js";
import {trialCard} from "./trial.js";
import {usageCard} from "./usage.js";
import {view} from "./view.js";

// -- layout: each card is made once and moved, never made anew

const section = (id, kind = "card") => el("section", {id, class: kind, "aria-labelledby": `${id}-title`});
const cards = Object.fromEntries(
  ["traffic", "start", "decisions", "explain", "errors", "trial", "shadow", "redactions", "usage", "config", "gate"].map((id) => [
    id,
    section(id, {start: "card start", gate: "card gate"}[id]),
  ]),
);
const places = {
  alerts: el("div", {id: "alerts"}),
  tiles: el("div", {id: "tiles", class: "tiles", role: "group", "aria-label": "Health"}),
  columns: el("div", {class: "columns"}),
  left: el("div", {class: "column"}),
  right: el("div", {class: "column"}),
};
const narrow = matchMedia("(max-width: 999px)");

function arrange() {
  const isStart = isNew(),
    {alerts, tiles: row, columns, left, right} = places;
  const wanted = model.link === "token" ? [cards.gate] : [alerts, row, isStart ? cards.start : cards.traffic, columns];
  if (model.link !== "token" && model.status === null) wanted.splice(1);
  put($("main"), wanted);
  put(columns, [left, right]);
  put(
    left,
    isStart
      ? [cards.explain]
      : [cards.decisions, narrow.matches ? cards.explain : null, cards.errors, cards.trial, cards.shadow, cards.redactions],
  );
  put(right, [isStart || narrow.matches ? null : cards.explain, cards.usage, cards.config]);
}
/** Make these the children, and move only those that are elsewhere. */
function put(parent, wanted) {
  const nodes = wanted.filter(Boolean);
  for (const node of [...parent.children]) if (!nodes.includes(node)) node.remove();
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}
/** Nothing has come yet, so there is nothing to show. */
const isNew = () => model.decisions !== null && isUntouched() && total("requests").all === 0;
const card = (id, content) => {
  cards[id].hidden = content === null;
  if (content !== null) morph(cards[id], content);
};

part(
  () => [model.link, model.status === null, narrow.matches, isNew(), model.decisions],
  () => {
    const focused = document.activeElement;
    arrange();
    $("main").className = model.link === "away" ? "stale" : "";
    if (document.contains(focused) && document.activeElement !== focused) focused.focus({preventScroll: true});
  },
);
part(
  () => [
    model.link,
    model.status,
    model.config,
    model.traffic?.orgs,
    model.workers,
    view.org,
    view.range,
    model.readOnly,
  ],
  drawBar,
);
part(
  () => [model.link, model.status, model.workers, model.fault, model.retry, Math.floor(Date.now() / 1000)],
  drawAlerts,
);
part(
  () => [model.link, model.status, model.traffic, view.range, view.org, view.outcome],
  () => morph(places.tiles, tiles()),
);
part(
  () => [model.traffic, view.range, view.count, view.code, view.at, view.org, isNew(), innerWidth],
  () => {
    if (model.traffic && !isNew()) {
      morph(cards.traffic, chartCard());
      plot();
    }
  },
);
part(
  () => [model.link, model.config, model.status?.upstream, isNew()],
  () => {
    if (isNew()) morph(cards.start, startCard());
  },
);
part(
  () => [model.decisions, model.link, view.outcome, view.code, view.at, view.d],
  () => card("decisions", decisionsCard()),
);
part(
  () => [model.link, model.status?.generation],
  () => card("explain", explainCard(model.status?.generation)),
);
part(
  () => [model.rejections, view.org],
  () => card("errors", errorsCard()),
);
part(
  () => [model.shadow, model.pages24],
  () => card("shadow", shadowCard()),
);
part(
  () => [model.redactions],
  () => card("redactions", redactionsCard()),
);
part(
  () => [model.trial, model.link, model.readOnly],
  () => card("trial", trialCard()),
);
part(
  () => [model.usage, view.org],
  () => card("usage", usageCard()),
);
part(
  () => [model.config, model.link, model.readOnly, Math.floor((model.status?.time ?? 0) / 60)],
  () => card("config", configCard()),
);
part(
  () => [model.link, model.tokenFault],
  () => {
    if (model.link !== "token") return;
    morph(cards.gate, gateCard());
    $("token")?.focus();
  },
);

// -- what the reader does

action("copy", (text, target) => copied(text, target));
action("link", (_, target) => copied(location.href, target));
function copied(text, target) {
  navigator.clipboard?.writeText(text).catch(() => {});
  target.classList.add("done");
  $("announce").textContent = "Copied";
  setTimeout(() => target.classList.remove("done"), 1400);
}
const THEMES = {"": ["◐", "as the system", "dark"], dark: ["●", "dark", "light"], light: ["○", "light", ""]};
function showTheme(name) {
  const [sign, words] = THEMES[name];
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  $("theme").textContent = sign;
  $("theme").setAttribute("aria-label", `Theme: ${words}`);
}
const keptTheme = () => (localStorage.getItem("fsproxy-theme") in THEMES ? localStorage.getItem("fsproxy-theme") : "");
action("theme", () => {
  const next = THEMES[keptTheme()][2];
  localStorage.setItem("fsproxy-theme", next);
  showTheme(next);
});
showTheme(keptTheme());
narrow.addEventListener("change", changed);
addEventListener("resize", changed);
morph(
  $("foot"),
  el(
    "span",
    {},
    "Keys: ",
    el("kbd", {}, "/"),
    " search, ",
    el("kbd", {}, "j"),
    " ",
    el("kbd", {}, "k"),
    " rows, ",
    el("kbd", {}, "Enter"),
    " story, ",
    el("kbd", {}, "Esc"),
    " close",
  ),
  el(
    "span",
    {},
    el("a", {href: "metrics"}, "Metrics"),
    ". The API is described at ",
    el("code", {}, "/openapi.json"),
    ".",
  ),
  el("span", {}, "All times are UTC."),
);
run();
