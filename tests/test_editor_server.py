"""What the editor's page asks the server for, and what anybody else may try: bounds, owners, sentences."""

import json
import threading

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from asr.config import Config
from asr.gate import origins
from asr.jobs import Store, Tools, Worker
from tests.studio import SAID, SECRET, Studio
from tests.tones import Tones
from ui import editor, visitor

ME = {visitor.HEADER: SECRET}


@pytest.fixture
def house(tmp_path):
    store = Store(tmp_path / "data")
    worker = Worker(Tools(store, Config(data_dir=tmp_path / "data"), lambda _: Tones()))
    yield Studio(tmp_path, worker, "")
    store.close()


@pytest.fixture
def client(house):
    return TestClient(Starlette(routes=editor.routes(house.worker, origins.admit)), base_url="http://localhost")


@pytest.fixture
def job(house):
    return house.meeting()


def said(answer, status):
    """The sentence of a refusal."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["what"].endswith(".") and "Traceback" not in answer.text
    return f"{error['what']} {error['fix']}"


def op(id, **fields):
    return {"id": id, **fields}


def send(client, job, *operations, revision, **more):
    asked = {"revision": revision, "operations": list(operations)} | more
    return client.post(f"/recordings/{job.id}/edits", json=asked, headers=ME)


def test_a_page_gets_the_text_and_then_only_what_changed(client, house, job):
    whole = client.get(f"/recordings/{job.id}/document", headers=ME).json()
    lines = ["".join(w[0] for w in line["words"]).strip() for line in whole["lines"]]
    assert (
        lines == [text for _, text in SAID]
        and whole["speakers"][1] == "Ben"
        and len(whole["turns"]) == len(SAID)
    )
    r = whole["revision"]
    edit = op("a", op="text", line=3, text="Clearer than that one?")
    news = send(client, job, edit, revision=r, since=r).json()
    assert (news["from"], news["keep"], len(news["lines"]), news["undo"]) == (3, 7, 1, 1)
    assert "speakers" not in news and "turns" not in news
    merge = op("b", op="merge", speaker="Dora", into="Ben")
    news = send(client, job, merge, revision=r + 1, since=r + 1).json()
    assert [line for line in news["lines"] if line is not None] == [1, 1] and news["speakers"][3] is None
    split = op("c", op="split", line=0, at=2)
    news = send(client, job, split, revision=r + 2, since=r + 2).json()
    assert (news["from"], news["keep"], len(news["lines"])) == (0, 10, 2)
    again = client.get(f"/recordings/{job.id}/document?since={r}", headers=ME).json()
    assert again["revision"] == r + 3 and again["keep"] == 1 and again["from"] == 0
    assert client.get(f"/recordings/{job.id}/document?since=9999", headers=ME).json()["lines"]


def test_undo_and_redo_come_like_other_edits(client, house, job):
    r = job.revision
    edit = op("a", op="text", line=0, text="Hello.")
    news = send(client, job, edit, op("b", op="undo"), op("c", op="redo"), revision=r, since=r).json()
    assert (news["revision"], news["undo"], news["redo"]) == (r + 3, 1, 0)
    assert house.store.edited(job.id).segments[0].text == " Hello."
    assert "nothing to redo" in said(send(client, job, op("d", op="redo"), revision=r + 3), 409)


def test_what_came_already_is_not_done_twice_and_who_is_late_is_told(client, house, job):
    r, edit, join = job.revision, op("a", op="split", line=0, at=2), op("b", op="join", line=3)
    send(client, job, edit, revision=r)
    assert send(client, job, edit, revision=r).json()["revision"] == r + 1
    assert send(client, job, edit, join, revision=r).json()["revision"] == r + 2
    assert len(house.store.edits(job.id)) == 2
    assert "Somebody changed" in said(send(client, job, op("c", op="join", line=0), revision=r), 409)


def test_two_at_once_lose_nothing_and_do_nothing_twice(client, house, job):
    edits = [op(f"e{i}", op="text", line=i, text=f"Line {i}.") for i in range(5)]

    def insist(edit):
        for _ in range(50):
            if send(client, job, edit, revision=house.store.job(job.id).revision).status_code == 200:
                return

    threads = [threading.Thread(target=insist, args=(edit,)) for edit in edits * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(o["id"] for o in house.store.edits(job.id)) == [f"e{i}" for i in range(5)]
    assert [s.text.strip() for s in house.store.edited(job.id).segments[:5]] == [
        f"Line {i}." for i in range(5)
    ]


@pytest.mark.parametrize(
    "operations",
    [
        [op("a", op="text", line=99, text="x")],
        [op("a", op="nothing")],
        [op("a")],
        [{"op": "sure", "line": 0}],
        [op("a" * 41, op="sure", line=0)],
        [op(7, op="sure", line=0)],
        ["sure"],
        "sure",
        None,
        [op("a", op="speakers", turns=[], exclusive=[])],
        [op("a", op="sure", line=0)] * 201,
    ],
    ids=lambda o: json.dumps(o)[:40],
)
def test_what_is_no_edit_changes_nothing(client, house, job, operations):
    asked = {"revision": job.revision, "operations": operations}
    said(client.post(f"/recordings/{job.id}/edits", json=asked, headers=ME), 400)
    assert not house.store.edits(job.id) and house.store.job(job.id).revision == job.revision


def test_requests_are_bounded_before_they_are_read(client, job):
    huge = json.dumps({"revision": 1, "operations": [op("a", op="text", line=0, text="x" * 2**20)]})
    assert "at most" in said(client.post(f"/recordings/{job.id}/edits", content=huge, headers=ME), 413)
    assert said(client.post(f"/recordings/{job.id}/edits", content="[" * 100_000, headers=ME), 400)
    assert said(client.post(f"/recordings/{job.id}/speakers", content=b"\xff", headers=ME), 400)


def test_nobody_else_sees_or_changes_anything(client, house, job):
    here, other, evil = (
        f"/recordings/{job.id}",
        {visitor.HEADER: "00" * 32},
        ME | {"Origin": "http://e.example"},
    )
    bodies = {"document": None, "edits": {"revision": 1, "operations": []}, "speakers": {"rung": "auto"}}
    for path, body in bodies.items():
        for headers, status in ((other, 404), ({}, 401), ({visitor.HEADER: "short"}, 401), (evil, 403)):
            how = {"json": body} if body else {}
            said(client.request("POST" if body else "GET", f"{here}/{path}", headers=headers, **how), status)
    for link in ("audio", "export/txt", "audio?key=0", f"export/docx?key={'0' * 32}"):
        said(client.get(f"{here}/{link}"), 404)
    for id in ("x", "..%2f..%2fetc", "a" * 22):
        assert client.get(f"/recordings/{id}/document", headers=ME).status_code == 404
    assert "budget" not in client.get(here).text, "the page itself is the same for everybody"


def test_what_was_deleted_is_gone_from_memory_as_well(client, house, job):
    client.get(f"/recordings/{job.id}/document", headers=ME)
    key = house.store.key(job.id)
    house.worker.delete(job.id)
    said(client.get(f"/recordings/{job.id}/document", headers=ME), 404)
    said(client.get(f"/recordings/{job.id}/export/txt?key={key}"), 404)


def test_links_open_with_the_key_of_the_recording(client, house, job):
    key = house.store.key(job.id)
    text = client.get(f"/recordings/{job.id}/export/txt?key={key}&speakers=1&times=1")
    assert text.text.startswith("[") and "Ben: Yes, thanks." in text.text
    assert "no format" in said(client.get(f"/recordings/{job.id}/export/exe?key={key}"), 400)
    sound = client.get(f"/recordings/{job.id}/audio?key={key}", headers={"Range": "bytes=0-3"})
    assert sound.status_code == 206 and sound.content == b"RIFF"
    decoded = client.get(f"/recordings/{job.id}/audio?key={key}&as=wav", headers={"Range": "bytes=8-11"})
    assert decoded.content == b"WAVE"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"rung": "magic"},
        {"rung": "auto", "exact": "2"},
        {"rung": "auto", "exact": 0},
        {"rung": "auto", "low": 5, "high": 2},
    ],
)
def test_only_a_way_and_a_count_that_make_sense_find_speakers_again(client, house, job, asked):
    said(client.post(f"/recordings/{job.id}/speakers", json=asked, headers=ME), 400)
    assert house.store.job(job.id).state == "done"


def test_finding_speakers_again_waits_for_its_turn_with_these_wishes(client, house, job):
    found = client.post(
        f"/recordings/{job.id}/speakers", json={"rung": "embedded", "low": 2, "high": 4}, headers=ME
    ).json()
    assert (found["state"], found["stage"]) == ("waiting", "diarize")
    wishes = house.store.job(job.id).wishes
    assert (wishes.rung, wishes.exact, wishes.low, wishes.high) == ("embedded", None, 2, 4)
    again = client.post(f"/recordings/{job.id}/speakers", json={"rung": "auto"}, headers=ME)
    assert "already" in said(again, 409)
