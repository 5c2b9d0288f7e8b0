// "Why is data capture blocked on my site?": a form, the verdict, and what each filter concluded.

import {action} from "./actions.js";
import {$, button, el, morph} from "./dom.js";
import {isOff} from "./model.js";
import {Refused, TokenAsked, post} from "./server.js";
import {place, reason, swatch} from "./words.js";

/** The card. The reader's entries and the answer are left alone when it is drawn again. */
export function explainCard(generation) {
  const field = (name, label, placeholder = null, attributes = {}) =>
    el("label", {class: attributes.wide ? "wide" : null}, label, el("input", {name, autocomplete: "off", placeholder, inputmode: attributes.inputmode, "data-own": true, disabled: isOff()}));
  return [
    el("div", {class: "head"}, el("h2", {id: "explain-title"}, "Why is data capture blocked on my site?")),
    el("form", {id: "ask"},
      el("div", {class: "fields"},
        field("url", "Page's URL", "https://www.example.com/cart", {wide: true, inputmode: "url"}),
        field("org", "Org", "o-ABC-na1"), field("ip", "Visitor's address", "203.0.113.9"),
        field("country", "Country or region", "US or US-CA"), field("user_agent", "User agent", "Mozilla/5.0 …")),
      el("details", {class: "gap", id: "ask-more"},
        el("summary", {}, "More: cookies, ids, a recorded request"),
        el("div", {class: "fields"},
          field("cookies", "Cookies", "fs_optout=1; fs_uid=…"), field("app_id", "User's uid"), field("user_id", "Recorder's user id"),
          el("label", {class: "wide"}, "Recorded page request (JSON; the fields above go over it)",
            el("textarea", {name: "request", spellcheck: "false", placeholder: '{"OrgId": "o-ABC-na1", "Url": "https://…"}', "data-own": true, disabled: isOff()})))),
      el("p", {class: "row gap"},
        el("button", {class: "main", disabled: isOff()}, "Explain"), el("button", {type: "reset", disabled: isOff()}, "Clear"),
        el("span", {class: "muted t1"}, `as a new session, by generation ${generation ?? "–"}`))),
    el("div", {id: "answer", "aria-live": "polite", "data-own": true}),
  ];
}

// -- asking

document.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target.id === "ask") askForm(event.target);
});
document.addEventListener("reset", (event) => { if (event.target.id === "ask") morph($("answer")); });

function askForm(form) {
  const question = {};
  for (const [name, value] of new FormData(form)) if (value.trim()) question[name] = value.trim();
  if (question.cookies) question.cookies = question.cookies.split(";").map((each) => each.trim()).filter(Boolean);
  if (question.request) {
    try { question.request = JSON.parse(question.request); } catch { return say("The recorded request is not JSON."); }
  }
  ask(question);
}
/** Explain the request of an audit line, and fill in the form from it. */
export function explainRecord(line) {
  const form = $("ask");
  form.reset();
  const known = {
    org: line["organization.id"], url: line["url.domain"] ? `https://${line["url.domain"]}/` : "", user_agent: line["user_agent.original"],
    // An address that is cut would be taken for a whole one.
    ip: line["fsproxy.facts"]?.address ? "" : line["client.ip"],
    country: line["client.geo.region_iso_code"] ?? line["client.geo.country_iso_code"], user_id: line["fsproxy.user_id"],
  };
  for (const [name, value] of Object.entries(known)) form.elements[name].value = value ?? "";
  $("explain").scrollIntoView({block: "start"});
  $("explain-title").tabIndex = -1;
  $("explain-title").focus({preventScroll: true});
  ask({record: line}, line);
}
async function ask(question, line = null) {
  try {
    const answer = await post("api/explain", question);
    morph($("answer"), explained(answer, line));
  } catch (fault) {
    say(fault instanceof Refused ? fault.message : fault instanceof TokenAsked ? "A token is needed." : "The proxy did not answer.");
  }
}
const say = (text) => morph($("answer"), el("p", {class: "alert gap"}, el("b", {"aria-hidden": "true"}, "!"), el("span", {}, text)));

// -- the answer

const SIGNS = {
  pass: ["✓", "pass", "passes"], hit: ["✕", "hit", "blocks"], shadow: ["!", "shadow", "would block (shadow)"],
  failed: ["!", "failed", "failed: a fault of the proxy"], "not reached": ["·", "none", "not reached"], "asks the ledger": ["✓", "pass", "passes: not used up"],
};
const words = (list) => list.join(", ").replaceAll("_", " ");

