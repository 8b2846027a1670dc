// The transcript on the page: an item per line, whose text is one text node that people type in. What is
// being said, what is unsure and what was found is painted over it by the CSS Custom Highlight API, so
// nothing is redrawn while the sound plays.

import { spansOf, spokenAt, textOf, wordAt } from "./model.js";
import { clock } from "./player.js";

const say = window.parlanceSay;
const AHEAD = 0.02; // seconds until what is painted now is seen
const IDLE = 900; // milliseconds without a key after which what was typed is saved
const MODERN = typeof Highlight === "function" && Boolean(CSS.highlights);
const paints = Object.fromEntries(["revised", "unsure", "found", "spoken", "here"].map((name) => [name, MODERN ? new Highlight() : new Set()]));
if (MODERN) {
  Object.entries(paints).forEach(([name, highlight], i) => {
    highlight.priority = i;
    CSS.highlights.set(name, highlight);
  });
}

const element = (tag, css, more = {}) => Object.assign(document.createElement(tag), { className: css, ...more });
const oneLine = (text) => text.replace(/\s+/g, " ").trim();

export class Lines {
  // do.play(time), do.edit(op, memo), do.speaker(button, line, whole turn?), do.typed()
  constructor(root, model, act) {
    Object.assign(this, { root, model, act });
    this.items = []; // an <li> for each line
    this.shown = []; // the lines they show
    this.doubted = new Map(); // of an item, its ranges in paints.unsure and paints.revised
    this.at = 0; // the line that the keyboard is on
    this.on = null; // the item of the line that is being said
    this.word = "";
    this.typing = null; // { item, timer }: text that is not an edit yet
    this.editable = true;
    root.addEventListener("click", (e) => this.clicked(e));
    root.addEventListener("input", (e) => this.typed(e));
    root.addEventListener("keydown", (e) => this.key(e));
    root.addEventListener("focusin", (e) => this.focused(e));
    root.addEventListener("focusout", (e) => this.left(e));
    root.addEventListener("dragstart", (e) => e.preventDefault());
  }

  // ---- showing what the model has: only items whose line is another object ----

  sync() {
    const { items, shown } = this, { lines } = this.model, most = Math.min(shown.length, lines.length);
    let head = 0, tail = 0;
    while (head < most && shown[head] === lines[head]) head++;
    while (tail < most - head && shown.at(-1 - tail) === lines.at(-1 - tail)) tail++;
    const gone = shown.length - tail - head, fresh = lines.length - tail - head, same = Math.min(gone, fresh);
    for (let i = head; i < head + same; i++) if (shown[i] !== lines[i]) this.fill(items[i], lines[i]);
    if (gone > same) items.splice(head + same, gone - same).forEach((item) => this.drop(item));
    if (fresh > same) {
      const made = lines.slice(head + same, head + fresh).map((line) => this.fill(this.item(), line));
      const after = items[head + same] ?? null, part = document.createDocumentFragment();
      part.append(...made);
      this.root.insertBefore(part, after);
      items.splice(head + same, 0, ...made);
    }
    this.shown = lines;
    for (let i = head; i <= Math.min(head + fresh, lines.length - 1); i++) items[i].classList.toggle("first", i === 0 || lines[i].who !== lines[i - 1].who);
    this.stop(Math.max(0, Math.min(this.at, lines.length - 1)));
  }

  item() {
    const item = element("li", "line", { tabIndex: -1 });
    const who = element("button", "who", { type: "button", tabIndex: -1 });
    const name = element("span", "");
    name.dataset.nobody = say("editor.speaker_unknown");
    who.append(element("i", ""), name);
    const said = element("div", "said", { dir: "auto", tabIndex: -1, spellcheck: true });
    said.setAttribute("role", "textbox");
    said.dataset.empty = say("editor.empty_line");
    said.append("");
    item.append(who, element("button", "at", { type: "button", tabIndex: -1 }), said);
    this.open(said);
    return item;
  }

