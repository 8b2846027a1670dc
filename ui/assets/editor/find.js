// Find and replace. What is found is painted over the text; replacing all is one edit.

import { pattern, textOf } from "./model.js";

const say = window.parlanceSay;
const MOST = 5000; // hits that are painted

export class Find {
  // do.edit(op, memo), do.show(line), do.lines(): the Lines that paint
  constructor(bar, model, act) {
    Object.assign(this, { bar, model, act, hits: [], at: -1, replaced: 0 });
    const on = (name, run) => (bar.querySelector(name).onclick = run);
    this.find = bar.querySelector("#find-text");
    this.put = bar.querySelector("#find-put");
    this.count = bar.querySelector("output");
    this.find.oninput = () => this.search(true);
    for (const box of bar.querySelectorAll("[type=checkbox]")) box.onchange = () => this.search(true);
    on(".next", () => this.step(1));
    on(".previous", () => this.step(-1));
    on(".one", () => this.replace());
    on(".all", () => this.replaceAll());
    on(".close", () => this.close());
    bar.addEventListener("keydown", (e) => {
      if (e.key === "Escape") this.close();
      else if (e.key === "Enter" && e.target === this.find) this.step(e.shiftKey ? -1 : 1);
      else if (e.key === "Enter" && e.target === this.put) this.replace();
      else return;
      e.preventDefault();
    });
  }

  get open() {
    return !this.bar.hidden;
  }

  show() {
    const picked = getSelection().toString().trim();
    this.bar.hidden = false;
    if (picked && picked.length <= 100 && !picked.includes("\n")) this.find.value = picked;
    this.find.focus();
    this.find.select();
    this.search(true);
  }

  close() {
    this.bar.hidden = true;
    this.hits = [];
    this.act.lines().paint([], null);
    const [i, end] = this.last ?? [this.act.lines().at, 0];
    this.act.lines().go(i, { edit: end > 0, offset: end });
  }

  wishes() {
    const [exact, whole] = [...this.bar.querySelectorAll("[type=checkbox]")].map((box) => box.checked);
    return { find: this.find.value.trim(), case: exact, whole };
  }

  // `fresh`: begin at the line the reader is on, not at the hit that was shown.
  search(fresh = false) {
    if (!this.open) return;
    if (fresh) this.replaced = 0;
    const wishes = this.wishes(), before = this.hits[this.at];
    this.hits = [];
    if (wishes.find) {
      const sought = pattern(wishes);
      this.model.lines.forEach((line, i) => {
        for (const hit of textOf(line).matchAll(sought)) this.hits.push([i, hit.index, hit.index + hit[0].length]);
      });
    }
    const [line, offset] = fresh || !before ? [this.act.lines().at, 0] : before;
    this.at = this.hits.findIndex((hit) => hit[0] > line || (hit[0] === line && hit[1] >= offset));
    if (this.at < 0 && this.hits.length) this.at = 0;
    this.reveal();
  }

  step(by) {
    if (!this.hits.length) return;
    this.replaced = 0;
    this.at = (this.at + by + this.hits.length) % this.hits.length;
    this.reveal();
  }

  reveal() {
    const { hits, at } = this, none = !hits.length;
    const found = this.replaced ? say("editor.replaced", { n: this.replaced }) : none ? say("editor.not_found") : say("editor.hit", { n: at + 1, all: hits.length });
    this.count.textContent = this.find.value.trim() ? found : "";
    for (const name of [".next", ".previous", ".one", ".all"]) this.bar.querySelector(name).disabled = none;
    this.act.lines().paint(hits.slice(0, MOST), hits[at]);
    this.last = none ? null : [hits[at][0], hits[at][2]];
    if (!none) this.act.show(hits[at][0]);
  }

  replace() {
    const hit = this.hits[this.at];
    if (!hit) return;
    const [i, first, end] = hit, line = this.model.lines[i], was = textOf(line), put = this.put.value;
    this.replaced = 0;
    this.hits[this.at] = [i, first + put.length, 0]; // go on after what was put there
    this.act.edit({ op: "text", line: i, text: was.slice(0, first) + put + was.slice(end) }, { was, start: line.start });
    this.search();
  }

  replaceAll() {
    this.replaced = this.hits.length; // said until something else is sought, whatever is drawn meanwhile
    this.act.edit({ op: "replace", ...this.wishes(), put: this.put.value.slice(0, 500) });
    this.search();
  }
}
