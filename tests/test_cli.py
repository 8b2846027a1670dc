"""The command line, with real models on real speech; as a process of its own where that matters."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from docx import Document

from asr.__main__ import main
from asr.audio import SAMPLE_RATE, to_pcm16
from asr.commands.progress import Progress, clock
from asr.diarize import RUNGS
from asr.errors import ASRError
from asr.formats import from_json
from asr.formats.writing import names, write
from asr.types import Segment, Transcript
from tests import hostile
from tests.conftest import needs_voices
from tests.speech import digits, speak

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "tests" / "models" / "whisper-digits"
SPHINX = ("--model", "pocketsphinx")
WHISPER = ("--model", str(DIGITS), "--language", "en")


def save(path: Path, *phrases: str, pause: float = 0.5) -> Path:
    """A WAV of these phrases with `pause` seconds around them."""
    said = {phrase: speak(phrase) for phrase in set(phrases)}
    rest = np.zeros(int(pause * SAMPLE_RATE), np.float32)
    with wave.open(str(path), "wb") as f:
        f.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        f.writeframes(
            to_pcm16(np.concatenate([rest, *(x for p in phrases for x in (said[p], rest))])).tobytes()
        )
    return path


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("talk") / "talk.wav", "seven three one", "four nine")


def asr(*args, **more) -> subprocess.Popen:
    """`python -m asr` as its own process, without any ASR_* of the caller's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ASR_")} | more.pop("env", {})
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    return subprocess.Popen([sys.executable, "-m", "asr", *map(str, args)], cwd=ROOT, env=env, **pipes)


def run(*args, stdin: bytes = b"", **more) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    process = asr(*args, **more)
    out, err = process.communicate(stdin, timeout=120)
    return process.returncode, out.decode(), err.decode()


def test_text_goes_to_stdout_and_everything_else_to_stderr(talk):
    code, out, err = run("transcribe", talk, *WHISPER)
    assert code == 0
    assert out.split() == ["seven", "three", "one", "four", "nine"]
    assert "talk.wav" in err and "English" in err and "x real time" in err
    assert "\r" not in err, "a line is redrawn where there is no terminal"


def test_a_recording_can_come_through_a_pipe(talk):
    code, out, _ = run("transcribe", "-", *WHISPER, stdin=talk.read_bytes())
    assert code == 0 and "seven three one" in out


def test_each_format_becomes_a_file(talk, tmp_path):
    args = ["transcribe", str(talk), *WHISPER, "-o", str(tmp_path / "new" / "folder")]
    assert main([*args, "-f", "txt,srt,vtt,tsv,json,verbose_json", "--words"]) == 0
    files = {p.name: p.read_text(encoding="utf-8") for p in (tmp_path / "new" / "folder").iterdir()}
    assert set(files) == {f"talk.{s}" for s in ("txt", "srt", "vtt", "tsv", "json", "verbose.json")}
    transcript = from_json(files["talk.json"])
    assert transcript.language == "en" and transcript.duration > 3
    words = [w.word.strip() for s in transcript.segments for w in s.words]
    assert words == ["seven", "three", "one", "four", "nine"]
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\nseven three one four nine\n", files["talk.srt"])


def test_a_document_is_written_and_opens(talk, tmp_path):
    assert main(["transcribe", str(talk), *WHISPER, "-o", str(tmp_path), "-f", "docx,diarized_json"]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"talk.docx", "talk.diarized.json"}
    text = " ".join(p.text for p in Document(str(tmp_path / "talk.docx")).paragraphs)
    assert text.split() == ["seven", "three", "one", "four", "nine"]


def test_subtitles_are_timed_by_words_without_being_told(talk, capsys):
    assert main(["transcribe", str(talk), *SPHINX, "-f", "json"]) == 0
    assert not any(s.words for s in from_json(capsys.readouterr().out).segments)
    assert main(["transcribe", str(talk), *SPHINX, "-f", "srt"]) == 0
    start = re.search(r"(\d\d),(\d{3}) -->", capsys.readouterr().out)
    assert 0.4 < float(f"{start[1]}.{start[2]}") < 0.8, "the cue does not begin with its first word"


