"""Speech is found whole, silence is not, and every time is exact however long the recording."""

import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from asr import vad
from asr.audio import SAMPLE_RATE, Recording, decode, load_audio, to_pcm16
from asr.errors import BackendUnavailable
from asr.vad import Silero, spans, stretches
from asr.vad.spans import FRAME, HOP, Span, packed
from tests import speech, tones

SENTENCE = "my fellow americans ask not what your country can do for you ask what you can do for your country"


@pytest.fixture(scope="module")
def talk() -> np.ndarray:
    """About 40 s of talk with pauses."""
    spoken = [speech.speak(SENTENCE, voice, rate) for voice, rate in (("en-us", 150), ("en-gb+f3", 180))]
    return np.concatenate([np.r_[s, tones.silence(1.5)] for s in spoken * 3])


def recording(audio: np.ndarray) -> Recording:
    return Recording(to_pcm16(audio))


def found(audio: np.ndarray, **rules) -> list[Span]:
    return [Span(s.start, s.end) for s in stretches(recording(audio), Silero(), **rules)]


# -- the detector


@pytest.mark.parametrize("seed", range(5))
def test_how_a_stream_is_chopped_makes_no_difference(talk, seed):
    rng = np.random.default_rng(seed)
    whole = Silero()(talk)
    cuts = np.sort(rng.integers(0, len(talk), (5, 50, 500, 1000, 2000)[seed]))
    pieces = np.split(talk, cuts)  # some of them are empty
    detector = Silero()
    told = [detector(p) for p in pieces]
    np.testing.assert_allclose(np.concatenate(told), whole, atol=1e-4)
    assert len(whole) == len(talk) // FRAME > vad.BLOCK
    fed = np.cumsum([len(p) for p in pieces])
    np.testing.assert_array_equal(np.cumsum([len(t) for t in told]), fed // FRAME)  # each as soon as known


def test_it_is_the_network_as_faster_whisper_runs_it(talk):
    theirs = pytest.importorskip("faster_whisper.vad").get_vad_model()
    audio = talk[: len(talk) // FRAME * FRAME]
    # Theirs zeroes the end of the last frame, in the caller's array.
    np.testing.assert_allclose(Silero()(audio)[:-1], theirs(audio.copy())[:-1], atol=1e-4)


def test_what_it_hears_is_left_as_it_was(talk):
    before = talk.copy()
    detector = Silero()
    detector(talk)
    detector(talk[:1000])
    np.testing.assert_array_equal(talk, before)


def test_streams_in_many_threads_do_not_disturb_each_other(talk):
    alone = Silero()(talk[: 10 * SAMPLE_RATE])
    heard = [None] * 6

    def listen(i):
        detector = Silero()
        pieces = np.split(talk[: 10 * SAMPLE_RATE], range(0, 10 * SAMPLE_RATE, 4000 + 100 * i))
        heard[i] = np.concatenate([detector(p) for p in pieces])

    threads = [Thread(target=listen, args=(i,)) for i in range(len(heard))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for probabilities in heard:
        np.testing.assert_allclose(probabilities, alone, atol=1e-4)
    assert vad._network.cache_info().currsize == 1


def test_the_detector_loads_no_recogniser():
    program = (
        "import sys, numpy as np\n"
        "from asr.vad import Silero\n"
        "Silero()(np.zeros(600, np.float32))\n"
        "print({'faster_whisper', 'ctranslate2', 'torch'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"


def test_a_missing_network_is_said(monkeypatch):
    monkeypatch.setattr(vad, "find_spec", lambda name: None)
    vad._network.cache_clear()
    with pytest.raises(BackendUnavailable, match="pip install faster-whisper"):
        Silero()


# -- spans


def speech_spans(probabilities: np.ndarray, **rules) -> list[Span]:
    return list(spans.speech_spans(probabilities, len(probabilities) * FRAME, **rules))


def windows(probabilities: np.ndarray, longest: float = 30.0, gap: float = 3.0) -> list[Span]:
    return list(packed(speech_spans(probabilities), probabilities, longest, gap))


def frames(text: str) -> np.ndarray:
    """A probability per character: '#' speech, '+' between the thresholds, '.' silence."""
    return np.array([{"#": 0.9, "+": 0.3, ".": 0.1}[c] for c in text], np.float32)


@pytest.mark.parametrize(
    "heard, expected",
    [
        ("", []),
        ("......", []),
        ("++++++", []),  # never certain
        ("..####....................", [(2, 6)]),
        ("..+###++..................", [(3, 8)]),  # begins with certainty, lasts while likely
        ("..###......###............", [(2, 14)]),  # a breath, not a pause
        ("..###....................###", [(2, 5), (25, 28)]),
        ("..##......................", []),  # a click
        ("..................####", [(18, 22)]),  # still speaking at the end
        (".................####.", [(17, 21)]),
    ],
)
def test_speech_begins_when_certain_and_lasts_while_likely(heard, expected):
    found = speech_spans(frames(heard), pad=0)
    assert [(round(s.start / HOP), round(s.end / HOP)) for s in found] == expected


def test_spans_are_widened_but_never_overlap():
    first, second = speech_spans(frames("." * 30 + "#" * 10 + "." * 20 + "#" * 10), pad=0.4)
    assert first.start == pytest.approx(30 * HOP - 0.4) and first.end == second.start == 50 * HOP
    assert second.end == 70 * HOP  # there is no more
    assert speech_spans(frames("#" * 10 + "." * 40))[0].start == 0


# -- windows


def chatter(seed: int, minutes: float = 6) -> np.ndarray:
    """Probabilities of somebody's day: turns, pauses, long silences, an endless monologue."""
    rng, parts, count = np.random.default_rng(seed), [], int(minutes * 60 / HOP)
    while sum(map(len, parts)) < count:
        n = int(rng.choice([1, 3, 20, 100, 400, 3000], p=[0.1, 0.1, 0.3, 0.3, 0.15, 0.05]))
        parts.append(rng.uniform(0.3, 1, n))
        parts.append(rng.uniform(0, 0.5, int(rng.choice([1, 5, 20, 60, 150, 700]))))
    return np.concatenate(parts)[:count].astype(np.float32)


class Script:
    """A detector that has made up its mind beforehand."""

    def __init__(self, probabilities: np.ndarray):
        self.left, self.asked = probabilities, 0

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        now, self.left = np.split(self.left, [len(audio) // FRAME])
        self.asked += len(now)
        return now


@pytest.mark.parametrize("longest, gap", [(30.0, 3.0), (30.0, 0.5), (10.0, 2.0), (5.0, 30.0)])
@pytest.mark.parametrize("seed", range(6))
def test_windows_hold_all_speech_in_order_and_are_never_too_long(seed, longest, gap):
    p = chatter(seed)
    cut = windows(p, longest, gap)
    assert all(0 < w.duration <= longest + 1e-9 for w in cut)
    assert all(a.end <= b.start for a, b in pairwise(cut))
    inside, spoken = np.zeros(len(p) * FRAME, bool), np.zeros(len(p) * FRAME, bool)
    for mask, parts in ((inside, cut), (spoken, speech_spans(p))):
        for s in parts:
            mask[round(s.start * SAMPLE_RATE) : round(s.end * SAMPLE_RATE)] = True
    assert inside[spoken].all()
    edges = np.flatnonzero(np.diff(np.r_[True, inside & ~spoken, True].astype(int)))
    silences = [b - a for a, b in pairwise(edges) if (inside & ~spoken)[a]]
    assert max(silences, default=0) <= gap * SAMPLE_RATE


@pytest.mark.parametrize("seed", range(6))
def test_windows_found_while_reading_are_those_of_the_whole(seed):
    p = chatter(seed)
    whole = windows(p)
    heard = list(stretches(Recording(np.zeros(len(p) * FRAME, np.int16)), Script(p)))
    assert [Span(s.start, s.end) for s in heard] == whole and len(whole) > 5
    for s in heard:
        first = int(s.start * SAMPLE_RATE + 0.5) // FRAME
        np.testing.assert_array_equal(s.probabilities, p[first : first + len(s.probabilities)])
        assert len(s.probabilities) * HOP >= s.duration


def test_the_first_stretch_does_not_wait_for_the_rest():
    talker = Script(np.tile(frames("#" * 200 + "." * 20), 600))
    next(stretches(Recording(np.zeros(600 * 220 * FRAME, np.int16)), talker))
    assert talker.asked * HOP < 120


def test_a_talker_without_pauses_is_cut_where_it_is_quietest():
    p = np.random.default_rng(0).uniform(0.85, 1, int(100 / HOP)).astype(np.float32)
    dips = [25.0, 48.0, 71.0]
    for t in dips:
        p[int(t / HOP) - 2 : int(t / HOP) + 3] = 0.4
    cut = windows(p)
    assert [w.end for w in cut[:-1]] == pytest.approx(dips, abs=0.1)
    assert all(a.end == b.start for a, b in pairwise(cut))


def test_long_pauses_are_better_places_than_short_ones():
    p = np.full(int(75 / HOP), 0.95, np.float32)
    p[int(24 / HOP) :][:14] = 0.05  # nearly half a second
    p[int(29 / HOP) :][:3] = 0.05  # a stop consonant
    assert windows(p)[0].end == pytest.approx(24.2, abs=0.3)


def test_windows_are_few_and_full():
    """The number of windows is what a recording costs: each is padded to 30 s."""
    talk = np.tile(frames("#" * 90 + "." * 22), 250)  # sentences of 2.9 s, pauses of 0.7 s
    cut = windows(talk)
    assert len(cut) <= 1.15 * len(talk) * HOP / 30


def test_a_long_silence_is_in_no_window():
    p = frames("#" * 60 + "." * 150 + "#" * 60 + "." * 50 + "#" * 60)
    first, second = windows(p)
    assert first.end < 2.5 and second.start > 6
    assert len(windows(p, gap=10)) == 1


def test_nothing_drifts_in_three_hours(tmp_path):
    """Beeps at known samples of a recording of 3 h: each is found in its very frames."""
    seconds = np.array([6, 61, 1800.5, 2 * 3600, 3 * 3600 - 5])
    at = (seconds * SAMPLE_RATE).astype(int) // FRAME * FRAME + [0, 100, 170, 256, 300]
    with open(tmp_path / "long.pcm", "wb") as file:
        for sample in at:
            file.seek(2 * int(sample))
            file.write(np.full(FRAME * 40, 20_000, "<i2").tobytes())
        file.truncate(2 * 3 * 3600 * SAMPLE_RATE)
    with Recording.open(tmp_path / "long.pcm") as long:
        heard = list(stretches(long, tones.loud, gap=0.1))
    first = at // FRAME
    last = -(-(at + 40 * FRAME) // FRAME)
    pad = round(0.4 * SAMPLE_RATE)
    expected = [(a * FRAME - pad, b * FRAME + pad) for a, b in zip(first, last, strict=True)]
    assert [(s.start * SAMPLE_RATE, s.end * SAMPLE_RATE) for s in heard] == expected


def test_a_stretch_knows_how_much_of_it_is_speech():
    p = np.r_[np.zeros(100), np.ones(50), np.zeros(50)].astype(np.float32)
    (stretch,) = stretches(Recording(np.zeros(200 * FRAME, np.int16)), Script(p))
    assert stretch.speech(stretch.start, stretch.end) == pytest.approx(50 * HOP)
    assert stretch.speech(110 * HOP, 120 * HOP) == pytest.approx(10 * HOP)
    assert stretch.speech(0, 100 * HOP) == 0 and stretch.speech(99, 200) == 0


# -- real sound


def installed(package: str, *path: str) -> Path:
    spec = find_spec(package)
    file = Path(spec.origin).parent.joinpath(*path) if spec else Path("nowhere")
    if not file.exists():
        pytest.skip(f"{package} is not installed")
    return file


def test_a_conversation_is_found_as_people_marked_it():
    sample = installed("pyannote.audio", "sample", "sample.wav")
    marked, heard = np.zeros(3000, bool), np.zeros(3000, bool)
    for line in sample.with_suffix(".rttm").read_text().splitlines():
        start, length = map(float, line.split()[3:5])
        marked[int(start * 100) : int((start + length) * 100)] = True
    with decode(sample) as telephone:
        for s in stretches(telephone, Silero()):
            heard[int(s.start * 100) : int(s.end * 100)] = True
    assert (marked & heard).sum() / marked.sum() >= 0.98  # recall
    assert (marked & heard).sum() / heard.sum() >= 0.9  # precision


def test_a_monologue_is_one_window():
    audio = load_audio(installed("fastrtc", "speech_to_text", "test_file.wav"))
    (window,) = found(audio)
    assert window.duration > 20
    assert len(found(np.tile(audio, 6))) <= 6  # 124 s


@pytest.mark.parametrize("times", [0.003, 0.03, 0.3])
def test_quiet_recordings_are_heard_like_loud_ones(talk, times):
    loud, quiet = found(talk), found(talk * np.float32(times))
    assert [(s.start, s.end) for s in quiet] == [pytest.approx((s.start, s.end), abs=0.2) for s in loud]


@pytest.mark.parametrize("peak", [0.1, 0.3, 0.9])
def test_short_words_in_digital_silence_are_heard(peak):
    """The bare network misses several of them."""
    files = sorted(Path(__file__).parents[2].glob("shared/data/fsdd/*.wav"))[::30]
    if not files:
        pytest.skip("the recordings of ../shared/data are not here")
    words = [load_audio(f) for f in files]
    audio = np.concatenate([np.r_[peak / np.abs(w).max() * w, tones.silence(2)] for w in words])
    heard, at, missed = found(audio, gap=0.1), 0.0, 0
    for word in words:
        end = at + len(word) / SAMPLE_RATE
        missed += not any(s.start < end and at < s.end for s in heard)
        at = end + 2
    assert missed <= 2


@pytest.mark.parametrize("gap", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("voice", ["en-us", "en-gb+f3"])
def test_no_word_is_clipped(voice, gap):
    """Words in digital silence, which the bare network is worst at."""
    audio, words = speech.digits("one six eight two five zero three nine four seven", voice, gap)
    heard = found(audio)
    for word, start, end in words:
        assert any(s.start <= start and end <= s.end for s in heard), word


SECONDS = np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE
RNG = np.random.default_rng(0)
NOTES = np.repeat(RNG.choice([262, 294, 330, 392, 440, 523], 40), SAMPLE_RATE // 2)
NO_SPEECH = {
    "silence": 0 * SECONDS,
    "white noise": RNG.normal(0, 0.2, len(SECONDS)),
    "brown noise": 0.01 * np.cumsum(RNG.normal(0, 1, len(SECONDS))) % 1 - 0.5,
    "hum": 0.3 * np.sin(2 * np.pi * 50 * SECONDS) + 0.1 * np.sin(2 * np.pi * 150 * SECONDS),
    "a tone": 0.5 * np.sin(2 * np.pi * 440 * SECONDS),
    "a chord": 0.2 * sum(np.sin(2 * np.pi * f * SECONDS) for f in (262, 330, 392)),
    "a melody": 0.5 * np.sin(2 * np.pi * np.cumsum(NOTES) / SAMPLE_RATE) * np.exp(-5 * (SECONDS * 2 % 1)),
    "clicks": (RNG.random(len(SECONDS)) < 1e-4) * 0.9,
    "a constant": 0 * SECONDS + 0.5,
}


@pytest.mark.parametrize("times", [1.0, 0.01])
@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_no_speech_gives_nothing(name, times):
    assert found((NO_SPEECH[name] * times).astype(np.float32)) == []


def test_an_empty_and_a_tiny_recording_give_nothing():
    assert found(np.zeros(0, np.float32)) == [] and found(np.zeros(100, np.float32)) == []


def test_speech_up_to_the_last_sample_is_kept(talk):
    audio = speech.speak(SENTENCE)
    end = np.flatnonzero(np.abs(audio) > 0.02)[-1] - 3000  # in the last word
    (only,) = found(audio[:end])
    assert only.end == end / SAMPLE_RATE


def test_any_detector_will_do():
    rest = tones.silence
    audio = np.concatenate([rest(5), tones.say("ask not"), rest(9), tones.say("so"), rest(1)])
    assert [s.start for s in stretches(recording(audio), tones.loud)] == pytest.approx([4.6, 14.3], abs=0.1)
