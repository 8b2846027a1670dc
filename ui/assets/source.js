// A recording on its way in: a dropped or chosen file, or the microphone, sent to the server
// with its progress shown, every failure a sentence in its place. When it has arrived, the
// hidden button #picked hands it to Python (ui/recording.py).

(() => {
  const $ = (selector) => document.querySelector(`.source ${selector}`);
  const panels = [".offer", ".hearing", ".sending"];
  const size = (bytes) => bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
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

  // ---- files ----

  const send = (file) => {
    if (!$(".offer") || sending) return;
    $(".complaint").hidden = true;
    if (file.size > +$("[data-max-bytes]").dataset.maxBytes)
      return complain(`${file.name} has ${size(file.size)}; this server accepts ${$("[data-max-bytes]").dataset.most}.`, "Shorten it, or send its sound without the picture.");
    if (!file.size) return complain(`${file.name} is empty.`, "Choose another file.");
    const form = new FormData(), request = new XMLHttpRequest();
    form.append("files", file, file.name);
    sending = request;
    panel(".sending");
    const bar = $(".sending .track i"), told = $(".sending output");
    $(".sending b").textContent = file.name;
    bar.style.width = "0";
    told.textContent = "";
    request.upload.onprogress = (e) => {
      bar.style.width = `${(100 * e.loaded) / e.total}%`;
      told.textContent = `${size(e.loaded)} of ${size(e.total)}`;
    };
    request.onload = () => {
      sending = null;
      if (request.status === 200) arrived(JSON.parse(request.responseText)[0], file);
      else if (request.status === 413) complain(`${file.name} is larger than this server accepts.`, "Shorten it, or send its sound without the picture.");
      else complain(`The server did not take ${file.name} (answer ${request.status}).`, "Try again; reload the page if it happens again.");
    };
    request.onerror = () => { sending = null; complain("The connection broke while the recording was sent.", "Check the network and try again."); };
    request.onabort = () => { sending = null; panel(".offer"); };
    request.open("POST", "gradio_api/upload");
    request.send(form);
  };
  const arrived = (path, file) => {
    window.parlancePicked = { path, orig_name: file.name, size: file.size, mime_type: file.type, meta: { _type: "gradio.FileData" } };
    hand();
  };
  const hand = () => { // Gradio draws a tab bit by bit: the button may come later than the drop zone
    const button = document.querySelector("#picked");
    if (button) button.click();
    else setTimeout(hand, 50);
  };

  // ---- the microphone ----

  const DENIED = {
    NotAllowedError: ["The browser does not allow this page to use the microphone.", "Allow it beside the address of the page, then press Record again."],
    NotFoundError: ["No microphone was found.", "Plug one in, or choose a file."],
    NotReadableError: ["The microphone is busy.", "Close the other program that uses it, then press Record again."],
  };
  const record = async () => {
    if (hearing) return;
    $(".complaint").hidden = true;
    if (!navigator.mediaDevices) return complain("The browser gives the microphone only to pages that come by https.", "Open this page by https or at localhost, or choose a file.");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: true, autoGainControl: true } });
    } catch (error) {
      return complain(...(DENIED[error.name] ?? [`The microphone cannot be used (${error.name}).`, "Try again, or choose a file."]));
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
      send(new File(parts, `Recording ${day} ${two(now.getHours())}.${two(now.getMinutes())}.${end}`, { type }));
    };
    recorder.start(1000);
    panel(".hearing");
    $(".hearing button").focus();
  };

  // ---- listening ----

  const dropZone = (e) => $(".offer")?.checkVisibility() && e.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (e) => { if (dropZone(e)) { e.preventDefault(); $(".drop").classList.add("over"); } });
  document.addEventListener("dragleave", (e) => { if (!e.relatedTarget) $(".drop")?.classList.remove("over"); });
  document.addEventListener("drop", (e) => {
    if (!dropZone(e)) return;
    e.preventDefault();
    $(".drop").classList.remove("over");
    if (e.dataTransfer.files.length > 1) complain("One recording at a time, please.", "Drop them one after the other.");
    else if (e.dataTransfer.files[0]) send(e.dataTransfer.files[0]);
  });
  document.addEventListener("change", (e) => {
    if (!e.target.matches(".source input[type=file]")) return;
    const file = e.target.files[0];
    e.target.value = ""; // so that the same file can be chosen again
    if (file) send(file);
  });
  document.addEventListener("click", (e) => {
    const at = (selector) => e.target.closest?.(`.source ${selector}`);
    if (at(".record")) record();
    else if (at(".hearing button")) hearing?.stop();
    else if (at(".sending button")) sending?.abort();
  });
  addEventListener("beforeunload", (e) => { if (sending || hearing) e.preventDefault(); });
})();
