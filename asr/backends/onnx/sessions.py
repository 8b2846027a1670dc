"""ONNX Runtime: on which processor a model runs, and what stands in the way."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import onnx_asr
import onnxruntime
from onnx_asr.adapters import TextResultsAsrAdapter
from onnx_asr.models.nemo import NemoConformerAED

from asr import machine
from asr.backends.onnx.files import PRECISION, Found
from asr.errors import BackendUnavailable

CUDA = "CUDAExecutionProvider"
# int8 is a quarter of the download and the memory; a GPU computes it in float32 all the same, only slower
BEST = {"cpu": ("int8", None), "cuda": (None, "fp16", "int8")}
GPU_FIX = (
    "The package onnxruntime has none: pip uninstall -y onnxruntime && pip install onnxruntime-gpu. "
    "Or set the device to cpu."
)

log = logging.getLogger(__name__)


def place_of(device: str) -> tuple[str, Sequence[str | None]]:
    """The device, and the precisions of the files to take, the best first; raises BackendUnavailable."""
    place, _, compute = device.partition("/")
    if place not in ("auto", "cpu", "cuda"):
        raise BackendUnavailable(f"There is no device {place!r}.", "Say auto, cpu or cuda.")
    has_gpu = CUDA in onnxruntime.get_available_providers()
    if place == "cuda" and not has_gpu:
        raise BackendUnavailable("This ONNX Runtime has no support for a GPU.", GPU_FIX)
    if place == "auto":
        place = "cuda" if has_gpu and machine.look().gpus else "cpu"
    named = {says: suffix for suffix, says in PRECISION.items()}
    if compute and compute not in named:
        raise BackendUnavailable(
            f"There are no ONNX models in {compute}.", f"There are: {', '.join(sorted(named))}."
        )
    return place, (named[compute],) if compute else BEST[place]


def open_model(found: Found, place: str, asked: str) -> tuple[TextResultsAsrAdapter, str]:
    """The model, and where it really runs: without its libraries ONNX Runtime leaves the GPU in silence."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = machine.look().cores
    if place == "cuda":
        onnxruntime.preload_dlls()  # cuDNN and cuBLAS lie in wheels where the loader does not look
    try:
        model = onnx_asr.load_model(
            found.kind,
            found.folder,
            quantization=found.precision,
            sess_options=options,
            providers=[CUDA, "CPUExecutionProvider"] if place == "cuda" else ["CPUExecutionProvider"],
        )
    except Exception as e:  # each part of the library has errors of its own; all mean the same to us
        raise BackendUnavailable(
            f"The model in {found.folder} cannot be opened: {(str(e).splitlines() or [repr(e)])[0]}",
            "Download or export it again; a git clone needs `git lfs pull` to get the real files.",
        ) from e
    if place == "cuda" and CUDA not in _providers(model):
        what = "ONNX Runtime could not use the GPU: a library of CUDA or cuDNN is missing."
        if asked.startswith("cuda"):
            raise BackendUnavailable(what, 'pip install "onnxruntime-gpu[cuda,cudnn]", or the device cpu.')
        log.warning("%s The CPU is used.", what)
        place = "cpu"
    return model, place


def stop_at_the_end(canary: NemoConformerAED) -> None:
    """Let a window of a batch write nothing after its end.

    The library (0.12) decodes until all windows of a batch say in the same step that they have ended, and
    keeps whatever the shorter ones wrote meanwhile.
    """
    decode, end = canary._decode, canary._eos_token_id

    def decoded(written: np.ndarray, *rest):
        logits, state = decode(written, *rest)
        ended = (written == end).any(axis=1)
        logits[ended, -1] = -np.inf
        logits[ended, -1, end] = 0.0
        return logits, state

    canary._decode = decoded


def out_of_memory(error: Exception) -> bool:
    """Whether ONNX Runtime says that the device's memory is full."""
    return any(words in str(error).lower() for words in ("failed to allocate", "out of memory"))


def _providers(model: TextResultsAsrAdapter) -> list[str]:
    sessions = [v for v in vars(model.asr).values() if isinstance(v, onnxruntime.InferenceSession)]
    return sessions[0].get_providers()
