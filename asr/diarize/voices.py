"""What a voice sounds like, as 256 numbers: the encoder of Resemblyzer 0.1.4.

A d-vector: three LSTMs over 1.6 s of mel frames, trained to put one speaker's phrases close together
(Wan et al. 2018: "Generalized end-to-end loss for speaker verification"). Of the package only the weights
are used, and nothing is imported: so it is installed without what it depends on, some of which would have
to be compiled (requirements-voices.txt).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from asr.audio import SAMPLE_RATE
from asr.errors import BackendUnavailable

MEL_HOP = 160  # samples: 10 ms
SIZE = 256
# The mean energy of a frame at which the encoder was trained: speech at -30 dBFS as Resemblyzer levels
# it, which silences its first power of ten by. (Measured on its own preprocessing.)
LEVEL = 385.0 * 10 ** (-22 / 10)
BATCH = 64


class Encoder:
    def __init__(self):
        weights = torch.load(_weights(), map_location="cpu", weights_only=True)["model_state"]
        self._network = nn.ModuleDict(
            {"lstm": nn.LSTM(40, SIZE, 3, batch_first=True), "linear": nn.Linear(SIZE, SIZE)}
        ).eval()
        self._network.load_state_dict({n: w for n, w in weights.items() if n.startswith(("lstm", "linear"))})
        self._filters = torch.from_numpy(mel_filters())
        self._window = torch.hann_window(400)

    @torch.inference_mode()
    def mel(self, audio: np.ndarray) -> np.ndarray:
        """float32 (n,) -> energies (1 + n // MEL_HOP, 40), float32; a frame is centred on its time."""
        shape = {"window": self._window, "pad_mode": "constant", "return_complex": True}
        spectrum = torch.stft(torch.from_numpy(audio), 400, MEL_HOP, **shape)
        return (spectrum.abs().square().T @ self._filters).numpy()

    @torch.inference_mode()
    def __call__(self, mels: Sequence[np.ndarray]) -> np.ndarray:
        """Pieces of mel frames, (k, 40) with one k for all, to vectors of length 1: float32 (n, SIZE)."""
        vectors = [np.zeros((0, SIZE), np.float32)]
        for i in range(0, len(mels), BATCH):
            x = torch.from_numpy(np.stack(mels[i : i + BATCH]))
            x = x * (LEVEL / x.sum(-1).mean(-1).clamp_min(1e-10))[:, None, None]
            _, (hidden, _) = self._network["lstm"](x)
            vectors.append(F.normalize(F.relu(self._network["linear"](hidden[-1])), dim=1).numpy())
        return np.concatenate(vectors)


def _weights() -> Path:
    """Where the package has put them. Raises BackendUnavailable."""
    package = find_spec("resemblyzer")
    file = Path(package.origin).with_name("pretrained.pt") if package and package.origin else None
    if file is None or not file.exists():
        raise BackendUnavailable(
            "The built-in voices model is not installed.",
            "Install it: pip install --no-deps resemblyzer==0.1.4",
        )
    return file


def mel_filters(count: int = 40, fft: int = 400) -> np.ndarray:
    """float32 (1 + fft / 2, count): triangles of equal area on Slaney's mel scale, as librosa makes them."""
    edges = _hertz(np.linspace(_mel(0.0), _mel(SAMPLE_RATE / 2), count + 2))
    slopes = edges[:, None] - np.linspace(0, SAMPLE_RATE / 2, fft // 2 + 1)
    rising, falling = -slopes[:-2] / np.diff(edges)[:-1, None], slopes[2:] / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)).T * (2 / (edges[2:] - edges[:-2]))
    return filters.astype(np.float32)


def _mel(hertz: float) -> float:
    """Slaney's scale: 15 mels per 1000 Hz, then 27 per factor 6.4."""
    return hertz * 0.015 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def _hertz(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < 15, mels / 0.015, 1000 * 6.4 ** ((mels - 15) / 27))
