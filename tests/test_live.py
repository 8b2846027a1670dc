import time
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from asr.config import Config
from asr.errors import Unsupported
from asr.live import LiveTranscriber, replay
from asr.live.agreement import agreed, covered, echo, words_of, written_as
from asr.live.pace import Pace, paced
from asr.live.passes import Rank, hear
from asr.types import Options, Segment, Word
from tests.tones import SAMPLE_RATE, Tones, loud, say, silence

NOTHING_ASKED = Options()
SPEECH = "ask not what your country can do for you"


class Flicker(Tones):
    """Always wrong about the last word, and about capitals and punctuation, as Whisper is."""

    def transcribe_batch(self, windows, options):
        return [[self._wrong(s) for s in heard] for heard in super().transcribe_batch(windows, options)]

    def _wrong(self, s):
        *words, last = s.words
        words = [replace(w, word=w.word.title() + ".") if len(self.batches) % 2 else w for w in words]
        return Segment.of([*words, replace(last, word=f" oops{len(self.batches)}")])


class Wordless(Tones):
    can = Tones.can - {"words", "batch"}


class Native(Tones):
    """An engine that streams: it hears every sample once, and says so if it does not."""

    can = frozenset({"words", "stream"})

    def stream(self, options):
        return NativeStream()


class NativeStream:
    timed, language = True, None

    def __init__(self):
        self.audio, self.begun, self.feeds = silence(0), 0, 0

    def feed(self, audio):
        self.audio, self.feeds = np.r_[self.audio, audio], self.feeds + 1
        (heard,) = Tones().transcribe_batch([self.audio[self.begun :]], [Options(word_timestamps=True)])
        return [w for s in heard for w in s.shifted(self.begun / SAMPLE_RATE).words]

    def finish(self):
        words = self.feed(silence(0))
        self.begun = len(self.audio)
        return words

    def close(self):
        pass


def live_on(backend, options=NOTHING_ASKED, **pace):
    return LiveTranscriber(backend, options, pace=Pace(**pace), vad=lambda: loud)


def pieces(audio, seconds):
    n = int(seconds * SAMPLE_RATE)
    return [audio[i : i + n] for i in range(0, len(audio), n)]


def stream(audio, backend=None, chunk=0.02, options=NOTHING_ASKED, **pace):
    backend = backend or Tones()
    return list(replay(live_on(backend, options, **pace), pieces(audio, chunk), backend))


def finals(updates):
    return [s.text.strip() for u in updates for s in u.final]


def said(updates):
    return " ".join(finals(updates))


def slowly(live, backend, audio, seconds):
    """Replay with a model that takes `seconds` of the stream's own time for each answer."""
    updates, job, ready = [], None, 0.0
    for i, piece in enumerate([*pieces(audio, 0.02), *[silence(0.02)] * int(20 / 0.02)]):
        live.feed(piece)
        updates.append(live.listen(greedy=True))
        if job and i * 0.02 >= ready:
            updates.append(live.heard(job, hear(backend, [job])[0], seconds))
            job = None
        if not job and live.wants is not None:
            job, ready = live.take(), i * 0.02 + seconds
    return [u for u in updates if u]


def test_a_pause_ends_an_utterance():
    audio = np.r_[say("ask not"), silence(1), say("what your country"), silence(1)]
    assert finals(stream(audio)) == ["ask not", "what your country"]


def test_a_short_pause_does_not():
    assert finals(stream(np.r_[say("ask not"), silence(0.4), say("what your country"), silence(1)])) == [
        "ask not what your country"
    ]


def test_final_times_are_stream_times():
    (segment,) = [s for u in stream(np.r_[silence(3), say("ask not"), silence(1)]) for s in u.final]
    assert (segment.start, segment.end) == pytest.approx((3.0, 3.66), abs=0.05)
    assert segment.words[1].start == pytest.approx(3.36, abs=0.05)
    assert segment.text == "".join(w.word for w in segment.words)


@pytest.mark.parametrize("backend", [Tones, Flicker, Wordless, Native])
def test_what_is_settled_never_changes(backend):
    audio = np.r_[say(f"{SPEECH} " * 3), silence(1), say(SPEECH), silence(0.3), say("and so"), silence(1)]
    settled = final = ""
    for u in stream(audio, backend(), longest=6):
        final += "".join(s.text for s in u.final)
        assert (final + u.stable).startswith(settled)
        settled = final + u.stable
    assert len(settled.split()) == 38


