// What the reader looks at, kept in the fragment of the page's address: a link to it shows a colleague the same.
// The token is never in it.

const DEFAULTS = {range: "1h", count: "pages", org: "", outcome: "", code: "", at: "", q: "", d: ""};
export const OUTCOMES = ["blocked", "rejected", "failed", "all"];

/** range: 1h or 24h; count: pages or requests; at: a minute as 2026-11-29T16:50; d: the id of the request in the drawer. */
export const view = {...DEFAULTS};
const listeners = [];

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(DEFAULTS)) view[name] = given.get(name) ?? DEFAULTS[name];
  if (!["1h", "24h"].includes(view.range)) view.range = "1h";
  if (!["pages", "requests"].includes(view.count)) view.count = "pages";
  if (view.outcome && !OUTCOMES.includes(view.outcome)) view.outcome = "";
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(view.at)) view.at = "";
}
function write() {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) if (value !== DEFAULTS[name]) kept.set(name, value);
  history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname + location.search);
}
/** Change what is looked at. */
export function look(changes) {
  const before = {...view};
  Object.assign(view, changes);
  write();
  for (const tell of listeners) tell(before);
}
/** Call this with the view before each change. */
export const onLook = (listener) => listeners.push(listener);
/** The minute of view.at as Unix time; null without one. */
export const chosenMinute = () => (view.at ? Date.parse(`${view.at}Z`) / 1000 : null);
export const minuteText = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16);
/** The tab of the list: blocked, unless another one is chosen. */
export const tab = () => view.outcome || "blocked";
/** Whether the list is filtered by more than its tab and its org. */
export const isFiltered = () => Boolean(view.code || view.at || view.q);

addEventListener("hashchange", () => {
  const before = {...view};
  read();
  for (const tell of listeners) tell(before);
});
read();
