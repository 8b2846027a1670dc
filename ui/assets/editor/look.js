// Light or dark, before anything is painted; the choice is the same on all pages.

(() => {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("parlance-theme");
    } catch {
      return null;
    }
  };
  const paint = (theme) => {
    root.dataset.theme = theme ?? chosen() ?? (system.matches ? "dark" : "light");
    dispatchEvent(new Event("parlance-look"));
  };
  paint();
  system.addEventListener("change", () => paint());
  addEventListener("click", ({ target }) => {
    if (!target.closest?.(".theme")) return;
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("parlance-theme", next);
    } catch {} // for this page only
    paint(next);
  });
})();
