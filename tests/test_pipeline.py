"""A recording to segments: every word once, where it was said; cancelled at once; nothing invented."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from asr import guards
from asr.audio import Recording, decode, load_audio
from asr.bench.words import word_error_rate
from asr.errors import Unsupported
from asr.pipeline import transcribe
from asr.types import Options, Segment, Word
from tests.speech import DIGITS
from tests.speech import digits as speak
from tests.tones import Tones, loud, say, silence

SENTENCES = [
    "ask not what",
    "your country can do",
    "for you",
    "my fellow americans",
    "and so",
    "what can you do",
]
PAUSES = [0.4, 8.0, 1.0, 40.0, 5.0, 2.5]
WORDED = Options(word_timestamps=True)
HARD = 0.4  # the small model's word error rate on long windows, at worst


def talk(repeat: int = 1) -> tuple[Recording, list[Word]]:
    """A recording of tones, and its words where they are."""
    pieces, truth, at = [silence(2.0)], [], 2.0
    for sentence, pause in list(zip(SENTENCES, PAUSES, strict=True)) * repeat:
        for word in sentence.split():
            truth.append(Word(at, at + 0.3, f" {word}"))
            pieces.append(say(word))
            at += 0.36
        pieces.append(silence(pause))
        at += pause
    return decode(np.concatenate(pieces)), truth


def chatter(seconds: float) -> Recording:
    """Somebody who hardly pauses."""
    phrase = np.concatenate([say("ask not what"), silence(0.6)])
    return decode(np.tile(phrase, int(seconds * 16_000 / len(phrase))))


def run(recording, backend, options=WORDED) -> list[Segment]:
    return list(transcribe(recording, backend, options, vad=lambda: loud))


def threads() -> int:
    return threading.active_count()


class Single(Tones):
    """Takes batches, of one."""

    batch_size = 1


class Alone(Tones):
    """Takes one window at a time."""

    can = Tones.can - {"batch"}

    def transcribe_batch(self, windows, options):
        raise AssertionError("nobody said that this backend takes batches")


class Doubtful(Tones):
    """Its batches fail wherever `doubted` is said; alone it does better, or not."""

    def __init__(self, doubted: str, mends: bool = True):
        super().__init__()
        self.doubted, self.mends, self.alone = doubted, mends, []

    def _scored(self, segments, bad: bool) -> Iterator[Segment]:
        for segment in segments:
            for word in segment.words or [Word(segment.start, segment.end, segment.text)]:
                score = guards.AVG_LOGPROB - 0.5 if bad and self.doubted in word.word else -0.1
                yield replace(Segment.of([word], language="en"), avg_logprob=score)

    def transcribe(self, audio, options):
        self.alone.append((audio, options))
        yield from self._scored(
            super().transcribe(audio, replace(options, word_timestamps=True)), not self.mends
        )

    def transcribe_batch(self, windows, options):
        return [list(self._scored(found, True)) for found in super().transcribe_batch(windows, options)]


# Every word, once, in order, in its place


@pytest.mark.parametrize("backend", [Tones, Alone])
def test_every_word_comes_once_in_order_where_it_was_said(backend):
    recording, truth = talk(3)
    heard = [w for s in run(recording, backend()) for w in s.words]
    assert [w.word for w in heard] == [w.word for w in truth]
    assert [w.start for w in heard] == pytest.approx([w.start for w in truth], abs=0.05)


@pytest.mark.parametrize("size", [1, 3, 16])
def test_the_batch_size_changes_nothing(size):
    recording, _ = talk(6)
    backend = Tones()
    backend.batch_size = size
    assert run(recording, backend) == run(recording, Tones())
    assert max(backend.batches) <= size


def test_segments_are_in_order_and_inside_the_recording():
    recording, _ = talk(2)
    heard = run(recording, Tones())
    assert all(a.end <= b.start for a, b in pairwise(heard))
    assert all(0 <= s.start <= s.end <= recording.duration for s in heard)
    assert all(s.text == "".join(w.word for w in s.words) for s in heard)


def test_words_are_given_only_where_they_were_asked_for():
    recording, truth = talk()
    plain, worded = run(recording, Tones(), Options()), run(recording, Tones())
    assert [s.text for s in plain] == [s.text for s in worded] and not any(s.words for s in plain)
    assert plain[0].start == pytest.approx(truth[0].start, abs=0.05)


def test_a_recording_without_speech_has_no_segments():
    backend = Tones()
    assert run(decode(silence(70)), backend) == [] and not backend.calls


def test_every_window_is_asked_what_was_asked():
    recording, _ = talk(12)
    backend, asked = (
        Tones(),
        replace(WORDED, language="en", prompt="ask", hotwords="not", beam_size=2, temperature=0.3),
    )
    run(recording, backend, asked)
    assert len(backend.calls) > 2 and set(backend.calls) == {asked}


# As soon as it is known, and no longer than somebody asks


def test_what_cannot_be_done_is_refused_before_anything_runs():
    with pytest.raises(Unsupported):
        transcribe(None, Tones(), Options(language="de"))


def test_the_first_words_come_before_the_recording_is_read():
    recording, read = chatter(1000), []
    english = Options(language="en")
    vad = lambda: lambda block: read.append(len(block)) or loud(block)  # noqa: E731
    segments = transcribe(recording, Single(), english, vad=vad)
    assert next(segments).text.startswith(" ask not what")
    assert sum(read) / 16_000 < recording.duration / 2
    segments.close()


def test_who_stops_iterating_cancels():
    recording = chatter(200)
    before, backend = threads(), Single()
    segments = transcribe(recording, backend, vad=lambda: loud)
    next(segments)
    segments.close()
    assert threads() == before and sum(backend.batches) <= 2


def test_cancelling_does_not_wait_for_the_end_of_a_long_silence():
    heard = []

    def slow(block):
        heard.append(len(block))
        time.sleep(0.05 if len(heard) > 7 else 0)
        return loud(block)

    recording = decode(np.concatenate([chatter(200).read(0, 200), silence(3600)]))
    segments = transcribe(recording, Single(), Options(language="en"), vad=lambda: slow)
    next(segments)
    segments.close()
    assert len(heard) < 60, "of 119 blocks"


def test_nobody_iterating_runs_nothing():
    before = threads()
    segments = transcribe(talk()[0], Tones(), vad=lambda: loud)
    assert threads() == before
    segments.close()


def test_an_error_of_the_engine_loses_nothing_that_was_known():
    class Breaks(Single):
        def transcribe_batch(self, windows, options):
            if self.batches:
                raise RuntimeError("the engine broke")
            return super().transcribe_batch(windows, options)

    recording = chatter(200)
    before, heard = threads(), []
    with pytest.raises(RuntimeError, match="the engine broke"):
        for segment in transcribe(recording, Breaks(), vad=lambda: loud):
            heard.append(segment.text)
    assert heard[0].startswith(" ask not what") and threads() == before


def test_an_error_while_reading_comes_through_after_what_was_known():
    def deaf():
        heard = []

        def detector(block):
            heard.append(block)
            if len(heard) > 6:
                raise OSError("the disk broke")
            return loud(block)

        return detector

    recording = chatter(200)
    before, segments = threads(), []
    with pytest.raises(OSError, match="the disk broke"):
        for segment in transcribe(recording, Alone(), vad=deaf):
            segments.append(segment)
    assert segments and threads() == before


def test_windows_are_prepared_in_another_thread_than_they_are_decoded_in():
    class Watched(Tones):
        def prepare(self, audio):
            self.prepared = threading.get_ident()
            return audio

        def transcribe_batch(self, windows, options):
            self.decoded = threading.get_ident()
            return super().transcribe_batch(windows, options)

    backend = Watched()
    run(talk()[0], backend)
    assert backend.decoded == threading.get_ident() != backend.prepared


def test_batches_grow_so_that_the_first_words_come_early():
    recording = chatter(500)
    backend = Tones()
    run(recording, backend)
    assert backend.batches[:4] == [1, 2, 4, 8]


# Language


class Bilingual(Tones):
    """Says German of what is quiet and English of what is loud."""

    languages = frozenset({"en", "de"})

    def detect(self, windows):
        self.asked = len(windows)
        return [{"de": 0.9, "en": 0.1} if np.abs(w).max() < 0.3 else {"en": 0.8, "de": 0.2} for w in windows]


def test_the_language_is_heard_in_several_places_not_only_at_the_start():
    recording = chatter(500)
    audio = recording.read(0, recording.duration)
    audio[: 120 * 16_000] *= 0.4
    backend = Bilingual()
    heard = run(decode(audio), backend, Options())
    assert backend.asked >= 4 and {o.language for o in backend.calls} == {"en"}
    (probability,) = {s.language_probability for s in heard}
    assert 0.5 < probability < 0.8, "the German start counts for something"


def test_a_given_language_is_not_questioned():
    recording, _ = talk(12)
    backend = Bilingual()
    heard = run(recording, backend, Options(language="de"))
    assert {o.language for o in backend.calls} == {"de"} and not hasattr(backend, "asked")
    assert {s.language_probability for s in heard} == {None}


def test_a_backend_that_cannot_tell_the_language_decodes_all_the_same():
    backend = Bilingual()
    backend.detect = lambda windows: [{} for _ in windows]
    heard = run(chatter(70), backend, Options())
    assert heard and {s.language_probability for s in heard} == {None}


def test_one_window_is_left_to_the_engine_which_detects_as_it_decodes():
    backend = Bilingual()
    run(decode(np.concatenate([say("ask not"), silence(3)])), backend, Options())
    assert not hasattr(backend, "asked") and backend.calls[0].language is None


# What cannot be believed


def test_a_failed_segment_is_heard_again_alone_and_mended():
    recording, truth = talk(2)
    backend = Doubtful("country")
    heard = run(recording, backend)
    assert [w.word for s in heard for w in s.words] == [w.word for w in truth]
    assert not any(s.unsure for s in heard) and all(guards.failed(s) is False for s in heard)
    assert len(backend.alone) == 2


def test_nothing_of_its_neighbours_is_heard_with_it():
    backend = Doubtful("country")
    run(talk()[0], backend)
    ((audio, options),) = backend.alone
    assert [s.text for s in Tones().transcribe(audio, Options())] == [" country"]
    assert len(audio) / 16_000 < 0.8 and options.temperature is None and options.language == "en"


def test_what_fails_again_keeps_its_text_and_is_unsure():
    recording, truth = talk()
    heard = run(recording, Doubtful("country", mends=False))
    assert [w.word for s in heard for w in s.words] == [w.word for w in truth]
    assert [s.text for s in heard if s.unsure] == [" country"]


def test_what_a_second_hearing_does_not_hear_at_all_is_kept_and_unsure():
    class Deaf(Doubtful):
        def transcribe(self, audio, options):
            return iter(())

    heard = run(talk()[0], Deaf("country"))
    assert [s.text for s in heard if s.unsure] == [" country"]


def test_what_a_batch_has_tried_again_already_is_not_tried_once_more():
    backend = Doubtful("country", mends=False)
    backend.can = Tones.can | {"mend"}
    heard = run(talk()[0], backend)
    assert [s.text for s in heard if s.unsure] == [" country"] and not backend.alone


@pytest.mark.parametrize("options", [replace(WORDED, temperature=0.0), WORDED])
def test_no_second_hearing_for_a_given_temperature_or_an_engine_that_climbs_by_itself(options):
    backend = Doubtful("country", mends=False)
    backend.can = Tones.can if options.temperature is not None else Alone.can
    heard = run(talk()[0], backend, options)
    assert [s.text for s in heard if s.unsure] == [" country"]
    assert not backend.alone or options.temperature is None


def test_text_where_nobody_speaks_is_left_out():
    class Dreams(Tones):
        def transcribe_batch(self, windows, options):
            # It "hears" something in the pause between two sentences too.
            return [
                [*found[:1], Segment(found[0].end + 0.5, found[0].end + 1.5, " Thank you."), *found[1:]]
                for found in super().transcribe_batch(windows, options)
            ]

    recording = decode(np.concatenate([say("ask not"), silence(2.5), say("for you"), silence(3)]))
    assert [s.text for s in run(recording, Dreams(), Options(language="en"))] == [" ask not", " for you"]


# The real thing


def strings(seed: int, count: int) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    said = [" ".join(rng.choice(DIGITS, rng.integers(4, 10))) for _ in range(count)]
    pieces = [speak(words, gap=0.3, tail=float(rng.choice([0.8, 4.0])))[0] for words in said]
    return np.concatenate(pieces), " ".join(said).split()


def test_spoken_digits_are_recognised_and_timed(digits):
    audio, said = strings(1, 12)
    segments = list(transcribe(decode(audio), digits, WORDED))
    words = [w for s in segments for w in s.words]
    assert word_error_rate(said, [w.word.strip(" .,?") for w in words]) < HARD
    assert {s.language for s in segments} == {"en"} and segments[0].language_probability > 0.5
    assert segments[-1].end == pytest.approx(len(audio) / 16_000, abs=6)


def test_words_stand_where_they_were_said_and_pauses_part_segments(digits):
    audio, truth = speak("one nine eight three five zero", gap=[0.2, 0.4, 2.0, 0.3, 0.6], lead=1.0)
    segments = list(transcribe(decode(audio), digits, WORDED))
    heard = [w for s in segments for w in s.words]
    assert [w.word.strip() for w in heard] == [word for word, _, _ in truth]
    assert [w.start for w in heard] == pytest.approx([start for _, start, _ in truth], abs=0.2)
    assert [w.end for w in heard] == pytest.approx([end for _, _, end in truth], abs=0.2)
    assert [len(s.words) for s in segments] == [3, 3]


def test_silence_noise_and_music_give_no_text(digits):
    rng = np.random.default_rng(0)
    t = np.arange(16_000 * 12) / 16_000
    chord = sum(np.sin(2 * np.pi * f * t) for f in (262, 330, 392)) * 0.1 * (1 + np.sin(2 * np.pi * 2 * t))
    for sound in (np.zeros_like(t), rng.normal(0, 0.02, len(t)), rng.normal(0, 0.2, len(t)), chord):
        assert list(transcribe(decode(sound.astype(np.float32)), digits)) == []


def test_real_people_saying_digits(digits, recordings):
    rng = np.random.default_rng(2)
    pieces, said = [], []
    for speaker in ("george", "lucas", "theo"):
        for digit in rng.integers(0, 10, 10):
            sound = load_audio(recordings / "fsdd" / f"{digit}_{speaker}_5.wav")
            pieces += [sound / np.abs(sound).max() * 0.5, silence(0.3)]
            said.append(DIGITS[digit])
        pieces.append(silence(1.5))
    heard = "".join(s.text for s in transcribe(decode(np.concatenate(pieces)), digits)).split()
    assert word_error_rate(said, heard) < HARD