@pytest.mark.parametrize("chunk", [0.1, 0.73, 5.0, 60.0])
def test_chunking_changes_nothing_at_all(chunk):
    audio = np.r_[say(SPEECH), silence(1), say("and so"), silence(0.3), say("my fellow"), silence(1)]

    def shown(updates):
        return [(u.final, u.stable, u.draft) for u in updates]

    assert shown(stream(audio, chunk=chunk)) == shown(stream(audio, chunk=0.02))


@pytest.mark.parametrize("backend", [Tones, Wordless, Native])
@pytest.mark.parametrize("seconds", [0.2, 2.0, 7.0])
def test_no_word_is_lost_behind_a_slow_backend(backend, seconds):
    audio = np.r_[say(f"{SPEECH} " * 2), silence(1), say("and so my fellow"), silence(1), say("ask not")]
    backend = backend()
    updates = slowly(live_on(backend), backend, audio, seconds)
    assert said(updates) == f"{SPEECH} {SPEECH} and so my fellow ask not"
    assert not updates[-1].speaking and updates[-1].behind < 1


def test_a_slow_backend_is_heard_of():
    backend = Tones()
    assert max(u.behind for u in slowly(live_on(backend), backend, say(f"{SPEECH} " * 2), 2.0)) > 2


def test_the_next_draft_waits_as_long_as_the_last_one_took():
    live, backend, begun = live_on(Tones()), Tones(), []
    for i, piece in enumerate(pieces(say(f"{SPEECH} " * 3), 0.02)):
        live.feed(piece)
        live.listen()
        if live.wants is not None:
            job = live.take()
            begun.append(i * 0.02)
            live.heard(job, hear(backend, [job])[0], took=1.5)
    assert min(b - a for a, b in pairwise(begun)) >= 1.5 - 0.05


def test_the_pass_at_the_start_of_a_silence_is_the_final_text():
    live, backend = live_on(Tones(), interval=60.0), Tones()
    live.feed(np.r_[say("ask not"), silence(0.2)])
    live.listen(greedy=True)
    assert live.wants is Rank.PAUSE
    job = live.take()
    assert live.heard(job, hear(backend, [job])[0]).draft == " ask not"
    live.feed(silence(0.5))
    assert [s.text for s in live.listen().final] == [" ask not"] and live.wants is None


def test_a_silence_that_does_not_last_finishes_nothing():
    live, backend = live_on(Tones(), interval=60.0), Tones()
    live.feed(np.r_[say("ask not"), silence(0.2)])
    live.listen(greedy=True)
    job = live.take()
    live.heard(job, hear(backend, [job])[0])
    live.feed(np.r_[say("what your"), silence(0.05)])
    live.listen(greedy=True)
    live.feed(silence(0.2))
    live.listen(greedy=True)
    assert live.wants is Rank.PAUSE
    job = live.take()
    live.heard(job, hear(backend, [job])[0])
    live.feed(silence(1))
    assert finals([live.listen()]) == ["ask not what your"]


def test_a_silence_before_its_pass_is_answered_waits_for_that_answer():
    live, backend = live_on(Tones(), interval=60.0), Tones()
    live.feed(np.r_[say("ask not"), silence(0.2)])
    live.listen(greedy=True)
    job = live.take()
    live.feed(silence(2))
    live.listen(greedy=True)
    assert live.wants is None
    assert finals([live.heard(job, hear(backend, [job])[0])]) == ["ask not"]


def test_nothing_settled_is_heard_again():
    live, backend, settled = live_on(Tones()), Tones(), 0
    live.feed(say(f"{SPEECH} " * 4))
    live.finish()
    while live.listen() or live.wants is not None:
        if live.wants is not None:
            job = live.take()
            (heard,) = hear(backend, [job])
            first = heard[0].words[0].start + job.start / SAMPLE_RATE if heard else np.inf
            assert first > settled * 0.36 - 0.1
            settled = max(settled, len(live.heard(job, heard).stable.split()))
    assert settled > 30


