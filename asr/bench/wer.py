"""python -m asr bench wer SET... -m MODEL,MODEL: errors and speed as the Open ASR Leaderboard counts them.

SET is a folder of recordings with NAME.txt beside NAME.wav, a list (.jsonl, .csv) with a text column, a
set of the leaderboard, streamed from the hub (needs datasets): {hub};
or any other dataset with an audio and a text column: hf:OWNER/NAME:CONFIGURATION:SPLIT.

  WER        substituted, deleted and inserted words per word of the truth, after Whisper's normalizer;
             with the middle 95 % of 1,000 bootstrap samples of recordings
  x real     seconds of audio per second, windows of all recordings in full batches, model loaded before
  inserted   words that nobody said, per minute of audio

What was heard is kept in --results, a file per set and model: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from asr import backends, catalogue, machine
from asr.audio import decode
from asr.backends import Backend
from asr.batch.filling import Hall
from asr.batch.together import together
from asr.bench.samples import HUB, Sample, samples
from asr.errors import BackendUnavailable
from asr.types import Options

RESAMPLED = 1000
IGNORED = "ignore time segment in scoring"  # what earnings22 says of some recordings


@dataclass(frozen=True, slots=True)
class Said:
    """One recording: what was said and what was heard."""

    id: str
    truth: str
    heard: str
    seconds: float  # of audio
    took: float  # since the recording before it was through; all together are the whole time
    error: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    set: str
    model: str
    recordings: int
    words: int
    wer: float
    low: float
    high: float
    rtfx: float
    inserted: float  # words per minute of audio
    failed: int


def main(argv: list[str]) -> int:
    args = _arguments(argv)
    normal, scores = normalizer("" if args.basic else args.language), []
    for model in args.model.split(","):
        backend = None
        for name in args.sets:
            kept, wanted = Path(args.results) / _file(name, model), []
            done = {said.id: said for said in _read(kept)}
            left = (s for s in _listed(islice(samples(name), args.limit), wanted) if s.id not in done)
            if first := next(left, None):
                backend = backend or backends.load(catalogue.spec_of(model), args.device)
                for said in _hear(chain([first], left), backend, args.language, kept):
                    done[said.id] = said
            scores.append(score(name, model, [done[id] for id in wanted], normal))
            print(table(scores[-1:], head=len(scores) == 1), flush=True)
    if len(args.sets) > 1:
        print(_means(scores))
    if args.json:
        Path(args.json).write_text(json.dumps([asdict(s) for s in scores], indent=1), encoding="utf-8")
    if args.plot:
        plot(scores, Path(args.plot))
    return 0


def normalizer(language: str) -> Callable[[str], str]:
    """Whisper's: the leaderboard's for English, and its basic one for other languages."""
    try:
        from whisper_normalizer.basic import BasicTextNormalizer
        from whisper_normalizer.english import EnglishTextNormalizer
    except ModuleNotFoundError as e:
        fix = "Do: pip install whisper-normalizer"
        raise BackendUnavailable("Texts are compared by Whisper's normalizer.", fix) from e
    return EnglishTextNormalizer() if language == "en" else BasicTextNormalizer()


def _listed(found: Iterable[Sample], ids: list[str]) -> Iterator[Sample]:
    """The same, noting what comes by: a set may be larger than the memory."""
    for sample in found:
        ids.append(sample.id)
        yield sample


def _hear(left: Iterable[Sample], backend: Backend, language: str, kept: Path) -> Iterator[Said]:
    kept.parent.mkdir(parents=True, exist_ok=True)
    hall, texts = Hall(backend, Options(language), threads=machine.look().cores), {}

    def opened():
        for sample in left:
            texts[sample.id] = sample.text
            yield sample.id, partial(decode, sample.audio)

    with kept.open("a", encoding="utf-8") as file:
        since = time.perf_counter()
        for heard in together(opened(), hall):
            now = time.perf_counter()
            text, seconds, error = "", 0.0, str(heard.error or "")
            if heard.transcript:
                text, seconds = heard.transcript.text, heard.transcript.duration
            said = Said(heard.key, texts.pop(heard.key), text, seconds, now - since, error)
            file.write(json.dumps(asdict(said)) + "\n")
            file.flush()
            yield said
            since = now


def _read(kept: Path) -> list[Said]:
    """What an earlier run has written; a last line that was cut off is removed."""
    if not kept.exists():
        return []
    text = kept.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        kept.write_bytes(whole)
    return [Said(**json.loads(line)) for line in whole.splitlines()]


def score(name: str, model: str, said: Sequence[Said], normal: Callable[[str], str]) -> Score:
    """Over all recordings that have a text; one that failed counts as silence."""
    from jiwer import process_words

    errors, words, inserted, seconds = [], [], 0, 0.0
    for each in said:
        truth, heard = normal(each.truth), normal(each.heard)
        seconds += each.seconds
        if truth.strip() in ("", IGNORED):
            inserted += 0 if truth.strip() else len(heard.split())
            continue
        found = process_words(truth, heard)
        errors.append(found.substitutions + found.deletions + found.insertions)
        words.append(len(truth.split()))
        inserted += found.insertions
    low, high = bootstrap(np.array(errors), np.array(words))
    return Score(
        name, model, len(said), sum(words), sum(errors) / max(1, sum(words)), low, high,
        rtfx=seconds / max(1e-9, sum(s.took for s in said)),
        inserted=60 * inserted / max(1e-9, seconds),
        failed=sum(bool(s.error) for s in said),
    )  # fmt: skip


def bootstrap(errors: np.ndarray, words: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the word error rates of samples of recordings, drawn with replacement.

    Bisani and Ney, Bootstrap estimates for confidence intervals in ASR performance evaluation, 2004.
    """
    if not len(errors):
        return 0.0, 0.0
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, len(errors), len(errors)) for _ in range(RESAMPLED))
    rates = [errors[i].sum() / words[i].sum() for i in drawn]
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


