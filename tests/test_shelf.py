"""What the page says of jobs: how far they are, what came of them, and the list of all of one's own."""

import time
from dataclasses import replace

import pytest

from asr.diarize import BETTER
from asr.errors import Unsupported
from asr.jobs import Job, Wishes
from asr.types import Segment, Transcript
from ui import choices, report, shelf

JOB = Job("i" * 22, "a" * 64, "Board <b>.m4a", ".m4a", 1000, 1e9, "done", (), Wishes(), duration=125.0)
TEXT = Transcript((Segment(0, 3, " ask"), Segment(3, 60, " not", unsure=True)), 125.0)
NOTHING = Transcript((), 125.0)
ON = replace(JOB, state="working", stages=("transcribe",), progress=0.5, began=time.time())


def listed(*jobs, ahead=0) -> str:
    return shelf.listed(jobs, lambda id: "KEY", lambda id: ahead)


def test_progress_tells_what_is_known():
    assert "2 recordings before yours" in report.progress(replace(ON, state="waiting"), 0, None, 2)
    assert "1 recording before yours" in report.progress(replace(ON, state="waiting"), 0, None, 1)
    assert "2:05 read" in report.progress(replace(ON, stages=("decode",)), 0, None)
    assert "Loading tiny" in report.progress(ON, 0, None, model="Loading tiny.")
    assert "Listening for speech" in report.progress(ON, 0, None)
    told = report.progress(ON, 62.0, 120)
    assert "1:02 of 2:05" in told and "about 2 minutes left" in told and 'aria-valuenow="50"' in told
    assert "Telling speakers apart" in report.progress(replace(ON, stages=("diarize",)), 0, None)
    assert "Timing the words" in report.progress(replace(ON, stages=("align", "diarize")), 0, None)


def test_every_end_is_told_with_what_to_do():
    failed = replace(JOB, state="failed", what="The GPU is out of memory.", fix="Choose a smaller model.")
    told = report.outcome(failed, TEXT)
    assert "out of memory" in told and "smaller model" in told and "is below" in told
    assert "is below" not in report.outcome(failed, NOTHING)
    assert "Cancelled" in report.outcome(replace(JOB, state="cancelled"), NOTHING)
    assert "No speech was found" in report.outcome(JOB, NOTHING)
    assert "Underlined" in report.outcome(JOB, TEXT) and "2:05 of audio" in report.outcome(JOB, TEXT)
    warned = report.outcome(replace(JOB, what="No token.", fix="Set HF_TOKEN."), TEXT)
    assert "No token." in warned and "HF_TOKEN" in warned and "warn" in warned
    assert "cut off" in report.outcome(replace(JOB, damage="It is cut off."), TEXT)
    assert "Speakers by: a test" in report.outcome(replace(JOB, says="Speakers by: a test."), TEXT)
    approximate = replace(JOB, says=f"Speakers by: a test.{BETTER}set <HF_TOKEN>.")
    # The second half is the server's owner's to do, so it stands aside.
    told, aside = report.outcome(approximate, TEXT).split("<details")
    assert "Speakers by: a test · " in told and "set &lt;HF_TOKEN&gt;." in aside
    assert "HF_TOKEN" not in listed(approximate)


def test_the_list_offers_what_can_be_done_with_each():
    acts = {
        "uploading": (replace(JOB, state="uploading"), "again rename delete"),
        "waiting": (replace(ON, state="waiting"), "cancel rename delete"),
        "working": (ON, "cancel rename delete"),
        "done": (replace(JOB, version=1), "rename delete"),
        "cancelled": (replace(JOB, state="cancelled", stages=("transcribe",)), "again rename delete"),
        "no speakers": (replace(JOB, what="No token.", wishes=Wishes(rung="auto")), "speakers rename delete"),
    }
    known = ["again", "cancel", "speakers", "rename", "delete"]
    for job, wanted in acts.values():
        html = listed(job)
        assert [a for a in known if f'data-act="{a}"' in html] == wanted.split(), job.state
        assert ("Open in the editor" in html) == (bool(job.version) or job.state in ("waiting", "working"))
        assert ("export/txt?key=KEY" in html) == bool(job.version)
    assert "1 recording before yours" in listed(replace(ON, state="waiting"), ahead=1)


def test_an_empty_list_and_the_time_things_are_kept_are_told():
    assert "Nothing here yet" in listed()
    assert "until you delete them" in shelf.shelf(0) and "24 hours after" in shelf.shelf(24.0)


def test_what_people_wrote_is_escaped():
    evil = "<script>alert(1)</script>"
    html = listed(replace(JOB, name=evil, what=evil, fix=evil, says=evil, model=evil))
    assert "<script" not in html and "&lt;script" in html


@pytest.mark.parametrize(
    "text, count",
    [("", (None, None, None)), (" 3 ", (3, None, None)), ("2-5", (None, 2, 5)), ("2 – 5", (None, 2, 5))],
)
def test_a_number_of_speakers_is_said_as_people_say_it(text, count):
    assert choices.count(text) == count


@pytest.mark.parametrize("text", ["many", "0", "5-2", "3-", "-3", "1.5", "999", "2-999", "<b>"])
def test_an_impossible_number_of_speakers_is_refused_with_a_sentence(text):
    with pytest.raises(Unsupported) as refused:
        choices.count(text)
    assert refused.value.fix
