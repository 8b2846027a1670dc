"""A model hub on this machine: the part of Hugging Face's HTTP interface that downloads use."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants, file_download

COMMIT = "0" * 40


@contextmanager
def hub(
    patch: pytest.MonkeyPatch, cache: Path, repositories: dict[str, Path | tuple[int, str]]
) -> Iterator[list[str]]:
    """Serve directories under repository names; a pair is the status and error code it answers instead.

    Gives the list of paths asked for. The client's cache is `cache`.
    """
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            parts = self.path.strip("/").split("/")
            model = parts[:2] == ["api", "models"]
            name = "/".join(parts[2:4] if model else parts[:2])
            found = repositories.get(name, (401, "RepoNotFound"))
            if isinstance(found, tuple):
                self.reply(found[0], b"{}", {"X-Error-Code": found[1]} if found[1] else {})
            elif model:
                names = [{"rfilename": p.name} for p in sorted(found.iterdir())]
                self.reply(200, json.dumps({"id": name, "sha": COMMIT, "siblings": names}).encode())
            else:
                data = (found / parts[-1]).read_bytes()
                self.reply(
                    200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
                )

        do_HEAD = do_GET

        def reply(self, status: int, body: bytes, headers: dict = {}):  # noqa: B006
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    lead_to(patch, f"http://127.0.0.1:{server.server_port}", cache)
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def lead_to(patch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    """Make `address` the model hub of this process, and `cache` its cache."""
    patch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
