// Text to the clipboard, also where a page may not use it: over plain http, or without permission.

window.parlanceCopy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text }), had = document.activeElement;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    had?.focus();
  }
};
