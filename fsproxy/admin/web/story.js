// One request in words, in a drawer: what came, what was decided and where that limit is now, and the raw line.

import {action} from "./actions.js";
import {$, button, el, morph} from "./dom.js";
import {findDecision, idOf, listed} from "./decisions.js";
import {explainRecord} from "./explain.js";
import {outcome} from "./list.js";
import {isOff} from "./model.js";
import {post} from "./server.js";
import {sourceLines} from "./verdict.js";
import {look, view} from "./view.js";
import {capital, clock, copy, date, decided, local, milliseconds, place, sign, swatch} from "./words.js";

/** Labels of a story (fsproxy why prints the same), as questions are asked here. */
const LABELS = {
  request: "What came",
  decision: "Decided",
  place: "Stands at",
  upstream: "Upstream",
  "left out": "Left out",
};
let shown = null,
  judged = null;

/** Open the drawer for the request in the page's address, or close it. */
export async function followStory() {
  if (!view.d) {
    if ($("story").open) $("story").close();
    return;
  }
  if (shown && idOf(shown) === view.d && $("story").open) return;
  const entry = await findDecision(view.d).catch(() => undefined);
  if (view.d && entry) open(entry);
  else if (view.d) missing(view.d);
}
function open(entry) {
  [shown, judged] = [entry, null];
  draw();
  if (!$("story").open) $("story").showModal();
  $("story").scrollTop = 0;
  $("story-title").focus();
  judge(entry);
}
function missing(id) {
  shown = null;
  morph(
    $("story"),
    bar(""),
    el(
      "div",
      {class: "in"},
      el("h2", {id: "story-title", tabindex: "-1"}, "This request is not kept any more"),
      el(
        "p",
        {},
        "The page knows the last ones since the start of the proxy. Audit files know more: ",
        el("code", {}, `fsproxy why ${id} --audit FILE`),
      ),
    ),
  );
  if (!$("story").open) $("story").showModal();
}
/** Ask what the rules of now say of a page. */
async function judge(entry) {
  if (entry.line["event.action"] !== "page" || isOff()) return;
  const answer = await post("api/explain", {record: entry.line}).catch(() => null);
  if (shown !== entry) return;
  judged = answer;
  draw();
}
function draw() {
  const {line, where, story = []} = shown,
    time = Date.parse(line["@timestamp"]) / 1000;
  morph(
    $("story"),
    bar(`${date(time)}, ${clock(time)}.${line["@timestamp"].slice(20, 23)} UTC`, time),
    el(
      "div",
      {class: "in"},
      el("h2", {id: "story-title", class: "row", tabindex: "-1"}, title(line)),
      el("ol", {class: "tale"}, told(story), tale("Took", took(line)), judged ? tale("Today", today(line)) : null),
      el("dl", {class: "facts"}, ids(line)),
      el(
        "div",
        {class: "row"},
        line["rule.id"] ? button("only-rule", "Only this rule", {"data-v": line["rule.id"]}) : null,
        button("link", "Copy link"),
        button("copy", "Copy the raw line", {"data-v": JSON.stringify(line)}),
      ),
      el("h3", {}, "Audit line"),
      el("pre", {class: "raw", tabindex: "0", "aria-label": "Audit line"}, JSON.stringify(line, null, 2)),
    ),
  );
}
function bar(text, time) {
  const entries = listed(),
    at = shown ? entries.findIndex((each) => idOf(each) === idOf(shown)) : -1;
  const step = (by, arrow, name) =>
    button("step", arrow, {"data-v": String(by), "aria-label": name, disabled: at < 0 || !entries[at + by]});
  return el(
    "div",
    {class: "bar"},
    el("span", {class: "muted num", title: time ? local(time) : null}, text),
    el("span", {class: "push"}),
    step(-1, "↑", "Newer"),
    step(1, "↓", "Older"),
    button("close", "✕", {"aria-label": "Close"}),
  );
}
function title(line) {
  const kind = line["fsproxy.decision"],
    code = line["fsproxy.reason_code"];
  if (kind === "blocked") return [swatch(code), `Blocked: ${code} ${line["event.reason"] ?? ""}`];
  if (kind === "captured" || kind === "forwarded") return [sign(kind), capital(kind)];
  return [`${capital(kind)}:`, outcome(line)];
}
const tale = (label, ...what) => el("li", {}, el("span", {}, label), el("span", {}, what));
function told(story) {
  return story
    .filter(([label]) => label !== "today" || !judged)
    .map(([label, text]) => {
      const shows = label === "place" && judged?.source?.length && judged.rule?.id === shown.line["rule.id"];
      return tale(LABELS[label] ?? capital(label), text, shows ? sourceLines(judged.source) : null);
    });
}
function took(line) {
  const whole = line["event.duration"],
    theirs = line["fsproxy.upstream.duration"];
  if (whole === undefined) return "not known";
  const text = (nanoseconds) => `${milliseconds(nanoseconds / 1e9)} ms`;
  return theirs ? `${text(whole)}, ${text(theirs)} of it the upstream's` : `${text(whole)}, all of it ours`;
}
function today(line) {
  const again = button("explain-line", "Explain with the rules of now", {class: "link"});
  const code = judged.reason_code;
  if (judged.decision === "undecidable") return [`cannot be known: ${judged.because}. `, again];
  if (judged.decision === "not_judged") return [`not judged: ${judged.because}. `, again];
  const isSame = (code ?? null) === (line["fsproxy.reason_code"] ?? null);
  const by = judged.rule
    ? [" by ", el("code", {}, judged.rule.id), judged.rule.where ? ` in ${place(judged.rule.where)}` : ""]
    : "";
  const [mark, name] = decided(code ?? "captured");
  return [isSame ? "the same: " : "otherwise: ", mark, ` ${name}`, by, `, generation ${judged.generation}. `, again];
}
function ids(line) {
  const each = (label, name, what) => (line[name] ? [el("dt", {}, label), el("dd", {}, copy(line[name], what))] : []);
  return [
    each("Request", "http.request.id", "request id"),
    each("Session", "fsproxy.session_id", "session id"),
    each("Page", "fsproxy.page_id", "page id"),
    each("User", "fsproxy.user_id", "user id"),
    shown.worker ? [el("dt", {}, "Worker"), el("dd", {}, String(shown.worker))] : [],
    line["user_agent.original"]
      ? [el("dt", {}, "User agent"), el("dd", {}, el("bdi", {}, line["user_agent.original"]))]
      : [],
  ].flat();
}

