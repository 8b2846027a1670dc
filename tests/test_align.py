"""Word times by the real whisperX with a small wav2vec2, and what is said when there is none to be had."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from asr.align import align, kept
from asr.align.aligner import Aligner
from asr.audio import SAMPLE_RATE, Recording, to_pcm16
from asr.config import Config
from asr.errors import Cancelled
from asr.types import Segment, Word
from tests.hub import hub, lead_to
from tests.speech import digits
from tests.tones import silence

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "tests" / "models" / "wav2vec2-digits"
SAID = "seven three nine one two zero"


@pytest.fixture(scope="module")
def spoken():
    """A recording of SAID, and its words with the times they were said at."""
    audio, words = digits(SAID, gap=[0.2, 0.4, 0.1, 0.6, 0.2], lead=1)
    return Recording(to_pcm16(audio)), words


def aligned(recording, *segments: Segment, language="en", model=MODEL, **more):
    return align(recording, segments, language, config=Config(align_model=str(model)), **more)


def line(recording, text=f" {SAID}", **rest) -> Segment:
    return Segment(0.7, recording.duration - 0.2, text, **rest)


def near(words, truth, tolerance=0.1) -> bool:
    pairs = zip(words, truth, strict=True)
    return all(abs(w.start - start) < tolerance and abs(w.end - end) < 0.2 for w, (_, start, end) in pairs)


def test_words_stand_where_they_were_said(spoken):
    recording, truth = spoken
    (found,), says = aligned(recording, line(recording, language="en", tokens=(1, 2), avg_logprob=-0.1))
    assert says == "" and near(found.words, truth)
    assert [w.word for w in found.words] == [f" {w}" for w in SAID.split()]
    assert not any(w.interpolated for w in found.words) and found.words[0].probability is None
    assert (found.start, found.end) == (found.words[0].start, found.words[-1].end)
    assert (found.language, found.tokens, found.avg_logprob) == ("en", (1, 2), -0.1)


def test_an_engines_words_get_better_times_and_keep_what_it_thought_of_them(spoken):
    recording, truth = spoken
    rough = [Word(0.1 * i, 0.1 * i + 0.1, f" {w}", 0.5 + 0.1 * i) for i, w in enumerate(SAID.split()[:5])]
    rough.append(Word(4, 4.1, " zero", 0.9, "Speaker 1"))
    (found,), _ = aligned(recording, Segment(0.7, recording.duration, f" {SAID}", tuple(rough)))
    assert near(found.words, truth)
    assert [w.probability for w in found.words] == [w.probability for w in rough]
    assert found.words[-1].speaker == "Speaker 1"


def test_hours_are_heard_one_segment_at_a_time(spoken):
    """Only windows are read, and a word late in the recording is as well timed as an early one."""
    recording, truth = spoken
    late = 120.0
    rest = np.zeros(int(late * SAMPLE_RATE) - len(recording), np.int16)
    whole = Recording(np.concatenate([recording.samples, rest, recording.samples]))
    longest = 0.0
    read = whole.read

    def watched(start, stop):
        nonlocal longest
        longest = max(longest, stop - start)
        return read(start, stop)

    whole.read = watched
    told: list[float] = []
    segments = line(recording), line(recording).shifted(late)
    (first, second), says = aligned(whole, *segments, progress=told.append)
    assert says == "" and near(first.words, truth) and longest < 7
    assert near(second.words, [(w, start + late, end + late) for w, start, end in truth])
    assert told == [0.5, 1.0]


def test_words_without_letters_are_put_between_their_neighbours_and_marked(spoken):
    recording, truth = spoken
    (found,), says = aligned(recording, line(recording, " seven three nine 一二 1 two — zero"))
    assert says == ""
    assert [w.word.strip() for w in found.words if w.interpolated] == ["一", "二", "1", "—"]
    times = [t for w in found.words for t in (w.start, w.end)]
    assert times == sorted(times) and "".join(w.word for w in found.words) == found.text
    assert near([w for w in found.words if not w.interpolated], [t for t in truth if t[0] != "one"], 0.3)


@pytest.mark.parametrize(
    "text",
    ["", " ", " 1 2 3", "—", " seven\u00a0three\nnine one two zero ", "İseven three", "|", " a" * 3000],
)
def test_any_text_comes_back_whole(spoken, text):
    recording, _ = spoken
    (found,), _ = aligned(recording, line(recording, text))
    assert found.text == text
    assert "".join(w.word for w in found.words) == (text if text.strip() else "")
    times = [t for w in found.words for t in (w.start, w.end)]
    assert times == sorted(times) and all(0 <= t <= recording.duration for t in times)


def test_what_cannot_be_aligned_keeps_its_time_and_is_counted(spoken):
    recording, _ = spoken
    segments = line(recording), Segment(900.0, 901.0, " after the end"), Segment(3, 3, " no" * 40)
    (_, after, none), says = aligned(recording, *segments)
    assert says == "2 of 3 segments could not be aligned: the times of their words are guessed."
    assert (after.start, after.end) == (900.0, 901.0) and all(w.interpolated for w in after.words)
    assert len(none.words) == 40 and none.words[-1].end == 3


def test_stopping_is_possible_between_two_segments(spoken):
    recording, _ = spoken

    def stop(done):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        aligned(recording, line(recording), line(recording), progress=stop)


def test_a_letter_that_becomes_two_in_lower_case_shifts_no_other():
    assert len(Aligner("en", str(MODEL)).letters(silence(1), "İİİ seven")) == 9


# The model stays for the next recording


@pytest.fixture
def loads(monkeypatch):
    """Which models are loaded, from nothing kept on."""
    seen = []

    def load(self, language, model="", device="auto"):
        seen.append((language, Path(model).name))
        real(self, language, model, device)

    real = Aligner.__init__
    monkeypatch.setattr(Aligner, "__init__", load)
    monkeypatch.setattr(kept, "_kept", [])
    return seen


def test_the_next_recording_finds_the_model_loaded(spoken, loads):
    recording, truth = spoken
    for _ in range(2):
        (found,), says = aligned(recording, line(recording))
        assert says == "" and near(found.words, truth)
    assert loads == [("en", MODEL.name)]


def test_one_that_was_stopped_leaves_the_model_for_the_next(spoken, loads):
    recording, _ = spoken
    with pytest.raises(Cancelled):
        aligned(recording, line(recording), progress=lambda _: throw(Cancelled("enough")))
    aligned(recording, line(recording))
    assert len(loads) == 1


def test_two_recordings_at_a_time_do_not_share_a_model(loads):
    with kept.borrowed("en", str(MODEL), "auto") as one, kept.borrowed("en", str(MODEL), "auto") as other:
        assert one is not other
    assert len(loads) == 2


def test_few_models_are_kept_and_not_for_ever(loads, monkeypatch):
    for language in ("en", "de", "nl", "nl"):
        with kept.borrowed(language, str(MODEL), "auto"):
            pass
    assert [language for language, _ in loads] == ["en", "de", "nl"]
    assert [key[0] for key, *_ in kept._kept] == ["de", "nl"]
    monkeypatch.setattr(kept, "IDLE", 0.05)
    with kept.borrowed("nl", str(MODEL), "auto"):
        pass
    for _ in range(100):
        if not kept._kept:
            return
        time.sleep(0.05)
    pytest.fail(f"still there: {kept._kept}")


def test_a_model_that_had_to_leave_a_full_gpu_is_not_kept(spoken, loads, monkeypatch):
    """The next recording asks the GPU again."""
    import torch

    recording, truth = spoken
    calls = []
    with kept.borrowed("en", str(MODEL), "auto") as aligner:
        align_once = aligner._whisperx.align

        def full_at_first(*args, **more):
            calls.append(args[4])
            if len(calls) == 1:
                raise torch.cuda.OutOfMemoryError("out of memory")
            return align_once(*args, **more)

        aligner._whisperx = SimpleNamespace(align=full_at_first)
    (found,), says = aligned(recording, line(recording))
    assert "GPU's memory was full" in says and near(found.words, truth)
    assert calls == ["cpu", "cpu"] and kept._kept == []


def throw(error):
    raise error


# Models that are not there


def refused(spoken, language="en", model="") -> str:
    """What is said when the segments come back as they were."""
    recording, _ = spoken
    found, says = aligned(recording, line(recording), language=language, model=model)
    assert found == (line(recording),)
    return says


def test_a_language_without_a_model_keeps_the_segments_and_says_so(spoken):
    says = refused(spoken, "th")
    assert "no alignment model for Thai" in says and "ASR_ALIGN_MODEL" in says
    assert "language is not known" in refused(spoken, None)


def test_a_directory_that_is_not_there_or_holds_no_model_is_said(spoken, tmp_path):
    assert f"no alignment model {tmp_path}/none" in refused(spoken, model=f"{tmp_path}/none")
    assert "cannot be loaded" in refused(spoken, model=str(tmp_path))


def test_a_model_comes_from_the_hub_once_and_then_from_the_cache(spoken, tmp_path, monkeypatch):
    recording, truth = spoken
    with hub(monkeypatch, tmp_path / "cache", {"somebody/digits": MODEL}):
        (found,), says = aligned(recording, line(recording), model="somebody/digits")
    assert says == "" and near(found.words, truth)
    lead_to(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")
    (found,), says = aligned(recording, line(recording), model="somebody/digits")
    assert says == "" and near(found.words, truth)


def test_a_hub_that_is_down_or_refuses_is_said_with_what_to_do(spoken, tmp_path, monkeypatch):
    lead_to(monkeypatch, "http://127.0.0.1:9", tmp_path / "one")
    says = refused(spoken, "nl")
    assert "cannot be reached" in says and "Check the network" in says and "ASR_ALIGN_MODEL" in says
    with hub(monkeypatch, tmp_path / "two", {"a/gated": (403, "GatedRepo")}):
        assert "accepted its terms" in refused(spoken, model="a/gated")
        assert "has no a/unknown" in refused(spoken, model="a/unknown")


def test_a_bundle_that_would_be_downloaded_is_not_waited_for(spoken, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    says = refused(spoken)
    assert "WAV2VEC2_ASR_BASE_960H is not here yet" in says and "ASR_ALIGN_MODEL" in says


def test_nothing_is_downloaded_and_nothing_heavy_imported_at_import():
    code = "import asr.align, sys; print([m for m in ('torch', 'whisperx', 'nltk') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "[]\n", ran.stderr


def test_the_splitter_s_data_is_never_fetched(spoken, tmp_path):
    """In a process whose nltk has no data and no way to get any."""
    code = f"""
import nltk
nltk.data.path[:] = [{str(tmp_path)!r}]
nltk.download = lambda *_, **__: 1 / 0
from pathlib import Path
import numpy as np
from asr.align.aligner import Aligner
found = Aligner("en", {str(MODEL)!r}).letters(np.zeros(32000, np.float32), "one. two")
print(sum(t is not None for t in found))
"""
    env = os.environ | {"HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
    )
    assert ran.stdout == "6\n", ran.stderr
