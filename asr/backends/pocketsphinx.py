"""PocketSphinx: the recogniser that needs no download. US English, on the CPU, of low accuracy.

Its wheel carries the model, so it works on a machine that has never seen the internet, and it
recognises while audio arrives. It writes lower case without punctuation, as its dictionary does.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from threading import Lock

import numpy as np
from pocketsphinx import Decoder

from asr.audio import SAMPLE_RATE, to_pcm16
from asr.errors import BackendUnavailable, UnknownModel
from asr.types import Options, Segment, Word

MODEL = "en-us"
FRAME = 0.01  # seconds
PIECE = SAMPLE_RATE // 10  # samples decoded at a time: its library stops every other thread meanwhile
IDLE = 4  # decoders kept for the next call; each holds 90 MB
PAUSE = 0.5  # seconds of silence that end a segment
LONGEST = 30  # seconds decoded as one utterance


def load(model: str, device: str = "auto") -> PocketSphinx:
    """`model` is "en-us"; the device can only be the CPU. Takes half a second."""
    if model != MODEL:
        raise UnknownModel(f"PocketSphinx has no model {model!r}.", f"There is pocketsphinx:{MODEL}.")
    if device not in ("auto", "cpu"):
        raise BackendUnavailable(f"PocketSphinx cannot run on {device}.", "Set the device to cpu or auto.")
    return PocketSphinx()


class PocketSphinx:
    """Decoders are lent out, one to a call or an utterance, so many threads can recognise at once."""

    spec = f"pocketsphinx:{MODEL}"
    can = frozenset({"words", "stream"})
    languages = frozenset({"en"})
    device = "cpu"

    def __init__(self):
        self._lock = Lock()
        self._idle = [Decoder(loglevel="FATAL")]
        self.cmn = self._idle[0].get_cmn()  # what every stream starts with: the mean of the training audio

    def lend(self, cmn: str) -> Decoder:
        """A decoder that remembers nothing but the cepstral mean it is given."""
        with self._lock:
            decoder = self._idle.pop() if self._idle else None
        decoder = decoder or Decoder(loglevel="FATAL")
        _forget(decoder, cmn)
        return decoder

    def take_back(self, decoder: Decoder) -> None:
        with self._lock:
            if len(self._idle) < IDLE:
                self._idle.append(decoder)

    def transcribe(self, audio: np.ndarray, options: Options) -> Iterator[Segment]:
        """An utterance of at most 30 s after the other, cut where the audio is quietest."""
        cuts = _cuts(audio)
        for start, stop in pairwise(cuts):
            for segment in _segments(self._words(audio[start:stop]), options):
                yield segment.shifted(start / SAMPLE_RATE)

    def stream(self, options: Options) -> Stream:
        return Stream(self)

    def _words(self, audio: np.ndarray) -> list[Word]:
        decoder = self.lend(self.cmn)
        sound = to_pcm16(audio)
        # The mean of the whole utterance recognises better than one that is still being learned.
        decoder.start_utt()
        decoder.process_raw(sound.tobytes(), no_search=True, full_utt=True)
        decoder.end_utt()
        _forget(decoder, decoder.get_cmn())
        decoder.start_utt()
        _feed(decoder, sound)
        decoder.end_utt()
        words = _words(decoder, final=True)
        self.take_back(decoder)
        return words


class Stream:
    """One stream. It holds a decoder only while an utterance is open."""

    timed, language = True, "en"

    def __init__(self, engine: PocketSphinx):
        self._engine, self._cmn = engine, engine.cmn
        self._decoder: Decoder | None = None
        self._fed = self._begun = 0  # samples: since the stream began, and before this utterance

    def feed(self, audio: np.ndarray) -> list[Word]:
        if self._decoder is None:
            self._decoder = self._engine.lend(self._cmn)
            self._decoder.start_utt()
            self._begun = self._fed
        _feed(self._decoder, to_pcm16(audio))
        self._fed += len(audio)
        return _words(self._decoder, final=False, origin=self._begun / SAMPLE_RATE)

    def finish(self) -> list[Word]:
        if self._decoder is None:
            return []
        decoder, self._decoder = self._decoder, None
        decoder.end_utt()
        words = _words(decoder, final=True, origin=self._begun / SAMPLE_RATE)
        self._cmn = decoder.get_cmn(True)  # the next utterance likely has this voice and microphone
        self._engine.take_back(decoder)
        return words

    def close(self) -> None:
        self.finish()


def _forget(decoder: Decoder, cmn: str) -> None:
    """All it learned of the noise it heard; utterances would depend on what was heard before them."""
    decoder.reinit_feat()
    decoder.set_cmn(cmn)


def _feed(decoder: Decoder, sound: np.ndarray) -> None:
    for first in range(0, len(sound), PIECE):
        decoder.process_raw(sound[first : first + PIECE].tobytes())


def _words(decoder: Decoder, final: bool, origin: float = 0.0) -> list[Word]:
    """The words heard since `start_utt`. Only a final hypothesis has been weighed against others."""
    if decoder.hyp() is None:
        return []
    return [
        Word(
            origin + s.start_frame * FRAME,
            origin + (s.end_frame + 1) * FRAME,
            " " + s.word.partition("(")[0],  # "to(3)" is a pronunciation of "to"
            min(s.prob, 1.0) if final else None,
        )
        for s in decoder.seg()
        if s.word[0] not in "<["  # <s>, <sil>, [NOISE]
    ]


def _segments(words: list[Word], options: Options) -> Iterator[Segment]:
    """A segment ends at every pause."""
    ends = [i for i, (a, b) in enumerate(pairwise(words), 1) if b.start - a.end >= PAUSE]
    for first, last in pairwise([0, *ends, len(words)]):
        if first == last:
            continue
        segment = Segment.of(words[first:last], language="en")
        yield (
            segment
            if options.word_timestamps
            else Segment(segment.start, segment.end, segment.text, language="en")
        )


def _cuts(audio: np.ndarray) -> list[int]:
    """Samples at which to cut: nothing longer than LONGEST, each cut at the quietest 0.1 s it can be."""
    cuts = [0]
    while len(audio) - cuts[-1] > LONGEST * SAMPLE_RATE:
        first = cuts[-1] + LONGEST * SAMPLE_RATE // 2
        frames = audio[first : cuts[-1] + LONGEST * SAMPLE_RATE].reshape(-1, PIECE)
        cuts.append(first + int((frames**2).sum(axis=1).argmin()) * PIECE + PIECE // 2)
    return [*cuts, len(audio)] if len(audio) else cuts
