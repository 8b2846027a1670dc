// A transcript in the page: lines, speakers, and what an edit makes of them until the server has
// answered. Lines are never changed, only replaced: two that are the same object look the same.
//
//   line  { start, end, who, words: [[text, start, end, marks]], unsure }   who: place in speakers, -1 nobody
//   marks  1 the model doubts this word, 2 it is not what was written live

export const textOf = (line) => (line.text ??= line.words.map((word) => word[0]).join("").trim());

// Where each word stands in the text: [first, end] in UTF-16 units, as the DOM counts.
export const spansOf = (line) => {
  if (line.spans) return line.spans;
  let at = -(line.words.map((word) => word[0]).join("").search(/\S/) || 0);
  line.spans = line.words.map(([text]) => {
    const first = at + text.length - text.trimStart().length, end = at + text.trimEnd().length;
    at += text.length;
    return [Math.max(0, first), Math.max(0, end)];
  });
  return line.spans;
};

// The word that stands at (or before) an offset of the text.
export const wordAt = (line, offset) => Math.max(0, last(spansOf(line).length, (i) => spansOf(line)[i][0] <= offset));

// How many of `count` things in order are up to a point: the index of the last one that `is` so, or -1.
const last = (count, is) => {
  let low = 0, high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (is(middle)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
};

// What is said at a time: [line, word], -1 where there is none.
const LINGER = 0.35; // seconds that a word stays lit in a pause
export const spokenAt = (lines, time) => {
  const i = last(lines.length, (k) => lines[k].start <= time), line = lines[i];
  if (!line || time > line.end + LINGER) return [-1, -1];
  const w = last(line.words.length, (k) => line.words[k][1] <= time);
  return [i, w >= 0 && time <= line.words[w][2] + LINGER ? w : -1];
};

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
// As asr/edits.py looks for it: plain text, whole words where that is wanted.
export const pattern = ({ find, case: exact, whole }) => {
  const plain = escaped(find);
  return new RegExp(whole ? `(?<![\\p{L}\\p{N}_])${plain}(?![\\p{L}\\p{N}_])` : plain, exact ? "gu" : "giu");
};

export const plainName = (name) => name.replace(/\s+/g, " ").trim();
const oneLine = (text) => text.replace(/\s+/g, " ").trim();

// ---- an edit, as long as the server has not said what became of it ----

const shared = (text, start, end) => {
  const tokens = text.match(/\s*\S+/g) ?? [], each = (end - start) / Math.max(1, text.length);
  let at = start;
  return tokens.map((token) => [token, at, (at += each * token.length), 0]);
};
const reworded = (line, text) => {
  const lead = line.words[0]?.[0].match(/^\s*/)[0] ?? "", said = lead + oneLine(text);
  const guess = shared(said, line.start, line.end);
  const words = guess.length === line.words.length ? line.words.map((word, i) => [guess[i][0], word[1], word[2], guess[i][0] === word[0] ? word[3] : 0]) : guess;
  return { start: line.start, end: line.end, who: line.who, words };
};
const changed = (lines, at, count, ...fresh) => [...lines.slice(0, at), ...fresh, ...lines.slice(at + count)];

const EDITS = {
  text: (m, { line, text }) => (m.lines = changed(m.lines, line, 1, ...(oneLine(text) ? [reworded(m.lines[line], text)] : []))),
  split: (m, { line, at }) => {
    const whole = m.lines[line], words = [whole.words.slice(0, at), whole.words.slice(at)];
    const { who, unsure } = whole;
    const first = { start: whole.start, end: words[0].at(-1)[2], who, unsure, words: words[0] };
    m.lines = changed(m.lines, line, 1, first, { start: words[1][0][1], end: whole.end, who, unsure, words: words[1] });
  },
  join: (m, { line }) => {
    const [a, b] = m.lines.slice(line, line + 2);
    m.lines = changed(m.lines, line, 2, { start: a.start, end: Math.max(a.end, b.end), who: a.who, unsure: a.unsure || b.unsure, words: [...a.words, ...b.words] });
  },
  speaker: (m, { first, last, speaker }) => {
    const who = m.place(speaker);
    m.lines = m.lines.map((line, i) => (i < first || i > last || line.who === who ? line : by(line, who)));
  },
  rename: (m, { speaker, name }) => {
    if (speaker !== null) return (m.speakers = m.speakers.map((s) => (s === speaker ? plainName(name) : s)));
    const who = m.place(name);
    m.lines = m.lines.map((line) => (line.who === -1 ? by(line, who) : line));
  },
  merge: (m, { speaker, into }) => {
    const from = m.place(speaker), to = m.place(into);
    if (from === to) return;
    m.lines = m.lines.map((line) => (line.who === from ? by(line, to) : line));
    m.turns = m.turns.map(([start, end, who]) => [start, end, who === from ? to : who]);
    m.speakers = m.speakers.map((s, i) => (i === from ? null : s));
  },
  replace: (m, op) => {
    const sought = pattern(op);
    m.lines = m.lines.flatMap((line) => {
      const text = oneLine(textOf(line).replace(sought, () => op.put));
      return text === textOf(line) ? [line] : text ? [{ ...reworded(line, text), unsure: line.unsure }] : [];
    });
  },
  sure: (m, { line }) => {
    const { start, end, who, words } = m.lines[line];
    m.lines = changed(m.lines, line, 1, { start, end, who, words: words.map((word) => [word[0], word[1], word[2], word[3] & 2]) });
  },
};
const by = (line, who) => ({ ...line, who });

export class Model {
  lines = [];
  speakers = []; // by place; null where one was merged into another
  turns = []; // [start, end, who]: voices that were heard, overlapping
  facts = {}; // everything else that the server says
  known = { lines: [], speakers: [], turns: [] }; // as the server had it last, without edits on their way

  // The place of a speaker's name, a new one for a new name; -1 for nobody.
  place(name) {
    if (name === null) return -1;
    const known = this.speakers.indexOf(plainName(name));
    if (known >= 0) return known;
    this.speakers = [...this.speakers, plainName(name)];
    return this.speakers.length - 1;
  }

  name(who) {
    return this.speakers[who] ?? null;
  }

  apply(op) {
    EDITS[op.op]?.(this, op); // undo and redo: the server knows
  }

  // All of it, or what became of the part that changed since the last time; no edit is on its way.
  take(news) {
    const { speakers, turns, lines, from, keep, more, ...facts } = news, { known } = this, old = known.lines;
    Object.assign(this.facts, facts);
    this.speakers = speakers ?? known.speakers;
    this.turns = turns ?? known.turns;
    if (more) this.lines = [...old, ...more];
    else if (lines && from === undefined) this.lines = lines.map((line, i) => (alike(old[i], line) ? old[i] : line));
    else if (lines) {
      const part = old.slice(from, old.length - keep);
      const fresh = lines.map((line, i) => (line === null ? part[i] : typeof line === "number" ? by(part[i], line) : line));
      this.lines = [...old.slice(0, from), ...fresh, ...old.slice(old.length - keep)];
    }
    this.known = { lines: this.lines, speakers: this.speakers, turns: this.turns };
  }

  // Who has lines: [place, seconds, lines], in their order.
  voices() {
    const found = new Map();
    for (const { who, start, end } of this.lines) {
      const voice = found.get(who) ?? found.set(who, [who, 0, 0]).get(who);
      voice[1] += end - start;
      voice[2] += 1;
    }
    return [...found.values()].sort((a, b) => (a[0] < 0) - (b[0] < 0) || a[0] - b[0]);
  }

  // The stretch of lines around one that the same person says.
  turn(i) {
    let first = i, end = i;
    while (first > 0 && this.lines[first - 1].who === this.lines[i].who) first--;
    while (end + 1 < this.lines.length && this.lines[end + 1].who === this.lines[i].who) end++;
    return [first, end];
  }
}

const alike = (a, b) => a && a.start === b.start && a.end === b.end && a.who === b.who && Boolean(a.unsure) === Boolean(b.unsure) && a.words.length === b.words.length && a.words.every((word, i) => word.every((value, k) => value === b.words[i][k]));

// Every place a listener should check: [line, word], word -1 where all of a line is unsure.
export const doubts = (lines) => lines.flatMap((line, i) => [...(line.unsure ? [[i, -1]] : []), ...line.words.flatMap((word, w) => (word[3] & 1 ? [[i, w]] : []))]);
