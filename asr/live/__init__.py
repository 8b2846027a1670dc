"""Live transcription: one stream's state, clocked in samples.

A backend that only knows whole windows becomes a streaming one by hearing a growing buffer
again and again. Words that two passes in a row agree on are settled: they never change, and
the audio before them is dropped, so nothing settled is decoded again. When silence starts the
buffer is heard at once, on the chance that the speaker has finished: if the silence lasts, that
text is the final one and no further pass is needed; if speech resumes it was a draft like any
other.

`LiveTranscriber` has no thread and reads no clock. The scheduler drives many of them; `replay`
drives one, and shows how:

    live.feed(audio)              # only queues
    update = live.listen()        # voice detection; may end an utterance
    if live.wants is not None:    # a pass is due
        job = live.take()
        update = live.heard(job, hear(backend, [job])[0], took=seconds)   # or live.missed(job, "why")

Seconds are counted in samples fed, so replaying a file as fast as the machine allows gives
exactly what a microphone would have.

Backends without word times: the words of a segment share its time by their length, which is
good enough to compare hypotheses but not to cut audio. So their audio is kept until the
utterance ends (or is `longest` seconds long), and their final segments carry no words. The same
goes for an engine's own stream that has no times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.backends import Backend, check
from asr.guards import failed, invented
from asr.live.agreement import SLACK, Agreement, words_of
from asr.live.endpoint import Ear, Endpoint
from asr.live.pace import NORMAL, Pace
from asr.live.passes import Pass, Rank, hear
from asr.live.tape import Tape
from asr.live.tongue import Tongue
from asr.types import Options, Segment, Word
from asr.vad import FRAME, Silero, VoiceDetector

WORTH_SAYING = 1.0  # seconds by which `behind` changes before that alone is news
SHORTEST = 0.1  # seconds of voice: less is no word


@dataclass(frozen=True, slots=True)
class Update:
    """What is new. `final` segments and `stable` text never change; times count from the stream's start."""

    final: tuple[Segment, ...] = ()  # new since the last update
    stable: str = ""  # the current utterance as far as it is settled
    draft: str = ""  # the rest of it; expect this to change
    behind: float = 0.0  # seconds of audio not yet heard by the model
    speaking: bool = False
    done: bool = False  # this is the last update
    error: str = ""  # why the last pass failed; its audio is kept and will be heard again