function explained(answer, line) {
  const parts = [verdict(answer, line)];
  if (answer.filters.length) parts.push(el("ol", {class: "trace"}, answer.filters.map(step)));
  if (answer.not_given.length) parts.push(el("p", {class: "t1 warned gap"}, `Rules look at these too, which were not given: ${words(answer.not_given)}.`));
  if (answer.filters.length && answer.not_judged.length) parts.push(el("p", {class: "t1 muted gap"}, `No rules for: ${words(answer.not_judged)}.`));
  if (answer.filters.length) parts.push(el("p", {class: "t1 muted"}, `One that is under way passes ramping and quota.${answer.quota_known ? "" : " The store that counts the quota's use is down; it is taken as 0 here."}`));
  if (line) parts.push(el("p", {class: "t1 muted gap"}, "Judged by what the audit line holds. The form is filled in from it: add what you know, such as the whole address, and ask again."));
  return parts;
}
function verdict(answer, line) {
  const code = answer.reason_code, heads = {blocked: [swatch(code), ` Blocked: ${code} ${answer.reason}`], captured: "✓ Captured", undecidable: "? It cannot be known", not_judged: "Not judged"};
  const kind = {blocked: `code-${code}`, captured: "captured", undecidable: "unknown", not_judged: ""}[answer.decision];
  return el("div", {class: `verdict ${kind}`},
    el("b", {class: "row near"}, heads[answer.decision]),
    answer.rule ? el("span", {}, "by ", el("code", {}, answer.rule.id), answer.rule.where ? [" in ", el("code", {title: answer.rule.where}, place(answer.rule.where))] : ", a default") : null,
    answer.means ? el("span", {}, sentence(answer.means)) : null,
    answer.decision === "undecidable" ? unknown(answer, line) : answer.because ? el("span", {}, sentence(answer.because)) : null,
    answer.source?.length ? sourceLines(answer.source) : null,
    answer.mode === "bypass" ? el("span", {class: "warned"}, "The mode is bypass: nothing is judged at all.") : null,
    answer.mode === "shadow" ? el("span", {class: "warned"}, "The mode is shadow: no rule blocks, those that would are marked.") : null);
}
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? "" : "."}`;

/** What each answer would take, where the line holds too little. */
function unknown(answer, line) {
  const isAddress = answer.because.startsWith("ip:"), address = line?.["client.ip"];
  const network = /^ip:(block|allow):(.+)$/;
  const each = (rule) => {
    const [, kind, range] = network.exec(rule) ?? [];
    if (!kind) return el("span", {}, "It depends on ", el("code", {}, rule), ".");
    return el("span", {}, el("b", {}, kind === "block" ? reason(5) : "no block by this filter"), " if it was in ", el("code", {}, range), kind === "allow" ? ", which an allow rule excepts;" : ";");
  };
  return [
    isAddress && address ? el("span", {}, "This line keeps ", el("code", {}, address), `, which stands for ${address.includes(":") ? "2⁸⁰" : "256"} addresses.`) : el("span", {}, sentence(answer.because)),
    answer.rules.map(each),
    isAddress ? el("span", {}, el("b", {}, "the other filters decide"), " if it was in none of these.") : null,
    isAddress ? el("span", {class: "t1 muted"}, "Enter the whole address, or set ", el("code", {}, "audit.client_ip: full"), " for lines to come.") : null,
  ];
}
/** Lines of the configuration, with a mark on the rule. */
export const sourceLines = (lines) =>
  el("div", {class: "src mono"}, lines.map(({number: at, text, start, end}, index) =>
    [index ? "\n" : "", `${at} │ `, text.slice(0, start).trimStart(), el("mark", {}, text.slice(start, end)), text.slice(end)]));

function step({filter, judgement, rule}) {
  const [sign, kind, text] = SIGNS[judgement] ?? ["·", "none", judgement];
  const shows = rule && kind !== "none" && kind !== "pass";
  return el("li", {class: kind}, el("i", {"aria-hidden": "true"}, sign), el("span", {}, filter.replaceAll("_", " ")),
    el("span", {}, text, shows ? [el("br"), el("code", {}, rule.id), " ", rule.where ? el("code", {class: "muted", title: rule.where}, place(rule.where)) : ""] : null));
}
