// The editor: a recording's text, its sound and its speakers on one page.

import { Find } from "./find.js";
import { Lines } from "./lines.js";
import { Model, doubts, textOf } from "./model.js";
import { People } from "./people.js";
import { Player, clock } from "./player.js";
import { Refusal, Saving, ask } from "./saving.js";
import { Timeline } from "./timeline.js";

const ID = location.pathname.split("/").filter(Boolean).at(-1), HERE = `${ID}/`;
const LOOK = 1500; // milliseconds between two looks at a recording that is worked on
const LEAD = 1.2; // seconds heard before and after an unsure place
const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const say = window.parlanceSay, LANG = document.documentElement.lang;
const $ = (selector) => document.querySelector(selector);
const element = (tag, css, text = "") => Object.assign(document.createElement(tag), { className: css, textContent: text });

const model = new Model();
const edit = (op, memo = {}) => {
  if (!editing()) return;
  model.apply(op);
  draw();
  saving.push(op, memo);
};
const lines = new Lines($("#lines"), model, {
  play: (time) => {
    follow(true);
    player.playFrom(time);
  },
  edit,
  speaker: (button, i, whole) => people.assign(button, i, whole),
  typed: () => {
    if (lines.typing) player.pause();
    told(lines.typing ? "saving" : saving.pending.length ? state : "saved");
  },
});
const people = new People($("#voices"), $("#menu"), model, { edit, confirm, go: (i) => lines.go(i), at: () => lines.at });
const find = new Find($("#finder"), model, { edit, lines: () => lines, show: (i) => lines.items[i] && lines.reveal(lines.items[i]) });
const player = new Player($(".dock"), {
  moved: (time) => {
    const i = lines.speak(time, !player.playing);
    timeline.move(time);
    if (i >= 0 && player.playing && following) lines.reveal(lines.items[i], true);
  },
  failed: () => notice("sound", "warn", say("editor.unplayable"), say("editor.unplayable_fix")),
});
const timeline = new Timeline($("#timeline"), model, (time) => {
  follow(true);
  player.seek(time);
  const [i] = [lines.items.indexOf(lines.on)];
  if (i >= 0) lines.reveal(lines.items[i]);
});
timeline.now = () => player.time;

// ---- drawing what the model has ----

const editing = () => model.facts.version > 0 && !(["waiting", "working"].includes(model.facts.state) && ["transcribe", "align"].includes(model.facts.stage));
let places = [], doubt = null;

const draw = () => {
  lines.sync();
  lines.names();
  people.editable = editing();
  people.show();
  timeline.of(model.facts.duration);
  timeline.draw();
  facts();
  check();
  find.search();
  lines.speak(player.time, !player.playing);
};
const facts = () => {
  const { duration, created } = model.facts, voices = model.voices().filter(([who]) => who >= 0).length;
  const words = model.lines.reduce((sum, line) => sum + line.words.length, 0);
  const said = [created && new Date(created * 1000).toLocaleDateString(LANG, { dateStyle: "medium" }), duration && clock(duration), voices && say("editor.voices", { n: voices }), words && say("editor.words", { n: words })];
  $("#facts").textContent = said.filter(Boolean).join(" · ");
  $("#people small").textContent = voices || "";
};
const check = () => {
  places = doubts(model.lines);
  $("#checking").hidden = !model.lines.length;
  $("#checking small").textContent = places.length ? places.length.toLocaleString(LANG) : "";
  $("#doubts").textContent = places.length ? say("editor.doubts", { n: places.length }) : say("editor.no_doubts");
  $("#checking .pair").hidden = !places.length;
};

// The next unsure place after the one we are at, heard with a little of what is around it.
const nextDoubt = () => {
  lines.commit();
  if (!places.length) return aloud(say("editor.no_doubts"));
  const [line, word] = doubt && doubt[0] === lines.at ? doubt : [lines.at, -2];
  doubt = places.find(([i, w]) => i > line || (i === line && w > word)) ?? places[0];
  const [i, w] = doubt, said = model.lines[i], at = said.words[w] ?? [textOf(said), said.start, said.end];
  lines.select(i, w);
  follow(false);
  player.playFrom(Math.max(0, at[1] - LEAD), at[2] + LEAD);
  aloud(say("editor.unsure", { word: at[0].trim() }));
};
const sure = () => {
  const i = lines.at;
  if (!model.lines[i]) return;
  if (places.some((place) => place[0] === i)) edit({ op: "sure", line: i });
  nextDoubt();
};

