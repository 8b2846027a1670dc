"""python -m asr bench gpu: Whisper's shapes on this GPU, batch by batch, and how near its limit they come.

Models of the exact shapes with random weights, which write a fixed number of tokens: what is measured is the
machine, nothing of what it hears.

  x real     seconds of audio per second: 30 s windows in batches, features ready, the engine alone
  encoder    its share of the time; the rest is the decoder's
  bound by   encoder: arithmetic; decoder: memory, every token reads all its weights
  of limit   the least time by the GPU's data sheet (asr/bench/limits.py), as a share of the measured time
  streams    live at the same time: each asks for a window with --live tokens once a second, and has its
             answer within that second
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import ctranslate2
import numpy as np

from asr import machine
from asr.backends.faster_whisper import device
from asr.bench import limits
from asr.bench.shapes import SHAPES
from asr.bench.unlearned import END, PROMPT, mels, unlearned
from asr.errors import ASRError, BackendUnavailable, ConfigError

WINDOW = 30.0  # seconds
EACH = 1.0  # seconds between two passes of a live stream
BATCHES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Row:
    shape: str
    compute: str
    batch: int
    encoder: float | None = None  # seconds for a batch
    decoder: float | None = None
    limit: float | None = None
    streams: float | None = None
    error: str = ""

    @property
    def rtfx(self) -> float:
        return self.batch * WINDOW / (self.encoder + self.decoder)


def main(argv: list[str]) -> int:
    args = _arguments(argv)
    here = machine.look()
    peak = limits.Peak(args.peak[0] * 1e12, args.peak[1] * 1e12) if args.peak else None
    if args.device == "cuda":
        if not here.gpus:
            what = "There is no GPU here that CTranslate2 sees."
            raise ConfigError(what, "--device cpu shows that it runs: add --shapes tiny --batches 1,2.")
        peak = peak or limits.peak_of(here.gpus[0].name)
    rows, name = [], here.gpus[0].name if args.device == "cuda" else here.cpu
    print(f"{name}: batches of 30 s windows, {args.tokens} tokens each, beam {args.beam}\n{HEAD}")
    for row in _measured(args, peak):
        rows.append(row)
        print(_line(row), flush=True)
    if args.json:
        report = {
            "machine": {"cpu": here.cpu, "gpus": [gpu.name for gpu in here.gpus], "used": name},
            "versions": {"ctranslate2": version("ctranslate2")},
            "tokens": args.tokens, "live": args.live, "beam": args.beam,
            "peak": asdict(peak) if peak else None,
            "rows": [asdict(row) | {"rtfx": None if row.error else row.rtfx} for row in rows],
        }  # fmt: skip
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if any(not row.error for row in rows) else 1


def _measured(args: argparse.Namespace, peak: limits.Peak | None) -> Iterator[Row]:
    for shape in args.shapes:
        with tempfile.TemporaryDirectory() as folder:
            path = unlearned(shape, Path(folder), "float16" if args.device == "cuda" else None)
            for compute in args.compute:
                try:
                    device.place_of(f"{args.device}/{compute}", 0)  # also loads cuBLAS
                    model = ctranslate2.models.Whisper(str(path), args.device, compute_type=compute)
                except (BackendUnavailable, RuntimeError, ValueError) as e:
                    yield Row(shape, compute, 0, error=str(e))
                    continue
                yield from _batches(model, shape, compute, args, peak)
                del model  # its memory is the next one's


def _batches(model, shape: str, compute: str, args, peak: limits.Peak | None) -> Iterator[Row]:
    for batch in args.batches:
        try:
            encoder, decoder = _timed(model, mels(shape), batch, args)
        except RuntimeError as e:  # out of memory: larger batches would be, too
            yield Row(shape, compute, batch, error=str(e).splitlines()[0])
            return
        limit = peak and (
            limits.encoder(SHAPES[shape], mels(shape), batch, compute, peak)
            + limits.decoder(SHAPES[shape], batch, args.tokens, args.beam, compute, peak)
        )
        live = encoder + decoder * args.live / args.tokens
        streams = batch * EACH / live if live <= EACH else None
        yield Row(shape, compute, batch, encoder, decoder, limit, streams)


def _timed(model, channels: int, batch: int, args: argparse.Namespace) -> tuple[float, float]:
    """Seconds of the encoder and of the decoder, each the quickest of --runs after one that warms up."""
    noise = np.random.default_rng(batch).standard_normal((batch, channels, 3000), np.float32)
    features = ctranslate2.StorageView.from_array(noise)
    prompts = [PROMPT] * batch
    more = {"beam_size": args.beam, "suppress_blank": False, "suppress_tokens": [END]}
    more["max_length"] = 2 * args.tokens  # CTranslate2 leaves half of it to the prompt

    def seconds(given) -> float:
        begun = time.perf_counter()
        found = model.generate(given, prompts, **more)
        took = time.perf_counter() - begun
        if any(len(each.sequences_ids[0]) != args.tokens for each in found):
            raise ASRError("The model did not write as many tokens as were asked for.", "Report this.")
        return took

    encoded = model.encode(features)
    rounds = [(seconds(features), seconds(encoded)) for _ in range(1 + args.runs)][1:]
    whole, decoder = (min(times) for times in zip(*rounds, strict=True))
    return max(whole - decoder, 1e-9), decoder


HEAD = f"{'shape':20}{'compute':14}{'batch':>6}   x real  encoder  bound by   of limit  streams"


def _line(row: Row) -> str:
    begin = f"{row.shape:20}{row.compute:14}{row.batch or '':>6}"
    if row.error:
        return f"{begin}  {row.error}"
    whole = row.encoder + row.decoder
    bound = "encoder" if row.encoder > row.decoder else "decoder"
    limit = "" if row.limit is None else f"{100 * row.limit / whole:.0f} %"
    streams = "" if row.streams is None else f"{row.streams:.0f}"
    return f"{begin}{row.rtfx:9.1f}{100 * row.encoder / whole:7.0f} %  {bound:10}{limit:>9}{streams:>9}"


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m asr bench gpu",
        description=__doc__.partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    names = ("large-v3", "large-v3-turbo", "distil-large-v3.5")
    add("--shapes", type=_listed(SHAPES), default=names, metavar="S,S", help=", ".join(SHAPES))
    add("--compute", type=_types, default=("float16", "int8_float16"), metavar="C,C",
        help="CTranslate2's compute types (float16,int8_float16)")  # fmt: skip
    add("--batches", type=_numbers, default=BATCHES, metavar="N,N", help="windows to a call (1 to 64)")
    add("--tokens", type=_number, default=100, metavar="N", help="of a full window (%(default)s)")
    add("--live", type=_number, default=25, metavar="N", help="of a live stream's window (%(default)s)")
    add("--beam", type=_number, default=1, metavar="N", help="(%(default)s)")
    add("--runs", type=_number, default=3, metavar="N", help="of each; the quickest counts (%(default)s)")
    add("--peak", type=float, nargs=2, metavar=("TFLOPS", "TB/s"), help="of a GPU that is not known here: "
        "16 bits, dense; and of its memory")  # fmt: skip
    add("--device", choices=("cuda", "cpu"), default="cuda", help="(%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser.parse_args(argv)


def _listed(known):
    def listed(text: str) -> tuple[str, ...]:
        if unknown := set(text.split(",")) - set(known):
            raise argparse.ArgumentTypeError(f"there is no {unknown.pop()!r}; there are {', '.join(known)}")
        return tuple(text.split(","))

    return listed


def _types(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 220:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 220")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(_number, text.split(",")))
