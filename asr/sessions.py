"""Live sessions, kept on the server under an id that cannot be guessed.

A session outlives its transports. Audio comes through a `Source`, one at a time, the newest
wins; readers ask for everything after the entry they have. The way of a session:

    connecting -> live <-> paused -> over

- A source that is lost leaves its stream open for GRACE seconds: the next source goes on in
  the middle of the word. After that the stream settles what it has heard.
- Times count from the session's first sample. What was not heard is a `Gap`, and later
  words keep their true times.
- Every settled entry is on disk before anybody reads it, so a server that is killed and
  started again still has it. In memory are only the sessions somebody uses.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.config import Config
from asr.errors import ASRError, Busy, SessionOver, UnknownSession
from asr.journal import Entry, Gap, Journal, expire, pack, unpack
from asr.live import Update
from asr.types import Options, Segment, Transcript

GRACE = 10.0  # seconds a lost source has to come back in the middle of a word
IDLE = 30.0  # seconds without audio after which a source has gone, whatever its transport believes
SEAM = 0.5  # seconds missing that are no gap worth a mark: hardly a word
FORGET = 60.0  # seconds until a session nobody uses is on disk only
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
log = logging.getLogger(__name__)

State = Literal["connecting", "live", "paused", "over"]


class Stream(Protocol):
    """What `open` returns: one stream of a scheduler."""

    behind: float  # seconds of audio that were fed and not yet heard by the model

    def feed(self, audio: np.ndarray) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


# Gets "backend:model" (None: the default), what is asked of it, and who wants its updates.
Open = Callable[[str | None, Options, Callable[[Update], None]], Stream]


@dataclass(frozen=True, slots=True)
class Now:
    """What can still change: everything about a session but its settled entries."""

    state: State
    settling: bool = False  # nobody speaks any more, the last words are still being recognised
    stable: str = ""
    draft: str = ""
    behind: float = 0.0  # seconds
    speaking: bool = False
    heard: float = 0.0  # seconds since the session's start that audio has been taken for
    trouble: str = ""  # why the model's last pass failed; its audio is kept and will be heard again
    error: ASRError | None = None  # why the session takes no audio


class _Leg:
    """The life of one scheduler stream, which starts somewhere in the session's time."""

    def __init__(self, model: str | None, options: Options):
        self.model, self.options = model, options
        self.stream: Stream | None = None
        self.offset: float | None = None  # seconds; None until audio comes
        self.samples = 0
        self.now = Update()
        self.finishing = False

    @property
    def end(self) -> float:
        return self.offset + self.samples / SAMPLE_RATE

    def finish(self) -> None:
        if not self.finishing:
            self.finishing = True
            self.stream.finish()


class Source:
    """One transport's right to speak in a session, until another takes it over."""

    def __init__(self, session: Session, leg: _Leg, at: float | None):
        self._session, self._leg, self._at = session, leg, at
        self._skip = 0  # samples that were heard already

    def feed(self, audio: np.ndarray) -> bool:
        """Take float32 mono 16 kHz, any length; quick. False when this source no longer counts."""
        return self._session._hear(self, audio)

    @property
    def displaced(self) -> bool:
        """Another source has taken this one's place."""
        return self._session._source not in (None, self)

    def leave(self) -> None:
        """The transport is gone; whether it comes back will be seen."""
        self._session._left(self)


