// Recordings on their way in: dropped or chosen files, or the microphone, sent to the server with
// their progress shown, every failure a sentence in its place. When all have arrived, the hidden
// button #picked tells Python (ui/recording.py) so.

(() => {
  const $ = (selector) => document.querySelector(`.source ${selector}`);
  const panels = [".offer", ".hearing", ".sending"];
  const say = window.parlanceSay;
  const size = (bytes) => {
    const [unit, one, digits] = bytes < 1e6 ? ["kb", 1e3, 0] : bytes < 1e9 ? ["mb", 1e6, 1] : ["gb", 1e9, 2];
    return say(`size.${unit}`, { n: Math.max(1 / 10 ** digits, +(bytes / one).toFixed(digits)) });
  };
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  let sending = null, hearing = null;

  const panel = (shown) => { for (const name of panels) { const part = $(name); if (part) part.hidden = name !== shown; } };
  const complain = (what, fix) => {
    panel(".offer");
    const note = $(".complaint");
    if (!note) return;
    note.hidden = false;
    const [first, second] = note.querySelectorAll("p");
    first.textContent = what;
    second.textContent = fix;
  };

  // ---- files: sent one after the other in pieces, each again where the connection broke ----

  const PIECE = 8e6; // bytes
  const PATIENCE = 60; // seconds for a connection to come back
  const later = (seconds) => new Promise((go) => setTimeout(go, 1000 * seconds));
  const ask = (...request) => window.parlanceRequest(...request);

  const send = async (files) => {
    if (!$(".offer") || sending || !files.length) return;
    $(".complaint").hidden = true;
    const hint = $("[data-max-bytes]"), large = files.find((file) => file.size > +hint.dataset.maxBytes), empty = files.find((file) => !file.size);
    if (large) return complain(say("source.large", { name: large.name, size: size(large.size), most: hint.dataset.most }), say("source.large_fix"));
    if (empty) return complain(say("source.nothing", { name: empty.name }), say("source.nothing_fix"));
    sending = new AbortController();
    panel(".sending");
    const ids = [];
    try {
      for (const [n, file] of files.entries()) ids.push(await sent(file, files.length > 1 ? `${n + 1}/${files.length}: ` : ""));
      window.parlanceArrived(ids);
    } catch (error) {
      for (const id of ids) ask("DELETE", `recordings/${id}`).catch(() => {});
      if (error.stopped) panel(".offer");
      else complain(error.what ?? say("source.fault"), error.fix ?? say("recordings.reload"));
    }
    sending = null;
  };
  const sent = async (file, which) => {
    $(".sending b").textContent = which + file.name;
    const known = KNOWN.read(file), { id, have } = (known && await ask("GET", `recordings/${known}/upload`).then(({ have }) => ({ id: known, have })).catch(() => null))
      ?? await ask("POST", "recordings", { name: file.name, size: file.size });
    KNOWN.write(file, id);
    try {
      for (let at = have; at < file.size;) {
        tell(at, file.size);
        at = await piece(id, file, at);
      }
    } catch (error) {
      if (!error.broken) ask("DELETE", `recordings/${id}`).catch(() => {});
      throw error;
    }
    KNOWN.write(file, null);
    return id;
  };
  const piece = async (id, file, at) => { // resolves with how much of it has arrived
    for (let waited = 0; ; waited++) {
      try {
        return await put(`recordings/${id}/upload?at=${at}`, file.slice(at, at + PIECE), (loaded) => tell(at + loaded, file.size));
      } catch (error) {
        if (!error.broken || waited > PATIENCE) throw error;
        $(".sending output").textContent = say("source.broke");
        await later(1);
        at = await ask("GET", `recordings/${id}/upload`).then(({ have }) => have).catch(() => at);
        if (at >= file.size) return at;
      }
    }
  };
  const put = (path, body, progress) => new Promise((done, failed) => {
    const request = new XMLHttpRequest(), stop = () => { request.abort(); failed({ stopped: true }); };
    const lost = () => failed({ what: say("source.lost"), fix: say("source.lost_fix"), broken: true });
    if (sending.signal.aborted) return stop();
    sending.signal.addEventListener("abort", stop, { once: true });
    request.upload.onprogress = (e) => progress(e.loaded);
    request.onerror = request.ontimeout = lost;
    request.onload = () => {
      sending?.signal.removeEventListener("abort", stop);
      if (request.status === 200) return done(JSON.parse(request.responseText).have);
      if (request.status >= 502) return lost();
      let error = null;
      try { ({ error } = JSON.parse(request.responseText)); } catch { /* not ours */ }
      failed(error ?? { what: say("recordings.refused", { status: `${request.status}` }), fix: say("recordings.reload") });
    };
    request.open("PUT", path);
    request.setRequestHeader("X-Parlance-Browser", window.parlanceBrowser());
    request.send(body);
  });
  const tell = (loaded, total) => {
    const bar = $(".sending .track i");
    if (!bar) return;
    bar.style.width = `${(100 * loaded) / total}%`;
    $(".sending output").textContent = say("source.sent", { size: size(loaded), total: size(total) });
  };
  // What has been begun, by the file: whoever chooses it again, after a refresh too, goes on from there.
  const KNOWN = {
    key: (file) => `parlance-upload ${file.name} ${file.size} ${file.lastModified}`,
    read: (file) => { try { return localStorage.getItem(KNOWN.key(file)); } catch { return null; } },
    write: (file, id) => { try { if (id) localStorage.setItem(KNOWN.key(file), id); else localStorage.removeItem(KNOWN.key(file)); } catch { /* private */ } },
  };

  // ---- the microphone ----

  const DENIED = {
    NotAllowedError: [say("microphone.denied"), say("source.denied_fix")],
    NotFoundError: [say("microphone.none"), say("source.none_fix")],
    NotReadableError: [say("microphone.busy"), say("source.busy_fix")],
  };
  const record = async () => {
    if (hearing) return;
    $(".complaint").hidden = true;
    if (!navigator.mediaDevices) return complain(say("microphone.insecure"), say("source.insecure_fix"));
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: true, autoGainControl: true } });
    } catch (error) {
      return complain(...(DENIED[error.name] ?? [say("microphone.unusable"), say("microphone.unusable_fix", { error: error.message || error.name })]));
    }
    const parts = [], recorder = new MediaRecorder(stream), meter = new AudioContext(), began = Date.now();
    const level = meter.createAnalyser(), samples = new Float32Array(level.fftSize);
    meter.createMediaStreamSource(stream).connect(level);
    const show = setInterval(() => {
      level.getFloatTimeDomainData(samples);
      const peak = Math.max(...samples.map(Math.abs));
      $(".hearing .level i").style.width = `${Math.min(100, 100 + 25 * Math.log10(peak + 1e-4))}%`;
      $(".hearing output").textContent = clock((Date.now() - began) / 1000);
    }, 100);
    hearing = recorder;
    recorder.ondataavailable = (e) => e.data.size && parts.push(e.data);
    recorder.onstop = () => { // also when the microphone is pulled out: what was said until then is kept
      clearInterval(show);
      stream.getTracks().forEach((track) => track.stop());
      meter.close();
      hearing = null;
      const type = recorder.mimeType.split(";")[0], end = type.split("/")[1] || "webm", now = new Date();
      const two = (n) => String(n).padStart(2, "0");
      const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
      send([new File(parts, `${say("source.title")} ${day} ${two(now.getHours())}.${two(now.getMinutes())}.${end}`, { type })]);
    };
    recorder.start(1000);
    panel(".hearing");
    $(".hearing button").focus();
  };

  // ---- listening ----

  // Files may be dropped anywhere: a browser that is not asked to leave that to us opens them in the page's place.
  const offered = () => $(".offer")?.checkVisibility();
  const files = (e) => e.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (e) => {
    if (!files(e)) return;
    e.preventDefault();
    if (offered()) $(".drop").classList.add("over");
  });
  document.addEventListener("dragleave", (e) => { if (!e.relatedTarget) $(".drop")?.classList.remove("over"); });
  document.addEventListener("drop", (e) => {
    if (!files(e)) return;
    e.preventDefault();
    $(".drop")?.classList.remove("over");
    if (!sending && !hearing) bring([...e.dataTransfer.files]);
  });
  const bring = async (dropped) => {
    window.parlanceTab(say("page.recording"));
    const another = document.querySelector("#another");
    if (!offered() && another?.checkVisibility()) another.click();
    for (let n = 0; n < 100 && !offered(); n++) await later(0.05);
    send(dropped);
  };
  document.addEventListener("change", (e) => {
    if (!e.target.matches(".source input[type=file]")) return;
    const files = [...e.target.files];
    e.target.value = ""; // so that the same file can be chosen again
    send(files);
  });
  document.addEventListener("click", (e) => {
    const at = (selector) => e.target.closest?.(`.source ${selector}`);
    if (at(".record")) record();
    else if (at(".hearing button")) hearing?.stop();
    else if (at(".sending button")) sending?.abort();
  });
  addEventListener("beforeunload", (e) => { if (sending || hearing) e.preventDefault(); });
})();