// ---- saving ----

let state = "saved";
const SAID = { saved: say("editor.saved"), saving: say("editor.saving"), offline: say("editor.offline") };
const told = (now) => {
  state = now;
  $("#saved").hidden = false;
  $("#saved").dataset.state = now;
  $("#saved span").textContent = SAID[now];
  $("#undo").disabled = !editing() || !(model.facts.undo > 0 || saving.pending.length);
  $("#redo").disabled = !editing() || !(model.facts.redo > 0) || saving.pending.length > 0;
};
const saving = new Saving(`${HERE}edits`, `parlance-edits-${ID}`, {
  told: (now) => told(now === "saved" && lines.typing ? "saving" : now),
  news: (answer) => {
    model.take(answer);
    draw();
  },
  stale: (edits) => again(edits, say("editor.elsewhere")),
  refused: (refusal, edits) => again(edits, refusal.what, refusal.fix),
});

// Start anew from what the server has; edits of texts that are still there are made again, and of
// what cannot be, the words are shown: nothing typed is lost.
const again = async (edits, what, fix = "") => {
  try {
    await load();
  } catch (error) {
    return error instanceof Refusal && error.status < 500 ? failed(error) : undefined; // else it is tried again
  }
  const lost = [];
  for (const { op, memo } of edits) {
    const line = op.op === "text" ? model.lines.findIndex((l) => l.start === memo.start && textOf(l) === memo.was) : -1;
    if (line >= 0 && editing()) edit({ ...op, line }, memo);
    else if (op.op === "text" && model.lines.some((l) => textOf(l) === op.text)) continue; // it had arrived
    else lost.push(op);
  }
  if (!lost.length) return;
  const texts = lost.map((op) => op.text ?? op.put).filter(Boolean);
  const count = say("editor.lost", { n: lost.length });
  notice("lost", "warn", what, [fix || count, texts.length ? say("editor.written", { texts: texts.join("” “") }) : ""].filter(Boolean).join(" "), true);
};
const turnBack = async (op) => {
  lines.commit(true);
  if (!model.facts.undo && !saving.pending.length && op === "undo") return;
  saving.push({ op });
};

// ---- loading, and looking while it is worked on ----

const load = async () => {
  const all = await ask(`${HERE}document`);
  take(all);
  saving.at(all.revision);
  told("saved");
  return all;
};
const take = (news) => {
  const before = model.facts.version;
  model.take(news);
  if (news.key) player.load(`${HERE}audio?key=${news.key}`, model.facts.duration);
  else if (before !== model.facts.version || player.length !== model.facts.duration) player.load(player.source, model.facts.duration);
  lines.setEditable(editing() && (!touch.matches || $("#edit").getAttribute("aria-pressed") === "true"));
  draw();
  standing();
};
const look = async () => {
  const { version, revision } = model.facts;
  if (lines.typing || saving.pending.length || document.hidden) return later();
  try {
    const news = await ask(`${HERE}document?${version ? `since=${saving.since}` : `version=0&lines=${model.lines.length}`}`);
    if (lines.typing || saving.pending.length) return later();
    take(news);
    if (news.version && (news.version !== version || news.revision !== revision)) saving.at(news.revision);
    if (!news.more) told("saved");
  } catch (error) {
    if (error instanceof Refusal && error.status < 500) return failed(error);
  }
  later();
};
const later = () => {
  clearTimeout(look.timer);
  if (["uploading", "waiting", "working"].includes(model.facts.state)) look.timer = setTimeout(look, LOOK);
};

