// This browser's secret. Recordings belong to it: whoever does not send it does not see them.

window.parlanceBrowser = (() => {
  const NAME = "parlance-browser";
  let kept = ""; // where nothing may be stored, until the page is closed
  const made = () => [...crypto.getRandomValues(new Uint8Array(32))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return () => {
    try {
      kept = localStorage.getItem(NAME) || kept || made();
      localStorage.setItem(NAME, kept);
    } catch {
      kept ||= made();
    }
    return kept;
  };
})();