@pytest.mark.parametrize("backend", [Tones, Flicker, Wordless, Native])
def test_a_speaker_who_never_pauses_is_cut_between_words(backend):
    updates = stream(say(f"{SPEECH} " * 8), backend(), longest=6)
    if backend is Flicker:  # it is wrong about one word per cut, and right about all others
        wrong = [w for w in said(updates).lower().replace(".", "").split() if w not in SPEECH]
        assert len(said(updates).split()) == 72 and len(wrong) <= len(finals(updates))
    else:
        assert said(updates) == (f"{SPEECH} " * 8).strip()
    assert len(finals(updates)) >= 3
    assert max(s.end - s.start for u in updates for s in u.final) < 9


def test_no_window_is_longer_than_a_model_hears():
    class Stubborn(Flicker):
        """Never says the same twice: nothing is ever settled."""

        longest = 0.0

        def _wrong(self, s):
            return Segment.of([replace(w, word=f" {len(self.batches)}{w.word.strip()}") for w in s.words])

        def transcribe_batch(self, windows, options):
            self.longest = max(self.longest, *(len(w) / SAMPLE_RATE for w in windows))
            return super().transcribe_batch(windows, options)

    backend = Stubborn()
    updates = stream(say(f"{SPEECH} " * 20), backend)
    assert len(said(updates).split()) == 180 and backend.longest <= 30


def test_silence_costs_nothing():
    backend = Tones()
    live = live_on(backend)
    for _ in range(50):
        live.feed(silence(1))
        assert live.listen() is None and live.wants is None
    assert live.behind == 0 and len(live._tape.read(0, 10**9)) < SAMPLE_RATE


def test_a_click_is_no_word():
    backend = Tones()
    audio = np.r_[silence(1), say("ask", word=0.05), silence(1)]
    assert finals(stream(audio, backend)) == [] and backend.batches == []


def test_the_first_sound_of_a_word_is_not_clipped():
    live = live_on(Tones())
    live.feed(np.r_[silence(5), say("ask not what")])
    live.listen(greedy=True)
    assert live.take().start / SAMPLE_RATE == pytest.approx(4.7, abs=0.04)


def test_memory_stays_flat():
    backend, live = Tones(), live_on(Tones())
    audio = np.r_[say(f"{SPEECH} " * 2), silence(1)]
    sizes = []
    tracemalloc.start()
    for _ in range(40):
        list(replay_on(live, audio, backend))
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(sizes[20:]) < max(sizes[:20]) * 1.1


def replay_on(live, audio, backend):
    live.feed(audio)
    while (update := live.listen()) or live.wants is not None:
        yield update
        if live.wants is not None:
            job = live.take()
            yield live.heard(job, hear(backend, [job])[0])


def test_feeding_takes_microseconds():
    live, audio = live_on(Tones()), say("ask")[:320]
    began = time.perf_counter()
    for _ in range(1000):
        live.feed(audio)
    assert time.perf_counter() - began < 0.1


def test_the_last_update_says_so_and_is_the_only_one():
    for audio in (say("ask not"), silence(2), silence(0), np.r_[say("ask not"), silence(3)]):
        updates = stream(audio)
        assert [u.done for u in updates] == [False] * (len(updates) - 1) + [True]
        assert said(updates) == ("ask not" if len(audio) and audio.any() else "")


def test_what_a_pass_asks_for():
    backend = Tones()
    stream(say(SPEECH), backend, options=Options(hotwords="ask not", language="en"))
    assert {(o.hotwords, o.language, o.beam_size, o.temperature, o.prompt) for o in backend.calls} == {
        ("ask not", "en", 1, 0.0, None)
    }
    assert all(o.word_timestamps for o in backend.calls)


def test_a_users_choices_are_kept():
    backend = Tones()
    chosen = Options(beam_size=5, temperature=0.4, prompt="and so", task="translate", word_timestamps=True)
    stream(say(SPEECH), backend, options=chosen)
    assert set(backend.calls) == {chosen}


def test_options_the_backend_cannot_do_are_refused():
    with pytest.raises(Unsupported):
        live_on(Tones(), Options(language="de"))


