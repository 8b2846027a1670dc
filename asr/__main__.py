"""The command line: python -m asr COMMAND."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import import_module

from asr.errors import ASRError, ConfigError, UnknownModel, Unsupported

DESCRIPTION = """Recordings to text, on your own machine.

  python -m asr transcribe talk.mp3
  python -m asr transcribe *.m4a -o subtitles -f srt,txt
"""
COMMANDS = {  # a command's module is imported when it runs, so that help comes at once
    "transcribe": ("asr.commands.transcribe", "recordings to text, subtitles or JSON"),
    "batch": ("asr.commands.batch", "archives of recordings; goes on where it stopped"),
    "models": ("asr.commands.models", "what can be loaded, and what is downloaded already"),
    "doctor": ("asr.commands.doctor", "what this machine has, which model it would run, what to mend"),
    "cost": ("asr.commands.cost", "what hours of audio cost, from a measured speed and a table of prices"),
    "bench": ("asr.bench", "how fast and how accurate, measured here"),
}
FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code. What people can mend is one sentence on stderr, never a traceback."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv:
        _parser().print_help(sys.stderr)
        return USAGE
    name = _parser().parse_args(argv[:1]).command
    try:
        return import_module(COMMANDS[name][0]).main(argv[1:])
    except ASRError as e:
        print(f"asr {name}: {e}", file=sys.stderr)
        return USAGE if isinstance(e, (ConfigError, UnknownModel, Unsupported)) else FAILED
    except KeyboardInterrupt:
        print(f"asr {name}: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read us, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name:12}{says}" for name, (_, says) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="python -m asr",
        description=DESCRIPTION,
        epilog="\n".join(["commands:", *lines, "", "python -m asr COMMAND --help tells more."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="one of those below")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was recognised is kept then too
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
    sys.exit(main())