const STAGES = { decode: say("report.decode"), transcribe: say("report.transcribe"), align: say("report.align"), diarize: say("report.diarize") };
const standing = () => {
  const { name, state, stage, progress, ahead, says, better, timed, damage, what, fix, model: by } = model.facts;
  document.title = `${name} · Parlance`;
  $("#name").textContent = name;
  $("#name").disabled = false;
  document.body.dataset.state = state;
  document.body.dataset.editing = editing();
  const busy = ["uploading", "waiting", "working"].includes(state), share = Math.round(100 * (progress || 0));
  $("#working").hidden = !busy;
  $("#working b").textContent = state === "working" ? STAGES[stage] ?? say("report.working") : state === "uploading" ? say("editor.uploading") : say("report.waiting");
  $("#working span").textContent = state === "working" ? `${share} %` : ahead ? say("editor.ahead_of", { n: ahead }) : "";
  $("#working .track").setAttribute("aria-valuenow", share);
  $("#working i").style.width = `${state === "working" ? Math.max(2, share) : 0}%`;
  if (state === "failed") notice("job", "error", what, fix);
  else if (state === "cancelled") notice("job", "info", say("editor.cancelled"), say("editor.cancelled_fix"));
  else if (what && !busy) notice("job", "warn", what, fix, true);
  else notice("job");
  notice("damage", "warn", damage || "");
  const notes = [says, timed, by && say("editor.by", { model: by })].filter(Boolean);
  $("#notes").hidden = !notes.length;
  for (const old of document.querySelectorAll("#notes > p")) old.remove();
  $("#notes > summary").after(...notes.map((text) => element("p", "", text)));
  $("#better").hidden = !better;
  $("#better p").textContent = better;
  $("#before").hidden = !model.facts.live;
  document.body.toggleAttribute("data-revised", Boolean(model.facts.live) && $("#show-revised").checked);
  if (model.facts.live) $("#live-text").href = `${HERE}export/txt?${new URLSearchParams({ key: model.facts.key, version: model.facts.live })}`;
  $("#people").hidden = $("#notes").hidden && !model.lines.length;
  $("#again").hidden = !editing() || busy;
  $("#again").textContent = model.voices().some(([who]) => who >= 0) ? say("editor.again") : say("editor.first");
  $("#empty").hidden = model.lines.length > 0;
  const none = { done: [say("editor.no_words"), say("editor.no_words_says")], failed: [say("editor.no_text"), say("editor.no_text_says")] }[state] ?? [say("editor.coming"), say("editor.coming_says")];
  [$("#empty h2").textContent, $("#empty p").textContent] = none;
  later();
};

// ---- sentences ----

function notice(name, kind = "info", what = "", fix = "", closing = false) {
  const old = $(`#notices [data-name=${name}]`);
  if (!what) return old?.remove();
  if (old?.dataset.said === what + fix) return;
  const box = element("div", `notice ${kind}`), said = element("div", "");
  Object.assign(box.dataset, { name, said: what + fix });
  box.setAttribute("role", kind === "error" ? "alert" : "status");
  said.append(element("p", "", what), ...(fix ? [element("p", "", fix)] : []));
  box.append(said);
  if (closing) box.append(Object.assign(element("button", "", say("editor.close")), { type: "button", onclick: () => box.remove() }));
  old ? old.replaceWith(box) : $("#notices").append(box);
}
const aloud = (text) => ($("#aloud").textContent = text);
async function confirm(what, yes, run) {
  if (await window.parlanceAsk(what, { yes })) run();
}
const failed = (error) => {
  document.body.dataset.state = "gone";
  $("#name").disabled = true;
  if (error instanceof Refusal) {
    const mine = saving.pending.map(({ op }) => op.text).filter(Boolean);
    notice("gone", "error", error.what, error.status === 404 ? say("editor.not_yours") : error.fix);
    if (mine.length) notice("lost", "warn", say("editor.last"), mine.join(" / "));
  } else {
    notice("gone", "error", say("live.unreachable"), say("editor.trying"));
    setTimeout(open, 4000);
  }
};

// ---- following the sound ----