  fill(item, line) {
    const [who, at, said] = item.children, text = textOf(line), name = this.model.name(line.who) ?? "";
    item.dataset.who = line.who < 0 ? "none" : line.who % 10;
    item.classList.toggle("unsure", Boolean(line.unsure));
    this.call(who, name);
    if (at.textContent !== clock(line.start)) {
      at.textContent = clock(line.start);
      at.setAttribute("aria-label", say("player.from", { time: clock(line.start) }));
      said.setAttribute("aria-label", say("editor.said_at", { time: clock(line.start) }));
    }
    const busy = this.typing?.item === item, focused = document.activeElement === said;
    if (!busy && (focused ? oneLine(said.textContent) !== text : said.textContent !== text || said.childNodes.length !== 1)) {
      const caret = focused ? this.caret(said) : -1;
      said.textContent = text;
      said.classList.toggle("bare", !text);
      if (!text) said.append("");
      if (caret >= 0) this.put(said, caret);
    }
    this.doubt(item, line);
    return item;
  }

  call(who, name) {
    if (who.lastChild.textContent !== name || !who.hasAttribute("aria-label")) {
      who.lastChild.textContent = name;
      who.setAttribute("aria-label", say("editor.change", { name: name || say("editor.nobody") }));
    }
  }

  drop(item) {
    this.clear(item);
    if (this.typing?.item === item) this.typing = null;
    if (this.on === item) this.on = null;
    item.remove();
  }

  // Somebody has another name: the lines are the same.
  names() {
    this.items.forEach((item, i) => this.call(item.children[0], this.model.name(this.shown[i].who) ?? ""));
  }

  doubt(item, line) {
    this.clear(item);
    if (!MODERN || !(line.unsure || line.words.some((word) => word[3]))) return;
    const node = item.children[2].firstChild, spans = spansOf(line), text = textOf(line);
    if (node?.data !== text) return; // it is being typed in
    const range = ([first, end]) => new StaticRange({ startContainer: node, startOffset: first, endContainer: node, endOffset: end });
    const unsure = (line.unsure ? [[0, text.length]] : spans.filter((_, w) => line.words[w][3] & 1)).map(range);
    const revised = spans.filter((_, w) => line.words[w][3] & 2).map(range);
    for (const one of unsure) paints.unsure.add(one);
    for (const one of revised) paints.revised.add(one);
    this.doubted.set(item, [...unsure, ...revised]);
  }

  clear(item) {
    for (const range of this.doubted.get(item) ?? []) {
      paints.unsure.delete(range);
      paints.revised.delete(range);
    }
    this.doubted.delete(item);
  }

  setEditable(editable) {
    this.editable = editable;
    for (const item of this.items) this.open(item.children[2]);
  }

  open(said) {
    if (this.editable) said.setAttribute("contenteditable", "plaintext-only");
    else said.removeAttribute("contenteditable");
    said.setAttribute("aria-readonly", !this.editable);
  }

  // ---- what is being said ----

  speak(time, paused) {
    const [i, w] = paused && time === 0 ? [-1, -1] : spokenAt(this.shown, time + (paused ? 0 : AHEAD)), word = `${i}:${w}`;
    const item = this.items[i] ?? null;
    if (item === this.on && word === this.word) return -1;
    if (item !== this.on) {
      this.on?.classList.remove("on");
      item?.classList.add("on");
      this.on = item;
    }
    this.word = word;
    paints.spoken.clear();
    const node = item?.children[2].firstChild;
    if (MODERN && w >= 0 && node?.data === textOf(this.shown[i])) paints.spoken.add(this.range(node, ...spansOf(this.shown[i])[w]));
    return i;
  }

  range(node, first, end) {
    const range = new Range();
    range.setStart(node, Math.min(first, node.length));
    range.setEnd(node, Math.min(end, node.length));
    return range;
  }

  // Paint what a search found: [line, first, end]; `here` is the one that is looked at.
  paint(hits, here) {
    paints.found.clear();
    paints.here.clear();
    if (!MODERN) return;
    for (const hit of hits) {
      const node = this.items[hit[0]]?.children[2].firstChild;
      if (node && hit[2] <= node.length) (hit === here ? paints.here : paints.found).add(this.range(node, hit[1], hit[2]));
    }
  }

