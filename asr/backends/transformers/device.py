"""Which processor a model runs on, with which arithmetic, and what stands in the way."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from transformers import WhisperForConditionalGeneration

from asr import machine
from asr.errors import BackendUnavailable

KINDS = {
    "cpu": {"float32": torch.float32, "bfloat16": torch.bfloat16},
    "cuda": {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32},
}


def place_of(device: str) -> tuple[str, torch.dtype]:
    """The device and the arithmetic; raises BackendUnavailable."""
    place, _, compute = device.partition("/")
    if place not in ("auto", *KINDS):
        raise BackendUnavailable(f"There is no device {place!r}.", "Say auto, cpu or cuda.")
    if place == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailable(
            "PyTorch sees no CUDA device.", "Check the driver with nvidia-smi, or set the device to cpu."
        )
    if place == "auto":
        place = "cuda" if torch.cuda.is_available() else "cpu"
    kinds = KINDS[place]
    if compute and compute not in kinds:
        raise BackendUnavailable(
            f"transformers: does not compute in {compute} on the {place}.", f"It does in: {', '.join(kinds)}."
        )
    return place, kinds[compute or next(iter(kinds))]


def open_model(folder: Path, place: str, kind: torch.dtype) -> WhisperForConditionalGeneration:
    """Load the model; raises BackendUnavailable where its files are damaged or the GPU is full."""
    if place == "cpu" and torch.get_num_threads() > (cores := machine.look().cores):
        torch.set_num_threads(cores)  # a container's share, which PyTorch does not see
    transformers.logging.set_verbosity_error()  # it warns of what Whisper's own settings look like to it
    try:
        model = WhisperForConditionalGeneration.from_pretrained(
            folder, dtype=kind, attn_implementation="sdpa", local_files_only=True
        )
        return model.eval().to(place)
    except torch.OutOfMemoryError as e:
        raise BackendUnavailable(
            f"The GPU has not enough memory for the model in {folder}.",
            "Choose a smaller model, free the GPU, or set the device to cpu.",
        ) from e
    except Exception as e:  # the loader's errors are of many kinds: OSError, ValueError, safetensors' own
        raise BackendUnavailable(
            f"The model in {folder} cannot be opened: {(str(e).splitlines() or [repr(e)])[0]}",
            "Download it again; a git clone needs `git lfs pull` to get the real files.",
        ) from e