@pytest.fixture(scope="module")
def meeting(tmp_path_factory) -> Path:
    """Two people taking turns."""
    said = [("en-us+m3", "seven three nine one two"), ("en-gb+f4", "four nine zero eight one")] * 2
    sound = [digits(text, voice, lead=0.3, tail=0.4)[0] for voice, text in said]
    path = tmp_path_factory.mktemp("meeting") / "meeting.wav"
    with wave.open(str(path), "wb") as f:
        f.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        f.writeframes(to_pcm16(np.concatenate(sound)).tobytes())
    return path


MEETING = "Speaker 1: seven three nine one two\nSpeaker 2: four nine zero eight one\n" * 2


@needs_voices
def test_speakers_are_told_apart_and_it_is_said_how(meeting, capsys):
    assert main(["transcribe", str(meeting), *WHISPER, "--diarize", "embedded", "--speakers", "2"]) == 0
    out, err = capsys.readouterr()
    assert out == MEETING
    assert "meeting.wav: Speakers by: " in err and "2 speakers" in err


@needs_voices
def test_speakers_stand_in_every_format_with_the_times_of_words(meeting, tmp_path):
    args = ["transcribe", str(meeting), *WHISPER, "--speakers", "1-3", "-o", str(tmp_path)]
    assert main([*args, "-f", "json,vtt,diarized_json,docx"]) == 0
    segments = from_json((tmp_path / "meeting.json").read_text()).segments
    assert [s.speaker for s in segments] == ["Speaker 1", "Speaker 2"] * 2
    assert all(len(s.words) == 5 and {w.speaker for w in s.words} == {s.speaker} for s in segments)
    assert (tmp_path / "meeting.vtt").read_text().count("<v Speaker 2>") >= 2
    document = Document(str(tmp_path / "meeting.docx"))
    assert "\n".join(p.text for p in document.paragraphs) + "\n" == MEETING


