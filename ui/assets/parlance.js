// Parlance in the browser: what has to happen without asking the server. One listener on
// the document per kind of event, because Gradio redraws the elements below it at will.

(() => {
  const root = document.documentElement, say = window.parlanceSay;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // ---- light and dark: our data-theme is the truth, Gradio's class follows it ----

  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => localStorage.getItem("parlance-theme");
  const paint = () => {
    const dark = (chosen() ?? (system.matches ? "dark" : "light")) === "dark";
    root.dataset.theme = dark ? "dark" : "light";
    document.body?.classList.toggle("dark", dark);
  };
  paint();
  system.addEventListener("change", paint);
  document.addEventListener("DOMContentLoaded", () => {
    new MutationObserver(() => {
      if (document.body.classList.contains("dark") !== (root.dataset.theme === "dark")) paint();
    }).observe(document.body, { attributeFilter: ["class"] });
    paint();
  });

  // ---- the language: Gradio says its own in `lang`, which is not always the page's ----

  const tell = () => { if (root.lang !== window.parlanceLang) root.lang = window.parlanceLang; };
  new MutationObserver(tell).observe(root, { attributeFilter: ["lang"] });
  tell();

  // ---- the player, and the line that is being heard ----

  const audio = () => $(".player audio");
  const clock = (seconds) => {
    const s = Math.floor(seconds || 0), two = (n) => String(n).padStart(2, "0");
    return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  };
  const show = () => {
    const player = $(".player"), sound = audio();
    if (!player || !sound) return;
    player.classList.toggle("on", !sound.paused);
    $(".play", player).setAttribute("aria-label", say(sound.paused ? "player.play" : "player.pause"));
    const length = isFinite(sound.duration) ? sound.duration : 0, range = $("input", player);
    range.max = length || 1;
    range.value = sound.currentTime;
    range.style.setProperty("--at", `${length ? (100 * sound.currentTime) / length : 0}%`);
    range.setAttribute("aria-valuetext", say("player.of", { time: clock(sound.currentTime), length: clock(length) }));
    $("output", player).textContent = `${clock(sound.currentTime)} / ${clock(length)}`;
    mark(sound);
  };
  const mark = (sound) => {
    const lines = $$(".lines li"), now = sound.currentTime + 0.05;
    let low = 0, high = lines.length; // the last line that starts at or before now
    while (low < high) {
      const middle = (low + high) >> 1;
      if (+lines[middle].dataset.seek <= now) low = middle + 1;
      else high = middle;
    }
    const line = lines[low - 1];
    const heard = line && now < +line.dataset.end + 0.3 && (!sound.paused || sound.currentTime > 0) ? line : null;
    for (const other of $$(".lines li.playing")) if (other !== heard) other.classList.remove("playing");
    heard?.classList.add("playing");
  };
  const play = (seconds) => {
    const sound = audio();
    if (!sound) return;
    const go = () => {
      sound.currentTime = seconds;
      sound.play().catch(() => {}); // the "error" listener below tells
    };
    if (sound.readyState > 0) go();
    else { sound.addEventListener("loadedmetadata", go, { once: true }); sound.load(); }
  };
  // What MediaRecorder writes has no length in its head; the browser finds it when it is sent to the end.
  const measure = (sound) => {
    if (sound.duration !== Infinity) return;
    sound.addEventListener("durationchange", () => { sound.currentTime = 0; }, { once: true });
    sound.currentTime = 1e9;
  };
  document.addEventListener("loadedmetadata", (e) => e.target.matches?.(".player audio") && measure(e.target), true);
  for (const event of ["timeupdate", "play", "pause", "seeked", "loadedmetadata", "durationchange", "ended"])
    document.addEventListener(event, (e) => e.target.matches?.(".player audio") && show(), true);
  document.addEventListener("error", (e) => {
    if (!e.target.matches?.(".player audio")) return;
    $(".player").hidden = true;
    const note = $(".no-player");
    if (note) note.hidden = false;
  }, true);
  document.addEventListener("input", (e) => {
    if (e.target.matches(".player input[type=range]") && audio()) audio().currentTime = +e.target.value;
  });

  // ---- clicks ----

  const SPEEDS = [1, 1.25, 1.5, 2, 0.75];
  const copy = async (button) => {
    const text = $$(".lines .said").map((said) => said.innerText.trim()).join("\n") + "\n";
    await window.parlanceCopy(text);
    const label = button.textContent;
    button.textContent = say("player.copied");
    setTimeout(() => { if (button.textContent === say("player.copied")) button.textContent = label; }, 1600);
  };
  document.addEventListener("click", (e) => {
    const at = (selector) => e.target.closest?.(selector);
    if (at(".theme")) {
      const next = root.dataset.theme === "dark" ? "light" : "dark";
      localStorage.setItem("parlance-theme", next);
      paint();
    } else if (at(".about") || at(".understood")) {
      const read = root.toggleAttribute("data-read");
      localStorage.setItem("parlance-read", read ? "yes" : "");
      if (!read) $(".understood").focus();
    } else if (at(".player .play")) {
      const sound = audio();
      if (sound.paused) play(sound.ended ? 0 : sound.currentTime);
      else sound.pause();
    } else if (at(".player .speed")) {
      const sound = audio(), button = at(".player .speed");
      sound.playbackRate = SPEEDS[(SPEEDS.indexOf(sound.playbackRate) + 1) % SPEEDS.length];
      button.textContent = `${sound.playbackRate}×`;
      button.setAttribute("aria-label", say("player.speed", { times: sound.playbackRate }));
    } else if (at("#start")) {
      // On a phone what comes is below what was asked.
      if (matchMedia("(max-width: 860px)").matches) at(".two").querySelector(".result").scrollIntoView({ behavior: "smooth" });
    } else if (at("#copy")) {
      copy(at("#copy"));
    } else if (at(".lines [data-seek]") && (getSelection().isCollapsed || at("button"))) {
      play(+at("[data-seek]").dataset.seek); // whoever is selecting text wants no sound
    }
  });

  // ---- a list of formats: gone when something else is pressed ----

  const closeLists = (but) => { for (const list of $$("details.download[open]")) if (list !== but) list.open = false; };
  document.addEventListener("click", (e) => closeLists(e.target.closest?.("summary")?.parentElement));
  document.addEventListener("keydown", (e) => {
    const list = e.key === "Escape" && $("details.download[open]");
    if (!list) return;
    closeLists();
    $("summary", list).focus();
  });

  // ---- a list that can be searched: what is typed replaces what stands there ----

  document.addEventListener("focusin", (e) => {
    if (e.target.matches(".wrap-inner input:not([readonly])")) e.target.select();
  });

  // ---- while a recording is worked on: the window's title tells those who look elsewhere ----

  setInterval(() => {
    const bar = $(".progress[data-busy] [role=progressbar]"), done = bar?.getAttribute("aria-valuenow");
    const title = bar ? `${done ? `${done} %` : "…"} · Parlance` : "Parlance";
    if (document.title !== title) document.title = title;
    // Gradio's own button for the tabs that a phone has no room for has a picture, and no name.
    $(".overflow-menu > button:not([aria-label])")?.setAttribute("aria-label", say("page.more"));
  }, 1000);
})();
