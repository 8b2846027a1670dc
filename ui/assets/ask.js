// A question in a window of the page's own: the browser's confirm() and prompt() do not open in another
// site's frame, which is where a Space is shown.
//
// await parlanceAsk("Delete it?", { yes: "Delete", danger: true })    true, or null where they would rather not
// await parlanceAsk("A new name", { yes: "Rename", value: "old" })    what was typed, or null

window.parlanceAsk = (what, { yes, value, danger = false }) => new Promise((answer) => {
  const element = (tag, more = {}) => Object.assign(document.createElement(tag), more);
  const dialog = element("dialog", { className: "ask" }), form = element("form", { method: "dialog" });
  const asked = element(value === undefined ? "p" : "label", { id: "asked", textContent: what });
  const input = value === undefined ? null : element("input", { id: "answer", type: "text", value, maxLength: 200, autocomplete: "off" });
  const no = element("button", { value: "no", type: "button", textContent: window.parlanceSay("live.cancel"), onclick: () => dialog.close() });
  const go = element("button", { value: "yes", className: danger ? "main danger" : "main", textContent: yes });
  const buttons = element("div", { className: "buttons" });
  buttons.append(no, go);
  if (input) asked.htmlFor = input.id;
  form.append(asked, ...(input ? [input] : []), buttons);
  dialog.setAttribute("aria-labelledby", asked.id);
  dialog.append(form);
  dialog.onclose = () => {
    dialog.remove();
    answer(dialog.returnValue !== "yes" ? null : input ? input.value.trim() || null : true);
  };
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // beside it
  document.body.append(dialog);
  dialog.showModal();
  if (input) input.select();
  else go.focus();
});