let following = true;
const follow = (on) => {
  following = on;
  $("#jump").hidden = on || !player.playing;
};
for (const event of ["wheel", "touchmove"]) addEventListener(event, () => player.playing && follow(false), { passive: true });
$("#jump").onclick = () => {
  follow(true);
  if (lines.on) lines.reveal(lines.on, true);
};
$(".dock audio").addEventListener("pause", () => ($("#jump").hidden = true));

// ---- tools ----

const flushed = async () => {
  lines.commit(true);
  await saving.send();
  await saving.sending;
  return !saving.pending.length;
};
const touch = matchMedia("(pointer: coarse)");
const TOOLS = {
  "#undo": () => turnBack("undo"),
  "#redo": () => turnBack("redo"),
  "#seek": () => (find.open ? find.close() : find.show()),
  "#help": () => $("#keys").showModal(),
  "#next-doubt": nextDoubt,
  "#sure": sure,
  "#print": () => print(),
  "#edit": () => {
    const on = $("#edit").getAttribute("aria-pressed") !== "true";
    $("#edit").setAttribute("aria-pressed", on);
    lines.setEditable(on && editing());
  },
  "#copy": async () => {
    const names = $("#with-speakers").checked, times = $("#with-times").checked;
    const text = model.lines.map((line, i) => {
      const name = names && line.who >= 0 && model.lines[i - 1]?.who !== line.who ? `${model.name(line.who)}: ` : "";
      return `${times ? `[${clock(line.start)}] ` : ""}${name}${textOf(line)}`;
    }).join("\n");
    await window.parlanceCopy(`${text}\n`);
    $("#copy").textContent = say("player.copied");
    setTimeout(() => ($("#copy").textContent = say("editor.copy")), 1600);
  },
  "#again": () => speakersAgain(),
  "#name": () => rename(),
  "#cancel": () => cancel(),
  "#show-revised": () => document.body.toggleAttribute("data-revised", $("#show-revised").checked),
};
for (const [selector, run] of Object.entries(TOOLS)) $(selector).onclick = run;

$("#export").addEventListener("click", async (e) => {
  const link = e.target.closest("a[data-format]");
  if (!link) return;
  e.preventDefault();
  if (!(await flushed())) return notice("export", "warn", say("editor.unsaved"), say("editor.unsaved_export"), true);
  notice("export");
  const asked = new URLSearchParams({ key: model.facts.key, speakers: Number($("#with-speakers").checked), times: Number($("#with-times").checked) });
  location.href = `${HERE}export/${link.dataset.format}?${asked}`;
  $("#export").open = false;
});
addEventListener("pointerdown", (e) => e.target.closest?.("#export") || ($("#export").open = false));

const RUNGS = {
  auto: say("editor.auto"),
  channels: say("editor.channels"),
  pyannote: say("editor.pyannote"),
  embedded: say("editor.embedded"),
};
const speakersAgain = () => {
  const dialog = $("#speakers"), select = $("#rung");
  select.replaceChildren(...model.facts.rungs.map((rung) => new Option(say(`rung.${rung}`), rung)));
  select.onchange = () => ($("#rung-says").textContent = RUNGS[select.value]);
  select.onchange();
  for (const number of dialog.querySelectorAll("[type=number]")) number.onfocus = () => (number.closest("label").querySelector("[type=radio]").checked = true);
  dialog.returnValue = "";
  dialog.onclose = () => dialog.returnValue === "yes" && findSpeakers(select.value, dialog.querySelector("[name=count]:checked").value);
  dialog.showModal();
};
const findSpeakers = async (rung, count) => {
  const number = (id) => Math.round(+$(id).value) || null;
  const counts = { exact: { exact: number("#exact") }, range: { low: number("#low"), high: number("#high") } }[count] ?? {};
  if (!(await flushed())) return notice("speakers", "warn", say("editor.unsaved"), say("editor.unsaved_fix"), true);
  try {
    Object.assign(model.facts, await ask(`${HERE}speakers`, { rung, ...counts }));
    notice("speakers");
    standing();
  } catch (error) {
    notice("speakers", "error", error.what ?? say("live.unreachable"), error.fix ?? say("editor.later"), true);
  }
};

