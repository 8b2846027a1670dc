"""A recording to segments: where the speech is, what is said, and what of that can be believed.

    for segment in transcribe(recording, backend):   # in time order, each as soon as it is known
        print(segment.end / recording.duration, segment.text)

Voice detection and features run ahead, each in a thread, while the engine decodes. Whoever stops
iterating (or closes the generator) cancels: nothing goes on behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from threading import Event

import numpy as np

from asr.audio import Recording, to_pcm16
from asr.backends import Backend, check
from asr.errors import Cancelled
from asr.guards import failed, invented
from asr.pipeline.ahead import ahead
from asr.pipeline.pauses import spoken
from asr.pipeline.windows import LONGEST, Window, clipped, windows
from asr.types import Options, Segment
from asr.vad import Silero, Stretch, VoiceDetector

PLACES, EVERY = 4, 120.0  # where else to hear the language: at most, and one per so many seconds
ENOUGH = 10.0  # seconds of speech in one place that tell its language


@dataclass(frozen=True, slots=True)
class Prepared:
    """A window of a recording, ready for the engine: its audio, or what the backend made of it."""

    hearing: Hearing
    window: Window
    ready: np.ndarray


def transcribe(
    recording: Recording,
    backend: Backend,
    options: Options = Options(),
    *,
    vad: Callable[[], VoiceDetector] = Silero,
) -> Iterator[Segment]:
    """Segments in time order, each as soon as it is known; times in seconds of the recording.

    A segment whose scores fail is decoded once more by itself; `unsure` marks what fails again.
    Raises Unsupported before anything runs if `options` asks for what `backend` cannot do.
    What has been yielded stays true if the backend raises later.
    """
    check(backend, options)
    if "whole" in backend.can and options.task == "transcribe" and vad is Silero:  # it has that ear, too
        return backend.hear(recording, options)
    return _transcribe(recording, backend, options, vad)


def _transcribe(recording, backend, options: Options, vad) -> Iterator[Segment]:
    size = backend.batch_size if "batch" in backend.can else 1
    hearing, stop = Hearing(recording, backend, options, vad), Event()
    found = hearing.windows(stop)
    with ahead(found, 2, stop) as read, ahead(map(hearing.prepared, read), 2 * size, stop) as coming:
        first = list(islice(coming, 2))
        if len(first) > 1:
            hearing.settle_language(first[0].window)
        for batch in _batches(chain(first, coming), size):
            for item, heard in decode(backend, batch):
                yield from hearing.told(item.window, heard)


def prepared(backend: Backend, audio: np.ndarray) -> np.ndarray:
    """What the backend makes of a window's audio ahead of its turn; the audio where it takes no batches."""
    return backend.prepare(audio) if "batch" in backend.can else audio


def _longest(backend: Backend) -> float:
    """Seconds of a window."""
    return backend.window if "batch" in backend.can else LONGEST


def _batches(coming: Iterator[Prepared], largest: int) -> Iterator[list[Prepared]]:
    """Small batches first: somebody is waiting for the first words."""
    size = 1
    while batch := list(islice(coming, size)):
        yield batch
        size = min(2 * size, largest)


def _language(recording, backend, first: Window, vad) -> tuple[str | None, float | None]:
    """The language most of the recording is in, and its probability; None where the backend heard none.

    Heard in the first window and in places spread over the whole recording, each counting by how
    much speech there is in it, up to ENOUGH.
    """
    audio, speech = [first.audio(recording)], [min(first.speech, ENOUGH)]
    longest = _longest(backend)
    places = min(PLACES, int(recording.duration / EVERY))
    for i in range(1, places + 1):
        start = recording.duration * i / (places + 1)
        excerpt = Recording(to_pcm16(recording.read(start, start + longest)))
        for window in windows(excerpt, vad(), True, longest):
            audio.append(window.audio(excerpt))
            speech.append(min(window.speech, ENOUGH))
    votes: Counter[str] = Counter()
    for heard, weight in zip(backend.detect(audio), speech, strict=True):
        votes.update({code: p * weight / sum(speech) for code, p in heard.items()})
    return votes.most_common(1)[0] if votes else (None, None)


