"""The session of a realtime connection as `session.update` shapes it: OpenAI's GA transcription session.

Only the fields an update has are changed; null clears. What OpenAI has and this server does
not (noise reduction, semantic VAD, delay, logprobs) is refused by name.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asr.api.errors import Refused, refusal
from asr.api.schema import language_of


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Pcm(_Strict):
    type: Literal["audio/pcm"]
    rate: Literal[24000] = 24000


class G711(_Strict):
    type: Literal["audio/pcmu", "audio/pcma"]


class Transcription(_Strict):
    model: str = "auto"
    language: str | None = None
    languages: list[str] = Field([], max_length=16)
    prompt: str | None = Field(None, max_length=16_384)
    keywords: list[str] = Field([], max_length=100)
    delay: None = None


class ServerVad(_Strict):
    type: Literal["server_vad"]
    threshold: float = Field(0.5, gt=0, lt=1)
    prefix_padding_ms: int = Field(300, ge=0, le=5_000)
    silence_duration_ms: int = Field(500, ge=32, le=10_000)
    create_response: bool | None = None  # about answers, which a transcription session has none of
    interrupt_response: bool | None = None
    idle_timeout_ms: None = None


class Input(_Strict):
    format: Annotated[Pcm | G711, Field(discriminator="type")] = Pcm(type="audio/pcm")
    noise_reduction: None = None
    transcription: Transcription | None = Transcription()
    turn_detection: ServerVad | None = ServerVad(type="server_vad")


class Audio(_Strict):
    input: Input = Input()


class Session(_Strict):
    type: Literal["transcription"] = "transcription"
    audio: Audio = Audio()
    include: list[str] | None = Field(None, max_length=0)

    @property
    def input(self) -> Input:
        return self.audio.input

    def shown(self) -> dict:
        """As session.created and session.updated show it."""
        found = self.model_dump(exclude_none=False)
        vad, asked = found["audio"]["input"]["turn_detection"], found["audio"]["input"]["transcription"]
        for part in (vad, asked):
            for name in [n for n, value in (part or {}).items() if value is None or value == []]:
                del part[name]
        return found


def updated(session: Session, update: object) -> Session:
    """`session` with what `update` says; raises Refused, naming the field."""
    if not isinstance(update, dict):
        raise Refused("'session' must be an object.", param="session", code="invalid_type")
    if update.get("type", "transcription") != "transcription":
        raise Refused(
            "This server transcribes; it holds no conversations.",
            'Send "type": "transcription".',
            param="session.type",
            code="invalid_value",
        )
    try:
        changed = Session.model_validate(_merged(session.model_dump(), update))
    except ValidationError as e:
        raise _explained(e) from None
    if asked := changed.input.transcription:
        language_of(asked.language, asked.languages)
    return changed


_MISSING = {
    "session.audio.input.noise_reduction": "Noise reduction is not available here.",
    "session.audio.input.transcription.delay": "There is no delay: text comes as soon as it is settled.",
    "session.audio.input.turn_detection.idle_timeout_ms": "idle_timeout_ms is for conversations.",
    "session.include": "Log probabilities are not available in realtime sessions.",
}


def _explained(error: ValidationError) -> Refused:
    refused = refusal(error, {}, prefix="session.")
    for param, says in _MISSING.items():
        if refused.param and refused.param.startswith(param):
            return Refused(says, "Leave it out, or send null.", param=param, code="unsupported_value")
    if refused.param == "session.audio.input.turn_detection.type":
        return Refused(
            "Only server_vad, or null, is available here.", param=refused.param, code="unsupported_value"
        )
    return refused


def _merged(old: dict, new: dict) -> dict:
    """`new` over `old`; a format of another type replaces the old one whole."""
    if "type" in new and new["type"] != old.get("type"):
        return new
    return {
        **old,
        **{
            k: _merged(old[k], v) if isinstance(v, dict) and isinstance(old.get(k), dict) else v
            for k, v in new.items()
        },
    }