def test_the_text_is_kept_when_its_speakers_cannot_be_told_apart(meeting, tmp_path, capsys, monkeypatch):
    from asr import diarize

    def fails(*_, **__):
        raise ASRError("The hub refused the token.", "Set HF_TOKEN.")

    monkeypatch.setattr(diarize, "diarize", fails)
    assert main(["transcribe", str(meeting), *WHISPER, "--diarize", "auto", "-o", str(tmp_path)]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["meeting.txt"]
    assert (tmp_path / "meeting.txt").read_text().split() == re.sub(r"Speaker \d:", "", MEETING).split()
    err = capsys.readouterr().err
    assert "speakers were not told apart; the text is whole. The hub refused the token. Set HF_TOKEN." in err


def test_words_are_aligned_for_an_engine_that_times_none(talk, tmp_path, capsys, monkeypatch):
    from asr.backends import faster_whisper

    load = faster_whisper.load

    def wordless(*args):
        backend = load(*args)
        backend.can = backend.can - {"words"}
        return backend

    monkeypatch.setattr(faster_whisper, "load", wordless)
    monkeypatch.setenv("ASR_ALIGN_MODEL", str(ROOT / "tests" / "models" / "wav2vec2-digits"))
    args = ["transcribe", str(talk), *WHISPER, "-f", "json", "-o", str(tmp_path)]
    assert main([*args, "--words"]) == 2 and "Add --align" in capsys.readouterr().err
    assert main([*args, "--words", "--align"]) == 0
    words = [w for s in from_json((tmp_path / "talk.json").read_text()).segments for w in s.words]
    assert [w.word.strip() for w in words] == ["seven", "three", "one", "four", "nine"]
    assert 0.4 < words[0].start < 0.7 and not any(w.interpolated for w in words)


def test_words_that_cannot_be_aligned_are_told_by_the_exit_code(talk, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ASR_ALIGN_MODEL", str(tmp_path / "none"))
    assert main(["transcribe", str(talk), *WHISPER, "--align"]) == 1
    out, err = capsys.readouterr()
    assert out.split() == ["seven", "three", "one", "four", "nine"]
    assert "Words were not aligned. There is no alignment model" in err


def test_one_bad_file_does_not_cost_the_others(talk, tmp_path, capsys):
    (bad := tmp_path / "bad.wav").write_bytes(b"no sound in here")
    code = main(["transcribe", str(bad), str(tmp_path / "none.wav"), str(tmp_path), str(talk), *WHISPER])
    out, err = capsys.readouterr()
    assert code == 1 and "seven three one" in out
    for name, why in (
        ("bad.wav", "failed. "),
        ("none.wav", "no such file"),
        (str(tmp_path), "is a directory"),
    ):
        assert any(name in line and why in line for line in err.splitlines())
    assert "3 of 4 recordings failed" in err and "Traceback" not in err


def test_all_hostile_files_together_get_an_answer_each(tmp_path, capsys):
    (folder := tmp_path / "in").mkdir()
    files = [str(hostile.write(folder, name)) for name in [*hostile.REFUSED, *hostile.HEARD]]
    assert main(["transcribe", *files, *SPHINX, "-o", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err and f"{len(hostile.REFUSED)} of {len(files)} recordings failed" in err
    assert all(any(line.startswith(f"{file}: ") for line in err.splitlines()) for file in files)
    assert len(list((tmp_path / "out").iterdir())) == len(hostile.HEARD)


def test_no_model_is_loaded_for_files_that_are_not_there(capsys):
    assert main(["transcribe", "nothing.wav", "--model", "no-such-model"]) == 1
    assert "no-such-model" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "args, said",
    [
        (["-f", "doc"], "there is no format 'doc'"),
        (["-f", "txt,srt"], "add -o DIR"),
        (["-f", "docx"], "add -o DIR"),
        (["-o", __file__], "a directory is needed"),
        (["-o", f"{__file__}/below"], "-o"),
        (["-l", "klingon"], "no language 'klingon'"),
        (["--speakers", "many"], "write 3, or 2-5"),
        (["--speakers", "0"], "write 3, or 2-5"),
        (["--speakers", "3-2"], "write 3, or 2-5"),
    ],
)
def test_what_is_not_understood_is_said_with_exit_code_2(talk, args, said, capsys):
    with pytest.raises(SystemExit) as e:
        main(["transcribe", str(talk), *args])
    assert e.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize(
    "args, said",
    [
        (["-m", "no-such-model"], "There is no model 'no-such-model'."),
        (["-m", "pocketsphinx", "--task", "translate"], "cannot do 'translate'"),
        (["-m", "pocketsphinx", "--hotwords", "Kiew"], "cannot do 'hotwords'"),
        (["-m", "pocketsphinx", "--prompt", "Hello"], "cannot do 'prompt'"),
        (["-m", "pocketsphinx", "-l", "german"], "does not know the language 'de'"),
        (["--diarize", "magic"], "no --diarize magic. There are auto, "),
        (["--diarize", "none", "--speakers", "2"], "counts nobody"),
        (["--speakers", "999"], "no number of speakers"),
        (["--align", "--task", "translate"], "Leave out --align"),
    ],
)
def test_what_the_model_cannot_do_is_one_sentence_with_exit_code_2(talk, args, said, capsys):
    assert main(["transcribe", str(talk), *args]) == 2
    out, err = capsys.readouterr()
    assert said in err and not out and len(err.splitlines()) == 1


def test_a_model_that_cannot_be_had_is_one_sentence_with_exit_code_1(talk, tmp_path):
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    code, _, err = run("transcribe", talk, "-m", "small", env=offline)
    assert code == 1 and "HF_HUB_OFFLINE" in err and "Traceback" not in err


def test_without_a_hub_the_fallback_runs_and_is_labelled(talk, tmp_path):
    code, out, err = run("transcribe", talk, env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)})
    assert code == 0 and "three" in out
    assert "pocketsphinx:en-us. Offline fallback, English, low accuracy" in err and "hf download" in err


def test_a_misspelt_setting_stops_before_anything_runs(talk):
    code, out, err = run("transcribe", talk, env={"ASR_MODLE": "small"})
    assert code == 2 and not out and "Did you mean ASR_MODEL?" in err


def test_settings_count_and_arguments_count_more(talk, monkeypatch, capsys):
    monkeypatch.setenv("ASR_MODEL", "no-such-model")
    assert main(["transcribe", str(talk)]) == 2
    assert main(["transcribe", str(talk), *SPHINX]) == 0
    monkeypatch.setenv("ASR_MAX_AUDIO_HOURS", "0.0001")
    assert main(["transcribe", str(talk), *SPHINX]) == 1
    assert "ASR_MAX_AUDIO_HOURS" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_keeps_what_is_done_and_what_was_recognised_so_far(talk, tmp_path, stop):
    long = save(tmp_path / "long.wav", *["seven three one"] * 12, pause=4.0)
    terminal, its_end = os.openpty()
    process = asr("transcribe", talk, long, *SPHINX, "-o", tmp_path / "out", "-f", "txt,json", stderr=its_end)
    os.close(its_end)
    shown = read_until(terminal, r"long\.wav: [1-9]\d* % of [\d:]+, [\d.]+x real time, [\d:]+ left")
    process.send_signal(stop)
    process.wait(60)
    shown += read_until(terminal, "interrupted")
    assert process.returncode == 130 and "Traceback" not in shown
    files = {p.name: p.read_text() for p in (tmp_path / "out").iterdir()}
    assert set(files) == {"talk.txt", "talk.json", "long.partial.txt", "long.partial.json"}
    kept = from_json(files["long.partial.json"])
    assert 0 < kept.segments[-1].end < kept.duration
    assert "recognised up to" in shown


def read_until(terminal: int, pattern: str, seconds: float = 60) -> str:
    """What appears on the terminal up to something that matches."""
    text, deadline = "", time.monotonic() + seconds
    while not re.search(pattern, text):
        assert time.monotonic() < deadline, text
        try:
            text += os.read(terminal, 1000).decode()
        except OSError:  # the other end was closed
            assert re.search(pattern, text), text
    return text


def test_whoever_stops_reading_gets_no_traceback(talk):
    process = asr("transcribe", talk, talk.parent / "." / "talk.wav", talk, *SPHINX)
    process.stdout.close()
    err = process.stderr.read().decode()
    process.wait(60)
    assert process.returncode == 1 and "Traceback" not in err and "Exception ignored" not in err


def test_a_bug_in_an_engine_costs_one_recording_and_keeps_its_text(talk, tmp_path, capsys, monkeypatch):
    from asr import pipeline

    def breaks(recording, backend, options):
        yield Segment(0, 1, " seven")
        raise RuntimeError("cublas went away")

    monkeypatch.setattr(pipeline, "transcribe", breaks)
    assert main(["transcribe", str(talk), *SPHINX, "-o", str(tmp_path)]) == 1
    assert (tmp_path / "talk.partial.txt").read_text() == "seven\n"
    err = capsys.readouterr().err
    assert "RuntimeError: cublas went away" in err and "Please report it" in err


def test_text_that_cannot_be_written_is_printed(talk, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(["transcribe", str(talk), *WHISPER, "-o", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out.split() == ["seven", "three", "one", "four", "nine"]
    assert "No space left on device" in err and "printed instead" in err and not list(tmp_path.iterdir())


def test_nothing_asked_for_gets_the_help(capsys):
    assert main([]) == 2
    assert "transcribe" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["transcribe"], ["models"], ["doctor"]])
def test_help_comes_without_loading_what_it_does_not_need(command):
    heavy = ("numpy", "av", "torch", "gradio", "ctranslate2", "huggingface_hub", "docx", "pandas")
    code = f"""
import sys
from asr.__main__ import main
try:
    main({[*command, "--help"]})
except SystemExit as e:
    print(e.code, [m for m in {heavy} if m in sys.modules])
"""
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    ).stdout
    assert out.startswith("usage: python -m asr") and out.endswith("0 []\n")


def test_the_help_names_every_way_to_tell_speakers_apart(capsys):
    with pytest.raises(SystemExit):
        main(["transcribe", "--help"])
    ways = re.search(r"who says what: ([\s\S]*?)\(none\)", capsys.readouterr().out)[1]
    assert set(RUNGS) <= set(re.findall(r"\w+", ways))


def test_models_lists_all_there_is(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"faster_whisper:large-v3-turbo +1,620 MB +(yes)? +100 +MIT", out)
    assert re.search(r"pocketsphinx:en-us +- +yes +en +BSD-2-Clause +offline fallback", out)


def test_doctor_s_exit_code_tells_whether_there_is_a_problem(tmp_path):
    env = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "ASR_DATA_DIR": str(tmp_path)}
    code, out, _ = run("doctor", env=env)
    assert code == 1 and "! model      pocketsphinx:en-us" in out and "-> Where there is a network" in out
    code, out, _ = run("doctor", env=env | {"ASR_MODEL": str(DIGITS)})
    assert f"  model      faster_whisper:{DIGITS}" in out


