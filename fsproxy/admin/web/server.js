// The admin API: questions with the token, and the stream of what is new.

const KEY = "fsproxy-token";
/** Seconds after which an answer is waited for no longer: what hangs would keep one of the browser's few connections. */
const LIMIT = 10;
/** Kept by the browser until this tab is closed. */
let token = sessionStorage.getItem(KEY) ?? "";

/** The token is missing or wrong. */
export class TokenAsked extends Error {}
/** The server answered that something is wrong. */
export class Refused extends Error {
  constructor(status, answer) {
    super(answer.error ?? `status ${status}`);
    this.status = status;
    this.answer = answer;
  }
}

export const hasToken = () => token !== "";
export function keepToken(given) {
  token = given;
  if (given) sessionStorage.setItem(KEY, given);
  else sessionStorage.removeItem(KEY);
}

async function ask(path, options = {}) {
  const headers = token ? {Authorization: `Bearer ${token}`} : {};
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, {cache: "no-store", ...options, headers});
  if (response.status === 401) throw new TokenAsked();
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => ({})));
  return response;
}

const answers = new Map();
/** Return an answer. One that has not changed is the same object as before, so nothing has to be drawn anew. */
export async function get(path, name = path, signal = AbortSignal.timeout(LIMIT * 1000)) {
  const text = await (await ask(path, {signal})).text();
  const known = answers.get(name);
  if (known?.text === text) return known.answer;
  const answer = JSON.parse(text);
  answers.set(name, {text, answer});
  return answer;
}
export const post = async (path, document) =>
  (await ask(path, {method: "POST", body: JSON.stringify(document)})).json();
export const remove = async (path) => (await ask(path, {method: "DELETE"})).json();

/** Call ``onEvent`` with each event of the stream; return when it ends. Stop it with the signal. */
export async function stream(path, onEvent, signal) {
  const response = await ask(path, {signal});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const each of events) if (each.startsWith("data: ")) onEvent(JSON.parse(each.slice(6)));
  }
}