  // ---- where the keyboard is ----

  // The whole list is one stop of the Tab key: the line at `i`.
  stop(i) {
    const before = this.items[this.at], now = this.items[i];
    if (before && before !== now) before.tabIndex = -1;
    if (now) now.tabIndex = 0;
    this.at = i;
  }

  go(i, { edit = false, offset = 0, smooth = false } = {}) {
    const item = this.items[i];
    if (!item) return;
    this.stop(i);
    const said = item.children[2];
    if (edit && this.editable) {
      said.focus({ preventScroll: true });
      this.put(said, offset);
    } else item.focus({ preventScroll: true });
    this.reveal(item, smooth);
  }

  reveal(item, smooth = false) {
    const { top, bottom } = item.getBoundingClientRect(), upper = 150, lower = innerHeight - 190;
    if (top >= upper && bottom <= lower) return;
    item.scrollIntoView({ block: "center", behavior: smooth && Math.abs(top - upper) < 3 * innerHeight ? "smooth" : "auto" });
  }

  focused({ target }) {
    const item = target.closest(".line"), i = this.items.indexOf(item);
    if (i < 0) return;
    this.stop(i);
    if (target.classList.contains("said")) target.setAttribute("aria-label", `${this.model.name(this.shown[i].who) ?? say("editor.line")}, ${clock(this.shown[i].start)}`);
  }

  left({ target }) {
    if (!target.classList.contains("said")) return;
    this.commit(true);
    const i = this.items.indexOf(target.closest(".line")), line = this.shown[i];
    if (line && target.textContent !== textOf(line)) {
      target.textContent = textOf(line);
      target.classList.toggle("bare", !target.textContent);
      this.doubt(this.items[i], line);
    }
  }

  caret(said) {
    const selection = getSelection();
    if (!selection.rangeCount || !said.contains(selection.focusNode)) return -1;
    const range = new Range();
    range.selectNodeContents(said);
    range.setEnd(selection.focusNode, selection.focusOffset);
    return range.toString().length;
  }

  put(said, offset) {
    const node = said.firstChild ?? said, at = Math.min(offset, node.length ?? 0);
    getSelection().collapse(node, at);
  }

  // Select a word, so that typing replaces it.
  select(i, w) {
    this.go(i, { edit: true, smooth: true });
    const said = this.items[i].children[2], node = said.firstChild;
    if (!node || !this.editable) return;
    const [first, end] = w < 0 ? [0, node.length] : spansOf(this.shown[i])[w];
    getSelection().setBaseAndExtent(node, Math.min(first, node.length), node, Math.min(end, node.length));
  }

  // ---- mouse and touch ----

  clicked(e) {
    const item = e.target.closest(".line"), i = this.items.indexOf(item);
    if (i < 0) return;
    const line = this.shown[i];
    if (e.target.closest(".who")) return this.act.speaker(item.children[0], i, item.classList.contains("first"));
    if (e.target.closest(".at")) return this.act.play(line.start, i);
    if (!e.target.closest(".said") || !getSelection().isCollapsed || e.altKey || this.typing) return;
    const offset = this.offsetAt(e, item.children[2]);
    const w = offset < 0 ? -1 : wordAt(line, offset);
    this.act.play(line.words[w]?.[1] ?? line.start, i);
  }

  offsetAt({ clientX: x, clientY: y }, said) {
    const at = document.caretPositionFromPoint?.(x, y);
    const [node, offset] = at ? [at.offsetNode, at.offset] : [document.caretRangeFromPoint?.(x, y)?.startContainer, document.caretRangeFromPoint?.(x, y)?.startOffset];
    return node && said.contains(node) && node.nodeType === Node.TEXT_NODE ? offset : -1;
  }

  // ---- typing ----

