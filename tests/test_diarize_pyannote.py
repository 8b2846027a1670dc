"""pyannote: what must be there before anything is downloaded, and the real code on a small pipeline."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from asr.audio import decode
from asr.config import Config
from asr.diarize import Count, diarize, terms
from asr.errors import ASRError, BackendUnavailable
from tests.hub import lead_to
from tests.pipelines import small_pipeline
from tests.test_diarize import TELEPHONE

GOOD, FINE = "hf_good", "hf_fine"
ALICE = {GOOD: {"name": "alice", "auth": {"accessToken": {"role": "read"}}},
         FINE: {"name": "alice", "auth": {"accessToken": {"role": "fineGrained"}}}}  # fmt: skip


@contextmanager
def hub(patch, tmp_path, accepted=(), broken=False):
    """A model hub that knows alice's tokens, and the terms she accepted."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            who = ALICE.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))
            if broken:
                self.reply(500, {})
            elif who is None:
                self.reply(401, {"error": "Invalid credentials in Authorization header"})
            elif self.path == "/api/whoami-v2":
                self.reply(200, who)
            elif self.path.removeprefix("/api/models/").removesuffix("/auth-check") in accepted:
                self.reply(200, {})
            else:
                self.reply(403, {}, {"X-Error-Code": "GatedRepo"})

        def reply(self, status, body, headers={}):  # noqa: B006
            data = json.dumps(body).encode()
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    lead_to(patch, f"http://127.0.0.1:{server.server_port}", tmp_path / "cache")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def token(monkeypatch):
    def set_to(value):
        monkeypatch.setattr(terms, "get_token", lambda: value)

    return set_to


@pytest.fixture(scope="module")
def telephone():
    with decode(TELEPHONE) as recording:
        yield recording


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return small_pipeline(tmp_path_factory.mktemp("pyannote") / "small")


def refusal(model="community-1") -> BackendUnavailable:
    with pytest.raises(BackendUnavailable) as refused:
        terms.check(model)
    return refused.value


def test_no_token_says_which_page_to_accept_and_which_secret_to_set(monkeypatch, tmp_path, token):
    token(None)
    with hub(monkeypatch, tmp_path):
        e = refusal()
    assert "no HF_TOKEN" in e.what
    for said in (f"https://huggingface.co/{terms.COMMUNITY}", terms.TOKENS, "secret HF_TOKEN"):
        assert said in e.fix


def test_a_bad_token_is_called_that_and_never_shown(monkeypatch, tmp_path, token):
    token("hf_mistyped")
    with hub(monkeypatch, tmp_path):
        e = refusal()
    assert "does not know the token" in e.what and terms.TOKENS in e.fix
    assert "hf_mistyped" not in str(e)


def test_a_token_without_terms_says_who_must_accept_what(monkeypatch, tmp_path, token):
    token(GOOD)
    with hub(monkeypatch, tmp_path):
        e = refusal()
    assert "belongs to alice" in e.what and terms.COMMUNITY in e.what
    assert f"https://huggingface.co/{terms.COMMUNITY} signed in as alice" in e.fix


def test_3_1_names_only_the_pages_that_are_still_missing(monkeypatch, tmp_path, token):
    token(GOOD)
    with hub(monkeypatch, tmp_path, accepted={"pyannote/speaker-diarization-3.1"}):
        e = refusal("3.1")
    assert "segmentation-3.0" in e.fix and "community-1" in e.fix
    assert "speaker-diarization-3.1" not in e.fix


def test_a_fine_grained_token_may_only_lack_a_permission(monkeypatch, tmp_path, token):
    token(FINE)
    with hub(monkeypatch, tmp_path):
        assert "fine-grained" in refusal().fix


def test_a_token_with_terms_accepted_passes(monkeypatch, tmp_path, token):
    token(GOOD)
    with hub(monkeypatch, tmp_path, accepted={terms.COMMUNITY}):
        terms.check("community-1")


