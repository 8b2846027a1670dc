// One live session's connection. A WebSocket carries orders, audio and text; the audio moves to
// WebRTC when that connects, and back when it breaks. Whatever breaks, the microphone keeps two
// minutes, and the server says up to where it has heard: the rest is sent again.

(() => {
  const RATE = 16000, MESSAGE = 2 * RATE, CROWDED = 1 << 20; // samples in one message; bytes waiting that are enough
  const WEBRTC = 12000, BLINK = 2500; // milliseconds until we give WebRTC up; that it may be away
  const AGAIN = [300, 1000, 2000, 4000, 8000]; // milliseconds between tries to connect
  const OVERLAP = 20 * RATE; // samples sent again when WebRTC breaks; the server skips what it has

  class Line {
    // `tell(kind, event)`: kind is a server event's type, "away", "back" or "refused".
    constructor(root, tell, session = null) {
      Object.assign(this, { root, tell, session, seq: 0, heard: 0, wishes: {}, tries: 0 });
      this.mic = null; // what we send; null while we only read
      this.zero = null; // session time of the microphone's first sample
      this.sent = null; // the next sample for the socket; null while nothing may be sent
      this.stopping = false;
      this.webrtc = { peer: null, on: false, failed: false };
      this.now = null;
    }

    // -- orders

    speak(mic, wishes) {
      Object.assign(this, { mic, wishes, zero: null, sent: null, stopping: false, awaiting: false, changed: false });
      this.open ? this.begin() : this.connect();
    }

    // While somebody speaks, new wishes wait for the next pause: no word is cut by them.
    change(wishes) {
      this.wishes = wishes;
      this.changed = Boolean(this.mic && !this.stopping);
    }

    // Everything the microphone heard is sent before the session pauses.
    pause() {
      this.stopping = true;
      if (this.webrtc.on) return this.goBack();
      this.hangUp();
      this.open ? this.pump() : this.connect();
    }

    close() {
      this.closed = true;
      clearTimeout(this.timer);
      this.hangUp();
      this.socket?.close();
    }

    pump() {
      if (this.sent === null || !this.open || (this.webrtc.on && !this.stopping)) return;
      this.sent = Math.max(this.sent, this.mic.start);
      while (this.sent < this.mic.end && this.socket.bufferedAmount < CROWDED) {
        const samples = this.mic.read(this.sent, MESSAGE);
        this.socket.send(samples);
        this.sent += samples.length;
      }
      if (!this.stopping) return;
      if (this.sent < this.mic.end) return void setTimeout(() => this.pump(), 50);
      this.send("pause");
      Object.assign(this, { mic: null, sent: null, stopping: false });
    }

    // -- the socket

    get open() {
      return this.greeted && this.socket?.readyState === WebSocket.OPEN;
    }

    send(type, fields = {}) {
      this.socket.send(JSON.stringify({ type, ...fields }));
    }

    connect() {
      clearTimeout(this.timer);
      if (this.closed || (this.socket && this.socket.readyState < WebSocket.CLOSING)) return;
      const url = new URL(this.root, document.baseURI);
      url.protocol = url.protocol.replace("http", "ws");
      if (this.session) url.search = new URLSearchParams({ session: this.session, after: this.seq });
      this.greeted = false;
      const socket = (this.socket = new WebSocket(url));
      socket.onmessage = ({ data }) => this.socket === socket && this.hear(JSON.parse(data));
      socket.onclose = ({ code }) => this.socket === socket && this.lost(code);
    }

    hear(event) {
      if (event.seq && event.type !== "session") this.seq = event.seq;
      if (event.type === "session") {
        Object.assign(this, { session: event.session, hello: event, heard: event.heard, greeted: true, awaiting: true, tries: 0 });
      } else if (event.type === "started") {
        this.zero ??= event.at - this.first / RATE;
      } else if (event.type === "now") {
        Object.assign(this, { now: event, heard: event.heard });
        if (this.awaiting) this.tell("back", event);
        this.follow(event);
      } else if (event.type === "error") {
        this.refusal = event;
      }
      this.tell(event.type, event);
    }

    // What the server's state means for our audio.
    follow(now) {
      const first = this.awaiting;
      this.awaiting = false;
      if (!this.mic) return;
      const was = this.webrtc.on;
      this.webrtc.on = now.transport === "webrtc" && Boolean(this.webrtc.peer);
      if (this.changed && !now.speaking && !first && this.mic) {
        this.changed = false;
        return this.goBack();
      }
      if (first && !this.webrtc.on) this.begin();
      else if (was && !this.webrtc.on && !now.error && now.state !== "over") this.goBack();
    }

    // Start sending: from the microphone's beginning, or where the server's ear is.
    begin() {
      this.from(this.zero === null ? 0 : Math.round((this.heard - this.zero) * RATE));
      this.upgrade();
    }

    goBack() {
      const sample = this.webrtc.on || this.sent === null ? this.mic.end - OVERLAP : this.sent;
      this.hangUp();
      if (!this.open) return this.connect();
      this.from(sample);
      this.upgrade();
    }

    from(sample) {
      this.sent = Math.min(Math.max(sample, this.mic.start), this.mic.end);
      if (!this.heard) this.zero = -this.sent / RATE; // a new session begins with this sample
      const at = this.zero === null ? {} : { at: this.zero + this.sent / RATE };
      this.first = this.sent;
      this.send("start", { ...at, ...this.wishes });
      this.pump();
    }

    lost(code) {
      const refusal = this.refusal;
      Object.assign(this, { socket: null, greeted: false, refusal: null });
      if (this.closed || code === 1000) return this.tell("closed", {});
      if (code === 4404 && this.mic && !this.seq) return this.anew(); // the server forgot a session without text
      if (refusal && refusal.status !== 408) return this.refuse(refusal);
      if (!this.mic && !this.now?.settling) return; // nothing is on its way
      this.tell("away", {});
      this.timer = setTimeout(() => this.connect(), AGAIN[Math.min(this.tries++, AGAIN.length - 1)]);
    }

    anew() {
      this.session = this.zero = null;
      this.connect();
    }

    refuse(refusal) {
      this.hangUp();
      Object.assign(this, { mic: null, sent: null, stopping: false });
      this.tell("refused", refusal);
    }

    // -- WebRTC

    async upgrade() {
      const { webrtc, mic } = this;
      if (!window.RTCPeerConnection || webrtc.failed || webrtc.peer || this.stopping) return;
      const name = crypto.getRandomValues(new Uint32Array(4)).join("-");
      const offer = (body) => this.ask("../offer", { method: "POST", body: JSON.stringify({ ...body, webrtc_id: name }) });
      let peer;
      try {
        const { iceServers } = await this.ask("../ice");
        if (webrtc.peer || this.mic !== mic || this.stopping) return;
        peer = webrtc.peer = new RTCPeerConnection({ iceServers });
        const timer = setTimeout(() => webrtc.peer === peer && !webrtc.on && this.giveUp(), WEBRTC);
        peer.onconnectionstatechange = () => this.watch(peer, timer);
        const answered = new Promise((resolve) => (peer.answered = resolve));
        peer.onicecandidate = async ({ candidate }) => {
          if (!candidate || !(await answered)) return;
          offer({ type: "ice-candidate", candidate: candidate.toJSON() }).catch(() => {});
        };
        peer.createDataChannel("text"); // FastRTC starts with it
        peer.addTrack(mic.track, mic.stream);
        await peer.setLocalDescription();
        await gathered(peer, 300);
        const { type, sdp } = peer.localDescription;
        await peer.setRemoteDescription(await offer({ type, sdp, session: this.session }));
        peer.answered(true);
      } catch (error) {
        if (webrtc.peer === peer) this.giveUp(error);
      }
    }

    async ask(path, how) {
      const answer = await fetch(new URL(path, new URL(`${this.root}/`, document.baseURI)), how);
      if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).what ?? answer.status);
      return answer.json();
    }

    watch(peer, timer) {
      if (this.webrtc.peer !== peer) return;
      const away = () => this.webrtc.peer === peer && peer.connectionState !== "connected" && this.broke();
      if (peer.connectionState === "connected") clearTimeout(timer);
      else if (peer.connectionState === "disconnected") setTimeout(away, BLINK);
      else if (["failed", "closed"].includes(peer.connectionState)) away();
    }

    // It worked once: the socket takes over, and WebRTC gets one more chance.
    broke() {
      const { webrtc } = this;
      if (!webrtc.on || webrtc.broken) webrtc.failed = true;
      webrtc.broken = true;
      if (webrtc.on && this.mic && !this.stopping) this.goBack();
      else this.hangUp();
    }

    // It does not work from here: the socket goes on alone, as it does already.
    giveUp() {
      this.webrtc.failed = true;
      this.hangUp();
    }

    hangUp() {
      const { peer } = this.webrtc;
      Object.assign(this.webrtc, { peer: null, on: false });
      peer?.close();
    }
  }

  // The candidates of a local network are there at once; slower ones follow the offer.
  const gathered = (peer, most) =>
    new Promise((resolve) => {
      const look = () => peer.iceGatheringState === "complete" && resolve();
      peer.addEventListener("icegatheringstatechange", look);
      setTimeout(resolve, most);
      look();
    });

  window.live = Object.assign(window.live ?? {}, { Line });
})();
