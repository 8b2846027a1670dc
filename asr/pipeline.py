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

from asr.ahead import ahead
from asr.audio import Recording, to_pcm16
from asr.backends import Backend, check
from asr.errors import Cancelled
from asr.guards import failed, invented
from asr.pauses import spoken
from asr.types import Options, Segment
from asr.vad import Silero, Stretch, VoiceDetector
from asr.windows import LONGEST, Window, clipped, windows

PLACES, EVERY = 4, 120.0  # where else to hear the language: at most, and one per so many seconds
ENOUGH = 10.0  # seconds of speech in one place that tell its language

Prepared = tuple[Window, np.ndarray]  # with its audio, or what the backend made of it


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
    return _transcribe(recording, backend, options, vad)


def _transcribe(recording, backend, options: Options, vad) -> Iterator[Segment]:
    size = backend.batch_size if "batch" in backend.can else 1
    detector, stop, now = vad(), Event(), 0.0

    def listen(block: np.ndarray) -> np.ndarray:
        if stop.is_set():  # hours of silence would otherwise be heard to their end
            raise Cancelled("Nobody is listening any more.")
        return detector(block)

    # Words tell on which side of a join they were said.
    found = windows(recording, listen, join={"batch", "words"} <= backend.can)
    with ahead(found, 2, stop) as read, ahead(_prepared(read, recording, backend), 2 * size, stop) as coming:
        first = list(islice(coming, 2))
        language, probability = options.language, None
        if len(first) > 1 and language is None and "detect" in backend.can:
            language, probability = _language(recording, backend, first[0][0], vad)
        engine = _Engine(recording, backend, replace(options, language=language))
        for batch in _batches(chain(first, coming), size):
            for window, heard in engine.decode(batch):
                for segment in engine.believed(window, heard):
                    segment = clipped(segment, now, recording.duration)
                    if probability is not None:
                        segment = replace(segment, language_probability=probability)
                    now = segment.end
                    yield segment


def _prepared(read: Iterator[Window], recording, backend) -> Iterator[Prepared]:
    """Each window with what can be done about it before the engine has its turn."""
    for window in read:
        audio = window.audio(recording)
        yield window, backend.prepare(audio) if "batch" in backend.can else audio


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
    places = min(PLACES, int(recording.duration / EVERY))
    for i in range(1, places + 1):
        start = recording.duration * i / (places + 1)
        excerpt = Recording(to_pcm16(recording.read(start, start + LONGEST)))
        for window in windows(excerpt, vad(), join=True):
            audio.append(window.audio(excerpt))
            speech.append(min(window.speech, ENOUGH))
    votes: Counter[str] = Counter()
    for heard, weight in zip(backend.detect(audio), speech, strict=True):
        votes.update({code: p * weight / sum(speech) for code, p in heard.items()})
    return votes.most_common(1)[0] if votes else (None, None)


@dataclass(frozen=True, slots=True)
class _Engine:
    """The backend at work on one recording."""

    recording: Recording
    backend: Backend
    options: Options

    def decode(self, batch: Sequence[Prepared]) -> Iterator[tuple[Window, list[Segment]]]:
        """What was heard in each window, on the window's clock."""
        options = [self._asked(window) for window, _ in batch]
        if "batch" in self.backend.can:
            heard = self.backend.transcribe_batch([prepared for _, prepared in batch], options)
        else:
            heard = (
                list(self.backend.transcribe(audio, o)) for (_, audio), o in zip(batch, options, strict=True)
            )
        yield from zip((window for window, _ in batch), heard, strict=True)

    def _asked(self, window: Window) -> Options:
        """Words tell when something was said, and on which side of a join, even if nobody wants them.

        The words of a translation tell little about that.
        """
        timed = "words" in self.backend.can and (
            self.options.task == "transcribe" or len(window.stretches) > 1
        )
        return replace(self.options, word_timestamps=timed or self.options.word_timestamps)

    def believed(self, window: Window, heard: Iterable[Segment]) -> Iterator[Segment]:
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
        if "batch" not in self.backend.can or self.options.temperature is not None:
            return kept  # it has climbed the ladder already, or must not
        options = replace(self._asked(Window((stretch,))), language=run[0].language)
        heard = self.backend.transcribe(self.recording.read(low, high), options)
        again = [clipped(segment.shifted(low), low, high) for segment in heard]
        if not again:
            return kept
        return [replace(s, unsure=failed(s)) for s in again if not _invented(stretch, s)]


def _invented(stretch: Stretch, segment: Segment) -> bool:
    return invented(segment, stretch.speech(segment.start, segment.end))
