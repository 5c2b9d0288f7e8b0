// Before the first request, and before the token: what is ready, what may be forgotten, and how to send a request.

import {el} from "./dom.js";
import {model} from "./model.js";
import {copy, milliseconds, plural} from "./words.js";

/** The check list. */
export function startCard() {
  const {config = {}} = model.config ?? {},
    status = model.status,
    {upstream = {}} = status;
  const code = (text) => el("code", {}, text);
  const line = (isGood, ...what) =>
    el(
      "li",
      {},
      el("i", {class: isGood ? "ok" : "warned", "aria-hidden": "true"}, isGood ? "✓" : "!"),
      el("span", {}, what),
    );
  const orgs = config.orgs ?? {},
    waits = model.config?.reload.restart_needed_for ?? [],
    half = status.latency?.upstream_p50;
  const answered =
    {
      up: half ? ` answered in ${milliseconds(half)} ms` : " answers",
      failing: ` fails: ${upstream.text ?? upstream.kind}`,
    }[upstream.state] ?? ": not asked yet";
  const listen = config.listen
    ? config.listen.host.map((each) => `${bracketed(each)}:${config.listen.port}`).join(", ")
    : "";
  return [
    el(
      "div",
      {},
      el("div", {class: "head"}, el("h2", {id: "start-title"}, "Ready, and waiting for the first request")),
      el(
        "ul",
        {},
        listen
          ? line(
              true,
              "Listens on ",
              code(listen),
              model.workers?.configured > 1 ? `, ${model.workers.configured} workers` : "",
            )
          : null,
        config.upstream ? line(upstream.state !== "failing", "Upstream ", code(config.upstream.url), answered) : null,
        line(
          !waits.length,
          `${orgs.count ? `${plural(orgs.count, "org")} listed` : "All orgs"}, mode ${status.mode}; ${waits.length ? `waits for a restart: ${waits.join(", ")}` : "nothing waits for a restart"}`,
        ),
        trusts(config)
          ? null
          : line(
              false,
              "No trusted proxy is set: behind a load balancer, every visitor has its address. ",
              code("client_ip.trusted_proxies"),
            ),
      ),
    ),
    el(
      "div",
      {},
      el("p", {class: "muted"}, "Send one from here, it is listed below at once:"),
      el("div", {class: "command"}, copy(command(config), "the command")),
      el("p", {class: "muted"}, "Or point the snippet's host (", code("_fs_host"), ") at this proxy, and open a page."),
    ),
  ];
}
const trusts = (config) => (config.client_ip?.trusted_proxies ?? []).length > 0;
const bracketed = (host) => (host.includes(":") ? `[${host}]` : host);
/** A request to the first address that is listened on; where that is every address, under the name of this page. */
function command(config) {
  const {host: [host = ""] = [], port = 8080, tls} = config.listen ?? {},
    listed = Object.keys(config.orgs?.listed ?? {})[0] ?? "o-ABC-na1";
  const name = ["", "0.0.0.0", "::"].includes(host) ? location.hostname : bracketed(host);
  return `curl -i http${tls ? "s" : ""}://${name}:${port}/rec/page -H 'Content-Type: text/plain' -d '${JSON.stringify({OrgId: listed, UserId: "", Url: "https://www.example.com/"})}'`;
}
/** The token's form. */
export function gateCard() {
  const fault = model.tokenFault;
  return [
    el("h2", {id: "gate-title"}, "The admin token, please"),
    el(
      "p",
      {class: "muted"},
      "It stands in ",
      el("code", {}, "admin.token"),
      " of the configuration. The read-only token opens the page without its switches. It is kept until this tab is closed.",
    ),
    el(
      "form",
      {id: "token-form"},
      el(
        "label",
        {},
        "Token",
        el("input", {
          type: "password",
          id: "token",
          "data-own": true,
          autocomplete: "off",
          required: true,
          "aria-describedby": "token-fault",
          "aria-invalid": fault ? "true" : null,
        }),
      ),
      el("p", {id: "token-fault", role: "alert", class: "fault"}, fault ? `✕ ${fault}` : ""),
      el("button", {class: "main"}, "Open"),
    ),
  ];
}