def table(scores: Sequence[Score], head: bool = True) -> str:
    lines = [f"{'set':20}{'model':32}{'WER':>8}  {'95 %':14}{'x real':>8}{'inserted':>10}{'words':>9}"] * head
    for s in scores:
        span = f"{100 * s.low:.1f} - {100 * s.high:.1f}"
        failed = f"  {s.failed} failed" if s.failed else ""
        lines.append(
            f"{s.set[-19:]:20}{s.model[-31:]:32}{100 * s.wer:6.1f} %  {span:14}{s.rtfx:8.1f}"
            f"{s.inserted:10.2f}{s.words:9,}{failed}"
        )
    return "\n".join(lines)


def _means(scores: Sequence[Score]) -> str:
    models = list(dict.fromkeys(s.model for s in scores))
    mean = {m: np.mean([s.wer for s in scores if s.model == m]) for m in models}
    return "\n".join(f"{'mean of the sets':20}{m[-31:]:32}{100 * mean[m]:6.1f} %" for m in models)


def plot(scores: Sequence[Score], path: Path) -> None:
    """Errors against speed: the best models are below and to the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 5))
    for name in dict.fromkeys(s.set for s in scores):
        mine = [s for s in scores if s.set == name]
        wer = np.array([[100 * (s.wer - s.low), 100 * (s.high - s.wer)] for s in mine]).T
        axes.errorbar(
            [s.rtfx for s in mine],
            [100 * s.wer for s in mine],
            wer.clip(0),
            fmt="o",
            capsize=3,
            label=Path(name).name,
        )
        for s in mine:
            axes.annotate(
                Path(s.model).name, (s.rtfx, 100 * s.wer), xytext=(6, 4), textcoords="offset points"
            )
    axes.set(xscale="log", xlabel="times real time", ylabel="word error rate, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def _file(name: str, model: str) -> str:
    return re.sub(r"[^\w.-]+", "_", f"{model}__{name}") + ".jsonl"


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m asr bench wer",
        description=__doc__.format(hub=", ".join(HUB)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("sets", nargs="+", metavar="SET", help="folders, lists, sets of the leaderboard")
    add("-m", "--model", default="small", metavar="M,M", help="side by side (%(default)s)")
    add("-d", "--device", default="auto", help="auto, cpu or cuda, with a compute type if you insist")
    add("-l", "--language", default="en", help="spoken in the sets (%(default)s)")
    add(
        "--basic", action="store_true", help="Whisper's basic normalizer: 'three one' stays two words, not 31"
    )
    add("--limit", type=int, metavar="N", help="recordings of each set at most")
    add("--results", default="wer-results", metavar="DIR", help="keeps what was heard (%(default)s)")
    add("--json", metavar="FILE", help="write the figures there, too")
    add("--plot", metavar="FILE", help="draw errors against speed, .png or .svg")
    return parser.parse_args(argv)
