// Who speaks when: a lane for each speaker, drawn once; the needle is an element of its own that moves
// over it. Solid is what is written; pale is a voice that was heard while somebody else has the words.

import { clock } from "./player.js";

const MOST = 8; // lanes; more speakers share the last one
const JOINED = 0.8; // seconds between two lines that are drawn as one
const LEAST = 1.5; // pixels that a line is wide at least

export class Timeline {
  constructor(root, model, seek) {
    Object.assign(this, { root, model, seek, length: 1 });
    this.canvas = root.querySelector("canvas");
    this.needle = root.querySelector(".needle");
    this.tip = root.querySelector(".tip");
    new ResizeObserver(() => this.draw()).observe(root);
    addEventListener("parlance-look", () => this.draw());
    root.addEventListener("pointerdown", (e) => this.grab(e));
    root.addEventListener("pointermove", (e) => this.hover(e));
    root.addEventListener("pointerleave", () => (this.tip.hidden = true));
    root.addEventListener("keydown", (e) => this.key(e));
  }

  lanes() {
    return this.model.voices().map(([who]) => who).filter((who) => who >= 0);
  }

  draw() {
    const { canvas, root, model } = this, lanes = this.lanes(), count = Math.max(1, Math.min(MOST, lanes.length));
    const each = count > 4 ? 8 : count > 2 ? 10 : 14, height = count * each + 8;
    root.style.setProperty("--lanes", `${height}px`);
    const width = root.clientWidth, dense = devicePixelRatio || 1;
    canvas.width = width * dense;
    canvas.height = height * dense;
    const paint = canvas.getContext("2d"), style = getComputedStyle(root);
    paint.scale(dense, dense);
    const colour = (who) => style.getPropertyValue(who < 0 ? "--soft" : `--voice-${who % 10}`);
    const lane = (who) => 4 + each * Math.max(0, Math.min(count - 1, lanes.indexOf(who)));
    const bar = (start, end, who, inset) => {
      const x = this.x(start, width), w = Math.max(LEAST, this.x(end, width) - x);
      paint.fillStyle = colour(who);
      paint.beginPath();
      paint.roundRect(x, lane(who) + 1.5 + inset, w, each - 3 - 2 * inset, Math.min(2, w / 2));
      paint.fill();
    };
    paint.fillStyle = style.getPropertyValue("--line");
    for (let i = 0; i < count; i++) paint.fillRect(0, 4 + i * each + each / 2 - 0.5, width, 1);
    paint.globalAlpha = 0.32;
    for (const [start, end, who] of model.turns) if (lanes.includes(who)) bar(start, end, who, 0);
    paint.globalAlpha = 1;
    for (const [start, end, who] of this.spoken()) bar(start, end, who, 0);
  }

  // Lines of one speaker without a pause between them, as one stretch.
  spoken() {
    const found = [];
    for (const { start, end, who } of this.model.lines) {
      const before = found.at(-1);
      if (before && before[2] === who && start - before[1] < JOINED) before[1] = Math.max(end, before[1]);
      else found.push([start, end, who]);
    }
    return found;
  }

  x(time, width) {
    return (time / this.length) * width;
  }

  // Every frame: nothing but a transform.
  move(time) {
    this.needle.style.transform = `translateX(${this.x(time, this.root.clientWidth).toFixed(1)}px)`;
    const second = Math.floor(time);
    if (second === this.second) return;
    this.second = second;
    this.root.setAttribute("aria-valuenow", second);
    this.root.setAttribute("aria-valuetext", window.parlanceSay("player.of", { time: clock(time), length: clock(this.length) }));
  }

  of(length) {
    this.length = length || 1;
    this.root.setAttribute("aria-valuemax", Math.floor(this.length));
  }

  time({ clientX }) {
    const { left, width } = this.root.getBoundingClientRect();
    return Math.max(0, Math.min(1, (clientX - left) / width)) * this.length;
  }

  grab(e) {
    if (e.button) return;
    this.root.setPointerCapture(e.pointerId);
    this.seek(this.time(e));
  }

  hover(e) {
    const time = this.time(e), { left, width } = this.root.getBoundingClientRect();
    if (e.buttons && this.root.hasPointerCapture(e.pointerId)) this.seek(time);
    const here = this.model.lines.filter((l) => l.start <= time && time <= l.end).map((l) => this.model.name(l.who));
    const heard = this.model.turns.filter(([a, b]) => a <= time && time <= b).map((t) => this.model.name(t[2]));
    const names = [...new Set([...here, ...heard])].filter(Boolean);
    this.tip.textContent = [clock(time), ...names].join(" · ");
    this.tip.hidden = false;
    this.tip.style.left = `${Math.max(60, Math.min(width - 60, e.clientX - left))}px`;
  }

  key(e) {
    const by = { ArrowLeft: -5, ArrowRight: 5, PageUp: -60, PageDown: 60, ArrowDown: -5, ArrowUp: 5 }[e.key];
    const to = { Home: 0, End: this.length }[e.key];
    if (by === undefined && to === undefined) return;
    e.preventDefault();
    e.stopPropagation();
    this.seek(to ?? Math.max(0, Math.min(this.length, (this.now?.() ?? 0) + by)));
  }
}