@dataclass(slots=True)
class Hearing:
    """One recording at the backend: what to ask about its windows, and what to believe of the answers."""

    recording: Recording
    backend: Backend
    options: Options
    vad: Callable[[], VoiceDetector] = Silero
    probability: float | None = None  # of the language, where it was detected
    now: float = 0.0  # where the last segment ended

    def resume(
        self, heard: Sequence[Segment], language: str | None, probability: float | None
    ) -> None:
        """Go on after what was heard of it before, in the language that was detected then."""
        self.now, self.probability = (heard[-1].end if heard else 0.0), probability
        self.options = replace(self.options, language=language)

    def windows(self, stop: Event) -> Iterator[Window]:
        """What there is to decode, in time order; raises Cancelled once `stop` is set."""
        detector = self.vad()

        def listen(block: np.ndarray) -> np.ndarray:
            if stop.is_set():  # hours of silence would otherwise be heard to their end
                raise Cancelled("Nobody is listening any more.")
            return detector(block)

        # Words tell on which side of a join they were said.
        join = {"batch", "words"} <= self.backend.can
        return windows(self.recording, listen, join, _longest(self.backend))

    def prepared(self, window: Window) -> Prepared:
        """The window with all that can be done about it before the engine has its turn."""
        audio = window.audio(self.recording)
        return Prepared(self, window, prepared(self.backend, audio))

    def settle_language(self, first: Window) -> None:
        """Where nobody said it, hear which language the recording is in, before its first window is decoded.

        A recording of one window needs none of this: the engine detects while it decodes.
        """
        if self.options.language is None and "detect" in self.backend.can:
            language, self.probability = _language(self.recording, self.backend, first, self.vad)
            self.options = replace(self.options, language=language)

    def asked(self, window: Window) -> Options:
        """Words tell when something was said, and on which side of a join, even if nobody wants them.

        The words of a translation tell little about that.
        """
        timed = "words" in self.backend.can and (
            self.options.task == "transcribe" or len(window.stretches) > 1
        )
        return replace(self.options, word_timestamps=timed or self.options.word_timestamps)

    def told(self, window: Window, heard: Iterable[Segment]) -> Iterator[Segment]:
        """What was heard in the next window, as the recording's next segments."""
        for segment in self._believed(window, heard):
            segment = clipped(segment, self.now, self.recording.duration)
            if self.probability is not None:
                segment = replace(segment, language_probability=self.probability)
            self.now = segment.end
            yield segment

    def _believed(self, window: Window, heard: Iterable[Segment]) -> Iterator[Segment]:
        """What was said and when: without what nobody said, and mended where scores failed."""
        placed = [p for segment in heard for p in window.placed(segment) if not _invented(*p)]
        for stretch, here in groupby(placed, lambda p: p[0]):
            runs = [list(run) for _, run in groupby([segment for _, segment in here], failed)]
            ends = [stretch.start, *(run[-1].end for run in runs)]
            starts = [*(run[0].start for run in runs[1:]), stretch.end]
            for run, low, high in zip(runs, ends, starts, strict=False):
                mended = self._mended(stretch, run, low, high) if failed(run[0]) else run
                for segment in (part for s in mended for part in spoken(s, stretch)):
                    yield segment if self.options.word_timestamps else replace(segment, words=())

    def _mended(self, stretch: Stretch, run: list[Segment], low: float, high: float) -> list[Segment]:
        """Failed neighbours, decoded again alone: all there is between the segments around them.

        Where they themselves say they are means little.
        """
        kept = [replace(segment, unsure=True) for segment in run]
        climbed = "batch" not in self.backend.can or "mend" in self.backend.can
        if climbed or self.options.temperature is not None:
            return kept  # it has climbed the ladder already, or must not
        options = replace(self.asked(Window((stretch,))), language=run[0].language)
        heard = self.backend.transcribe(self.recording.read(low, high), options)
        again = [clipped(segment.shifted(low), low, high) for segment in heard]
        if not again:
            return kept
        return [replace(s, unsure=failed(s)) for s in again if not _invented(stretch, s)]


def decode(backend: Backend, batch: Sequence[Prepared]) -> Iterator[tuple[Prepared, list[Segment]]]:
    """What was heard in each window, of one recording or of many, on the window's clock."""
    options = [item.hearing.asked(item.window) for item in batch]
    if "batch" in backend.can:
        heard = backend.transcribe_batch([item.ready for item in batch], options)
    else:
        heard = (list(backend.transcribe(i.ready, o)) for i, o in zip(batch, options, strict=True))
    yield from zip(batch, heard, strict=True)


def _invented(stretch: Stretch, segment: Segment) -> bool:
    return invented(segment, stretch.speech(segment.start, segment.end))
