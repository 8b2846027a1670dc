import json
import wave

import numpy as np
import pytest

from asr import backends
from asr.audio import to_pcm16
from asr.bench import live as bench_live
from asr.bench import streams as bench_streams
from asr.bench.measures import Shown, measure, summary
from asr.bench.policies import POLICIES
from asr.bench.replay import fast, real
from asr.bench.shapes import Shape, stretched
from asr.bench.words import Gold, align, plain, read_gold, word_error_rate
from asr.errors import ASRError, UnknownModel
from asr.live import LiveTranscriber
from asr.scheduler import Scheduler
from asr.types import Options, Segment, Word
from asr.vad import FRAME
from tests.conftest import DIGITS
from tests.speech import speak
from tests.tones import SAMPLE_RATE, Tones, loud, say, silence

SPEECH = "ask not what your country can do for you"


def gold(text, start=0.0, word=0.3, gap=0.06):
    return [
        Gold(start + i * (word + gap), start + i * (word + gap) + word, w) for i, w in enumerate(text.split())
    ]


# -- gold words and errors


def test_gold_words_are_read_from_lines_and_from_json(tmp_path):
    words = [Gold(0.5, 0.9, "Ask"), Gold(1.0, 1.25, "not")]
    path = tmp_path / "gold"
    path.write_text("# start\tend\tword\n1.0\t1.25\tnot\n\n0.5\t0.9\tAsk\n")
    assert read_gold(path) == words
    as_json = [{"start": 0.5, "end": 0.9, "word": " Ask"}, {"start": 1.0, "end": 1.25, "word": " not"}]
    for form in (as_json, {"words": as_json}, {"segments": [{"words": as_json[:1]}, {"words": as_json[1:]}]}):
        path.write_text(json.dumps(form))
        assert read_gold(path) == words


@pytest.mark.parametrize("text", ["ask not", "1\t2", "a\tb\tc", '{"text": "ask"}', '[{"start": 1}]', "{"])
def test_what_is_no_gold_is_refused_with_the_format(tmp_path, text):
    (tmp_path / "gold").write_text(text)
    with pytest.raises(ASRError, match="start, end and word"):
        read_gold(tmp_path / "gold")
    with pytest.raises(ASRError, match="cannot be read"):
        read_gold(tmp_path / "missing")


def test_errors_are_counted_by_kind():
    found = align(
        plain("ask not what can your own country do"), plain("ask now what your own big country do")
    )
    assert (found.substituted, found.deleted, found.inserted, found.errors) == (1, 1, 1, 3)
    assert found.pairs == ((0, 0), (2, 2), (4, 3), (5, 4), (6, 6), (7, 7))
    assert word_error_rate(["ask"], ["ask"]) == 0 and word_error_rate([], ["ask"]) is None
    assert plain("Don't ASK, “what” 3.5!") == ["dont", "ask", "what", "3", "5"]


# -- measures


def shown(at, final="", stable="", draft="", heard=None):
    settled = (*final.split(), *stable.split())
    return Shown(at, at if heard is None else heard, tuple(final.split()), settled, tuple(draft.split()))


def test_delays_count_from_the_end_of_the_gold_word():
    history = [
        shown(1.0, draft="ask", heard=0.8),
        shown(2.0, stable="ask", draft="now", heard=1.7),
        shown(3.0, stable="ask", draft="not", heard=2.5),
        shown(4.0, final="ask not", heard=2.5),
    ]
    found = measure(history, [Segment(0, 1, " Ask not.")], [Gold(0, 0.5, "ask"), Gold(0.6, 1.0, "not")], 5)
    assert found["wer"] == 0 and found["words"] == 2
    assert found["first_seen"]["aware"]["mean"] == pytest.approx((0.5 + 2.0) / 2)
    assert found["confirmed"]["aware"]["mean"] == pytest.approx((1.5 + 3.0) / 2)
    assert found["confirmed"]["unaware"]["mean"] == pytest.approx((1.2 + 1.5) / 2)
    assert found["ttfs"]["aware"] == {"mean": 3, "p50": 3, "p90": 3, "p95": 3, "p99": 3, "count": 1}


