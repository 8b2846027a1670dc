"""What one may ask of a model on the command line, and the model that is asked: for every command alike."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from asr import languages
from asr.commands.progress import Progress
from asr.config import Config
from asr.formats import FORMATS
from asr.types import Options

if TYPE_CHECKING:
    from asr.backends import Backend


def add_wishes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-f", "--format", type=_formats, default=("txt",), metavar="F,F", help=f"{','.join(FORMATS)} (txt)")
    add("-m", "--model", metavar="M", help="small, turbo, backend:model or a directory: see models")
    add("-l", "--language", type=_language, metavar="L", help="code or name; detected where it is not given")
    add("--task", choices=("transcribe", "translate"), default="transcribe", help="translate: to English")
    add("--words", action="store_true", help="put the times of words into json; subtitles use them anyway")
    add("--hotwords", metavar="WORDS", help="names and terms to favour")
    add("--prompt", metavar="TEXT", help="text the model should believe it has just heard")
    add("-d", "--device", metavar="D", help="auto, cpu, cuda or cuda/int8_float16")


def _formats(text: str) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if unknown := [f for f in asked if f not in FORMATS]:
        raise argparse.ArgumentTypeError(f"there is no format {unknown[0]!r}; there are {', '.join(FORMATS)}")
    return asked


def _language(text: str) -> str:
    code = "auto" if text.lower() == "auto" else languages.code(text)
    if not code:
        raise argparse.ArgumentTypeError(
            f"there is no language {text!r}; write a code, en, or a name, english"
        )
    return code


def configured(args: argparse.Namespace) -> Config:
    """The settings of the environment, with the model and the device that the arguments name."""
    config = Config.from_env()
    return replace(config, model=args.model or config.model, device=args.device or config.device)


def load(config: Config) -> Backend:
    """The model, saying on stderr which one and, where nobody named it, why."""
    from asr.models import Models

    models, progress = Models(config), Progress("model")
    models.start()
    while (status := models.status()).state in ("choosing", "loading"):
        progress.show(status.says)
        time.sleep(0.05)
    backend = models.get()
    if config.model == "auto":
        progress.say(f"{models.choice.spec}. {models.choice.why}")
        if models.choice.fix:
            progress.say(models.choice.fix)
    progress.clear()
    return backend


def asked(args: argparse.Namespace, config: Config, backend: Backend) -> Options:
    # Cues are timed by their words: timed by proportion they drift away from the voice.
    cued = "words" in backend.can and not {"srt", "vtt"}.isdisjoint(args.format)
    return Options(
        language=spoken(args, config),
        task=args.task,
        prompt=args.prompt,
        hotwords=args.hotwords,
        word_timestamps=args.words or cued,
    )


def spoken(args: argparse.Namespace, config: Config) -> str | None:
    """The language that is asked for; None: it is to be detected."""
    language = args.language or (languages.code(config.language) or config.language or None)
    return None if language == "auto" else language
