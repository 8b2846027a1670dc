"""python -m asr bench diarize DIR: who spoke when, set against what is known.

DIR holds recordings with NAME.rttm beside NAME.wav (or any other sound). DER is scored by pyannote.metrics
with no collar and with overlap: missed speech, false alarms and confused speakers, over the speech there is.
Where NAME.tsv holds the words (start, end, word and speaker with tabs between), they get their speakers
from the diarization, and two more rates are told: WDER, words with the wrong speaker (Shafey et al. 2019),
and cpWER, word errors of each speaker's text under the best pairing of speakers (Watanabe et al. 2020).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pyannote.core import Annotation
from pyannote.core import Segment as Stretch
from pyannote.metrics.diarization import DiarizationErrorRate
from scipy.optimize import linear_sum_assignment

from asr import machine
from asr.audio import decode
from asr.bench.words import plain
from asr.config import Config
from asr.diarize import RUNGS, Count, Diarization, diarize
from asr.errors import ASRError
from asr.speakers import assign
from asr.types import Segment, Turn, Word

PARTS = {"missed": "missed detection", "false_alarm": "false alarm", "confused": "confusion"}


@dataclass(frozen=True, slots=True)
class Result:
    """One recording by one rung. Times are in seconds; `missed` and so on are parts of `speech`."""

    name: str
    rung: str  # as it was asked for
    by: str  # that ran
    speakers: int  # there are
    found: int
    duration: float
    wall: float
    speech: float
    missed: float
    false_alarm: float
    confused: float
    words: int = 0
    wrong_speaker: int = 0  # words
    cp_errors: int = 0  # words

    @property
    def der(self) -> float:
        return (self.missed + self.false_alarm + self.confused) / self.speech


def main(argv: list[str]) -> int:
    args = _arguments(argv)
    pairs = [(p, p.with_suffix(".rttm")) for p in sorted(args.dir.rglob("*")) if _is_sound(p)]
    pairs = [(sound, rttm) for sound, rttm in pairs if rttm.exists()]
    if not pairs:
        raise ASRError(f"{args.dir} has no recordings with truth.", "Put NAME.rttm beside NAME.wav.")
    results = []
    for rung in args.rung.split(","):
        for sound, rttm in pairs:
            results.append(measured(sound, rttm, rung, args.known))
            print(_line(results[-1].name, [results[-1]]), flush=True)
        print(_line(f"all, {rung}", [r for r in results if r.rung == rung]))
    if args.json:
        rows = [asdict(r) | {"der": r.der, "rtf": r.wall / r.duration} for r in results]
        about = {"cpu": machine.look().cpu, "pyannote.metrics": version("pyannote-metrics")}
        args.json.write_text(json.dumps({"machine": about, "results": rows}, indent=2), encoding="utf-8")
    return 0


def _arguments(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(
        "python -m asr bench diarize",
        description=__doc__.partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("dir", type=Path, metavar="DIR", help="recordings, and NAME.rttm beside them")
    p.add_argument("--rung", default="embedded", help=f"of {', '.join(RUNGS)}; several with commas")
    p.add_argument("--known", action="store_true", help="tell the rung how many speakers there are")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return p.parse_args(argv)


def _is_sound(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".rttm", ".tsv", ".txt", ".json", ".uem", ".md")


def measured(sound: Path, rttm: Path, rung: str, known: bool) -> Result:
    """One recording by one rung; the clock counts its process and the loading of its models."""
    truth = read_rttm(rttm)
    count = len({turn.speaker for turn in truth})
    with decode(sound) as recording:
        began = time.perf_counter()
        wish = Count(exact=count) if known else Count()
        found = diarize(recording, rung, wish, source=sound, config=Config.from_env())
        wall = time.perf_counter() - began
        duration = recording.duration
    parts = DiarizationErrorRate(collar=0, skip_overlap=False)(
        _annotation(truth), _annotation(found.turns), uem=None, detailed=True
    )
    words = sound.with_suffix(".tsv")
    return Result(
        sound.name,
        rung,
        found.by,
        count,
        len(found.speakers),
        duration,
        wall,
        parts["total"],
        **{ours: parts[theirs] for ours, theirs in PARTS.items()},
        **(on_words(read_words(words), found) if words.exists() else {}),
    )


def read_rttm(path: Path) -> list[Turn]:
    """The turns of one recording: NIST's format, SPEAKER lines only."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    turns = [Turn(float(r[3]), float(r[3]) + float(r[4]), r[7]) for r in rows if r[:1] == ["SPEAKER"]]
    if not turns:
        raise ASRError(f"{path} has no turns.", "Lines look like: SPEAKER name 1 0.0 2.5 <NA> <NA> anna <NA>")
    return turns


