// The microphone as 16 kHz PCM. The last two minutes are kept, so that nothing said is lost
// while a connection is away. The page and the audio worklet load this same file.

(() => {
  const RATE = 16000;

  if (typeof registerProcessor === "function") {
    const PHASES = 64, REACH = 16; // fractions of a sample told apart; output samples on each side of the filter

    // Any rate to 16 kHz: a windowed sinc that cuts below the new Nyquist frequency. Firefox
    // cannot connect a microphone to a context of another rate, so the browser does not do it.
    class Sampler extends AudioWorkletProcessor {
      constructor() {
        super();
        this.step = sampleRate / RATE;
        this.half = Math.ceil(REACH * Math.max(1, this.step));
        this.filters = Array.from({ length: PHASES }, (_, phase) => this.filter(phase / PHASES));
        this.input = new Float32Array(2 * this.half);
        this.at = this.half; // where in `input` the next output sample lies
        this.output = new Int16Array(RATE / 10);
        this.filled = 0;
      }

      filter(fraction) {
        const cut = 0.94 * Math.min(1, 1 / this.step), taps = new Float32Array(2 * this.half);
        let sum = 0;
        for (let i = 0; i < taps.length; i++) {
          const t = i + 1 - this.half - fraction, x = Math.PI * cut * t;
          const window = 0.5 + 0.5 * Math.cos((Math.PI * t) / (this.half + 1));
          sum += taps[i] = (x ? Math.sin(x) / x : 1) * window;
        }
        return taps.map((tap) => tap / sum);
      }

      process([channels]) {
        const news = channels[0] ?? new Float32Array(128); // nothing connected for now: time passes all the same
        const input = new Float32Array(this.input.length + news.length);
        input.set(this.input);
        input.set(news, this.input.length);
        while (this.at + this.half + 1 < input.length) {
          const whole = Math.floor(this.at), taps = this.filters[Math.floor((this.at - whole) * PHASES)];
          let sum = 0;
          for (let i = 0, j = whole + 1 - this.half; i < taps.length; i++, j++) sum += taps[i] * input[j];
          this.put(sum);
          this.at += this.step;
        }
        const drop = Math.max(0, Math.floor(this.at) - this.half);
        this.input = input.slice(drop);
        this.at -= drop;
        return true;
      }

      put(sample) {
        this.output[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
        if (this.filled === this.output.length) {
          this.port.postMessage(this.output.slice());
          this.filled = 0;
        }
      }
    }
    registerProcessor("sampler", Sampler);
    return;
  }

  const KEEP = 120 * RATE, SCRIPT = document.currentScript.src;

  class Microphone {
    // Opens it; rejects with the browser's DOMException. `heard(level)` comes ten times a second.
    static async open(device, heard, gone) {
      const wish = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
      if (device) wish.deviceId = { ideal: device };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: wish });
      try {
        const context = new AudioContext({ latencyHint: "interactive" });
        await context.audioWorklet.addModule(SCRIPT);
        return new Microphone(stream, context, heard, gone);
      } catch (error) {
        stream.getTracks().forEach((track) => track.stop());
        throw error;
      }
    }

    constructor(stream, context, heard, gone) {
      Object.assign(this, { stream, context, heard, chunks: [], start: 0, end: 0 }); // start, end: in samples
      this.track = stream.getAudioTracks()[0];
      this.track.addEventListener("ended", gone);
      this.node = new AudioWorkletNode(context, "sampler");
      this.node.port.onmessage = ({ data }) => this.take(data);
      context.createMediaStreamSource(stream).connect(this.node).connect(context.destination); // silence comes out
      context.resume();
      this.wake = () => context.resume(); // phones stop it behind other pages and calls
      document.addEventListener("visibilitychange", this.wake);
    }

    take(chunk) {
      this.chunks.push(chunk);
      this.end += chunk.length;
      while (this.end - this.start > KEEP) this.start += this.chunks.shift().length;
      let sum = 0;
      for (const sample of chunk) sum += sample * sample;
      this.heard(Math.sqrt(sum / chunk.length) / 32768);
    }

    // The samples from `from` on, at most `most` of them, as far as they are still kept.
    read(from, most) {
      const first = Math.max(from, this.start), found = new Int16Array(Math.max(0, Math.min(most, this.end - first)));
      let at = this.start, filled = 0;
      for (const chunk of this.chunks) {
        const skip = Math.max(0, first - at);
        if (skip < chunk.length && filled < found.length) {
          const part = chunk.subarray(skip, skip + found.length - filled);
          found.set(part, filled);
          filled += part.length;
        }
        at += chunk.length;
      }
      return found;
    }

    // Lets go of the device; what was heard can still be read.
    close() {
      document.removeEventListener("visibilitychange", this.wake);
      this.node.port.onmessage = null;
      this.track.stop();
      this.context.close();
    }
  }

  window.live = Object.assign(window.live ?? {}, { Microphone });
})();
