// Who speaks: the list beside the text, the menu that gives lines to somebody else, and finding the
// speakers once more.

import { plainName } from "./model.js";
import { clock } from "./player.js";

const say = window.parlanceSay;
const element = (tag, css, text = "") => Object.assign(document.createElement(tag), { className: css, textContent: text });
const button = (css, text, run) => Object.assign(element("button", css, text), { type: "button", onclick: run });

export class People {
  // do.edit(op), do.go(line): to a line, do.at(): the line the reader is on
  constructor(root, menu, model, act) {
    Object.assign(this, { root, menu, model, act, editable: true });
    menu.addEventListener("keydown", (e) => this.key(e));
    addEventListener("pointerdown", (e) => !menu.hidden && !menu.contains(e.target) && !this.opener?.contains(e.target) && this.close());
  }

  // ---- the list ----

  show() {
    const { model, root } = this, voices = model.voices(), whole = voices.reduce((sum, v) => sum + v[1], 0) || 1;
    if (root.contains(document.activeElement) && document.activeElement.tagName === "INPUT") return; // a name is being typed
    const had = root.contains(document.activeElement) ? [...root.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    root.replaceChildren(...voices.map(([who, seconds, lines]) => this.row(who, seconds, lines, whole)));
    if (had >= 0) root.querySelectorAll("button")[had]?.focus();
  }

  row(who, seconds, lines, whole) {
    const row = element("li", "voice"), name = this.model.name(who), share = Math.round((100 * seconds) / whole);
    row.dataset.who = who < 0 ? "none" : who % 10;
    const label = button("name", name ?? say("editor.nobody"), () => this.rename(row, who));
    label.title = say("shelf.rename");
    label.setAttribute("aria-label", say("editor.rename", { name: name ?? say("editor.nobody") }));
    const more = button("more", "⋯", () => this.actions(more, who));
    more.setAttribute("aria-label", say("editor.more", { name: name ?? say("editor.nobody") }));
    more.setAttribute("aria-haspopup", "menu");
    const bar = element("i", "share");
    bar.style.setProperty("--share", `${share}%`);
    const part = element("small", "", `${share} %`);
    part.title = say("editor.share", { time: clock(seconds), n: lines });
    row.append(element("i", "dot"), label, part, more, bar);
    label.disabled = more.disabled = !this.editable;
    return row;
  }

  rename(row, who) {
    const old = this.model.name(who), input = element("input", "rename");
    Object.assign(input, { value: old ?? "", maxLength: 80, placeholder: say("editor.name") });
    input.setAttribute("aria-label", say("editor.new_name", { name: old ?? say("editor.nobody") }));
    let over = false;
    const end = (keep) => {
      if (over) return;
      over = true;
      const name = plainName(input.value);
      input.remove();
      if (keep && name && name !== old) this.called(who, name);
      this.show();
      this.root.querySelectorAll(".name")[[...this.root.children].indexOf(row)]?.focus();
    };
    input.onkeydown = (e) => {
      e.stopPropagation();
      if (e.key !== "Enter" && e.key !== "Escape") return;
      e.preventDefault(); // or it would press what gets the focus next
      end(e.key === "Enter");
    };
    input.onblur = () => end(true);
    row.querySelector(".name").replaceWith(input);
    input.select();
  }

  // A name that somebody has already: are they the same person?
  called(who, name) {
    const old = this.model.name(who), other = this.model.speakers.indexOf(name);
    const taken = other >= 0 && other !== who && this.model.lines.some((line) => line.who === other);
    if (taken) return this.act.confirm(say("editor.taken", { name }), say("editor.merge_them"), () => this.act.edit({ op: "merge", speaker: old, into: name }));
    this.act.edit({ op: "rename", speaker: old, name });
  }

  // ---- menus ----

  open(opener, title, entries) {
    if (this.opener === opener && !this.menu.hidden) return this.close();
    this.opener = opener;
    const { menu } = this;
    menu.replaceChildren(element("p", "title", title), ...entries);
    menu.hidden = false;
    const at = opener.getBoundingClientRect(), { offsetWidth: w, offsetHeight: h } = menu;
    const below = at.bottom + 6 + h < innerHeight - 8;
    const { clientWidth } = document.documentElement; // innerWidth goes on below the scroll bar
    menu.style.left = `${Math.max(8, Math.min(clientWidth - w - 8, at.left))}px`;
    menu.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - h - 6)}px`;
    (menu.querySelector("[aria-checked=true]") ?? menu.querySelector("button, input"))?.focus({ preventScroll: true });
  }

  close(back = true) {
    if (this.menu.hidden) return;
    this.menu.hidden = true;
    if (back) this.opener?.focus({ preventScroll: true });
    this.opener = null;
  }

  key(e) {
    e.stopPropagation();
    const entries = [...this.menu.querySelectorAll("button, input")], i = entries.indexOf(document.activeElement);
    if (e.key === "Escape") this.close();
    else if (e.key === "Tab") this.close(false);
    else if (e.key === "ArrowDown") entries[(i + 1) % entries.length].focus();
    else if (e.key === "ArrowUp") entries[(i + entries.length - 1) % entries.length].focus();
    else return;
    if (e.key !== "Tab") e.preventDefault();
  }

  entry(text, run, { who, checked, css = "" } = {}) {
    const one = button(`entry ${css}`, "", () => {
      this.close();
      run();
    });
    one.setAttribute("role", checked === undefined ? "menuitem" : "menuitemradio");
    if (checked !== undefined) one.setAttribute("aria-checked", checked);
    if (who !== undefined) {
      one.dataset.who = who < 0 ? "none" : who % 10;
      one.append(element("i", "dot"));
    }
    one.append(element("span", "", text));
    return one;
  }

  known() {
    return this.model.voices().map(([who]) => who).filter((who) => who >= 0);
  }

  actions(opener, who) {
    const name = this.model.name(who), label = name ?? say("editor.nobody"), others = this.known().filter((other) => other !== who);
    const lines = this.model.lines, from = this.act.at(), next = (i) => lines.findIndex((line, k) => k > i && line.who === who);
    this.open(opener, label, [
      this.entry(say("shelf.rename"), () => this.rename(this.root.children[this.model.voices().findIndex((v) => v[0] === who)], who)),
      this.entry(say("editor.next_line"), () => this.act.go(next(from) >= 0 ? next(from) : next(-1))),
      ...others.map((other) => this.entry(say("editor.merge_into", { name: this.model.name(other) }), () => this.act.edit({ op: "merge", speaker: name, into: this.model.name(other) }), { who: other })),
    ]);
  }

  // Who says this line? For it alone, for all that is said in one go, or everywhere.
  assign(opener, i, whole) {
    if (!this.editable) return;
    const line = this.model.lines[i], [first, last] = this.model.turn(i), name = this.model.name(line.who);
    const turn = last - first + 1, all = this.model.lines.filter((l) => l.who === line.who).length;
    const scopes = [["line", say("editor.this_line")], ...(turn > 1 ? [["turn", say("editor.these_lines", { n: turn })]] : []), ...(all > turn ? [["all", say("editor.all_lines", { n: all })]] : [])];
    let scope = whole && turn > 1 ? "turn" : "line";
    const give = (speaker) => {
      if (speaker === name) return;
      const known = speaker === null || this.model.speakers.includes(speaker);
      if (scope === "all") this.act.edit(known ? { op: "merge", speaker: name, into: speaker } : { op: "rename", speaker: name, name: speaker });
      else this.act.edit({ op: "speaker", first: scope === "turn" ? first : i, last: scope === "turn" ? last : i, speaker });
    };
    const group = element("div", "scopes");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", say("editor.which"));
    group.append(...scopes.map(([value, text]) => {
      const one = button("", text, () => {
        scope = value;
        for (const other of group.children) other.setAttribute("aria-pressed", other === one);
      });
      one.setAttribute("aria-pressed", value === scope);
      return one;
    }));
    const fresh = element("input", "fresh");
    Object.assign(fresh, { maxLength: 80, placeholder: `${say("editor.other")} …` });
    fresh.setAttribute("aria-label", say("editor.other"));
    fresh.onkeydown = (e) => {
      if (e.key !== "Enter" || !plainName(fresh.value)) return;
      e.preventDefault();
      this.close();
      give(plainName(fresh.value));
    };
    const others = this.known().map((who) => this.entry(this.model.name(who), () => give(this.model.name(who)), { who, checked: who === line.who }));
    this.open(opener, say("editor.who"), [...(scopes.length > 1 ? [group] : []), ...others, this.entry(say("editor.unknown"), () => give(null), { who: -1, checked: line.who < 0 }), fresh]);
  }
}