def read_words(path: Path) -> list[Word]:
    """Lines of start, end, word and speaker, with tabs between."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        return [Word(float(start), float(end), f" {word}", speaker=who) for start, end, word, who in rows]
    except ValueError as e:
        raise ASRError(
            f"{path} is no list of words with speakers ({e}).",
            "Write lines of start, end, word and speaker, with tabs between.",
        ) from e


def on_words(truth: Sequence[Word], found: Diarization) -> dict[str, int]:
    """How many of the words get the wrong speaker, and the errors of each speaker's text."""
    bare = Segment.of([Word(w.start, w.end, w.word) for w in truth])
    heard = [word for segment in assign([bare], found) for word in segment.words]
    pairs = [(was.speaker, now.speaker) for was, now in zip(truth, heard, strict=True)]
    names = (set(column) - {None} for column in zip(*pairs, strict=True))
    same = _best(lambda was, now: -pairs.count((was, now)), *names)
    said, got = (_texts(words) for words in (truth, heard))
    return {
        "words": len(truth),
        "wrong_speaker": len(truth) + same,
        "cp_errors": _best(
            lambda was, now: _errors(said.get(was, []), got.get(now, [])), said, got, fill=True
        ),
    }


def _best(cost: Callable, one: Iterable, other: Iterable, fill: bool = False) -> int:
    """The least total cost of pairing; with `fill`, who is left over is paired with nobody ("")."""
    one, other = sorted(one, key=str), sorted(other, key=str)
    if fill:
        size = max(len(one), len(other))
        one, other = ([*names, *[""] * (size - len(names))] for names in (one, other))
    table = np.array([[cost(a, b) for b in other] for a in one]).reshape(len(one), len(other))
    return int(table[linear_sum_assignment(table)].sum())


def _texts(words: Iterable[Word]) -> dict[str, list[str]]:
    texts = defaultdict(list)
    for word in words:
        texts[word.speaker or "nobody"] += plain(word.word)
    return texts


def _errors(said: list[str], heard: list[str]) -> int:
    import jiwer  # of the development requirements

    if not said or not heard:
        return len(said) + len(heard)
    counts = jiwer.process_words(" ".join(said), " ".join(heard))
    return counts.substitutions + counts.deletions + counts.insertions


def _annotation(turns: Sequence[Turn]) -> Annotation:
    annotation = Annotation()
    for i, turn in enumerate(turns):
        annotation[Stretch(turn.start, turn.end), i] = turn.speaker
    return annotation


def _line(name: str, results: Sequence[Result]) -> str:
    total = lambda field: sum(getattr(r, field) for r in results)  # noqa: E731
    speech, words = total("speech"), total("words")
    parts = " ".join(f"{part.replace('_', ' ')} {total(part) / speech:6.1%}" for part in PARTS)
    exact = sum(r.found == r.speakers for r in results)
    near = sum(abs(r.found - r.speakers) <= 1 for r in results)
    one = f"{results[0].found} of {results[0].speakers}"
    count = one if len(results) == 1 else f"{exact}/{len(results)} exact, {near} within 1"
    line = f"{name:24} DER {sum(map(total, PARTS)) / speech:6.1%}  {parts}  speakers {count}"
    line += f"  RTF {total('wall') / total('duration'):.3f}"
    if words:
        line += f"  WDER {total('wrong_speaker') / words:.1%}  cpWER {total('cp_errors') / words:.1%}"
    return f"{line}  by {'/'.join(sorted({r.by for r in results}))}"