class Session:
    """One transcript being made. All methods may be called from any thread."""

    def __init__(self, house: Sessions, id: str):
        self.id, self._house = id, house
        self.entries: list[Entry] = []  # entry i has the sequence number i + 1
        self.started: float | None = None  # wall clock of second 0
        self.heard = 0.0
        self.model: str | None = None
        self.over = False
        self.error: ASRError | None = None
        self.touched = house.clock()  # when somebody last came or left
        self._last_audio = 0.0
        self._journal = Journal(house.folder, id)
        self._legs: list[_Leg] = []
        self._source: Source | None = None
        self._tickets = 0
        self._opening = 0
        self._watchers: set[Callable[[], None]] = set()
        self._lock = threading.RLock()

    # -- the speaking side

    def take(self, model: str | None, options: Options, at: float | None = None) -> Source:
        """Become the session's source; an earlier one counts no more.

        `at` is the session time of the first sample that will be fed; None means now. What
        was heard already is skipped. May take as long as the model takes to load. Raises
        SessionOver, Busy, and whatever loading the model raises.
        """
        with self._lock:
            if self.over:
                raise SessionOver("This session is over.", "Its text is kept. Start a new one to go on.")
            self._tickets += 1
            ticket, self._source = self._tickets, None
            leg = self._legs[-1] if self._legs and not self._legs[-1].finishing else None
            if leg and (leg.model, leg.options) == (model, options) and self._missing(at) <= SEAM:
                return self._seat(Source(self, leg, at))
            if leg:
                leg.finish()
            self._house.admit(self)
            self._opening += 1
        leg = _Leg(model, options)
        try:
            self.tell()
            leg.stream = self._house.open(model, options, lambda update: self._updated(leg, update))
        finally:
            with self._lock:
                self._opening -= 1
        with self._lock:
            if ticket == self._tickets and not self.over:
                self._legs.append(leg)
                return self._seat(Source(self, leg, at))
        leg.stream.close()  # not under our lock: it waits for updates that are on their way to us
        raise Busy("Somebody else took over this session.", "Go on there, or start again here.")

    def _seat(self, source: Source) -> Source:
        self._source, self.model, self.error = source, source._leg.model, None
        self.touched = self._last_audio = self._house.clock()
        self.tell()
        return source

    def _elapsed(self) -> float:
        return 0.0 if self.started is None else self._house.clock() - self.started

    def _missing(self, at: float | None) -> float:
        return (self._elapsed() if at is None else at) - self.heard

    def _hear(self, source: Source, audio: np.ndarray) -> bool:
        if self._source is not source:
            return False
        leg = source._leg
        if source._at is not None or leg.offset is None:
            self._place(source, len(audio) / SAMPLE_RATE)
        if source._skip:
            known = min(source._skip, len(audio))
            source._skip -= known
            audio = audio[known:]
        if len(audio):
            try:
                leg.stream.feed(audio)
            except ASRError as e:
                self._failed(leg, e)
                return False
            leg.samples += len(audio)
            self.heard = leg.end
        self._last_audio = self._house.clock()
        if self.heard > self._house.longest:
            self.end(
                f"A session lasts at most {self._house.longest / 3600:.3g} hours here.",
                "Your text is kept. Start a new session to go on.",
            )
            return False
        return True

    def _place(self, source: Source, seconds: float) -> None:
        """Find where the source's first piece, of `seconds`, lies in the session's time."""
        with self._lock:
            at, source._at, leg = source._at, None, source._leg
            if self.started is None:
                self.started = self._house.clock() - seconds
                self._write("session", id=self.id, model=leg.model, started=self.started)
            elapsed = self._elapsed()
            begin = elapsed - seconds if at is None else min(at, max(elapsed, self.heard))
            if at is not None and begin < self.heard:
                source._skip = round((self.heard - begin) * SAMPLE_RATE)
            if leg.offset is None:
                leg.offset = begin if begin - self.heard > SEAM else self.heard
                if leg.offset > self.heard:
                    self._add(Gap(self.heard, leg.offset))
                    self.tell()

    def _left(self, source: Source) -> None:
        with self._lock:
            if self._source is source:
                self._source = None
                self.touched = self._house.clock()
        self.tell()

    def pause(self) -> None:
        """Nobody speaks for now: settle what was heard. `take` goes on with the session."""
        with self._lock:
            self._tickets += 1
            self._source = None
            self.touched = self._house.clock()
            for leg in self._legs:
                leg.finish()
        self.tell()

    def end(self, what: str = "", fix: str = "") -> None:
        """Settle what was heard and take no more; `what` says why if it was not the speaker's wish."""
        with self._lock:
            if self.over:
                return
            self.over = True
            self.error = ASRError(what, fix) if what else None
            if self.started is not None:
                self._write("over", what=what, fix=fix)
            self.pause()

    # -- what the model says

    def _updated(self, leg: _Leg, update: Update) -> None:
        with self._lock:
            if leg not in self._legs:
                return  # deleted meanwhile
            leg.now = update
            for segment in update.final:
                self._add(segment.shifted(leg.offset))
            if update.done and update.error:
                self._failed(leg, ASRError(update.error))
            elif update.done:
                self._legs.remove(leg)
        self.tell()

    def _failed(self, leg: _Leg, error: ASRError) -> None:
        log.warning("live session: %s", error)
        with self._lock:
            self.error = error
            if leg in self._legs:
                self._legs.remove(leg)
            if self._source and self._source._leg is leg:
                self._source = None
            self.touched = self._house.clock()
        self.tell()

    def _add(self, entry: Entry) -> None:
        self._write("gap" if isinstance(entry, Gap) else "segment", **pack(entry))
        self.entries.append(entry)

    def _write(self, kind: str, **fields) -> None:
        try:
            self._journal.write(kind, **fields)
        except OSError as e:
            log.error("live session: %s", e)
            self.error = ASRError(
                "The server cannot write this transcript to its disk.", "Download it before you leave."
            )

    # -- the reading side

    def after(self, seq: int) -> tuple[list[Entry], Now]:
        """The entries with sequence numbers above `seq`, and what is not settled yet."""
        with self._lock:
            return self.entries[max(seq, 0) :], self._now()

    def _now(self) -> Now:
        updates = [leg.now for leg in self._legs]
        if len(updates) == 1:
            stable, draft = updates[0].stable, updates[0].draft
        else:  # the end of an earlier stream is still being recognised
            stable, draft = "", "".join(u.stable + u.draft for u in updates)
        return Now(
            self.state,
            self._source is None and bool(self._legs),
            stable,
            draft,
            self.behind,
            any(u.speaking for u in updates),
            self.heard,
            next((u.error for u in updates if u.error), ""),
            self.error,
        )

    @property
    def behind(self) -> float:
        """Seconds of audio that were fed and not yet heard by the model."""
        return max((leg.stream.behind for leg in list(self._legs)), default=0.0)

    @property
    def state(self) -> State:
        if self.over:
            return "over"
        if self._source and self.started is not None:
            return "live"
        return "connecting" if self._source or self._opening or self.started is None else "paused"

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` at every change, from any thread, until the returned function is called."""
        with self._lock:
            self._watchers.add(changed)

        def unwatch() -> None:
            with self._lock:
                self._watchers.discard(changed)
                self.touched = self._house.clock()

        return unwatch

    def tell(self) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for changed in watchers:
            changed()

    def transcript(self) -> Transcript:
        """Everything settled so far, in time order."""
        with self._lock:
            segments = [e for e in self.entries if isinstance(e, Segment)]
            return Transcript(tuple(sorted(segments, key=lambda s: s.start)), self.heard)

    # -- housekeeping

    @property
    def busy(self) -> bool:
        """It holds, or is about to hold, a stream of a model."""
        return bool(self._legs or self._opening)

    @property
    def unused(self) -> bool:
        return not (self.busy or self._watchers) and self._house.clock() - self.touched > FORGET

    def tend(self) -> None:
        """Do what is due by now."""
        now = self._house.clock()
        with self._lock:
            source, away = self._source, now - self.touched
            if source and now - self._last_audio > IDLE:
                source.leave()
            elif not source and self._legs and away > GRACE:
                for leg in self._legs:
                    leg.finish()
            elif not (source or self.busy or self.over) and self.started and away > self._house.resume:
                self.end()

    def _load(self) -> bool:
        """Fill this session from its journal; False when there is none."""
        lines = self._journal.read()
        if not lines:
            return False
        for line in lines:
            kind = line.pop("type")
            if kind == "session":
                self.started, self.model = line["started"], line["model"]
            elif kind == "over":
                self.over = True
            else:
                entry = unpack(kind, line)
                self.entries.append(entry)
                self.heard = max(self.heard, entry.end)
        self.touched = self._journal.path.stat().st_mtime
        return True

    def _drop(self) -> None:
        with self._lock:
            self._tickets += 1
            self._source, legs, self._legs = None, self._legs, []
        for leg in legs:  # not under our lock: it waits for updates that are on their way to us
            leg.stream.close()


class Sessions:
    """All the live sessions of this server. `open` gets a model's stream, and may take its time."""

    def __init__(self, config: Config, open: Open, clock: Callable[[], float] = time.time):
        self.open, self.clock = open, clock
        self.folder = config.data_dir / "live"
        self.most, self.longest = config.live_sessions, config.live_hours * 3600
        self.resume, self.keep = config.live_resume_minutes * 60, config.live_keep_hours
        self._sessions: dict[str, Session] = {}
        self._lock = threading.RLock()
        self._closed = threading.Event()
        threading.Thread(target=self._tend_forever, name="live-sessions", daemon=True).start()

    def new(self) -> Session:
        session = Session(self, secrets.token_urlsafe(16))
        with self._lock:
            self._sessions[session.id] = session
        return session

    def get(self, id: str) -> Session:
        """The session of that id, from memory or from disk. Raises UnknownSession."""
        with self._lock:
            if found := self._sessions.get(id):
                return found
            found = Session(self, id)
            if not _ID.fullmatch(id) or not found._load():
                raise UnknownSession(
                    "There is no such session.",
                    f"Sessions are kept for {self.keep:.3g} hours. Start a new one.",
                )
            found.tend()
            found.touched = self.clock()
            self._sessions[id] = found
            return found

    def delete(self, id: str) -> None:
        """Forget the session and delete its text from the disk. Raises UnknownSession."""
        session = self.get(id)
        with self._lock:
            del self._sessions[id]
        session._drop()
        session.over = True
        session._journal.delete()
        session.tell()

    def admit(self, session: Session) -> None:
        """Raise Busy when every place is taken."""
        with self._lock:
            if sum(s.busy for s in self._sessions.values() if s is not session) >= self.most:
                raise Busy(
                    f"All {self.most} places for live sessions are taken.", "Try again in a few minutes."
                )

    def tend(self) -> None:
        """Do what is due by now for every session; forget the unused ones."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.tend()
            with self._lock:
                if session.unused:
                    self._sessions.pop(session.id, None)

    def close(self) -> None:
        """Stop looking after the sessions and let go of the models."""
        self._closed.set()
        for session in list(self._sessions.values()):
            session._drop()

    def _tend_forever(self) -> None:
        swept = 0.0
        while not self._closed.wait(1.0):
            self.tend()
            if time.monotonic() - swept > 3600 or not swept:
                swept = time.monotonic()
                expire(self.folder, self.keep, self._sessions)