def test_what_is_taken_back_is_counted():
    history = [
        shown(1, draft="ask now what"),
        shown(2, draft="ask not what"),
        shown(3, stable="ask not what"),
    ]
    found = measure(history, [Segment(0, 1, " ask not what")], [], 5)
    assert found["erasure"] == pytest.approx(2 / 3) and found["upwr"] == pytest.approx(1 / 3)
    assert found["erasure_settled"] == 0
    broken = [shown(1, stable="ask now"), shown(2, stable="ask not")]
    assert measure(broken, [Segment(0, 1, " ask not")], [], 5)["erasure_settled"] == 0.5


def test_invented_words_are_those_far_from_any_said():
    said = Segment.of([Word(1.0, 1.3, " ask"), Word(30.0, 30.4, " thank"), Word(30.4, 30.6, " you")])
    found = measure([], [said], [Gold(1.0, 1.3, "ask")], 61.3)
    assert found["invented_per_minute"] == pytest.approx(2.0) and found["inserted"] == 2
    assert measure([], [], [], 60)["invented_per_minute"] == 0 and measure([], [], [], 60)["wer"] is None


def test_percentiles_are_by_nearest_rank():
    assert summary(list(range(1, 101))) == {
        "mean": 50.5,
        "p50": 50,
        "p90": 90,
        "p95": 95,
        "p99": 99,
        "count": 100,
    }
    assert summary([]) is None


# -- replay


def policy(name, backend):
    return POLICIES[name](backend, Options(), vad=lambda: loud)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_hears_every_word_and_settles_for_good(name):
    backend, sentence = Tones(), f"{SPEECH} and so my fellow americans {SPEECH}"
    audio = np.r_[silence(1), say(sentence, word=0.34), silence(1)]
    record = fast(policy(name, backend), backend, audio, cost=lambda took: 0.1)
    found = measure(record.shown, record.segments, gold(sentence, 1.0, word=0.34), len(audio) / SAMPLE_RATE)
    assert found["erasure_settled"] == 0 and found["confirmed"]["aware"]["count"] >= 20
    assert found["deleted"] == 0 and found["wer"] <= (0 if name == "ours" else 0.15)


def test_ours_settles_sooner_than_the_baselines():
    audio, words, late = np.r_[say(SPEECH), silence(1)], gold(SPEECH), {}
    for name in POLICIES:
        backend = Tones()
        record = fast(policy(name, backend), backend, audio, cost=lambda took: 0.2)
        late[name] = measure(record.shown, record.segments, words, 5)["confirmed"]["aware"]["mean"]
    assert late["ours"] < 0.6 * late["chunked"] and late["ours"] < late["localagreement"]


def test_a_slow_model_shows_on_the_wall_clock_and_not_on_the_audios():
    found = []
    for cost in (0.0, 0.3):
        backend = Tones()
        record = fast(
            policy("chunked", backend), backend, say(f"{SPEECH} {SPEECH}"), cost=lambda took, c=cost: c
        )
        found.append(measure(record.shown, record.segments, gold(f"{SPEECH} {SPEECH}"), 7)["confirmed"])
    assert found[1]["aware"]["mean"] - found[0]["aware"]["mean"] == pytest.approx(0.3, abs=0.05)
    assert found[1]["unaware"]["mean"] == pytest.approx(found[0]["unaware"]["mean"], abs=0.05)


def test_real_time_and_simulated_time_give_the_same_text():
    backend, audio = Tones(), np.r_[say("ask not what your"), silence(0.8)]
    scheduler = Scheduler(backend, vad=lambda: loud)
    try:
        record = real(scheduler, Options(), audio)
    finally:
        scheduler.close()
    simulated = fast(LiveTranscriber(backend, Options(), vad=lambda: loud), backend, audio)
    text = [s.text for s in record.segments]
    assert text == [s.text for s in simulated.segments] == [" ask not what your"]
    assert record.shown[-1].aware >= len(audio) / SAMPLE_RATE - 0.1


# -- the commands


@pytest.fixture
def spoken(tmp_path, tones):
    """A WAV of tones and its gold words."""
    audio = np.r_[silence(0.5), say("ask not what"), silence(1)]
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(to_pcm16(audio).tobytes())
    lines = [f"{g.start}\t{g.end}\t{g.word}\n" for g in gold("ask not what", 0.5)]
    (tmp_path / "a.tsv").write_text("".join(lines))

    return tmp_path


class Loud:
    """`loud` for audio in pieces of any size."""

    def __init__(self):
        self.rest = silence(0)

    def __call__(self, audio):
        known = np.r_[self.rest, audio]
        whole = len(known) // FRAME * FRAME
        self.rest = known[whole:]
        return loud(known[:whole])