  typed({ target }) {
    if (!target.classList.contains("said")) return;
    const item = target.closest(".line");
    target.classList.toggle("bare", !oneLine(target.textContent)); // what a browser leaves there need not be empty
    if (this.typing && this.typing.item !== item) this.commit();
    if (!this.typing) {
      this.clear(item);
      if (this.on === item) paints.spoken.clear();
      this.typing = { item };
    }
    clearTimeout(this.typing.timer);
    this.typing.timer = setTimeout(() => this.commit(), IDLE);
    this.act.typed();
  }

  // What was typed becomes an edit. A line is emptied only when it is left.
  commit(leaving = false) {
    if (!this.typing) return;
    const { item, timer } = this.typing, said = item.children[2], i = this.items.indexOf(item), text = oneLine(said.textContent);
    if (!text && !leaving) return;
    clearTimeout(timer);
    this.typing = null;
    const line = this.shown[i];
    if (!line) return;
    if (text === textOf(line)) {
      this.doubt(item, line);
      return this.act.typed();
    }
    this.act.edit({ op: "text", line: i, text }, { was: textOf(line), start: line.start });
  }

  key(e) {
    const item = e.target.closest(".line"), i = this.items.indexOf(item);
    if (i < 0 || e.isComposing || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.target === item) return this.onLine(e, i);
    if (e.target.classList.contains("said")) this.inText(e, i, e.target);
  }

  onLine(e, i) {
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: this.items.length - 1 }[e.key];
    if (to !== undefined) this.go(Math.max(0, Math.min(this.items.length - 1, to)));
    else if (e.key === "Enter" && this.editable) this.go(i, { edit: true });
    else return;
    e.preventDefault();
    e.stopPropagation();
  }

  inText(e, i, said) {
    const length = said.textContent.length, at = this.caret(said), bare = getSelection().isCollapsed;
    if (e.key === "Escape") this.go(i);
    else if (e.key === "Enter") this.part(i, at);
    else if (e.key === "Backspace" && bare && at === 0 && i > 0) this.unite(i - 1);
    else if (e.key === "Delete" && bare && at === length && i + 1 < this.items.length) this.unite(i);
    else if (e.key === "ArrowUp" && !e.shiftKey && this.edge(said, -1)) this.step(i - 1, -1);
    else if (e.key === "ArrowDown" && !e.shiftKey && this.edge(said, 1)) this.step(i + 1, 1);
    else return;
    e.preventDefault();
    e.stopPropagation();
  }

  // Enter: the line is split before the word that the caret is nearest to.
  part(i, offset) {
    this.commit();
    const line = this.shown[i], spans = spansOf(line);
    let at = spans.findIndex(([first, end]) => offset <= (first + end) / 2);
    if (at < 0) at = spans.length;
    if (at >= spans.length) return this.go(i + 1, { edit: true });
    if (at === 0) return;
    this.act.edit({ op: "split", line: i, at }, { start: line.start });
    this.go(i + 1, { edit: true });
  }

  unite(i) {
    this.commit(true);
    if (i + 1 >= this.shown.length) return;
    const end = textOf(this.shown[i]).length;
    this.act.edit({ op: "join", line: i }, { start: this.shown[i].start });
    this.go(i, { edit: true, offset: end });
  }

  caretBox() {
    const range = getSelection().getRangeAt(0);
    return range.getClientRects()[0] ?? range.startContainer.parentElement?.getBoundingClientRect();
  }

  edge(said, way) {
    const caret = this.caretBox(), box = said.getBoundingClientRect(), height = parseFloat(getComputedStyle(said).lineHeight) || 28;
    return caret && (way < 0 ? caret.top < box.top + height * 0.9 : caret.bottom > box.bottom - height * 0.9);
  }

  // To the line above or below, to the same column.
  step(i, way) {
    if (!this.items[i]) return;
    const x = this.caretBox()?.left ?? 0, said = this.items[i].children[2];
    this.go(i, { edit: true });
    const box = said.getBoundingClientRect(), y = way > 0 ? box.top + 12 : box.bottom - 12;
    const offset = this.offsetAt({ clientX: x, clientY: y }, said);
    if (offset >= 0) this.put(said, offset);
  }
}
