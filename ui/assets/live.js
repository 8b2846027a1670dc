// The Live tab: one button, the words as they come, and what went wrong in plain sentences.
// Everything people said enters the page as textContent.

(() => {
  const ROOT = "live/session", RATE = 16000;
  const BEHIND = 2; // seconds that nobody needs to hear about
  const BREATH = 2, LONG = 320; // a pause in seconds, a length in characters: then a new paragraph
  const MUTE = 8000, STILL = 0.0005; // milliseconds of a level this low: is the microphone muted?
  const { Microphone, Line } = window.live, say = window.parlanceSay, translated = window.parlanceTranslated;
  const $ = (id) => document.getElementById(`live-${id}`);

  let line = null, mic = null, phase = "idle"; // idle asking live stopping paused over
  let wishes = {}, said = [], lastParagraph = null, follows = true, ours = 0, heard = 0, quietSince = 0, lock = null;

  const clock = (seconds) => {
    const s = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
    return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  };
  const element = (tag, css, text = "") => Object.assign(document.createElement(tag), { className: css, textContent: text });

  // ---- what the page says ----

  const STATUS = {
    idle: say("live.idle"),
    asking: say("live.asking"),
    stopping: say("live.stopping"),
    paused: say("live.paused"),
    over: say("live.over"),
  };
  const LABEL = { asking: say("live.cancel"), live: say("live.stop"), stopping: say("live.stop"), paused: say("live.continue") };

  const show = (status) => {
    document.documentElement.dataset.live = phase;
    if (!$("go")) return;
    $("go").querySelector("span").textContent = LABEL[phase] ?? say("live.start");
    $("go").disabled = phase === "stopping";
    $("status").textContent = status ?? STATUS[phase] ?? $("status").textContent;
    $("perfect").hidden = !["paused", "over"].includes(phase) || !line?.session || sessionStorage.getItem("parlance-live-kept") !== line.session;
    $("copy").disabled = $("clear").disabled = !said.length && !$("draft").textContent;
    $("files").classList.toggle("off", !said.length);
    $("files").firstElementChild.setAttribute("aria-disabled", !said.length);
    $("said").classList.toggle("some", said.length > 0 || phase === "live" || Boolean($("draft").textContent));
  };
  const go = (next, status) => {
    phase = next;
    if (!["live", "stopping"].includes(phase)) behind(0);
    show(status);
  };
  const rest = () => (said.length || heard ? "paused" : "idle");
  const notice = (what = "", fix = "", kind = "error") => {
    const [first, second] = $("notice").querySelectorAll("p");
    $("notice").hidden = !what;
    $("notice").className = `notice ${kind}`;
    $("notice").setAttribute("role", kind === "error" ? "alert" : "status");
    first.textContent = translated(what);
    second.textContent = translated(fix);
  };
  const behind = (seconds) => {
    $("behind").hidden = seconds <= BEHIND;
    $("behind").textContent = say("live.behind", { seconds: Math.round(10 * seconds) / 10 });
  };
  let toasting;
  const toast = (text, action = "", run = null) => {
    const button = $("toast").querySelector("button");
    clearTimeout(toasting);
    $("toast").querySelector("span").textContent = text;
    button.hidden = !action;
    button.textContent = action;
    button.onclick = run;
    if (text) toasting = setTimeout(() => toast(""), action ? 20000 : 3000);
  };

  // ---- the words ----

  const settle = (event) => {
    const text = event.text.trim(), last = said[said.length - 1];
    const fresh = !lastParagraph || event.start - last.end > BREATH || lastParagraph.textContent.length > LONG;
    if (fresh) {
      lastParagraph = element("p", "paragraph");
      const words = element("span", "words");
      words.dir = "auto";
      lastParagraph.append(element("span", "at", clock(event.start)), words);
      $("settled").append(lastParagraph);
    }
    lastParagraph.lastChild.append(element("span", "", fresh ? text : joint(event.text, last.text) + text));
    said.push(event);
    aloud(text);
    remember();
  };
  // Words of most scripts come with their space; Chinese and its like have none.
  const joint = (text, before) => (/^\s/.test(text) || /\s$/.test(before) ? " " : "");
  const gap = ({ start, end }) => {
    lastParagraph = null;
    $("settled").append(element("p", "gap", say("live.gap", { start: clock(start), end: clock(end) })));
  };
  const draft = ({ stable, draft }) => {
    const none = !(stable + draft).trim();
    $("draft").querySelector(".stable").textContent = stable.trimStart();
    $("draft").querySelector(".draft").textContent = stable.trim() ? draft : draft.trimStart();
    $("draft").hidden = none;
  };
  const aloud = (text) => {
    $("aloud").append(element("p", "", text));
    while ($("aloud").children.length > 5) $("aloud").firstChild.remove();
  };
  const wipe = () => {
    said = [];
    lastParagraph = null;
    heard = 0;
    $("settled").replaceChildren();
    $("aloud").replaceChildren();
    draft({ stable: "", draft: "" });
    $("time").textContent = clock(0);
  };

  // ---- reading along: the text follows the speaker until the reader scrolls up ----

  const atEnd = () => $("said").scrollHeight - $("said").scrollTop - $("said").clientHeight < 48;
  const scroll = () => {
    if (follows) $("said").scrollTop = $("said").scrollHeight;
    ours = $("said").scrollTop;
    $("jump").hidden = follows;
  };
  const jump = () => {
    follows = true;
    scroll();
  };

  // ---- sessions: this one, and those before it ----

  const here = (id) => (id ? sessionStorage.setItem("parlance-live", id) : sessionStorage.removeItem("parlance-live"));
  const earlier = () => {
    try {
      return JSON.parse(localStorage.getItem("parlance-live-earlier") ?? "[]").filter((t) => t.until > Date.now());
    } catch {
      return [];
    }
  };
  const remember = () => {
    if (!line?.session || !line.hello) return;
    const first = said.slice(0, 12).map((s) => s.text.trim()).join(" ").slice(0, 90), others = earlier().filter((t) => t.id !== line.session);
    const mine = earlier().find((t) => t.id === line.session) ?? { id: line.session, began: Date.now() };
    const kept = { ...mine, first, until: Date.now() + line.hello.keep * 1000 };
    localStorage.setItem("parlance-live-earlier", JSON.stringify([kept, ...others].slice(0, 30)));
  };
  const listEarlier = () => {
    const others = earlier().filter((t) => t.id !== line?.session);
    $("earlier").hidden = !others.length;
    $("earlier").querySelector("ul").replaceChildren(...others.map(item));
  };
  const item = (t) => {
    const row = element("li", ""), when = new Date(t.began);
    const open = element("button", "open"), drop = element("button", "drop", say("live.delete"));
    open.append(element("b", "", when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })), element("span", "", t.first));
    open.onclick = () => busy() || switchTo(t.id);
    drop.setAttribute("aria-label", say("live.delete_of", { when: when.toLocaleString() }));
    drop.onclick = async () => {
      if (!(await window.parlanceAsk(say("live.delete_ask", { when: when.toLocaleString() }), { yes: say("live.delete"), danger: true }))) return;
      await fetch(new URL(`${ROOT}/${t.id}`, document.baseURI), { method: "DELETE" }).catch(() => {});
      localStorage.setItem("parlance-live-earlier", JSON.stringify(earlier().filter((other) => other.id !== t.id)));
      listEarlier();
    };
    for (const button of [open, drop]) button.type = "button";
    row.append(open, drop);
    return row;
  };
  const busy = () => ["asking", "live", "stopping"].includes(phase);
  const switchTo = (id) => {
    line?.close();
    wipe();
    notice();
    toast("");
    line = new Line(ROOT, (kind, event) => line && onEvent(kind, event), id);
    here(id);
    go("idle");
    if (id) line.connect();
    listEarlier();
  };

  // ---- what the server tells ----

  const onEvent = (kind, event) => {
    if (kind === "session") {
      here(event.session);
      for (const link of $("files").querySelectorAll("a")) link.href = new URL(`${ROOT}/${event.session}?format=${link.dataset.format}`, document.baseURI);
    }
    if (kind === "started") kept();
    if (kind === "settled") settle(event);
    else if (kind === "gap") gap(event);
    else if (kind === "now") onNow(event);
    else if (kind === "away") onAway();
    else if (kind === "refused") onRefused(event);
    scroll();
  };
  const onNow = (now) => {
    heard = now.heard;
    draft(now);
    behind(now.behind);
    document.documentElement.dataset.liveTransport = now.transport;
    if (now.error) notice(now.error.what, now.error.fix);
    else if (now.trouble) notice(now.trouble, "", "warn");
    else if (phase === "live" && !quietSince) notice();
    if (now.error && phase === "live") return stopped(now.state === "over" ? "over" : "paused");
    if (phase === "live") show(now.loading ? say("page.then", { a: translated(now.loading), b: say("live.loading") }) : now.speaking ? say("live.listening") : say("live.speak"));
    else if (now.state === "over") go(now.settling ? "stopping" : "over");
    else if (phase === "stopping" && (mic || line.mic || now.state === "live" || now.settling)) show();
    else if (phase !== "asking" && now.state !== "connecting") go(now.settling ? "stopping" : "paused");
    if (phase !== "live" && now.state !== "live") $("time").textContent = clock(heard);
  };
  const onAway = () => {
    if (phase === "live") show(say("live.away"));
    else if (phase === "stopping") show(say("live.away_stopping"));
  };
  const onRefused = ({ status, what, fix }) => {
    if (status === 404 && !busy()) return switchTo(null); // too old to be kept: an empty page says it best
    release();
    go(rest());
    notice(what, fix);
  };

  // ---- the sound: kept only where that is wished, and then good for a better text ----

  const wanted = () => ({ ...wishes, keep: Boolean($("keep")?.checked) });
  const kept = () => line?.session && $("keep")?.checked && sessionStorage.setItem("parlance-live-kept", line.session);
  const perfect = async () => {
    const how = { method: "POST", headers: { "X-Parlance-Browser": window.parlanceBrowser() }, body: JSON.stringify(wishes) };
    try {
      const answer = await fetch(new URL(`${ROOT}/${line.session}/recording`, document.baseURI), how), said = await answer.json();
      if (!answer.ok) return notice(said.error.what, said.error.fix);
      sessionStorage.removeItem("parlance-live-kept");
      location.href = new URL(`recordings/${said.id}`, document.baseURI);
    } catch {
      notice(say("live.unreachable"), say("live.unreachable_fix"));
    }
  };

  // ---- the microphone ----

  const FAULTS = {
    NotAllowedError: [say("microphone.denied"), say("live.denied_fix")],
    NotFoundError: [say("microphone.none"), say("live.none_fix")],
    NotReadableError: [say("microphone.busy"), say("live.busy_fix")],
  };
  const fault = (error) => FAULTS[error.name] ?? [say("microphone.unusable"), say("microphone.unusable_fix", { error: error.message || error.name })];

  const start = async () => {
    notice();
    toast("");
    if (!navigator.mediaDevices?.getUserMedia) {
      const local = `http://localhost${location.port ? `:${location.port}` : ""}`;
      return notice(say("microphone.insecure"), say("live.insecure_fix", { local }));
    }
    if (phase === "over" || !line) switchTo(null);
    go("asking");
    try {
      const opened = await Microphone.open($("device").value, onLevel, onGone);
      if (phase !== "asking") return opened.close();
      mic = opened;
    } catch (error) {
      if (phase === "asking") go(rest());
      return notice(...fault(error));
    }
    quietSince = 0;
    go("live", say("live.speak"));
    line.speak(mic, wanted());
    jump();
    listDevices();
    stayAwake();
  };
  const stop = async () => {
    if (phase === "asking") return go(rest());
    go("stopping");
    const mine = mic;
    await new Promise((resolve) => setTimeout(resolve, 150)); // the last syllable is still on its way
    if (mic !== mine) return;
    line.pause();
    release();
  };
  const stopped = (next) => {
    release();
    go(next);
  };
  const release = () => {
    mic?.close();
    mic = null;
    lock?.release();
    lock = null;
    level(0);
  };
  const onGone = () => {
    if (phase !== "live") return;
    stop();
    notice(say("live.gone"), say("live.gone_fix"));
  };
  const onLevel = (loudness) => {
    level(loudness);
    line?.pump();
    if (phase !== "live" || !mic) return;
    $("time").textContent = clock(Math.max(heard, (line.zero ?? 0) + mic.end / RATE));
    if (loudness > STILL) {
      if (quietSince < 0) notice();
      quietSince = 0;
    } else if (!quietSince) quietSince = performance.now();
    else if (quietSince > 0 && performance.now() - quietSince > MUTE) {
      quietSince = -1;
      notice(say("live.mute"), say("live.mute_fix"), "warn");
    }
  };
  // Loudness as ears judge it: decibels, from -60 to -6.
  const level = (loudness) => {
    const share = Math.max(0, Math.min(1, (20 * Math.log10(loudness || 1e-9) + 60) / 54));
    $("level")?.style.setProperty("--level", share.toFixed(3));
  };
  const listDevices = async () => {
    const found = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === "audioinput" && d.deviceId);
    const used = mic?.track.getSettings().deviceId ?? $("device").value;
    $("device").replaceChildren(...found.map((d, i) => new Option(d.label || `${say("live.microphone")} ${i + 1}`, d.deviceId, false, d.deviceId === used)));
    $("device").closest("label").hidden = found.length < 2;
  };
  const changeDevice = async () => {
    if (phase !== "live") return;
    await stop();
    const wait = setInterval(() => phase !== "stopping" && (clearInterval(wait), phase === "paused" && start()), 100);
  };
  const stayAwake = async () => {
    lock = await navigator.wakeLock?.request("screen").catch(() => null);
  };

  // ---- taking it away ----

  const paragraphs = () => [...$("settled").querySelectorAll(".paragraph .words"), $("draft").querySelector(".words")].map((p) => p.textContent.trim()).filter(Boolean);
  const copy = async () => {
    await window.parlanceCopy(paragraphs().join("\n\n"));
    toast(say("live.copied"));
  };
  const clear = () => {
    const before = line.session, speaking = phase === "live" && mic;
    if (speaking && line.open) line.send("pause");
    switchTo(null);
    if (speaking) {
      const later = Object.create(speaking, { start: { get: () => Math.max(speaking.start, from) } }), from = speaking.end;
      go("live", say("live.speak"));
      line.speak(later, wanted());
    }
    toast(say("live.cleared"), say("live.undo"), () => {
      if (mic) {
        line.close();
        release();
      }
      switchTo(before);
    });
  };
  const captions = (on) => {
    document.documentElement.toggleAttribute("data-captions", on);
    $("captions").setAttribute("aria-pressed", on);
    $("captions").textContent = say(on ? "live.large_close" : "live.large");
    if (on) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen();
    requestAnimationFrame(jump);
  };

  // ---- connecting all this to a page that Gradio draws when it likes ----

  const CLICKS = {
    go: () => (phase === "asking" || phase === "live" ? stop() : start()),
    copy, clear, jump, perfect,
    captions: () => captions(!document.documentElement.hasAttribute("data-captions")),
  };
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[id^=live-]"), name = button?.id.slice(5);
    if (CLICKS[name] && !button.disabled) CLICKS[name]();
  });
  document.addEventListener("change", ({ target }) => target.id === "live-device" && changeDevice());
  document.addEventListener("change", ({ target }) => target.id === "live-keep" && phase === "live" && line.change(wanted()));
  document.addEventListener("scroll", ({ target }) => {
    if (target.id !== "live-said") return;
    if (target.scrollTop < ours - 8) follows = false; // further up than we put it: a reader did that
    if (atEnd()) follows = true;
    ours = Math.min(ours, target.scrollTop);
    $("jump").hidden = follows;
  }, true);
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && document.documentElement.hasAttribute("data-captions")) captions(false);
  });
  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement && document.documentElement.hasAttribute("data-captions")) captions(false);
  });
  addEventListener("online", () => line?.mic && line.connect());
  addEventListener("pagehide", () => {
    if (mic && line.open) line.send("pause");
    release();
  });

  window.live.wish = (model, language, hotwords) => {
    wishes = { model: model || "auto", language: language || "", hotwords: hotwords || "" };
    if (phase === "live") line.change(wanted());
  };
  const ready = setInterval(() => {
    if (!$("go")) return;
    clearInterval(ready);
    switchTo(sessionStorage.getItem("parlance-live"));
    navigator.mediaDevices?.addEventListener("devicechange", listDevices);
    navigator.mediaDevices && listDevices(); // none has a name before the browser has been allowed one
  }, 50);
})();
