"""The page's password: one for everybody, a form, a cookie that is signed and runs out.

Nothing is kept on the server but a random file that the signature depends on: with another password,
or without that file, every cookie is void. The API has its keys and never asks for this.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, quote

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive

from asr import locales
from asr.api import body
from asr.api.errors import Refused
from asr.errors import ConfigError
from asr.gate.pages import page
from asr.gate.rates import Rate, neighbourhood

COOKIE = "parlance-login"
TRIES, ONE_MORE = 10, 60.0  # wrong passwords from one address at once, then one a minute
MOST = 4096  # bytes of the form

Say = Callable[[str], str]  # the text of a key, in the reader's language


class Login:
    def __init__(self, password: str, folder: Path, framed: bool, days: float = 30.0):
        self._framed = framed  # other sites may show the page
        self._lasting = round(days * 86_400)  # seconds until a login has run out
        self._password = hashlib.sha256(password.encode()).digest()
        # Slow on purpose: a cookie that leaks must not let its finder guess the password at leisure.
        self._key = hashlib.scrypt(password.encode(), salt=_secret(folder), n=2**14, r=8, p=1)
        self._wrong = Rate(TRIES, ONE_MORE)

    async def admit(self, asking: HTTPConnection, receive: Receive) -> Response | None:
        """None for who has logged in, or the form, or where to find it. Raises Refused (401, 429)."""
        path, method = asking.scope["path"], asking.scope.get("method", "")
        inside = self._signed(asking.cookies.get(COOKIE, ""))
        if path == "/logout" and method == "POST":
            return self._cookie(RedirectResponse("login", 303), asking, "", 0)
        if path in ("/login", "/logout"):
            return await self._form(Request(asking.scope, receive), inside)
        if inside:
            return None
        if method == "GET" and "text/html" in asking.headers.get("accept", ""):
            return RedirectResponse(f"/login?next={quote(path)}", 303)
        raise Refused("This page needs its password.", "Open /login.", status=401)

    async def _form(self, request: Request, inside: bool) -> Response:
        language = locales.wanted(request.headers.get("accept-language", ""))
        say = partial(locales.text, language)
        if request.method != "POST":
            asked = request.query_params.get("next", "")
            return page(language, _signed_in(say) if inside else _ask(say, asked))
        too_long = Refused("This is no password.", "Type it into the form.", status=413)
        sent = await body.read(request, MOST, too_long)
        fields = parse_qs(sent.decode(errors="replace"))
        given, to = (fields.get(name, [""])[0] for name in ("password", "next"))
        self._wrong.allow(neighbourhood(request))  # first: a right guess must not pass either
        if not hmac.compare_digest(hashlib.sha256(given.encode()).digest(), self._password):
            self._wrong.take(neighbourhood(request))
            return page(language, _ask(say, to, say("login.wrong")), 401)
        until = int(time.time()) + self._lasting
        answer = RedirectResponse(f".{to}" if _inner(to) else "./", 303)
        return self._cookie(answer, request, f"{until}.{self._sign(until)}", self._lasting)

    def _signed(self, cookie: str) -> bool:
        until, _, signature = cookie.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 12):
            return False
        good = hmac.compare_digest(signature.encode(), self._sign(int(until)).encode())
        return good and int(until) > time.time()

    def _sign(self, until: int) -> str:
        return hmac.new(self._key, str(until).encode(), hashlib.sha256).hexdigest()

    def _cookie(self, answer: Response, asking: HTTPConnection, value: str, age: int) -> Response:
        """In another site's frame ours is a third party's cookie: browsers want that said."""
        secure = asking.url.scheme == "https"
        site = "None; Secure; Partitioned" if secure and self._framed else "Lax" + "; Secure" * secure
        answer.headers["Set-Cookie"] = f"{COOKIE}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite={site}"
        return answer


def _secret(folder: Path) -> bytes:
    """32 random bytes that outlive a restart."""
    path = folder.resolve() / "login.secret"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
        except FileExistsError:
            pass
        return path.read_bytes()
    except OSError as e:
        what = f"{path} cannot be written: {e.strerror}."
        raise ConfigError(what, "Set ASR_DATA_DIR to a folder that can be written.") from None


def _inner(to: str) -> bool:
    """A path of this server: nobody is led elsewhere after the login."""
    return to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable()


def _ask(say: Say, to: str, complaint: str = "") -> str:
    said = f"<p class=wrong role=alert>{escape(complaint)}</p>" if complaint else ""
    return (
        f"<form method=post action=login>{said}"
        f'<input type=hidden name=next value="{escape(to)}">'
        f"<label for=password>{say('login.password')}</label>"
        "<input id=password name=password type=password autocomplete=current-password required autofocus>"
        f"<button>{say('login.open')}</button></form>"
    )


def _signed_in(say: Say) -> str:
    return (
        f"<form method=post action=logout><p>{say('login.inside')}</p>"
        f"<a class=button href='./'>{say('login.page')}</a><button>{say('login.out')}</button></form>"
    )
