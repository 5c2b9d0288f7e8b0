// Elements, and how what is shown becomes what should be shown.
// Visitors choose much of what comes from the proxy, so it only ever becomes text and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return the element with this id. */
export const $ = (id) => document.getElementById(id);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    // A style attribute would break the page's policy; a property set by a script does not.
    if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}
const flat = (children) =>
  children.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false);

/** Return a new element. Names that begin with "--" are custom properties; null and false leave a child out. */
export const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
/** Return a new element of a drawing. */
export const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);
/** Return a button that does what is registered under this name (see actions.js). */
export const button = (action, text, attributes = {}) =>
  el("button", {type: "button", "data-do": action, ...attributes}, text);

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName;

/**
 * Make an element's children equal to new ones, and keep the old nodes wherever possible: then focus, selection,
 * a click that is half done and opened details survive. Children with a data-key are recognised wherever they are.
 */
export function morph(parent, ...children) {
  const fresh = flat(children).map((each) => (each instanceof Node ? each : document.createTextNode(each)));
  const wanted = new Set(fresh.map(keyOf).filter(Boolean));
  const known = new Map();
  for (const node of [...parent.childNodes]) {
    const key = keyOf(node);
    if (key && !wanted.has(key)) node.remove();
    else if (key) known.set(key, node);
  }
  let at = parent.firstChild;
  for (const node of fresh) {
    const key = keyOf(node);
    const old = key ? known.get(key) : at && !keyOf(at) ? at : null;
    if (old && alike(old, node)) {
      if (old === at) at = at.nextSibling;
      else parent.insertBefore(old, at);
      update(old, node);
    } else {
      parent.insertBefore(node, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// What the reader has changed stays: whether details are open, and what is in a field.
const THEIRS = new Set(["style", "open"]);

function update(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const name of old.getAttributeNames())
    if (!THEIRS.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const name of fresh.getAttributeNames()) {
    const value = fresh.getAttribute(name);
    if (!THEIRS.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  // Whoever marks an element as its own fills it by itself.
  if (!fresh.hasAttribute("data-own")) morph(old, ...fresh.childNodes);
}
