"""How one server wants to be asked: found out by asking, never by configuration.

We begin with all that OpenAI's API has. What a server refuses is left out from then on; what it
answers tells the rest. Only what nobody asked for is ever left out in silence: a server that does
not take somebody's prompt gets no prompt, and that somebody an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from asr.audio import flac, wav
from asr.backends.remote.refusals import Answer, said
from asr.errors import Unsupported
from asr.types import Options

_FILES = {"flac": (flac, "audio/flac"), "wav": (wav, "audio/wav")}
# "Unknown field: model" (Hugging Face's image), "Unknown parameter: 'x'" and "Unrecognized request argument
# supplied: x" (OpenAI), "Extra inputs are not permitted" (FastAPI)
_UNKNOWN = re.compile(
    r"(unknown|unrecogni[sz]ed|unexpected|unsupported) \w* ?(field|param|arg|input|key)|extra inputs"
)
_FILE = re.compile(r"flac|file format|decod|invalid file|audio format|content.type|media type")


@dataclass(frozen=True, slots=True)
class Wire:
    """The form one server takes at one of its two paths."""

    model: str | None  # None: the server has no such field
    format: str | None = "verbose_json"  # then json, then nothing: whatever it sends
    words: bool = True
    file: str = "flac"
    hotwords: str = ""  # the name of its field for them, if it has one
    refused: frozenset[str] = frozenset()  # fields of Options

    def upload(self, audio: np.ndarray) -> tuple[str, bytes, str]:
        encode, media = _FILES[self.file]
        return f"audio.{self.file}", encode(audio), media

    def form(self, options: Options) -> dict[str, str | list[str]]:
        """The fields beside the file. Raises Unsupported for an option this server does not take."""
        for name in (*self.refused, *(() if self.hotwords else ("hotwords",))):
            if getattr(options, name):
                raise Unsupported(f"The endpoint takes no {name}.", "Leave it out, or use another endpoint.")
        timed = self.words and options.word_timestamps
        fields = {
            "model": self.model,
            "response_format": self.format,
            "timestamp_granularities[]": ["word", "segment"] if timed else None,
            "language": options.language if options.task == "transcribe" else None,  # it says what is spoken
            "prompt": options.prompt,
            "temperature": None if options.temperature is None else str(options.temperature),
        }
        if self.hotwords and options.hotwords:
            fields[self.hotwords] = _as_field(self.hotwords, options.hotwords)
        if "temperature" in self.refused:  # 0 is what it does anyway
            fields["temperature"] = None
        return {name: value for name, value in fields.items() if value is not None}

    def without(self, answer: Answer, options: Options) -> Wire | None:
        """What to try after this refusal; None where the form is not to blame."""
        words = said(answer).lower() if answer.status in (400, 415, 422) else ""
        if not words and answer.status != 415:
            return None
        sent = self.form(options)
        if "timestamp_granularities[]" in sent and "timestamp" in words:
            return replace(self, words=False)
        if "response_format" in sent and re.search("response.?format|verbose_json", words):
            return self.plainer()
        if _UNKNOWN.search(words):
            return self._unknown(words, sent)
        if self.file == "flac" and (answer.status == 415 or _FILE.search(words)):
            return replace(self, file="wav")
        return None

    def plainer(self) -> Wire:
        """One step down in what we ask for; the words go with the format that carries them."""
        return replace(self, format="json" if self.format == "verbose_json" else None, words=False)

    def _unknown(self, words: str, sent: dict) -> Wire | None:
        named = [name for name in sent if re.search(rf"\b{name.removesuffix('[]')}\b", words)]
        if "model" in named:
            return replace(self, model=None)
        if not named:
            return None
        if named[0] == self.hotwords:
            return replace(self, hotwords="")
        return replace(self, refused=self.refused | ({named[0]} & {"prompt", "temperature", "language"}))


def easier(wire: Wire) -> Iterator[Wire]:
    """What else to try with a server that refuses without saying what."""
    if wire.words:
        yield replace(wire, words=False)
    while wire.format:
        wire = wire.plainer()
        yield wire
    yield replace(wire, file="wav")


def declared(document: bytes) -> frozenset[str] | None:
    """The form fields that a server's OpenAPI page names; None where it does not say."""
    try:
        page = json.loads(document)
        path = next(p for p in page["paths"] if p.endswith("/audio/transcriptions"))
        schema = page["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        if "$ref" in schema:
            schema = page["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return frozenset(schema["properties"])
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError):
        return None


def is_ours(document: bytes) -> bool:
    """Whether an OpenAPI page is that of another Parlance, which decodes again by itself what failed."""
    try:
        return json.loads(document)["info"]["title"] == "Parlance"
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def tells_segments(document: bytes) -> bool:
    """Whether that Parlance streams segments with all that is known of them."""
    try:
        return "TimedSegment" in json.loads(document)["components"]["schemas"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _as_field(name: str, hotwords: str) -> str | list[str]:
    return [word for word in re.split(r"\s*,\s*", hotwords) if word] if name.endswith("[]") else hotwords
