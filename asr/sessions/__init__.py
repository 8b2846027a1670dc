"""All the live sessions of this server, under ids that cannot be guessed.

Every settled entry of a session is on disk before anybody reads it, so a server that is
killed and started again still has it. In memory are only the sessions somebody uses.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable

from asr.config import Config
from asr.errors import Busy, UnknownSession
from asr.sessions.journal import Journal, expire
from asr.sessions.session import Session
from asr.sessions.source import Open

FORGET = 60.0  # seconds until a session nobody uses is on disk only
SWEEP = 3600.0  # seconds between two looks for text that is too old
_ID = re.compile(r"[A-Za-z0-9_-]{22}")


def steady() -> Callable[[], float]:
    """The wall clock as it is now, going on evenly: setting it must tear nobody's session."""
    ahead = time.time() - time.monotonic()
    return lambda: ahead + time.monotonic()


class Sessions:
    """`open` gets a stream of a model for a session, and may take its time."""

    def __init__(self, config: Config, open: Open, clock: Callable[[], float] | None = None):
        self.open, self.clock = open, clock or steady()
        self.folder = config.data_dir / "live"
        self.most, self.longest = config.live_sessions, config.live_hours * 3600
        self.resume, self.keep = config.live_resume_minutes * 60, config.live_keep_hours
        self._sessions: dict[str, Session] = {}
        self._lock = threading.RLock()
        self._closed = threading.Event()
        threading.Thread(target=self._tend_forever, name="live-sessions", daemon=True).start()

    def new(self) -> Session:
        id = secrets.token_urlsafe(16)
        with self._lock:
            self._sessions[id] = Session(self, id, Journal(self.folder, id))
            return self._sessions[id]

    def get(self, id: str) -> Session:
        """The session of that id, from memory or from disk. Raises UnknownSession."""
        with self._lock:
            if found := self._sessions.get(id):
                return found
            journal = Journal(self.folder, id) if _ID.fullmatch(id) else None
            if not journal or not journal.load():
                raise UnknownSession(
                    "There is no such session.",
                    f"Sessions are kept for {self.keep:.3g} hours. Start a new one.",
                )
            found = self._sessions[id] = Session(self, id, journal)
            found.touched = self.clock() - (time.time() - journal.path.stat().st_mtime)
            found.tend()
            found.touched = self.clock()
            return found

    def delete(self, id: str) -> None:
        """Forget the session and delete its text from the disk. Raises UnknownSession."""
        session = self.get(id)
        with self._lock:
            self._sessions.pop(id, None)
        session.drop()
        session.journal.over = True
        session.journal.delete()
        session.kept.delete()
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
                used = session.busy or session.used or self.clock() - session.touched < FORGET
                if not used:
                    self._sessions.pop(session.id, None)

    def close(self) -> None:
        """Stop looking after the sessions and let go of the models."""
        self._closed.set()
        for session in list(self._sessions.values()):
            session.drop()

    def _tend_forever(self) -> None:
        swept = -SWEEP
        while not self._closed.wait(1.0):
            self.tend()
            if time.monotonic() - swept > SWEEP:
                swept = time.monotonic()
                expire(self.folder, self.keep, self._sessions)
