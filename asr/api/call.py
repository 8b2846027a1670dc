"""One realtime session without its transport: client events in, server events out.

Each turn is one item with its own stream of the scheduler that the page uses too. The stream for
the next turn is opened when a turn ends, so a session keeps its place for as long as it lasts.
Deltas are settled text and never taken back; items are told in the order they were spoken.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections import deque
from collections.abc import Callable

import anyio

from asr.api import errors
from asr.api.answers import duration
from asr.api.errors import Refused
from asr.api.hearing import Began, Ended, Said, TurnDetector
from asr.api.items import Item, name, opened
from asr.api.pcm import Decoder
from asr.api.server import Server
from asr.api.settings import Session, Transcription, updated
from asr.audio import SAMPLE_RATE
from asr.errors import ASRError, Busy
from asr.live import Update

BEHIND = 120.0  # seconds of audio that may wait for the model
PATIENCE = 30.0  # seconds a turn waits for a place in the scheduler, when its session had one before
SHORTEST = 0.1  # seconds of audio that can be committed, as with OpenAI
_TRANSCRIBED = "conversation.item.input_audio_transcription"
log = logging.getLogger(__name__)


class Call:
    """One session, without its transport: client events in by `hear`, server events out by `tell`."""

    def __init__(
        self,
        server: Server,
        session: Session,
        send: Callable[[dict | None], None],
        expires: int,
    ):
        self.id = name("sess")
        self.session, self._server, self._send, self._expires = session, server, send, expires
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task] = set()
        self._items: deque[Item] = deque()  # not told to the end yet; the last one is listening
        self._before: str | None = None  # the item committed last
        self._samples = 0  # of the session, at 16 kHz
        self._had_place = False
        self._decode, self._detector = Decoder(session.input.format.type), self._new_detector()
        self.tell("session.created", session=self._shown())
        self._next()

    # -- out

    def tell(self, kind: str, **fields) -> None:
        self._send({"type": kind, "event_id": name("event"), **fields})

    def tell_error(self, error: Exception, event_id: str | None = None) -> None:
        self.tell("error", error={**errors.described(error), "event_id": event_id})

    def _shown(self) -> dict:
        known = {"id": self.id, "object": "realtime.transcription_session", "expires_at": self._expires}
        return {**known, **self.session.shown()}

    # -- in

    async def hear(self, event: dict) -> None:
        """Handle one event; whatever is wrong with it is answered, and the session goes on."""
        event_id = event["event_id"][:200] if isinstance(event.get("event_id"), str) else None
        try:
            handler = {
                "session.update": self._update,
                "input_audio_buffer.append": self._append,
                "input_audio_buffer.commit": self._commit,
                "input_audio_buffer.clear": self._clear,
            }.get(str(event.get("type")))
            if not handler:
                raise Refused(
                    f"Invalid value: '{str(event.get('type'))[:100]}'.",
                    "There are session.update and input_audio_buffer.append, .commit and .clear.",
                    param="type",
                    code="invalid_value",
                )
            await handler(event)
        except Exception as e:
            self.tell_error(e, event_id)

    async def _update(self, event: dict) -> None:
        session = updated(self.session, event.get("session"))
        asked, before = session.input.transcription, self.session.input
        if asked and asked != before.transcription:
            await self._known(asked.model)
        self.session = session
        if session.input.format != before.format:
            self._decode = Decoder(session.input.format.type)
        if session.input.turn_detection != before.turn_detection:
            self._detector = self._new_detector()
        self.tell("session.updated", session=self._shown())
        if asked != before.transcription and not self._items[-1].samples:
            self._items.pop().close()
            self._next()

    async def _known(self, model: str) -> None:
        try:
            await anyio.to_thread.run_sync(self._server.names.spec, model)
        except Refused as e:
            e.param = "session.audio.input.transcription.model"
            raise

    async def _append(self, event: dict) -> None:
        if not isinstance(event.get("audio"), str):
            raise Refused(
                "Missing required parameter: 'audio'.", param="audio", code="missing_required_parameter"
            )
        try:
            data = base64.b64decode(event["audio"], validate=True)
        except (binascii.Error, ValueError):
            raise Refused("'audio' is not Base64.", param="audio", code="invalid_value") from None
        if sum(item.behind for item in self._items) > BEHIND:
            raise Refused(
                f"More than {BEHIND:.0f} seconds of audio wait to be recognised; this piece was not taken.",
                "Send audio no faster than it is spoken.",
                status=429,
                code="rate_limit_exceeded",
            )
        audio = self._decode(data)
        self._samples += len(audio)
        if not self._detector:
            return self._items[-1].feed(audio)
        for happening in await anyio.to_thread.run_sync(list, self._detector.hear(audio)):
            self._happened(happening)

    def _happened(self, happening: Began | Said | Ended) -> None:
        item = self._items[-1]
        match happening:
            case Began(at):
                self.tell("input_audio_buffer.speech_started", audio_start_ms=_ms(at), item_id=item.id)
            case Said(audio):
                item.feed(audio)
            case Ended(at):
                self.tell("input_audio_buffer.speech_stopped", audio_end_ms=_ms(at), item_id=item.id)
                self._commit_now()

    async def _commit(self, event: dict) -> None:
        if (seconds := self._items[-1].seconds) < SHORTEST:
            raise Refused(
                f"The buffer holds {1000 * seconds:.0f} ms of audio; {1000 * SHORTEST:.0f} are needed.",
                "With server_vad, speech is committed without being asked.",
                code="input_audio_buffer_commit_empty",
            )
        self._commit_now()
        self._detector = self._new_detector()

    async def _clear(self, event: dict) -> None:
        self._items.pop().close()
        self._detector = self._new_detector()
        self.tell("input_audio_buffer.cleared")
        self._next()

    # -- items

    def _new_detector(self) -> TurnDetector | None:
        """Listens for turns from now on, as the session wants it; None: the client says when one is over."""
        turns = self.session.input.turn_detection
        return turns and TurnDetector(
            turns.threshold,
            turns.prefix_padding_ms / 1000,
            turns.silence_duration_ms / 1000,
            since=self._samples,
            vad=self._server.vad,
        )

    def _commit_now(self) -> None:
        item, before = self._items[-1], self._before
        self._before = item.id
        item.commit()
        self.tell("input_audio_buffer.committed", item_id=item.id, previous_item_id=before)
        for kind in ("added", "done"):
            self.tell(f"conversation.item.{kind}", previous_item_id=before, item=item.shown())
        self._next()
        self._flush()

    def _next(self) -> None:
        """Start listening for the next turn."""
        asked = self.session.input.transcription
        self._items.append(item := Item(silent=asked is None))
        if asked:
            task = self._loop.create_task(self._connect(item, asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, item: Item, asked: Transcription) -> None:
        """Give the item a stream, waiting for the model and for a place."""
        try:
            patience = PATIENCE if self._had_place else 0.0
            stream = await opened(self._server, asked, patience, lambda update: self._news(item, update))
        except Exception as e:
            return self._failed(item, e)
        self._had_place = True
        if item.done:  # cleared meanwhile
            stream.close()
        else:
            item.connect(stream)

    def _failed(self, item: Item, error: Exception) -> None:
        item.fail(error if isinstance(error, ASRError) else ASRError(errors.described(error)["message"]))
        if item in self._items:
            self.tell_error(error)
            self._flush()
        if isinstance(error, Busy) and not self._had_place:
            self._send(None)  # no place for this session: hang up

    def _news(self, item: Item, update: Update) -> None:
        """Called from the scheduler's threads."""
        self._loop.call_soon_threadsafe(self._take, item, update)

    def _take(self, item: Item, update: Update) -> None:
        if update.error and not update.done:
            log.warning("a pass failed and will be tried again: %s", update.error)
        item.take(update)
        self._flush()

    def _flush(self) -> None:
        """Tell what is new, the oldest item first; the next one has its say when that is complete."""
        while self._items:
            item = self._items[0]
            about = {"item_id": item.id, "content_index": 0}
            if new := item.text[item.told :]:
                item.told += len(new)
                self.tell(f"{_TRANSCRIBED}.delta", **about, delta=new)
            if not (item.over and item.done):
                return
            self._items.popleft()
            if item.error:
                self.tell(f"{_TRANSCRIBED}.failed", **about, error=errors.described(item.error))
            elif not item.silent:
                self._complete(item, about)

    def _complete(self, item: Item, about: dict) -> None:
        languages = {"languages": [{"code": item.language}]} if item.language else {}
        usage = duration(item.seconds)
        kind = f"{_TRANSCRIBED}.completed"
        self.tell(kind, **about, transcript=item.transcript, usage=usage, **languages)
        self._server.metrics.audio.labels("realtime").inc(item.seconds)

    async def finish(self) -> None:
        """Commit what was said, and wait until all of it is told."""
        if self._items[-1].seconds >= SHORTEST:
            self._commit_now()
        until = time.monotonic() + PATIENCE
        while len(self._items) > 1 and time.monotonic() < until:
            await asyncio.sleep(0.05)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for item in self._items:
            item.close()


def _ms(samples: int) -> int:
    return round(samples / SAMPLE_RATE * 1000)
