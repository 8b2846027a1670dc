"""When not to believe a recogniser: scores that say it failed, and text that nobody said.

The thresholds are Whisper's own (Radford et al. 2022, section 4.5, and openai/whisper's
`transcribe`): a loop compresses well, a guess has a low probability, and silence is silence
only if the model both says so and is unsure of the words it found there.
"""

from __future__ import annotations

import re
import zlib
from typing import Protocol

from asr.types import Segment

COMPRESSION_RATIO = 2.4
AVG_LOGPROB = -1.0
NO_SPEECH_PROB = 0.6
SPEECH = 0.1  # seconds of speech that a segment needs for its text to be believed
SHARE = 0.1  # of its length that must be speech, too

# What Whisper says when it hears nothing: the ends of the videos and subtitles it learned from.
PHRASES = """
thank you|thank you very much|thank you so much|thanks|thank you for watching|thanks for watching
thank you so much for watching|thank you for listening|please subscribe|subscribe
please subscribe to my channel|please like and subscribe|like and subscribe|see you next time
see you in the next video|i ll see you in the next video|bye|bye bye|you|the end|i m sorry
music|applause|silence|subtitles by the amara org community|transcription by castingwords
untertitel der amara org community|untertitel von stephanie geiges|untertitelung des zdf 2020
untertitel im auftrag des zdf für funk 2017|vielen dank|vielen dank fürs zuschauen|copyright wdr 2021
sous titres réalisés par la communauté d amara org|sous titres réalisés para la communauté d amara org
sous titrage société radio canada|merci d avoir regardé cette vidéo|merci
subtítulos realizados por la comunidad de amara org|gracias por ver el video|gracias
sottotitoli creati dalla comunità amara org|sottotitoli e revisione a cura di qtss|grazie
legendas pela comunidade amara org|obrigado|ondertiteld door de amara org gemeenschap|bedankt
tack till elever och lärare|napisy stworzone przez społeczność amara org|dziękuję
продолжение следует|субтитры сделал dimatorzok|субтитры создавал dimatorzok|спасибо за просмотр
редактор субтитров а семкин корректор а егорова|ご視聴ありがとうございました|ありがとうございました
请不吝点赞 订阅 转发 打赏支持明镜与点点栏目|字幕由amara org社区提供|谢谢观看|谢谢大家|谢谢
시청해주셔서 감사합니다|감사합니다|mbc 뉴스 이덕영입니다|cảm ơn các bạn đã theo dõi|altyazı m k
"""
INVENTED = frozenset(phrase for line in PHRASES.strip().splitlines() for phrase in line.split("|"))


def compression_ratio(text: str) -> float:
    """How many times shorter zlib makes a text, as OpenAI's Whisper counts it; more for one that loops."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


class Scored(Protocol):
    """Anything with Whisper's three scores; None where an engine has none."""

    avg_logprob: float | None
    compression_ratio: float | None
    no_speech_prob: float | None


def failed(heard: Scored) -> bool:
    """Whether the scores say that this text should be decoded once more."""
    looping = heard.compression_ratio is not None and heard.compression_ratio > COMPRESSION_RATIO
    return looping or _guessed(heard) or silent(heard)


def silent(heard: Scored) -> bool:
    """Whether the model itself thinks that nobody spoke there."""
    return heard.no_speech_prob is not None and heard.no_speech_prob > NO_SPEECH_PROB and _guessed(heard)


def _guessed(heard: Scored) -> bool:
    return heard.avg_logprob is not None and heard.avg_logprob < AVG_LOGPROB


def invented(segment: Segment, speech: float) -> bool:
    """Whether nobody said this: `speech`, in seconds, is how much the voice detector heard there.

    People do say "thank you", so a phrase of the list, or a doubtful score, counts only where
    the sound itself shows next to no speech.
    """
    if speech >= SPEECH and speech >= SHARE * (segment.end - segment.start):
        return False
    return silent(segment) or _plain(segment.text) in INVENTED or not _plain(segment.text)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