def test_bench_live_prints_a_table_and_writes_json(spoken, capsys):
    arguments = [f"{spoken}/a.wav", "--words", f"{spoken}/a.tsv", "-m", "tones:pure", "--fast"]
    assert (
        bench_live.main([*arguments, "--policy", "ours,chunked", "--json", f"{spoken}/out.json"], Loud) == 0
    )
    report, table = json.loads((spoken / "out.json").read_text()), capsys.readouterr().out
    ours = report["policies"]["ours"]
    assert ours["wer"] == 0 and ours["text"] == "ask not what" and report["offline_wer"] == 0
    assert ours["confirmed"]["aware"]["mean"] < report["policies"]["chunked"]["confirmed"]["aware"]["mean"]
    assert "confirmed, s" in table and "chunked" in table and "erasure" in table


def test_bench_live_without_gold_counts_inventions(spoken, capsys):
    assert (
        bench_live.main([f"{spoken}/a.wav", "-m", "tones:pure", "--fast", "--json", f"{spoken}/o.json"], Loud)
        == 0
    )
    found = json.loads((spoken / "o.json").read_text())["policies"]["ours"]
    assert found["wer"] is None and found["invented_per_minute"] > 0
    assert "invented words per minute" in capsys.readouterr().out


def test_bench_streams_compares_batching_with_one_call_each(spoken, capsys):
    arguments = [f"{spoken}/a.wav", "--words", f"{spoken}/a.tsv", "-m", "tones:pure", "--max", "1"]
    assert bench_streams.main([*arguments, "--json", f"{spoken}/out.json"], Loud) == 0
    report = json.loads((spoken / "out.json").read_text())
    assert report["held"] == {"batching": 1, "one call per stream": 1}
    assert [(r["streams"], r["batching"]) for r in report["runs"]] == [(1, True), (1, False)]
    assert all(r["wer"] == 0 and r["erasure_settled"] == 0 for r in report["runs"])
    assert "Streams held: 1 with batching" in capsys.readouterr().out


def test_bench_streams_on_a_simulated_clock(spoken):
    arguments = [f"{spoken}/a.wav", "--words", f"{spoken}/a.tsv", "-m", "tones:pure", "--max", "8"]
    arguments += ["--json", f"{spoken}/out.json", "--calls"]

    def held(calls):
        assert bench_streams.main([*arguments, calls], Loud) == 0
        report = json.loads((spoken / "out.json").read_text())
        assert all(r["wer"] == 0 and r["erasure_settled"] == 0 for r in report["runs"])
        return report["held"]["batching"], report["held"]["one call per stream"]

    assert held("0.001,0.01") == (8, 8)
    together, apart = held("0.5,0.01")  # as on a GPU: a batch costs next to nothing
    assert together == 8 > apart
    together, apart = held("0.0,5.0")
    assert together == apart == 0


def test_bench_streams_narrows_the_number_down():
    asked = []

    def go(batching, count):
        asked.append(count)
        return {"streams": count, "batching": batching, "held": count <= 11}

    found = list(bench_streams.sweep(go, True, 32))
    assert max(f["streams"] for f in found if f["held"]) == 11
    assert asked[:5] == [1, 2, 4, 8, 16] and len(asked) <= 9
    asked.clear()
    list(bench_streams.sweep(go, True, 6))
    assert asked == [1, 2, 4, 6]


def test_a_stretched_model_hears_the_same(tmp_path, digits):
    shapes = {"speck": Shape(256, 4, 4)}
    big = backends.load(f"faster_whisper:{stretched(DIGITS, 'speck', tmp_path / 'speck', shapes)}", "cpu")
    audio, options = speak("four two nine"), [Options("en", word_timestamps=True)]
    (mine,), (theirs,) = (b.transcribe_batch([audio], options) for b in (digits, big))
    assert [s.text for s in mine] == [s.text for s in theirs] != []
    assert [w.start for w in mine[0].words] == pytest.approx([w.start for w in theirs[0].words], abs=0.1)
    assert big.decoder.whisper.n_mels == 80 and big.window == 30


@pytest.mark.parametrize("name", ["enormous", "odd", "shallow", "tiny "])
def test_a_shape_that_cannot_be_is_refused(name, tmp_path):
    shapes = {"odd": Shape(200, 4, 4), "shallow": Shape(256, 1, 4)}
    with pytest.raises(UnknownModel, match="shape"):
        stretched(DIGITS, name, tmp_path, shapes)