const rename = async () => {
  const { name } = model.facts, wanted = await window.parlanceAsk(say("recordings.rename"), { yes: say("shelf.rename"), value: name });
  if (!wanted || wanted === name) return;
  try {
    await ask(`${HERE}name`, { name: wanted });
    model.facts.name = (await ask(`${HERE}document?since=${saving.since}`)).name; // without what a file cannot be called
    standing();
  } catch (error) {
    notice("rename", "error", error.what ?? say("live.unreachable"), error.fix ?? say("editor.later"), true);
  }
};
const cancel = async () => {
  try {
    await ask(`${HERE}cancel`, {});
    look();
  } catch (error) {
    notice("cancel", "error", error.what ?? say("live.unreachable"), error.fix ?? say("editor.later"), true);
  }
};

// ---- keyboard ----

const COMMANDS = { Enter: () => player.toggle(), b: () => player.skip(-3), u: nextDoubt, f: () => find.show(), z: () => turnBack("undo"), y: () => turnBack("redo"), Z: () => turnBack("redo") };
const KEYS = {
  " ": () => player.toggle(),
  b: () => player.skip(-3),
  u: nextDoubt,
  o: sure,
  p: () => model.lines[lines.at] && player.playFrom(model.lines[lines.at].start),
  s: () => lines.items[lines.at] && people.assign(lines.items[lines.at].children[0], lines.at, true),
  "+": () => player.faster(1),
  "-": () => player.faster(-1),
  "?": () => $("#keys").showModal(),
};
addEventListener("keydown", (e) => {
  if (e.defaultPrevented || e.isComposing || e.altKey || document.querySelector("dialog[open]")) return;
  const typing = e.target.closest?.("input, select, textarea, [contenteditable]"), command = e.ctrlKey || e.metaKey;
  if (e.key === "Escape" && $("#export").open) {
    $("#export").open = false;
    return $("#export summary").focus();
  }
  if (command) {
    if (typing?.tagName === "INPUT" && e.key !== "f") return;
    const run = COMMANDS[e.shiftKey && e.key === "z" ? "Z" : e.key];
    if (!run || (e.key === "f" && find.open)) return; // twice: the browser's own search
    e.preventDefault();
    return run();
  }
  if (typing || (e.target.closest?.("button, a, summary") && [" ", "Enter"].includes(e.key))) return;
  const digit = /^[1-9]$/.test(e.key) && people.known()[e.key - 1];
  if (digit !== false && digit !== undefined && model.lines[lines.at]) edit({ op: "speaker", first: lines.at, last: lines.at, speaker: model.name(digit) });
  else if (KEYS[e.key]) KEYS[e.key]();
  else return;
  e.preventDefault();
});
if (matchMedia("(max-width: 980px)").matches) for (const card of document.querySelectorAll(".card")) card.open = false;
if (MAC) for (const key of document.querySelectorAll("kbd.mod")) key.textContent = "⌘";

// ---- coming and going ----

// The page that a link leads to opens the tab it speaks of.
for (const link of document.querySelectorAll("a[data-tab]")) link.addEventListener("click", () => {
  try { sessionStorage.setItem("parlance-tab", link.dataset.tab); } catch {} // the first one, then
});
// What sticks below the masthead has to know its height: on a phone it has several rows.
new ResizeObserver(([{ target }]) => document.documentElement.style.setProperty("--head", `${target.offsetHeight}px`)).observe($(".masthead"));

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return later();
  lines.commit(true);
});
addEventListener("pagehide", () => {
  lines.commit(true);
  saving.leave();
});

async function open() {
  notice("gone");
  const left = saving.left();
  try {
    if (left.edits.length) { // an earlier page could not send them
      saving.revision = left.revision;
      await ask(`${HERE}edits`, { revision: left.revision, operations: left.edits.map(({ op }) => op) }).catch((error) => {
        if (![400, 409, 413].includes(error.status)) throw error;
        return again(left.edits, say("editor.unsaved_some"), error.fix);
      });
    }
    if (!model.facts.key || !saving.pending.length) await load();
    document.body.dataset.open = "";
  } catch (error) {
    failed(error);
  }
}
window.parlanceEditor = { model, lines, player, saving };
open();
