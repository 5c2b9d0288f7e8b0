// "Why is data capture blocked on my site?": a form, the verdict, and what each filter concluded.

import {$, el, morph} from "./dom.js";
import {isOff} from "./model.js";
import {Refused, TokenAsked, post} from "./server.js";
import {explained} from "./verdict.js";

/** The card. The reader's entries and the answer are left alone when it is drawn again. */
export function explainCard(generation) {
  const field = (name, label, placeholder = null, attributes = {}) =>
    el(
      "label",
      {class: attributes.wide ? "wide" : null},
      label,
      el("input", {
        name,
        autocomplete: "off",
        placeholder,
        inputmode: attributes.inputmode,
        "data-own": true,
        disabled: isOff(),
      }),
    );
  return [
    el("div", {class: "head"}, el("h2", {id: "explain-title"}, "Why is data capture blocked on my site?")),
    el(
      "form",
      {id: "ask"},
      el(
        "div",
        {class: "fields"},
        field("url", "Page's URL", "https://www.example.com/cart", {wide: true, inputmode: "url"}),
        field("org", "Org", "o-ABC-na1"),
        field("ip", "Visitor's address", "203.0.113.9"),
        field("country", "Country or region", "US or US-CA"),
        field("user_agent", "User agent", "Mozilla/5.0 …"),
      ),
      el(
        "details",
        {class: "gap", id: "ask-more"},
        el("summary", {}, "More: cookies, ids, a recorded request"),
        el(
          "div",
          {class: "fields"},
          field("cookies", "Cookies", "fs_optout=1; fs_uid=…"),
          field("app_id", "User's uid"),
          field("user_id", "Recorder's user id"),
          el(
            "label",
            {class: "wide"},
            "Recorded page request (JSON; the fields above go over it)",
            el("textarea", {
              name: "request",
              spellcheck: "false",
              placeholder: '{"OrgId": "o-ABC-na1", "Url": "https://…"}',
              "data-own": true,
              disabled: isOff(),
            }),
          ),
        ),
      ),
      el(
        "p",
        {class: "row gap"},
        el("button", {class: "main", disabled: isOff()}, "Explain"),
        el("button", {type: "reset", disabled: isOff()}, "Clear"),
        el("span", {class: "muted t1"}, `as a new session, by generation ${generation ?? "–"}`),
      ),
    ),
    el("div", {id: "answer", "aria-live": "polite", "data-own": true}),
  ];
}

// -- asking

document.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target.id === "ask") askForm(event.target);
});
document.addEventListener("reset", (event) => {
  if (event.target.id === "ask") morph($("answer"));
});

function askForm(form) {
  const question = {};
  for (const [name, value] of new FormData(form)) if (value.trim()) question[name] = value.trim();
  if (question.cookies)
    question.cookies = question.cookies
      .split(";")
      .map((each) => each.trim())
      .filter(Boolean);
  if (question.request) {
    try {
      question.request = JSON.parse(question.request);
    } catch {
      return say("The recorded request is not JSON.");
    }
  }
  ask(question);
}
/** Explain the request of an audit line, and fill in the form from it. */
export function explainRecord(line) {
  const form = $("ask");
  form.reset();
  const known = {
    org: line["organization.id"],
    url: line["url.domain"] ? `https://${line["url.domain"]}/` : "",
    user_agent: line["user_agent.original"],
    // An address that is cut would be taken for a whole one.
    ip: line["fsproxy.facts"]?.address ? "" : line["client.ip"],
    country: line["client.geo.region_iso_code"] ?? line["client.geo.country_iso_code"],
    user_id: line["fsproxy.user_id"],
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
    say(
      fault instanceof Refused
        ? fault.message
        : fault instanceof TokenAsked
          ? "A token is needed."
          : "The proxy did not answer.",
    );
  }
}
const say = (text) =>
  morph($("answer"), el("p", {class: "alert gap"}, el("b", {"aria-hidden": "true"}, "!"), el("span", {}, text)));
