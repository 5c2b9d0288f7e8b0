// The configuration in force, and what became of the last reload.

import {action} from "./actions.js";
import {button, el} from "./dom.js";
import {changed, isOff, model, now} from "./model.js";
import {changesTable} from "./trial.js";
import {clock, date, local, plural, roughly, shareText} from "./words.js";

let opened = false;

/** Where the shared state is, in words. */
function redis({url, sentinel, cluster, nodes}) {
  const code = (text) => el("code", {}, text);
  if (sentinel) return ["the primary ", code(sentinel.master), " that Sentinels know"];
  return [cluster ? "the Cluster at " : null, code(nodes.length ? nodes.map((each) => each.join(":")).join(", ") : url)];
}

/** The card; null before the first answer. */
export function configCard() {
  const answer = model.config;
  if (!answer) return null;
  const {reload, config, generation} = answer,
    faults = reload.errors ?? [];
  const code = (text) => el("code", {}, text);
  const fact = (name, ...value) => [el("dt", {}, name), el("dd", {}, value)];
  return [
    el(
      "div",
      {class: "head"},
      el("h2", {id: "config-title"}, "Configuration"),
      el("span", {class: `badge ${faults.length ? "warn" : "ok"}`}, `generation ${generation} in force`),
    ),
    faults.length ? faulty(reload, generation) : null,
    answer.held_back ? heldBack(answer.held_back, config) : null,
    el(
      "dl",
      {class: "facts"},
      fact(
        "Loaded",
        el(
          "span",
          {title: local(reload.loaded)},
          `${date(reload.loaded)}, ${clock(reload.loaded)} UTC, ${roughly(now() - reload.loaded)} ago`,
        ),
      ),
      files(answer).length
        ? fact(
            "Files",
            files(answer).map((name, index) => [index ? ", " : "", code(name)]),
          )
        : null,
      fact("Upstream", code(config.upstream.url)),
      fact("State", config.state.backend === "redis" ? redis(config.state.redis) : config.state.backend),
      answer.lists?.length ? fact("Lists at run time", answer.lists.map(listed)) : null,
      fact(
        "Waits for a restart",
        reload.restart_needed_for?.length
          ? el("span", {class: "warned"}, reload.restart_needed_for.join(", "))
          : "nothing",
      ),
      model.status ? fact("Version", version(model.status)) : null,
    ),
    el(
      "details",
      {class: "gap"},
      el("summary", {}, "All of it, without secrets"),
      el(
        "pre",
        {class: "raw", tabindex: "0", "aria-label": "The configuration in force"},
        JSON.stringify(config, null, 2),
      ),
    ),
  ];
}
/** One list that was changed at run time: how long it is, when its entries end, and whether a restart forgets it. */
const listed = ({name, mode, count, first_end: first, last_end: last, not_kept: notKept}) =>
  el(
    "div",
    {},
    el("code", {}, name),
    `: ${plural(count, "entry", "entries")}, `,
    el(
      "span",
      {title: local(first)},
      first === last ? `until ${date(first)}` : `the next until ${date(first)}, the last until ${date(last)}`,
    ),
    mode === "enforce" ? "" : `, mode ${mode}`,
    notKept ? el("span", {class: "warned"}, `. Not kept: ${notKept}`) : "",
  );
const files = ({files: named, config}) => named ?? config.files ?? [];
const version = ({version: number, workers: {configured}, instance}) =>
  [number, configured > 1 ? `${configured} workers` : "", instance ? `instance ${instance}` : ""]
    .filter(Boolean)
    .join(", ");

const faulty = ({errors, error_count: count}, generation) =>
  el(
    "div",
    {class: "alert bad"},
    el("b", {"aria-hidden": "true"}, "▲"),
    el(
      "div",
      {},
      el("strong", {}, `The newest configuration is not used: ${plural(count ?? errors.length, "fault")}`),
      `. Generation ${generation} stays in force.`,
      el(
        "ul",
        {class: "mono"},
        errors.slice(0, 20).map((each) => el("li", {}, each)),
      ),
    ),
  );

function heldBack({changed_share: share, pages, since, changes = []}, config) {
  const most = config.reload?.max_change;
  return el(
    "div",
    {class: "alert", id: "held-back"},
    el("b", {"aria-hidden": "true"}, "!"),
    el(
      "div",
      {},
      el("strong", {}, "A reload is held back"),
      ` since ${clock(since)}: it would change ${shareText(share)} % of ${pages ? plural(pages, "page") : "pages"}, more than `,
      el("code", {}, `reload.max_change${most !== undefined && most !== null ? `: ${+(most * 100).toFixed(2)}%` : ""}`),
      ".",
      el(
        "div",
        {class: "row gap"},
        changes.length
          ? button("what-changes", opened ? "Less" : "What changes", {"aria-expanded": String(opened)})
          : null,
        button("force", "Load it anyway", {disabled: isOff() || model.readOnly}),
      ),
      opened ? el("div", {class: "gap"}, changesTable(changes)) : null,
    ),
  );
}
action("what-changes", () => {
  opened = !opened;
  // The answer is the same: a copy of it is drawn again.
  model.config = {...model.config};
  changed();
});
