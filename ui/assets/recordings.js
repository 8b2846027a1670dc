// Somebody's recordings: which of them the Recording tab shows, the list in "My recordings", and the
// requests about them, each with this browser's secret.

(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const say = window.parlanceSay;
  const SHOWN = "parlance-recordings"; // in this tab: what the Recording tab shows

  // ---- requests ----

  window.parlanceRequest = async (method, path, body) => {
    const headers = { "X-Parlance-Browser": window.parlanceBrowser() };
    const raw = body instanceof Blob;
    let answer;
    try {
      answer = await fetch(path, { method, headers, body: raw || body === undefined ? body : JSON.stringify(body) });
    } catch {
      throw { what: say("recordings.silent"), fix: say("recordings.silent_fix"), broken: true };
    }
    const html = answer.headers.get("content-type")?.startsWith("text/html");
    const said = await (html ? answer.text() : answer.json()).catch(() => ({}));
    if (answer.ok) return said;
    throw said.error ?? { what: say("recordings.refused", { status: `${answer.status}` }), fix: say("recordings.reload"), broken: answer.status >= 502 };
  };
  const ask = window.parlanceRequest;

  // ---- what the Recording tab shows ----

  const remembered = () => { try { return JSON.parse(sessionStorage.getItem(SHOWN)) ?? []; } catch { return []; } };
  const drawn = () => $$(".chosen[data-id]").map((card) => card.dataset.id);
  const remember = (ids) => { try { sessionStorage.setItem(SHOWN, JSON.stringify(ids)); } catch { /* this page only */ } };
  let arrived = null;
  window.parlanceArrived = (ids) => { arrived = ids; remember(ids); press("#picked"); };
  window.parlanceAsks = () => {
    const ids = arrived ?? (drawn().length ? drawn() : remembered());
    arrived = null;
    return JSON.stringify({ browser: window.parlanceBrowser(), ids });
  };
  const press = (name) => { // Gradio draws a tab bit by bit: the button may come later than the drop zone
    const button = $(name);
    if (button) button.click();
    else setTimeout(press, 50, name);
  };
  document.addEventListener("click", (e) => {
    if (e.target.closest?.("#another")) remember([]);
    else if (e.target.closest?.("#start")) remember(drawn());
  });

  // ---- after a refresh, the tab that was open ----

  const TAB = "parlance-tab";
  document.addEventListener("click", (e) => {
    const tab = e.target.closest?.("[role=tab]");
    try { if (tab) sessionStorage.setItem(TAB, tab.textContent.trim()); } catch { /* the first one, then */ }
  });
  // A tab that a narrow page has no room for is in a menu, which is there once it is opened.
  window.parlanceTab = (name, patience = 0) => {
    const tab = $$("[role=tab], .overflow-dropdown button").find((tab) => tab.textContent.trim() === name && tab.checkVisibility());
    if (tab) return void (tab.getAttribute("aria-selected") !== "true" && tab.click());
    const menu = $(".overflow-menu > button");
    if (menu?.checkVisibility() && !$(".overflow-dropdown:not(.hide)")) menu.click();
    if (patience) setTimeout(window.parlanceTab, 100, name, patience - 1);
  };
  try { if (sessionStorage.getItem(TAB)) window.parlanceTab(sessionStorage.getItem(TAB), 100); } catch { /* the first one */ }

  // ---- a server that was restarted: Gradio's page never speaks to it again, a fresh one does ----

  const SILENCE = 8000; // milliseconds without a sign of life
  let beat = "", heard = Date.now(), asking = false;
  const lost = () => {
    const now = $(".following")?.dataset.beat ?? "";
    if (!now || now !== beat) [beat, heard] = [now, Date.now()];
    return Date.now() - heard > SILENCE || $$(".toast-body").some((toast) => toast.textContent.includes("Connection to the server was lost"));
  };
  const speaking = () => $(".sending:not([hidden]), .hearing:not([hidden])") || ["asking", "live", "stopping"].includes(document.documentElement.dataset.live);
  setInterval(async () => {
    if (!lost() || asking || speaking()) return;
    asking = true;
    try {
      await ask("GET", "recordings");
      location.reload(); // everything comes back
    } catch { asking = false; /* not yet */ }
  }, 1000);

  // ---- my recordings ----

  const EVERY = 1500;
  let unreached = false;
  const when = (time) => new Date(+time.dataset.at * 1000).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  const rows = (list) => $$("li[data-id]", list);
  const put = (list, text) => {
    const fresh = document.createElement("div"), only = list.dataset.only?.split(" ");
    fresh.innerHTML = text;
    for (const time of $$("time", fresh)) time.textContent = when(time);
    if (only) for (const row of rows(fresh)) if (!only.includes(row.dataset.id)) row.remove();
    const ids = (list) => rows(list).map((row) => row.dataset.id).join();
    if (!ids(list) || ids(list) !== ids(fresh)) return list.replaceChildren(...fresh.childNodes);
    rows(fresh).forEach((row, n) => patch(rows(list)[n], row));
  };
  const patch = (old, row) => { // only what changed: a button that is being pressed stays
    if (old.outerHTML === row.outerHTML) return;
    old.dataset.state = row.dataset.state;
    if (old.children.length !== row.children.length) return old.replaceChildren(...row.childNodes);
    [...row.children].forEach((part, n) => { if (old.children[n].outerHTML !== part.outerHTML) old.children[n].replaceWith(part); });
  };
  const complain = (error) => {
    for (const note of $$(".shelf .complaint")) {
      note.hidden = !error;
      const [what, fix] = $$("p", note);
      what.textContent = error?.what ?? "";
      fix.textContent = error?.fix ?? "";
    }
  };
  const refresh = async () => {
    const lists = $$(".shelf .mine").filter((list) => list.checkVisibility());
    if (!lists.length || document.hidden) return;
    try {
      const text = await ask("GET", "recordings");
      for (const list of lists) put(list, text);
      if (unreached) complain(null);
      unreached = false;
    } catch (error) {
      unreached = true;
      complain(error);
    }
  };
  setInterval(refresh, EVERY);
  document.addEventListener("click", (e) => { if (e.target.closest?.("[role=tab]")) setTimeout(refresh, 50); });

  const DOES = {
    cancel: (id) => ask("POST", `recordings/${id}/cancel`, {}),
    again: (id) => ask("POST", `recordings/${id}/again`, {}),
    speakers: (id) => ask("POST", `recordings/${id}/again`, { stages: ["diarize"] }),
    rename: async (id, name, yes) => {
      const wanted = await window.parlanceAsk(say("recordings.rename"), { yes, value: name });
      return wanted && wanted !== name ? ask("POST", `recordings/${id}/name`, { name: wanted }) : null;
    },
    delete: async (id, name, yes) => await window.parlanceAsk(say("recordings.delete", { name }), { yes, danger: true }) ? ask("DELETE", `recordings/${id}`) : null,
  };
  document.addEventListener("click", (e) => e.target.closest?.(".shelf .first") && window.parlanceTab(say("page.recording")));
  document.addEventListener("click", async (e) => {
    const button = e.target.closest?.("[data-act]"), row = button?.closest("li[data-id]");
    if (!row) return;
    complain(null);
    try {
      await DOES[button.dataset.act](row.dataset.id, $("a", row).textContent, button.textContent);
      await refresh();
    } catch (error) {
      complain(error);
    }
  });
})();