class Polyglot(Tones):
    languages = frozenset({"en", "nl"})
    sure = 0.95

    def transcribe_batch(self, windows, options):
        if options[0].language:
            return super().transcribe_batch(windows, options)
        tongue = {"language": "nl" if len(self.batches) % 4 == 3 else "en", "language_probability": self.sure}
        return [[replace(s, **tongue) for s in h] for h in super().transcribe_batch(windows, options)]


def test_the_language_is_locked_after_enough_sure_speech():
    backend = Polyglot()
    updates = stream(say(f"{SPEECH} " * 4), backend)
    assert backend.calls[0].language is None and backend.calls[-1].language == "en"
    assert {s.language for u in updates for s in u.final} == {"en"}


def test_an_unsure_language_is_not_locked():
    backend = Polyglot()
    backend.sure = 0.1
    stream(say(f"{SPEECH} " * 2), backend)
    assert {o.language for o in backend.calls} == {None}


def test_a_chosen_language_is_never_changed():
    backend = Polyglot()
    stream(say(f"{SPEECH} " * 4), backend, options=Options(language="nl"))
    assert {o.language for o in backend.calls} == {"nl"}


class Looping(Tones):
    """Its quick answers loop; the careful one (temperature None) does not."""

    def transcribe_batch(self, windows, options):
        heard = super().transcribe_batch(windows, options)
        return [[replace(s, avg_logprob=-2.0, compression_ratio=9.0) for s in h] for h in heard]


def test_a_hypothesis_whose_scores_failed_settles_nothing_and_is_heard_again_with_care():
    backend = Looping()
    updates = stream(np.r_[say(SPEECH), silence(1)], backend)
    assert {u.stable for u in updates} == {""} and any(u.draft for u in updates)
    assert said(updates) == SPEECH and backend.calls[-1].temperature is None
    assert not [s for u in updates for s in u.final if s.unsure]


def test_what_stays_doubtful_is_kept_and_marked():
    class Hopeless(Looping):
        def transcribe(self, audio, options):
            for s in super().transcribe(audio, options):
                yield replace(s, avg_logprob=-2.0, compression_ratio=9.0)

    updates = stream(np.r_[say(SPEECH), silence(1)], Hopeless())
    assert [(s.text.strip(), s.unsure) for u in updates for s in u.final] == [(SPEECH, True)]


def test_text_invented_where_nobody_spoke_is_dropped():
    class Subtitler(Tones):
        """Ends every window with thanks."""

        def transcribe_batch(self, windows, options):
            heard = super().transcribe_batch(windows, options)
            return [[*h, thanks(len(w) / SAMPLE_RATE)] for h, w in zip(heard, windows, strict=True)]

    def thanks(end):
        return Segment.of([Word(end - 0.15, end, " Thank you.")])

    assert finals(stream(np.r_[say("ask not"), silence(1)], Subtitler(), interval=9)) == ["ask not"]
    assert said(stream(say("ask not", gap=0), Subtitler(), interval=9)) == "ask not Thank you."


def test_a_backend_without_word_times_gives_segments_without_words():
    updates = stream(np.r_[say(SPEECH), silence(1), say("and so"), silence(1)], Wordless())
    assert finals(updates) == [SPEECH, "and so"]
    assert all(s.words == () for u in updates for s in u.final)
    assert any(u.stable and u.draft for u in updates)


def test_a_native_stream_hears_every_sample_of_an_utterance_once():
    backend = Native()
    live = live_on(backend)
    audio = np.r_[silence(2), say(SPEECH), silence(2), say("and so"), silence(1)]
    updates = list(replay(live, pieces(audio, 0.02), backend))
    heard = live._engine.audio
    assert finals(updates) == [SPEECH, "and so"]
    assert len(heard) / SAMPLE_RATE == pytest.approx(9 * 0.36 + 2 * 0.36 + 2 * 0.6, abs=0.2)
    assert [s.start for u in updates for s in u.final] == pytest.approx([2.0, 2 + 3.24 + 2], abs=0.05)


@pytest.mark.parametrize("backend", [Tones, Wordless])
def test_a_pass_that_fails_loses_nothing(backend):
    backend = backend()
    live, told, n = live_on(backend), [], 0
    live.feed(np.r_[say(SPEECH), silence(1)])
    live.finish()
    while (update := live.listen()) or live.wants is not None:
        told.append(update)
        if live.wants is not None:
            job, n = live.take(), n + 1
            failed = n % 3
            told.append(live.missed(job, "It broke.") if failed else live.heard(job, hear(backend, [job])[0]))
    assert said(filter(None, told)) == SPEECH and {u.error for u in told if u} == {"", "It broke."}


