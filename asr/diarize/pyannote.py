"""Who spoke when, by pyannote.audio's pipelines, loaded through whisperx. Runs in `asr.diarize.process`.

The whole recording at once, in float32 (half precision merges speakers), embeddings in batches of 16
(larger ones take gigabytes and are no faster).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from asr.audio import SAMPLE_RATE, Recording
from asr.diarize.answer import Count, Diarization
from asr.errors import BackendUnavailable
from asr.types import Turn

BATCH = 16
PARTS = {"segmentation": (0.05, 0.35), "embeddings": (0.35, 0.95)}  # of the whole work, roughly

Progress = Callable[[float], None]


def diarize(
    recording: Recording, count: Count, progress: Progress, *, model: str, token: str | None, device: str
) -> Diarization:
    """`model` is a repository or a directory, `device` cpu or cuda. On a GPU that is too small: the CPU."""
    pipeline = _load(model, token)
    progress(0.05)
    audio = torch.from_numpy(recording.read(0, recording.duration))[None]
    note = ""
    try:
        found = _run(pipeline.to(torch.device(device)), audio, count, progress)
    except torch.cuda.OutOfMemoryError:
        note = "The GPU's memory did not suffice, so the CPU did it."
        torch.cuda.empty_cache()
        found = _run(pipeline.to(torch.device("cpu")), audio, count, progress)
    turns, exclusive = found.speaker_diarization, found.exclusive_speaker_diarization
    return Diarization(_turns(turns), _turns(exclusive), "pyannote", note)


def _load(model: str, token: str | None):
    from whisperx.diarize import DiarizationPipeline

    try:
        pipeline = DiarizationPipeline(model, token=token, device="cpu").model
    except Exception as e:  # whatever its files make it raise
        first = next(iter(str(e).strip().splitlines()), "")
        raise BackendUnavailable(
            f"pyannote could not load {model} ({type(e).__name__}: {first[:200]}).",
            "Check that the directory or the download is whole.",
        ) from e
    if hasattr(pipeline, "embedding_batch_size"):
        pipeline.embedding_batch_size = BATCH
    return pipeline


def _run(pipeline, audio: torch.Tensor, count: Count, progress: Progress):
    def hook(step, *_, total=None, completed=None, **__):
        if total and completed is not None and step in PARTS:
            first, last = PARTS[step]
            progress(first + (last - first) * min(1.0, completed / total))

    file = {"waveform": audio, "sample_rate": SAMPLE_RATE}
    numbers = {"num_speakers": count.exact, "min_speakers": count.low, "max_speakers": count.high}
    return pipeline(file, hook=hook, **numbers)


def _turns(annotation) -> tuple[Turn, ...]:
    tracks = annotation.itertracks(yield_label=True)
    return tuple(Turn(round(s.start, 3), round(s.end, 3), str(who)) for s, _, who in tracks)
