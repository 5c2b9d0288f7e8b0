// What buttons do, by the name in their data-do attribute. One listener serves all, so elements may come and go.

const actions = new Map();

/** Register what the buttons with this name do: it is called with the button's data-v, the button, and the event. */
export const action = (name, act) => actions.set(name, act);

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-do]");
  if (!target || target.disabled) return;
  const act = actions.get(target.dataset.do);
  if (act) act(target.dataset.v ?? "", target, event);
});