def test_a_hub_that_is_down_says_so_and_offers_a_directory(monkeypatch, tmp_path, token):
    token(GOOD)
    with hub(monkeypatch, tmp_path):
        pass
    e = refusal()
    assert "cannot be reached" in e.what and "ASR_PYANNOTE_MODEL" in e.fix


def test_a_hub_that_fails_says_what_it_answered(monkeypatch, tmp_path, token):
    token(GOOD)
    with hub(monkeypatch, tmp_path, broken=True):
        assert "answered 500" in refusal().what


def test_what_is_in_the_cache_needs_nobody_s_leave(monkeypatch, tmp_path, token):
    token(None)
    lead_to(monkeypatch, "http://127.0.0.1:9", tmp_path)
    snapshot = tmp_path / f"models--{terms.COMMUNITY.replace('/', '--')}" / "snapshots" / "0"
    for name in terms.FILES["community-1"][terms.COMMUNITY]:
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).touch()
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text("0")
    monkeypatch.setattr(terms, "try_to_load_from_cache", _in(tmp_path))
    terms.check("community-1")


def _in(cache):
    from huggingface_hub import try_to_load_from_cache

    return lambda repository, name: try_to_load_from_cache(repository, name, cache_dir=cache)


def test_a_directory_that_is_no_pipeline_is_refused_before_anything_starts(telephone, tmp_path):
    with pytest.raises(BackendUnavailable, match=r"no config\.yaml"):
        diarize(telephone, "pyannote", config=Config(pyannote_model=str(tmp_path)))


def test_a_local_pipeline_goes_through_the_real_pyannote(telephone, pipeline):
    parts = []
    config = Config(pyannote_model=str(pipeline), device="cpu")
    found = diarize(telephone, "pyannote", Count(exact=2), config=config, progress=parts.append)
    assert found.by == "pyannote" and "Speakers by: pyannote" in found.says
    assert found.speakers == ("Speaker 1", "Speaker 2")
    assert any(a.end > b.start for a, b in zip(found.turns, found.turns[1:], strict=False))
    assert all(a.end <= b.start + 1e-6 for a, b in zip(found.exclusive, found.exclusive[1:], strict=False))
    assert parts == sorted(parts) and len(set(parts)) > 5


def test_a_pipeline_that_does_not_load_is_a_sentence(telephone, pipeline, tmp_path):
    (tmp_path / "config.yaml").write_text((pipeline / "config.yaml").read_text())
    with pytest.raises(ASRError, match="pyannote could not load"):
        diarize(telephone, "pyannote", config=Config(pyannote_model=str(tmp_path), device="cpu"))


def test_a_gpu_that_is_too_small_is_said_and_the_cpu_does_it(telephone, pipeline, monkeypatch):
    import torch

    from asr.diarize import pyannote

    class Small:
        """The real pipeline on a GPU that has no memory left."""

        def __init__(self, real):
            self.real, self.places = real, []

        def to(self, device):
            self.places.append(device.type)
            return self

        def __call__(self, *args, **more):
            if self.places[-1] == "cuda":
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return self.real(*args, **more)

    small = Small(pyannote._load(str(pipeline), None))
    monkeypatch.setattr(pyannote, "_load", lambda model, token: small)
    how = {"model": str(pipeline), "token": None, "device": "cuda"}
    found = pyannote.diarize(telephone, Count(exact=2), lambda _: None, **how)
    assert small.places == ["cuda", "cpu"] and "GPU's memory" in found.says
    assert len(found.speakers) == 2


def test_auto_goes_on_without_pyannote_and_says_what_would_bring_it(monkeypatch, tmp_path, token, telephone):
    token(None)
    with hub(monkeypatch, tmp_path):
        found = diarize(telephone, "auto", config=Config())
    assert found.by == "embedded" and len(found.speakers) == 2
    assert "approximate" in found.says and "secret HF_TOKEN" in found.says
