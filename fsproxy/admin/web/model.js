// All that the page knows, and the one place that draws it: what changes something says so.

export const model = {
  /** The last state of the proxy (GET /api/status), and when it came by our clock. */
  status: null,
  answered: 0,
  /** "starting", "live", "away" (no answer) or "token" (one is needed). */
  link: "starting",
  tokenFault: "",
  /** Why there is no answer for now, in the proxy's words: it is starting. "" when it says nothing. */
  refusal: "",
  /** When the next try is, while the proxy is away. */
  retry: 0,
  /** This token may only read. */
  readOnly: false,
  traffic: null,
  decisions: null,
  rejections: null,
  shadow: null,
  redactions: null,
  usage: null,
  config: null,
  trial: null,
};
const parts = [];
let due = false;

/** Draw a part now and whenever what it depends on has changed: ``of`` returns that as a list. */
export function part(of, draw) {
  parts.push({of, draw, before: []});
}
/** Something has changed: draw what depends on it, soon. */
export function changed() {
  if (due) return;
  due = true;
  setTimeout(() => {
    due = false;
    for (const each of parts) {
      const now = each.of();
      if (now.length === each.before.length && now.every((value, index) => value === each.before[index])) continue;
      each.before = now;
      each.draw();
    }
  });
}
/** The proxy's time. */
export const now = () => model.status?.time ?? Date.now() / 1000;
/** Nothing can be switched or asked. */
export const isOff = () => model.link !== "live";