def test_inputs_of_one_name_do_not_overwrite_each_other():
    assert names(["a/talk.mp3", "b/other.mp3"]) == {"a/talk.mp3": "talk", "b/other.mp3": "other"}
    assert set(names(["talk.mp3", "TALK.wav"]).values()) == {"talk.mp3", "TALK.wav"}
    assert list(names(["a/t.mp3", "b/t.mp3", "c/T.mp3"]).values()) == ["t.mp3", "t.mp3-2", "T.mp3-3"]
    assert names(["-"]) == {"-": "stdin"}
    tricky = list(names(["a/t.mp3", "b/t.mp3", "t.mp3-2.wav"]).values())
    assert len(set(tricky)) == 3


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    old = Transcript((Segment(0, 1, " old"),), 1.0)
    write(old, tmp_path, "talk", ["txt"])
    monkeypatch.setattr(
        os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(ASRError, match="No space left"):
        write(Transcript((Segment(0, 1, " new"),), 1.0), tmp_path, "talk", ["txt"])
    assert [p.name for p in tmp_path.iterdir()] == ["talk.txt"]
    assert (tmp_path / "talk.txt").read_text() == "old\n"


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX's")
def test_a_file_gets_the_permissions_that_any_new_file_gets(tmp_path):
    (path,) = write(Transcript((), 1.0), tmp_path, "talk", ["txt"])
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_line_is_redrawn_and_leaves_nothing_behind():
    stream = Terminal()
    progress = Progress("a long name.wav", stream)
    progress.recognised(0, 60)
    progress.say("done.")
    assert stream.getvalue() == f"\ra long name.wav: 0 % of 1:00\r{' ' * 28}\ra long name.wav: done.\n"


def test_a_file_name_cannot_control_the_terminal():
    stream = Terminal()
    Progress("x\x1b[2J\n.wav", stream).say("done.")
    assert stream.getvalue() == "x [2J .wav: done.\n"


@pytest.mark.parametrize(
    "seconds, shown", [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03"), (40_000, "11:06:40")]
)
def test_clocks_read_as_people_write_them(seconds, shown):
    assert clock(seconds) == shown
