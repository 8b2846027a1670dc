"""Which processor a model runs on, with which arithmetic, and what stands in the way."""

from __future__ import annotations

import ctypes
import json
import logging
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel

from asr import machine
from asr.errors import BackendUnavailable

CUBLAS = "libcublas.so.12"
WORKSPACE = 3 * 1024**3  # bytes that a batch of 16 windows may need beside the weights
THREADS = 16  # more than this slow a decoder's small matrices down
BATCH = {"cpu": 8, "cuda": 16}  # windows to a call at most
KEYS = 256 * 1024**2  # bytes that the windows of a call may take in the decoder's memory on a CPU

CUDA_FIX = "Install it: pip install nvidia-cublas-cu12. Or run on the CPU: set the device to cpu."

log = logging.getLogger(__name__)


def open_model(folder: Path, device: str) -> WhisperModel:
    """Load the CTranslate2 model in `folder` on `device`: "auto", "cpu", "cuda", or "cuda/int8_float16".

    Raises BackendUnavailable when the files are damaged or the device cannot be used.
    """
    place, compute = place_of(device, (folder / "model.bin").stat().st_size)
    try:
        model = WhisperModel(str(folder), place, compute_type=compute, cpu_threads=cores())
        if place == "cuda":  # CTranslate2 looks for its libraries at the first computation: better now
            model.encode(_silence(model))
    except (RuntimeError, ValueError) as e:
        raise _explained(e, folder, place) from e
    return model


def batch_size(model: WhisperModel, folder: Path) -> int:
    """How many windows are best decoded in one call.

    On a CPU a batch gains a third at most, and every window in it costs what its keys and values
    take: two float32 vectors per decoder layer for each of 1,500 encoded frames. (A GPU that has
    not enough memory for its batch says so, and gets smaller ones.)
    """
    place = model.model.device
    if place != "cpu":
        return BATCH[place]
    heads = json.loads((folder / "config.json").read_text()).get("alignment_heads") or [[31, 0]]
    layers = 1 + max(layer for layer, _ in heads)  # the last ones align words
    width = model.encode(_silence(model)[..., :100]).shape[2]
    return max(1, min(BATCH[place], KEYS // (layers * 2 * 1500 * width * 4)))


def place_of(device: str, weights: int) -> tuple[str, str]:
    """The device and compute type to use for a model file of `weights` bytes."""
    place, _, compute = device.partition("/")
    if place not in ("auto", "cpu", "cuda"):
        raise BackendUnavailable(f"There is no device {place!r}.", "Say auto, cpu or cuda.")
    if place != "cpu":
        seen = _gpus()
        if place == "cuda" and not seen:
            raise BackendUnavailable(
                "CTranslate2 sees no CUDA device.",
                "Check the driver with nvidia-smi, or set the device to cpu.",
            )
        place = "cuda" if seen else "cpu"
    if place == "cuda" and sys.platform == "linux":
        _load_cublas()
    offered = ctranslate2.get_supported_compute_types(place)
    if compute and compute not in offered:
        raise BackendUnavailable(
            f"The {place} of this machine cannot compute in {compute}.",
            f"It can in: {', '.join(sorted(offered))}.",
        )
    return place, compute or _arithmetic(place, offered, weights)


def _gpus() -> int:
    try:
        return ctranslate2.get_cuda_device_count()
    except RuntimeError as e:
        log.warning("The GPU is not used, its driver is too old or broken: %s", e)
        return 0


def _arithmetic(place: str, offered: set[str], weights: int) -> str:
    if place == "cpu":
        return "int8"
    if "float16" not in offered:  # before Volta
        return "int8_float32"
    free = _free_gpu_memory()
    return "int8_float16" if free is not None and free < weights + WORKSPACE else "float16"


def _free_gpu_memory() -> int | None:
    """Bytes on the first GPU, as the driver's tool says; None where it does not."""
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits", "--id=0"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        return int(said) * 1024**2
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _load_cublas() -> None:
    """Load cuBLAS from NVIDIA's wheel, if that is where it is: the loader finds what is loaded already."""
    wheel = find_spec("nvidia.cublas") if find_spec("nvidia") else None
    for folder in wheel.submodule_search_locations if wheel else ():
        library = Path(folder) / "lib" / CUBLAS
        if library.exists():
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    try:
        ctypes.CDLL(CUBLAS)
    except OSError as e:
        raise BackendUnavailable(f"There is a GPU, but its library {CUBLAS} is missing.", CUDA_FIX) from e


def cores() -> int:
    """Threads for the engine: the cores this process may use, container limits counted."""
    return min(machine.look().cores, THREADS)


def _silence(model: WhisperModel) -> np.ndarray:
    return np.zeros((1, model.model.n_mels, 3000), np.float32)


def _explained(error: Exception, folder: Path, place: str) -> BackendUnavailable:
    said = str(error)
    if out_of_memory(error):
        return BackendUnavailable(
            f"The GPU has not enough memory for the model in {folder}.",
            "Choose a smaller model, free the GPU, or set the device to cuda/int8_float16 or cpu.",
        )
    if place == "cuda" and any(word in said for word in ("cuda", "CUDA", "cublas", "Library")):
        return BackendUnavailable(f"The GPU cannot be used: {said}.", CUDA_FIX)
    return BackendUnavailable(
        f"The model in {folder} is damaged: {said}.",
        "Download it again; a git clone needs `git lfs pull` to get the real files.",
    )


def out_of_memory(error: Exception) -> bool:
    """Whether a CTranslate2 error says that the device's memory is full."""
    return any(words in str(error).lower() for words in ("out of memory", "cublas_status_alloc_failed"))