// -- what the reader does

function step(by) {
  const entries = listed(),
    next = entries[entries.findIndex((each) => shown && idOf(each) === idOf(shown)) + by];
  if (!shown || !next) return;
  look({d: idOf(next)});
}
action("story", (id, target, event) => {
  // A click that ends a selection of text is none.
  if (event.detail && !getSelection().isCollapsed) return;
  look({d: id});
});
action("step", (by) => step(Number(by)));
action("close", (value, target) => target.closest("dialog").close());
action("only-rule", (rule) => {
  $("story").close();
  look({q: rule, code: String(shown?.line["fsproxy.reason_code"] ?? ""), d: ""});
  $("q").value = rule;
});
action("explain-line", () => {
  const {line} = shown;
  $("story").close();
  explainRecord(line);
});
$("story").addEventListener("click", (event) => {
  if (event.target === $("story")) $("story").close();
});
$("story").addEventListener("keydown", (event) => {
  if ((event.key !== "ArrowUp" && event.key !== "ArrowDown") || event.target.closest("pre")) return;
  event.preventDefault();
  step(event.key === "ArrowUp" ? -1 : 1);
});
$("story").addEventListener("close", () => {
  const id = view.d;
  if (view.d) look({d: ""});
  if (document.activeElement === document.body || $("story").contains(document.activeElement))
    document.querySelector(`.decisions .open[data-v="${CSS.escape(id)}"]`)?.focus();
});
