// The sound, and what is shown of it: buttons, clock, speed. `moved(time)` is called for every frame
// while it plays, and once after every jump.

export const clock = (seconds) => {
  const s = Math.max(0, Math.floor(seconds || 0)), two = (n) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
};

const say = window.parlanceSay;
const SPEEDS = [1, 1.25, 1.5, 1.75, 2, 0.5, 0.75];
const SKIP = 3; // seconds

export class Player {
  constructor(dock, { moved, failed }) {
    this.dock = dock;
    this.audio = dock.querySelector("audio");
    this.moved = moved;
    this.failed = failed;
    this.length = 0;
    this.until = Infinity; // where a snippet ends
    const { audio } = this;
    for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, () => this.show());
    for (const event of ["seeked", "timeupdate"]) audio.addEventListener(event, () => audio.paused && this.tick());
    audio.addEventListener("play", () => this.run());
    audio.addEventListener("loadedmetadata", () => this.trusted() || this.decoded());
    audio.addEventListener("error", () => this.decoded());
    dock.querySelector(".play").onclick = () => this.toggle();
    dock.querySelector(".back").onclick = () => this.skip(-SKIP);
    dock.querySelector(".ahead").onclick = () => this.skip(SKIP);
    dock.querySelector(".speed").onclick = () => this.faster();
  }

  load(source, length) {
    this.length = length;
    if (this.source !== source) {
      this.source = source;
      this.audio.src = source;
    }
    this.show();
    this.tick();
  }

  // What a browser finds out about a file should be what we heard: otherwise it cannot seek in it.
  trusted() {
    const { duration } = this.audio;
    return this.exact || (isFinite(duration) && Math.abs(duration - this.length) < 1 + 0.005 * this.length);
  }

  decoded() {
    if (this.exact) return this.failed();
    this.exact = true;
    const { currentTime, paused } = this.audio;
    this.audio.src = `${this.source}&as=wav`;
    this.audio.currentTime = currentTime;
    if (!paused) this.audio.play().catch(() => {});
  }

  get time() {
    return this.audio.currentTime;
  }

  get playing() {
    return !this.audio.paused;
  }

  seek(time) {
    this.until = Infinity;
    this.audio.currentTime = Math.max(0, Math.min(time, this.length || time));
    this.tick();
  }

  playFrom(time, until = Infinity) {
    this.seek(time);
    this.until = until;
    this.audio.play().catch(() => {});
  }

  toggle() {
    this.until = Infinity;
    if (this.playing) this.audio.pause();
    else this.audio.play().catch(() => {});
  }

  pause() {
    this.audio.pause();
  }

  skip(seconds) {
    this.seek(this.time + seconds);
  }

  faster(step = 1) {
    const { audio } = this, next = SPEEDS[(SPEEDS.indexOf(audio.playbackRate) + step + SPEEDS.length) % SPEEDS.length];
    audio.playbackRate = audio.defaultPlaybackRate = next;
    const button = this.dock.querySelector(".speed");
    button.textContent = `${next}×`;
    button.setAttribute("aria-label", say("player.speed", { times: next }));
  }

  run() {
    if (!this.playing) return;
    this.tick();
    requestAnimationFrame(() => this.run());
  }

  tick() {
    if (this.time >= this.until) {
      this.until = Infinity;
      this.pause();
    }
    const said = `${clock(this.time)} / ${clock(this.length)}`, output = this.dock.querySelector(".controls output");
    if (output.textContent !== said) output.textContent = said;
    this.moved(this.time);
  }

  show() {
    this.dock.classList.toggle("on", this.playing);
    this.dock.querySelector(".play").setAttribute("aria-label", say(this.playing ? "player.pause" : "player.play"));
    this.tick();
  }
}
