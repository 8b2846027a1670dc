"""python -m asr batch: archives of recordings to transcripts; goes on where it stopped, whatever stopped it.

SRC is a folder with all that is below it, a recording, a glob, an address that fsspec opens (s3://...), or
a list of those: .txt with one per line, .csv or .jsonl with a column audio_filepath, path, file, audio, wav
or url.

Each recording gets its files below -o once. Start the same line again and only what is new, changed, lost or
not done yet is done; a renamed or copied recording gets copies of its files. What fails is tried again
after all others, then set aside with its reason.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from asr.commands.stages import add_stages
from asr.commands.wishes import add_wishes, configured
from asr.formats.writing import unwritable

EXIT = (
    "Exit code: 0 all done, 1 some were set aside or it could not go on, 2 not understood, 130 interrupted."
)


def main(argv: list[str]) -> int:
    args = _parse(argv)
    from asr.batch.manifest import Manifest  # these take long to import; help must not
    from asr.batch.shelf import Shelf
    from asr.commands.archiving import Run

    config = configured(args)
    shelf = Shelf(args.output, args.format)
    with closing(Manifest(shelf.folder / ".parlance" / "manifest.db")) as manifest:
        return Run(args, config, shelf, manifest).main()


def _parse(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(
        "python -m asr batch",
        description=__doc__.partition(": ")[2],
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("sources", nargs="+", metavar="SRC", help="folders, recordings, globs, lists, addresses")
    add(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        required=True,
        help="write files and the manifest into DIR",
    )
    add_wishes(p)
    add_stages(p)
    add("--share", action="store_true", help="short recordings share a window of the model: several times as "
        "fast, but a word at an edge may fall to a neighbour; needs -l")  # fmt: skip
    add("--workers", type=_positive, metavar="N", help="engines at work at the same time, each in a process "
        "of its own (1, in this process; on Ray one per GPU)")  # fmt: skip
    add("--gpus", type=_gpus, default=(), metavar="N,N", help="a worker on each of these GPUs: 0,1")
    add("--threads", type=_positive, metavar="N", help="recordings decoded at the same time, ahead of one "
        "engine (as many as it has processors)")  # fmt: skip
    add("--engine", choices=("local", "ray"), default="local", help="ray: workers on Ray, "
        "on this machine or on the cluster that RAY_ADDRESS names")  # fmt: skip
    add(
        "--tries",
        type=_positive,
        default=2,
        metavar="N",
        help="before a recording is set aside (%(default)s)",
    )
    add("--again", action="store_true", help="try again what was set aside")
    add(
        "--watch", type=_positive, nargs="?", const=10, metavar="S", help="look for more every S seconds (10)"
    )
    add("--price", type=float, metavar="P", help="of an hour of this machine: the cost so far is shown")
    args = p.parse_args(argv)
    if why := unwritable(args.output):
        p.error(f"-o {args.output}: {why}")
    if args.gpus and args.engine == "ray":
        p.error("--gpus: Ray knows its GPUs; leave it out, or say --engine local")
    if args.gpus and args.workers not in (None, len(args.gpus)):
        p.error("--gpus: each of them has one worker; leave --workers out")
    if args.share and (not args.language or args.task == "translate"):
        p.error("--share needs one language for all: add -l, and leave --task out")
    return args


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return int(text)


def _gpus(text: str) -> tuple[int, ...]:
    found = text.split(",")
    if not all(part.isdecimal() for part in found) or len(set(map(int, found))) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} are no numbers of GPUs; write 0, or 0,1")
    return tuple(map(int, found))
