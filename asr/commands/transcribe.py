"""python -m asr transcribe: recordings to text, subtitles or JSON.

Without -o the text goes to stdout while it is recognised; with -o each recording gets one file
per format. A recording that fails costs none of the others, and what was recognised before it
failed, or before Ctrl-C, is written as NAME.partial. With --diarize or --speakers it is told who says
what: the text comes at the end then, and is kept whatever becomes of the speakers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from asr.commands.progress import Progress
from asr.commands.stages import add_stages, stages, timed
from asr.commands.wishes import add_wishes, asked, configured, load
from asr.formats.writing import names, unwritable

EXIT = "Exit code: 0 all done, 1 some failed, 2 not understood, 130 interrupted."


def main(argv: list[str]) -> int:
    args = _parse(argv)
    from asr import backends  # these take long to import; help must not
    from asr.commands.recording import Job, transcribe

    wanted = stages(args)
    files = list(dict.fromkeys(args.files))
    here = [file for file in files if _is_there(file)]
    if not here:
        return 1
    config = configured(args)
    backend = load(config)
    options = timed(asked(args, config, backend), wanted, backend)
    backends.check(backend, options)
    job = Job(backend, options, config, wanted, args.format, args.output, names(here))
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
    add_wishes(p)
    add_stages(p)
    args = p.parse_args(argv)
    if len(args.format) > 1 and not args.output:
        p.error("several formats need a directory: add -o DIR")
    if "docx" in args.format and not args.output:
        p.error("docx is a file, and no text to print: add -o DIR")
    if args.output and (why := unwritable(args.output)):
        p.error(f"-o {args.output}: {why}")
    return args


def _is_there(file: str) -> bool:
    if file == "-" or Path(file).is_file():
        return True
    why = "this is a directory: name the files in it" if Path(file).is_dir() else "there is no such file"
    Progress(file).say(f"failed, {why}.")
    return False
