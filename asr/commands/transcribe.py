"""python -m asr transcribe: recordings to text, subtitles or JSON.

Without -o the text goes to stdout while it is recognised; with -o each recording gets one file
per format. A recording that fails costs none of the others, and what was recognised before it
failed, or before Ctrl-C, is written as NAME.partial.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr import languages
from asr.commands.progress import Progress
from asr.commands.writing import names, unwritable
from asr.config import Config
from asr.formats import FORMATS
from asr.types import Options

if TYPE_CHECKING:
    from asr.backends import Backend

EXIT = "Exit code: 0 all done, 1 some failed, 2 not understood, 130 interrupted."


def main(argv: list[str]) -> int:
    args = _parse(argv)
    from asr import backends  # these take long to import; help must not
    from asr.commands.recording import Job, transcribe

    files = list(dict.fromkeys(args.files))
    here = [file for file in files if _is_there(file)]
    if not here:
        return 1
    config = Config.from_env()
    config = replace(config, model=args.model or config.model, device=args.device or config.device)
    backend = _load(config)
    options = _options(args, config, backend)
    backends.check(backend, options)
    job = Job(backend, options, config.max_audio_hours * 3600, args.format, args.output, names(here))
    failed = len(files) - sum([transcribe(file, job) for file in here])
    if failed and len(files) > 1:
        print(f"asr transcribe: {failed} of {len(files)} recordings failed.", file=sys.stderr)
    return 1 if failed else 0


def _parse(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(
        "python -m asr transcribe",
        description=__doc__.partition(": ")[2],
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("files", nargs="+", metavar="FILE", help="any audio or video; - is standard input")
    add("-o", "--output", type=Path, metavar="DIR", help="write files into DIR")
    add("-f", "--format", type=_formats, default=("txt",), metavar="F,F", help=f"{','.join(FORMATS)} (txt)")
    add("-m", "--model", metavar="M", help="small, turbo, backend:model or a directory: see models")
    add("-l", "--language", type=_language, metavar="L", help="code or name; detected where it is not given")
    add("--task", choices=("transcribe", "translate"), default="transcribe", help="translate: to English")
    add("--words", action="store_true", help="put the times of words into json; subtitles use them anyway")
    add("--hotwords", metavar="WORDS", help="names and terms to favour")
    add("--prompt", metavar="TEXT", help="text the model should believe it has just heard")
    add("-d", "--device", metavar="D", help="auto, cpu, cuda or cuda/int8_float16")
    args = p.parse_args(argv)
    if len(args.format) > 1 and not args.output:
        p.error("several formats need a directory: add -o DIR")
    if "docx" in args.format and not args.output:
        p.error("docx is a file, and no text to print: add -o DIR")
    if args.output and (why := unwritable(args.output)):
        p.error(f"-o {args.output}: {why}")
    return args


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


def _is_there(file: str) -> bool:
    if file == "-" or Path(file).is_file():
        return True
    why = "this is a directory: name the files in it" if Path(file).is_dir() else "there is no such file"
    Progress(file).say(f"failed, {why}.")
    return False


def _load(config: Config) -> Backend:
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


def _options(args: argparse.Namespace, config: Config, backend: Backend) -> Options:
    language = args.language or (languages.code(config.language) or config.language or None)
    # Cues are timed by their words: timed by proportion they drift away from the voice.
    cued = "words" in backend.can and not {"srt", "vtt"}.isdisjoint(args.format)
    return Options(
        language=None if language == "auto" else language,
        task=args.task,
        prompt=args.prompt,
        hotwords=args.hotwords,
        word_timestamps=args.words or cued,
    )
