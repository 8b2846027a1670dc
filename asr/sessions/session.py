"""One live session: a transcript being made, which outlives the connections that make it.

    connecting -> live <-> paused -> over

Audio comes through a `Source`, one at a time, the newest wins. A source that is lost leaves
its stream open for GRACE seconds: the next source goes on in the middle of the word. After
that the stream settles what it has heard, but for a word that the loss may have cut, and the
next source opens another stream, which hears that word again.

Where audio and words lie in the session's time is the `Timeline`'s.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from asr import logs
from asr.audio import SAMPLE_RATE
from asr.errors import ASRError, Busy, SessionOver
from asr.live import Update
from asr.sessions.journal import Entry, Journal
from asr.sessions.kept import Kept
from asr.sessions.source import House, Leg, Now, Source, State, Stream
from asr.sessions.timeline import Timeline
from asr.types import Options, Segment, Transcript

log = logging.getLogger(__name__)
GRACE = 10.0  # seconds a lost source has to come back in the middle of a word
IDLE = 30.0  # seconds without audio after which a source has gone, whatever its transport believes
SETTLING = 20.0  # seconds our last stream may take to give its place to our next
HELD = 120.0  # seconds a cut word waits for its other half: as long as a page keeps what was said meanwhile
CUT = 3.0  # seconds it may take to say which word was cut, after the GRACE that it had


class Session:
    """All methods may be called from any thread."""

    def __init__(self, house: House, id: str, journal: Journal):
        self.id, self.journal, self._house = id, journal, house
        self.time = Timeline(journal, house.clock)
        self.kept, self.keeping = Kept(journal.path.with_suffix(".pcm")), False
        self.model: str | None = None
        self.error: ASRError | None = None
        self.touched = house.clock()  # when somebody last came or left
        self._last_audio = 0.0
        self._legs: list[Leg] = []
        self.source: Source | None = None
        self._tickets = self._opening = 0
        self._watchers: set[Callable[[], None]] = set()
        self._lock = threading.RLock()

    @property
    def heard(self) -> float:
        """Seconds since the session's start that audio has been taken for."""
        return self.time.heard

    # -- the speaking side

    def take(
        self, model: str | None, options: Options, at: float | None = None, transport="socket"
    ) -> Source:
        """Become the session's source; an earlier one counts no more.

        `at` is the session time of the first sample that will be fed; None means now. What
        was heard already is skipped. May take as long as the model takes to load. Raises
        SessionOver, Busy, and whatever loading the model raises.
        """
        with self._lock:
            if self.journal.over:
                raise SessionOver("This session is over.", "Its text is kept. Start a new one to go on.")
            self._tickets += 1
            ticket, self.source, self.model = self._tickets, None, model
            leg = self._legs[-1] if self._legs and not self._legs[-1].finishing else None
            if leg and leg.asked == (model, options) and self.time.goes_on(at):
                return self._seat(Source(self, leg, transport, at))
            if leg:
                leg.finish()
            self._house.admit(self)
            self._opening += 1
        leg = Leg(model, options)
        try:
            self.tell()
            if self.time.goes_on(at):
                self._await_cut()
            leg.stream = self._open(leg)
        finally:
            with self._lock:
                self._opening -= 1
            self.tell()
        with self._lock:
            if ticket == self._tickets and not self.journal.over:
                self._legs.append(leg)
                return self._seat(Source(self, leg, transport, at))
        leg.stream.close()  # not under our lock: it waits for updates that are on their way to us
        raise Busy("Somebody else took over this session.", "Go on there, or start again here.")

    def _await_cut(self) -> None:
        """A stream that was cut says which word is to be heard again, once it has settled."""
        patience = time.monotonic() + CUT
        while any(leg.cut for leg in self._legs) and time.monotonic() < patience:
            time.sleep(0.05)

    def _open(self, leg: Leg) -> Stream:
        """A stream of the model; our own last one, which is still settling, must not cost us our place."""
        patience = time.monotonic() + SETTLING
        while True:
            try:
                return self._house.open(*leg.asked, lambda update: self._updated(leg, update))
            except Busy:
                if not self._legs or time.monotonic() > patience:
                    raise
                time.sleep(0.1)

    def meets(self, piece: np.ndarray) -> int | None:
        """The sample of this session at which `piece`, a second or two of the same sounds, ends.

        None when that cannot be told: silence is like any other, a hum fits everywhere.
        """
        with self._lock:
            return self.time.meets(piece)

    def hand_over(self, transport: str, piece: np.ndarray, end: int) -> Source | None:
        """Go on with another transport, which has just brought `piece`, up to the sample `end`.

        None when no source is there that could hand over.
        """
        with self._lock:
            if not self.source:
                return None
            ahead = end - self.time.samples
            source = self.source.heir = Source(self, self.source.leg, transport)
            source.begin, source.skip = self.heard, max(0, -ahead)
            self._seat(source)
        if ahead > 0:
            source.feed(piece[-ahead:])
        return source

    def _seat(self, source: Source) -> Source:
        self.source, self.error = source, None
        self.touched = self._last_audio = self._house.clock()
        self.tell()
        return source

    def hear(self, source: Source, audio: np.ndarray) -> bool:
        """Take what `source` feeds; False when it does not count any more."""
        if self.source is not source:
            return False
        leg = source.leg
        if source.begin is None:
            with self._lock:
                self.time.place(source, len(audio) / SAMPLE_RATE)
            self.tell()
        if source.skip:
            known = min(source.skip, len(audio))
            source.skip -= known
            audio = audio[known:]
        if len(audio):
            at = round(leg.end * SAMPLE_RATE)
            try:
                leg.feed(audio)
            except ASRError as e:
                self._failed(leg, e)
                return False
            if self.keeping:
                self.kept.write(at, audio)
            self.time.took(leg, audio)
        self._last_audio = self._house.clock()
        if self.heard > self._house.longest:
            self.end(
                f"A session lasts at most {self._house.longest / 3600:.3g} hours here.",
                "Your text is kept. Start a new session to go on.",
            )
            return False
        return True

    def left(self, source: Source) -> None:
        """The source's transport is gone; another may come."""
        with self._lock:
            if self.source is source:
                self.source = None
                self.touched = self._house.clock()
        self.tell()

    def pause(self) -> None:
        """Nobody speaks for now: settle what was heard. `take` goes on with the session."""
        with self._lock:
            self._tickets += 1
            self.source = None
            self.touched = self._house.clock()
            self.time.settle_torn()
            for leg in self._legs:
                leg.finish()
                leg.cut = False
        self.tell()

    def end(self, what: str = "", fix: str = "") -> None:
        """Settle what was heard and take no more; `what` says why, if it was not the speaker's wish."""
        with self._lock:
            if not self.journal.over:
                self.error = ASRError(what, fix) if what else None
                self.journal.end()
                self.pause()
                facts = {"outcome": "stopped" if what else "ended", "seconds": round(self.heard, 1)}
                about = f"live_{logs.short(self.id)}"
                log.info("live session", extra=facts | {"model": self.model or "default", "about": about})

    def drop(self) -> None:
        """Let go of the streams, whatever they still have to say."""
        with self._lock:
            self._tickets += 1
            self.source, legs, self._legs = None, self._legs, []
        for leg in legs:  # not under our lock: it waits for updates that are on their way to us
            leg.stream.close()
        self.tell()

    # -- what the model says

    def _updated(self, leg: Leg, update: Update) -> None:
        with self._lock:
            if leg not in self._legs:
                return  # dropped meanwhile
            leg.now = update
            for segment in update.final:
                self.time.settle(leg, segment.shifted(leg.offset))
            if update.done and update.error:
                self._failed(leg, ASRError(update.error))
            elif update.done:
                self._legs.remove(leg)
        self.tell()

    def _failed(self, leg: Leg, error: ASRError) -> None:
        with self._lock:
            self.error = error
            if leg in self._legs:
                self._legs.remove(leg)
            if self.source and self.source.leg is leg:
                self.source = None
            self.touched = self._house.clock()
        self.tell()

    # -- the reading side

    def after(self, seq: int) -> tuple[list[Entry], Now]:
        """The entries with sequence numbers above `seq`, and what is not settled yet."""
        with self._lock:
            return self.journal.entries[max(seq, 0) :], self._now()

    def _now(self) -> Now:
        updates = [leg.now for leg in self._legs]
        if len(updates) == 1:
            stable, draft = updates[0].stable, updates[0].draft
        else:  # the end of an earlier stream is still being recognised
            stable, draft = "", "".join(u.stable + u.draft for u in updates)
        if self.time.torn:
            draft += self.time.torn.half.text
        return Now(
            state=self.state,
            settling=self.source is None and bool(self._legs),
            opening=bool(self._opening),
            transport=self.source.transport if self.source else "",
            stable=stable,
            draft=draft,
            behind=self.behind,
            speaking=any(u.speaking for u in updates),
            heard=self.heard,
            trouble=next((u.error for u in updates if u.error), self._unwritten()),
            error=self.error,
        )

    def _unwritten(self) -> str:
        if self.journal.failed:
            return "The server cannot write this transcript to its disk: download it before you leave."
        return "The server cannot write the sound to its disk: it is not kept." if self.kept.failed else ""

    @property
    def behind(self) -> float:
        """Seconds of audio that were fed and not yet heard by the model."""
        return max((leg.stream.behind for leg in list(self._legs)), default=0.0)

    @property
    def state(self) -> State:
        if self.journal.over:
            return "over"
        if self.source and self.journal.started is not None:
            return "live"
        unheard = self.journal.started is None
        return "connecting" if self.source or self._opening or unheard else "paused"

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
        """Everything settled so far, in time order, and a word that a loss has cut."""
        with self._lock:
            segments = [e for e in self.journal.entries if isinstance(e, Segment)]
            segments += [self.time.torn.half] if self.time.torn else []
            return Transcript(tuple(sorted(segments, key=lambda s: s.start)), self.heard)

    # -- housekeeping

    @property
    def busy(self) -> bool:
        """It holds, or is about to hold, a stream of a model."""
        return bool(self._legs or self._opening)

    @property
    def used(self) -> bool:
        """Somebody reads along, or it knows a word that is not on disk."""
        return bool(self._watchers or self.time.torn)

    def tend(self) -> None:
        """Do what is due by now."""
        with self._lock:
            now = self._house.clock()
            away = now - self.touched
            if self.source:
                if now - self._last_audio > IDLE:
                    self.left(self.source)
            elif self._legs and away > GRACE:
                for leg in self._legs:
                    leg.finish(cut=True)
            elif self.time.torn and away > HELD:
                self.time.settle_torn()
                self.tell()
            elif not self.busy and self.journal.started is not None and away > self._house.resume:
                self.end()
