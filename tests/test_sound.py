"""A recording's sound over HTTP: whatever range is asked for, the bytes are those of one WAV file."""

import io
import wave

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from ui import sound


@pytest.fixture(scope="module")
def pcm(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "audio.pcm"
    path.write_bytes(bytes(i * 7 % 256 for i in range(200_000)))
    return path


@pytest.fixture(scope="module")
def client(pcm):
    page = pcm.with_name("page.html")
    page.write_text("<script>alert(1)</script>")
    return TestClient(
        Starlette(
            routes=[
                Route("/wav", lambda r: sound.wav(pcm, r.headers.get("range", ""))),
                Route("/page", lambda r: sound.original(page)),
            ]
        )
    )


def test_the_whole_of_it_is_a_wav_file(client, pcm):
    answer = client.get("/wav")
    assert answer.headers["content-type"] == "audio/wav" and answer.headers["accept-ranges"] == "bytes"
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        assert file.readframes(10**9) == pcm.read_bytes()


@pytest.mark.parametrize(
    "first, last", [(0, 0), (0, 43), (10, 60), (43, 44), (44, 44), (44, 70_000), (199_000, 200_043)]
)
def test_a_range_is_a_piece_of_it(client, first, last):
    whole = client.get("/wav").content
    answer = client.get("/wav", headers={"Range": f"bytes={first}-{last}"})
    assert answer.status_code == 206 and answer.content == whole[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"


def test_open_ranges_and_ends(client):
    whole = client.get("/wav").content
    for asked, piece in {"100000-": whole[100_000:], "-5": whole[-5:], "-999999": whole}.items():
        answer = client.get("/wav", headers={"Range": f"bytes={asked}"})
        assert answer.status_code == 206 and answer.content == piece


@pytest.mark.parametrize("asked", ["5-2", "999999-", "-0", "-", "0-1,3-4", "a-b", "1" * 30 + "-"])
def test_a_range_that_is_none_is_refused(client, asked):
    assert client.get("/wav", headers={"Range": f"bytes={asked}"}).status_code == 416


def test_what_somebody_uploaded_is_never_a_page(client):
    answer = client.get("/page")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (
        answer.headers["x-content-type-options"] == "nosniff"
        and "sandbox" in answer.headers["content-security-policy"]
    )


def test_the_header_of_more_than_four_gigabytes_says_as_much_as_it_can():
    assert len(sound.header(10**10)) == sound.HEAD
