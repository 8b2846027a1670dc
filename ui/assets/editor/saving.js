// Edits on their way to the server, in their order. Whatever has not been answered is also kept in this
// browser, so neither a lost connection nor a closed page loses it; the server knows an edit that
// comes twice by its id.

const LONGEST = 15000; // milliseconds between two tries
const AT_ONCE = 100; // edits in a request
const KEEPALIVE = 60000; // bytes that a browser sends for a page that is gone

export class Refusal extends Error {
  constructor(status, { what, fix } = {}) {
    super(what);
    Object.assign(this, { status, what: what || window.parlanceSay("editor.odd"), fix: fix || window.parlanceSay("editor.later") });
  }
}

// A request of this browser; throws TypeError where there is no connection, Refusal where the server says no.
export const ask = async (path, body, more = {}) => {
  const headers = { "X-Parlance-Browser": window.parlanceBrowser() };
  const how = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(path, { headers, cache: "no-store", ...how, ...more });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(answer.status, said.error);
  return said;
};

export class Saving {
  // told(state) is called with saved, saving or offline; news(answer) with what the server made of the
  // edits; stale(edits) when somebody else was faster; refused(refusal, edits) when they cannot be.
  constructor(path, name, { told, news, stale, refused }) {
    Object.assign(this, { path, name, told, news, stale, refused });
    this.pending = [];
    this.revision = this.since = 0; // the newest one we know; the one that the page's lines are made of
    this.wait = 1000;
    this.sending = false;
    addEventListener("online", () => this.send());
  }

  // What an earlier page could not send.
  left() {
    try {
      return JSON.parse(localStorage.getItem(this.name)) ?? { revision: 0, edits: [] };
    } catch {
      return { revision: 0, edits: [] };
    }
  }

  keep() {
    try {
      if (this.pending.length) localStorage.setItem(this.name, JSON.stringify({ revision: this.revision, edits: this.pending }));
      else localStorage.removeItem(this.name);
    } catch {} // full or forbidden: then only this page has them
  }

  // `memo` stays here: how to find the line again if somebody else was faster.
  push(op, memo = {}) {
    const id = [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => byte.toString(36)).join("");
    this.pending.push({ op: { ...op, id }, memo });
    this.keep();
    return this.send();
  }

  // Start from what the server has at this revision; drops what is pending.
  at(revision) {
    this.revision = this.since = revision;
    this.pending = [];
    this.keep();
  }

  async send() {
    if (this.sending || !this.pending.length) return this.sending;
    clearTimeout(this.later);
    this.later = 0;
    this.told("saving");
    this.sending = this.drain();
    try {
      await this.sending;
    } finally {
      this.sending = false;
    }
    if (this.pending.length && !this.later) await this.send(); // made anew after somebody else was faster
  }

  async drain() {
    while (this.pending.length) {
      const batch = this.pending.slice(0, AT_ONCE), operations = batch.map(({ op }) => op);
      let answer;
      try {
        answer = await ask(this.path, { revision: this.revision, since: this.since, operations });
      } catch (error) {
        return this.failed(error, batch);
      }
      this.wait = 1000;
      this.pending.splice(0, batch.length);
      this.revision = answer.revision;
      this.keep();
      if (!this.pending.length) {
        this.since = answer.revision;
        this.news(answer);
      }
    }
    this.told("saved");
  }

  async failed(error, batch) {
    const { status } = error, { pending } = this;
    if (status === 409) await this.stale(pending, error);
    else if (status && status < 500 && status !== 429) await this.refused(error, pending, batch);
    if (this.pending !== pending) return;
    this.told("offline", error);
    this.later = setTimeout(() => this.send(), this.wait);
    this.wait = Math.min(LONGEST, this.wait * 2);
  }

  // The page is being left: one last try that outlives it. What does not arrive is sent by the next page.
  leave() {
    const operations = this.pending.slice(0, AT_ONCE).map(({ op }) => op), body = { revision: this.revision, operations };
    if (operations.length && JSON.stringify(body).length < KEEPALIVE) ask(this.path, body, { keepalive: true }).catch(() => {});
  }
}
