"""Pages that need no file of ours, for people who are not let further: the login, and refusals.

Whoever types an address into a browser reads a sentence and finds the way back; programs get JSON.
"""

from __future__ import annotations

from html import escape

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response

from asr import locales
from asr.api.errors import Refused
from asr.gate import paths

# The page's own colours (ui/assets/parlance.css), by what the browser prefers.
STYLE = """:root{color-scheme:light dark;--paper:light-dark(#f4f6f2,#0f1311);--card:light-dark(#fff,#171c19);
--ink:light-dark(#18211c,#e7ede9);--soft:light-dark(#56635b,#a2aea7);--line:light-dark(#dde3dc,#2b332e);
--edge:light-dark(#868f88,#6b776f);--accent:light-dark(#12694c,#5fcb9f);--on:light-dark(#fff,#05271a);
--wrong:light-dark(#b3261e,#ff9a91)}
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;display:grid;place-content:center;
min-height:90vh;margin:0;background:var(--paper);color:var(--ink)}
main{display:grid;gap:1rem;width:min(23rem,90vw);padding:2rem;border:1px solid var(--line);
border-radius:1rem;background:var(--card)}
header{display:flex;gap:.75rem;align-items:center;margin-bottom:.5rem}header svg{width:38px;height:38px}
form{display:grid;gap:.75rem}h1{font-size:1.5rem;line-height:1.2;letter-spacing:-.02em}
h1,p{margin:0}p{overflow-wrap:anywhere;color:var(--soft)}p:first-of-type{color:var(--ink)}
.wrong{color:var(--wrong)!important;font-weight:600}label{font-size:.875rem;font-weight:600}
input,button,.button{font:inherit;min-height:48px;padding:0 1rem;border-radius:.75rem;
border:1px solid var(--edge);background:var(--card);color:var(--ink)}
button,.button{display:grid;place-content:center;border-color:var(--accent);background:var(--accent);
color:var(--on);font-weight:600;text-decoration:none;cursor:pointer}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}"""
LOGO = """<svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8.5" fill="#12694c"/>
<g fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round"><path d="M7.5 14.4v3.2M12 9.2v13.6
M16.5 12.2v7.6"/><path d="M21.4 11.2h4.2M21.4 16h4.2M21.4 20.8h2" stroke="#ffd773"/></g></svg>"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"


def page(language: str, inner: str, status: int = 200) -> Response:
    """A whole page around `inner`, which is HTML."""
    head = "<meta charset=utf-8><meta name=viewport content='width=device-width'><title>Parlance</title>"
    html = f"<!doctype html><html lang={locales.tag(language)}>{head}<style>{STYLE}</style>"
    body = f"<main><header>{LOGO}<h1>Parlance</h1></header>{inner}</main></html>"
    return HTMLResponse(html + body, status, {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})


def read(asking: HTTPConnection) -> bool:
    """Whether a person reads the answer: somebody opens an address of the page's in a browser."""
    opened = asking.scope.get("method") == "GET" and "text/html" in asking.headers.get("accept", "")
    return opened and not paths.is_api(asking.scope["path"])


def refusal(asking: HTTPConnection, error: Refused) -> Response:
    """What happened, what to do, and the way to the page."""
    language = locales.wanted(asking.headers.get("accept-language", ""))
    said = (locales.sentence(language, one) for one in (error.what, error.fix) if one)
    way = f"<a class=button href='{home(asking)}'>{locales.text(language, 'login.page')}</a>"
    return page(language, "".join(f"<p>{escape(one)}</p>" for one in said) + way, error.status)


def home(asking: HTTPConnection) -> str:
    """Where the page is from here, also behind a proxy that gives it a folder of its own."""
    return "../" * (asking.scope["path"].count("/") - 1) or "./"