def test_a_word_said_twice_is_kept_twice():
    sentence = "ask ask ask not not what what what what"
    assert said(stream(say(sentence))) == sentence


class Generous(Tones):
    """Counts the silence around a word to the word, as Whisper does."""

    def transcribe_batch(self, windows, options):
        heard = super().transcribe_batch(windows, options)
        return [[self._wide(s, len(w) / SAMPLE_RATE) for s in h] for h, w in zip(heard, windows, strict=True)]

    def _wide(self, segment, length):
        words = list(segment.words)
        words[0] = replace(words[0], start=0.0)
        words[-1] = replace(words[-1], end=length)
        return Segment.of(words)


def test_silence_is_not_counted_to_words():
    (segment,) = [
        s for u in stream(np.r_[silence(3), say("ask not"), silence(1)], Generous()) for s in u.final
    ]
    assert (segment.start, segment.end) == pytest.approx((3.0, 3.66), abs=0.15)


def test_words_are_in_order_and_never_overlap():
    updates = stream(np.r_[say(f"{SPEECH} " * 3), silence(1), say(SPEECH)], Generous(), longest=4)
    words = [w for u in updates for s in u.final for w in s.words]
    assert len(words) == 36
    assert all(a.end <= b.start and b.start <= b.end for a, b in pairwise(words))


# -- agreement


def words(text, start=0.0, each=0.3):
    return [Word(start + i * each, start + (i + 1) * each, f" {w}") for i, w in enumerate(text.split())]


def test_case_and_punctuation_are_no_disagreement():
    assert agreed(words("ask Not, what"), words("Ask not what your")) == 3
    assert agreed(words("ask not"), words("ask now not")) == 1
    assert agreed(words("नमस्ते दुनिया"), words("नमस्ता दुनिया")) == 0


def test_only_an_echo_is_an_echo():
    settled = words("your country")
    assert echo(settled, [Word(0.6, 0.68, " country."), *words("can do", 0.7)], until=0.7) == 1
    assert echo(settled, words("country can do", 0.62), until=0.7) == 0
    assert echo(settled, words("can do", 0.6), until=0.7) == 0
    assert echo([], words("can"), until=9.0) == 0


def test_settled_words_are_found_again_in_a_hypothesis_that_changed_its_mind():
    settled = words("ask not what your")
    assert covered(settled, words("Ask not, what your country")) == 4
    assert covered(settled, words("ask now what your country can")) == 4
    assert covered(settled, words("task not what all your country")) == 5
    assert covered(settled, words("something else")) == 2
    assert covered([], words("ask")) == 0


def test_words_without_times_share_their_segments_time():
    assert words_of([Segment(1.0, 3.0, " ask not")]) == [Word(1.0, 2.0, " ask"), Word(2.0, 3.0, " not")]
    assert [w.word for w in words_of([Segment(0.0, 1.0, "你好 hi。")])] == ["你", "好", " hi。"]
    assert words_of([Segment(0.0, 1.0, "")]) == []


def test_a_word_at_a_cut_keeps_the_capitals_it_had_in_its_sentence():
    assert written_as(Word(0, 1, " country"), Word(0, 1, " Country,")).word == " country,"
    assert written_as(Word(0, 1, " Anna"), Word(0, 1, " anna")).word == " Anna"
    assert written_as(Word(0, 1, " 12"), Word(0, 1, " Twelve")).word == " Twelve"


def test_the_configuration_sets_the_pause_and_what_the_encoder_is_given():
    audio = np.r_[say("ask not"), silence(0.8), say("what"), silence(1.5)]
    for pause, utterances in ((0.3, 2), (1.0, 1)):
        assert paced(Config(live_pause=pause)).pause == pause
        assert len(finals(stream(audio, pause=pause))) == utterances
    tones = Tones()
    tones.can = Tones.can | {"short"}
    assert paced(Config(live_encoder_seconds=5)).options(NOTHING_ASKED, tones).encoder_seconds == 5
    assert paced(Config()).options(NOTHING_ASKED, tones).encoder_seconds is None
