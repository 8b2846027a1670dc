"""Live speech through a server's Realtime API: each second is sent once, not again with every window.

The end of an utterance is found here, as for every other engine. What a session that broke had of the
utterance goes to the next one, so no word is lost; of silence nothing is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
import numpy as np

from asr.audio import SAMPLE_RATE
from asr.backends.remote.answers import spaced
from asr.backends.remote.connection import TRY, Connection, Trouble
from asr.backends.remote.talk import RATE, Talk, opened
from asr.backends.remote.wire import Wire
from asr.errors import ASRError, Unsupported
from asr.text.sharing import shared_out
from asr.types import Options, Word

OPENING = 5.0  # seconds in which a server shows that it has the API
SHORTEST = 0.1  # seconds of audio that can be committed
log = logging.getLogger(__name__)


def session_of(wire: Wire, options: Options) -> dict:
    """What `session.update` shall say. Raises Unsupported for what the API has not."""
    if options.temperature:
        fix = "Leave it out, or unset ASR_ENDPOINT_STREAM."
        raise Unsupported("The endpoint's Realtime API takes no temperature.", fix)
    form = wire.form(options)
    asked = {name: form[name] for name in ("model", "language", "prompt") if name in form}
    if options.hotwords:
        asked["keywords"] = [word.strip() for word in options.hotwords.split(",") if word.strip()]
    given = {"format": {"type": "audio/pcm", "rate": RATE}, "transcription": asked, "turn_detection": None}
    return {"type": "transcription", "audio": {"input": given}}


async def offered(connection: Connection, base: str, session: dict) -> bool:
    """Whether the server opens such a session."""
    try:
        talk = await opened(connection, base, session, OPENING)
    except (ASRError, Trouble) as e:
        why = e.error if isinstance(e, Trouble) else e
        log.warning("The endpoint streams no live speech, so it gets it in windows: %s", why)
        return False
    await talk.close()
    return True


class Realtime:
    """One live stream; an `asr.backends.Stream`. It has a session from its first audio on."""

    timed = False

    def __init__(self, connection: Connection, base: str, session: dict):
        self.language: str | None = None
        self._connection, self._base, self._session = connection, base, session
        self._talk: Talk | None = None
        self._pieces: list[np.ndarray] = []  # the utterance, until its text is here
        self._sent = 0  # pieces of it that the session has
        self._begun = 0  # samples before it

    def feed(self, audio: np.ndarray) -> list[Word]:
        self._pieces.append(audio)
        return self._words(self._tried(self._heard_so_far))

    def finish(self) -> list[Word]:
        if not self._pieces:
            return []
        words = self._words(self._tried(self._completed))
        self._begun += self._samples
        self._pieces, self._sent = [], 0
        return words

    def close(self) -> None:
        talk, self._talk = self._talk, None
        if talk:
            self._connection.begin(talk.close())

    @property
    def _samples(self) -> int:
        return sum(map(len, self._pieces))

    def _words(self, text: str) -> list[Word]:
        """No times are told, so the words share those of the utterance."""
        start = self._begun / SAMPLE_RATE
        return shared_out(spaced(text.strip()), start, start + self._samples / SAMPLE_RATE)

    def _tried(self, once: Callable[[], Awaitable[str]]) -> str:
        """What `once` returns, in a new session where the old one fails; as patient as the connection."""

        async def attempt(left: float) -> str:
            seconds = min(left, TRY)
            try:
                with anyio.fail_after(seconds):
                    return await once()
            except TimeoutError:
                await self._hang_up()
                raise self._connection.silent(seconds) from None
            except BaseException:
                await self._hang_up()
                raise

        try:
            return self._connection.run(self._connection.patiently(attempt))
        except BaseException:
            self._pieces.pop()  # it comes again
            raise

    async def _heard_so_far(self) -> str:
        return (await self._told()).said

    async def _completed(self) -> str:
        talk = await self._told()
        if (missing := round(SHORTEST * SAMPLE_RATE) - self._samples) > 0:
            await talk.append(np.zeros(missing, np.float32))
        text = await talk.commit()
        self.language = talk.language
        return text

    async def _told(self) -> Talk:
        """The session, with all of the utterance there is."""
        if self._talk and self._talk.lost:
            lost, amid = self._talk.lost, self._sent > 0
            await self._hang_up()
            if amid and isinstance(lost, ASRError):
                raise lost
        if not self._talk:
            self._talk = await opened(self._connection, self._base, self._session, TRY)
        while self._sent < len(self._pieces):
            await self._talk.append(self._pieces[self._sent])
            self._sent += 1
        return self._talk

    async def _hang_up(self) -> None:
        talk, self._talk, self._sent = self._talk, None, 0
        if talk:
            with anyio.CancelScope(shield=True):
                await talk.close()