class LiveTranscriber:
    """The state of one stream. Backends are shared; these are not.

    One thread at a time; only `feed` and `finish` may be called while another thread is in here.
    """

    def __init__(
        self,
        backend: Backend,
        options: Options,
        *,
        pace: Pace = NORMAL,
        vad: Callable[[], VoiceDetector] = Silero,
    ):
        """Raises Unsupported when `backend` cannot do what `options` ask."""
        check(backend, options)
        self.pace, self._options = pace.on(backend), pace.options(options, backend)
        self._ladder = "temperature" in backend.can and options.temperature is None
        native = "stream" in backend.can and options.task == "transcribe"  # streams write what is said
        self._engine = backend.stream(self._options) if native else None
        self._timed = self._engine.timed if self._engine else "words" in backend.can
        self._cuts = self._timed and self._engine is None
        self._ear, self._endpoint, self._tape = Ear(vad), Endpoint(), Tape()
        self._words, self._tongue = Agreement(self._cuts), Tongue(options.language, pace.lock)
        self._opened = 0  # the sample where the utterance began
        self._start = 0  # the samples before this one are settled
        self._heard = 0  # the model has heard the samples before this one
        self._due = 0  # no draft before this one
        self._worth = 0  # nor a hearing on the chance that the utterance is over
        self._over: int | None = None  # the utterance ends here; its final text is due
        self._forced = False  # ... because it was too long, not because of a pause
        self._pending: Pass | None = None
        self._doubtful = False  # the last hypothesis failed by its scores
        self._origin = 0  # the sample that is time zero for the engine's own stream
        self._streamed = 0  # samples the engine's own stream has taken
        self._done = False  # and said so
        self._said_behind = 0.0

    # -- audio in

    def feed(self, audio: np.ndarray) -> None:
        """Queue more audio: float32 mono 16 kHz (n,)."""
        self._ear.feed(audio)

    def finish(self) -> None:
        """No more audio is coming; what is left of it becomes final."""
        self._ear.ended = True

    def close(self) -> None:
        """Nobody listens any more: an engine's own stream ends. Not amid a pass; call it again after that."""
        if self._engine and self._pending is None:
            self._engine.close()

    def listen(self, greedy: bool = False) -> Update | None:
        """Take in what was fed, up to the next news or pass that is due; None when there is no news.

        `greedy` goes on past drafts, to the newest audio or to the end of an utterance.
        """
        self._ear.listen()
        before, final = self._endpoint.speaking, []
        while self._ear.ready and self._over is None and (greedy or self.wants is None):
            self._step(*self._ear.ready.popleft())
            final += self._closed_unheard()
            if not greedy and (final or before != self._endpoint.speaking):
                break
        if self._ear.ended and self._ear.empty and self._endpoint.speaking and self._over is None:
            self._over = self._tape.end
            final += self._closed_unheard()
        news = final or before != self._endpoint.speaking or (self._exhausted and not self._done)
        slipped = greedy and abs(self.behind - self._said_behind) >= WORTH_SAYING
        return self._update(final) if news or slipped else None

    def _step(self, frame: np.ndarray, probability: float) -> None:
        """Take in one frame."""
        end, clock, was_speaking = self._endpoint, self._tape.end + FRAME, self._endpoint.speaking
        self._tape.add(frame, end.hear(probability, clock))
        if not end.speaking:
            self._tape.forget(clock - _samples(self.pace.preroll) - end.onset * FRAME)
            return
        if not was_speaking:
            self._open(end.began)
        if clock - end.voiced_until >= _samples(self.pace.pause):
            self._over = min(clock, end.voiced_until + _samples(self.pace.tail))
        elif clock - self._start >= _samples(self.pace.longest):
            recent = clock - _samples(self.pace.longest / 4)
            self._over = self._tape.quietest(max(recent, self._heard) if self._engine else recent, clock)[0]
            self._forced = True

    def _open(self, began: int) -> None:
        """Somebody starts to speak. What an utterance has heard, the next one does not hear again."""
        self._start = self._heard = max(began - _samples(self.pace.preroll), self._heard, self._tape.start)
        self._opened = self._start
        self._due = began + _samples(self.pace.interval)
        self._origin = self._start - self._streamed

    # -- the model's turn

    @property
    def wants(self) -> Rank | None:
        """The pass that is due now, if any."""
        if self._pending is not None or not self._endpoint.speaking:
            return None
        if self._over is not None:
            return Rank.FINAL
        if self._tape.end - self._endpoint.voiced_until >= _samples(self.pace.speculate):
            return None if self._caught_up or self._tape.end < self._worth else Rank.PAUSE
        return Rank.DRAFT if self._tape.end >= self._due and not self._nothing_left else None

    def take(self) -> Pass:
        """The pass that `wants` announced. Nothing else is wanted until `heard` or `missed` answers it."""
        rank, start, origin = self.wants, self._start, self._start
        until = self._over if rank is Rank.FINAL else self._tape.end
        if self._engine:
            start, origin = min(self._heard, until), self._origin
        careful = rank is Rank.FINAL and self._doubtful
        options = replace(self._options, language=self._tongue.known)
        options = replace(options, temperature=None) if careful else options
        audio = self._tape.read(start, until)
        self._pending = Pass(audio, options, start, until, rank, origin, careful, self._engine)
        return self._pending

    def missed(self, job: Pass, error: str) -> Update:
        """The pass failed; its audio is kept, and the next pass hears it again."""
        self._pending = None
        return replace(self._update(()), error=error)

    def given_up(self, error: str) -> Update:
        """End here, with the words there are; what was not heard is lost and `error` has to say so."""
        return Update(tuple(self._segments(self._words.end(), unsure=True)), done=True, error=error)

    def heard(self, job: Pass, segments: Sequence[Segment], took: float = 0.0) -> Update:
        """Take the answer to a pass, and the seconds it took: the next draft waits at least as long."""
        self._pending = None
        segments = [s.shifted(job.origin / SAMPLE_RATE) for s in segments]
        segments = [s for s in segments if not invented(s, self._voiced(s))]
        self._tongue.hear(segments, self._tape.voiced(self._heard, job.until))
        words = self._in_speech(self._words.fresh(words_of(segments), self._start / SAMPLE_RATE))
        unsure = any(failed(s) for s in segments)
        self._doubtful = unsure and self._ladder and not job.careful and self._engine is None
        self._heard, self._streamed = job.until, self._streamed + len(job.audio)
        self._worth = job.until + round(self.pace.growth * len(job.audio))
        self._due = max(job.until + _samples(max(self.pace.interval, took)), self._worth)
        if self._doubtful:
            self._words.doubt(words)
            return self._update(())
        if job.rank is Rank.FINAL:
            self._words.draft = words
            return self._update(self._close(unsure))
        final = self._agree(words, job)
        return self._update(final + self._closed_unheard())

    def _in_speech(self, words: list[Word]) -> list[Word]:
        """The words without the silence that engines count to them, in order and after the settled ones."""
        if not self._timed:
            return words
        placed, now = [], self._words.until
        for word in words:
            start, end = self._tape.spoken(_samples(word.start), _samples(word.end))
            start = max(now, word.start, start / SAMPLE_RATE - SLACK)
            now = max(start, min(word.end, end / SAMPLE_RATE + SLACK))
            placed.append(replace(word, start=start, end=now))
        return placed

    def _agree(self, words: list[Word], job: Pass) -> list[Segment]:
        """Settle what two hypotheses agree on; returns a final segment when enough is settled."""
        silent = job.until - self._endpoint.voiced_until >= _samples(self.pace.speculate)
        ripe = job.until / SAMPLE_RATE - (0.0 if silent else self.pace.margin)
        fresh = self._words.hear(words, ripe, seam=self._start > self._opened)
        if not fresh:
            return []
        following = [*fresh[1:], self._words.draft[0] if self._words.draft else None]
        seams = [self._seam(a, b) for a, b in zip(fresh, following, strict=True)]
        self._words.remark(loudness for _, loudness in seams)
        if self._cuts:
            self._start = max(self._start, seams[-1][0])
            self._tape.forget(self._start)
            if self._forced and self._tape.end - self._start < _samples(self.pace.longest):
                self._over, self._forced = None, False
        return self._segments(self._words.split(self.pace.longest))

    def _seam(self, word: Word, following: Word | None) -> tuple[int, float]:
        """Where to cut after `word`, and how loud it is there: engines are 0.1 s wrong about times."""
        end = min(word.end, following.start) if following else word.end
        low = max(end - SLACK, (word.start + end) / 2)
        high = (following.start if following else end) + SLACK / 2
        return self._tape.quietest(_samples(low), min(_samples(high), self._heard))

    # -- the end of an utterance

    def _closed_unheard(self) -> list[Segment]:
        """The final segment, if the utterance is over and the last hypothesis has it all."""
        heard_all = self._caught_up and not (self._forced or self._doubtful or self._engine)
        if self._over is None or self._pending is not None or not heard_all:
            return []
        return self._close(unsure=False)

    def _close(self, unsure: bool) -> list[Segment]:
        over, self._over, self._doubtful = self._over, None, False
        self._start = self._heard = max(over, self._heard) if not self._forced else over
        self._due = over + _samples(self.pace.interval)
        if not self._forced:
            self._endpoint.close()
        self._forced = False
        return self._segments(self._words.end(), unsure)

    def _segments(self, words: list[Word], unsure: bool = False) -> list[Segment]:
        if not words:
            return []
        segment = Segment.of(words, language=self._tongue.latest, unsure=unsure)
        return [segment if self._timed else replace(segment, words=())]

    # -- what is known

    @property
    def _caught_up(self) -> bool:
        """The model has heard all the speech there is, and enough silence after it."""
        enough = self._endpoint.voiced_until + _samples(self.pace.speculate)
        return self._heard >= min(enough, self._tape.end) or self._nothing_left

    @property
    def _nothing_left(self) -> bool:
        """All that was heard is settled, and what came after it is too short for a word."""
        return not self._words.draft and self._tape.voiced(self._start, self._tape.end) < SHORTEST

    @property
    def _exhausted(self) -> bool:
        return self._ear.ended and self._ear.empty and not self._endpoint.speaking

    def _voiced(self, segment: Segment) -> float:
        return self._tape.voiced(_samples(segment.start), _samples(segment.end))

    def _update(self, final: Sequence[Segment]) -> Update:
        self._done, self._said_behind = self._done or self._exhausted, self.behind
        stable, draft = _text(self._words.settled), _text(self._words.draft)
        return Update(tuple(final), stable, draft, self.behind, self._endpoint.speaking, self._exhausted)

    @property
    def speaking(self) -> bool:
        """An utterance is open."""
        return self._endpoint.speaking

    @property
    def fed(self) -> int:
        """Samples, ever."""
        return self._ear.fed

    @property
    def reached(self) -> int:
        """The model has heard the samples before this one, or they need no hearing: silence does not."""
        speech_waits = self._endpoint.speaking and not (self._caught_up and self._ear.empty)
        return self._heard if speech_waits else self._tape.end

    @property
    def behind(self) -> float:
        """Seconds of audio that were fed and not yet heard by the model."""
        return max(0, self.fed - self.reached) // FRAME * FRAME / SAMPLE_RATE


def replay(live: LiveTranscriber, audio: Iterable[np.ndarray], backend: Backend) -> Iterator[Update]:
    """All updates of a stream that ends, with a model that answers at once."""
    for piece in [*audio, None]:
        if piece is None:
            live.finish()
        else:
            live.feed(piece)
        while (update := live.listen()) or live.wants is not None:
            if update:
                yield update
            if live.wants is not None:
                job = live.take()
                yield live.heard(job, hear(backend, [job])[0])


def _text(words: Sequence[Word]) -> str:
    return "".join(w.word for w in words)


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)
