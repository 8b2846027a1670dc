"""Who speaks when within five seconds: pyannote's segmentation network, out of whisperx's package.

It tells up to three voices of a window apart and hears them talk at the same time. Which voice of one
window is which of another it does not know. The network is PyanNet (Bredin and Laurent, 2021: "End-to-end
speaker segmentation for overlap-aware resegmentation", MIT licence). It is built anew here, because
importing pyannote.audio takes ten seconds and most of a gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from asr.audio import SAMPLE_RATE, Recording
from asr.errors import BackendUnavailable

WINDOW = 5.0  # seconds that the network was trained on
STEP = 1.0  # seconds from one window to the next
HOP, FIELD = 270, 991  # samples from one frame to the next, and those one frame is computed from
FRAME = HOP / SAMPLE_RATE  # seconds
FRAMES = 293  # of a window
BATCH = 16  # windows


@dataclass(frozen=True, slots=True)
class Local:
    """What the network said: one row per window."""

    first: np.ndarray  # int (windows,): which frame of the recording is the window's first
    voices: np.ndarray  # float16 (windows, FRAMES, 3) in [0, 1]: how surely each voice speaks

    @property
    def frames(self) -> int:
        """Of the whole recording."""
        return int(self.first[-1]) + FRAMES

    @property
    def active(self) -> np.ndarray:
        """bool (windows, FRAMES, 3)"""
        return self.voices > 0.5

    def mean(self, values: np.ndarray) -> np.ndarray:
        """float32 (frames, ...): `values` (windows, FRAMES, ...) averaged where windows overlap."""
        total = np.zeros((self.frames, *values.shape[2:]), np.float32)
        for first, rows in zip(self.first, values, strict=True):
            total[first : first + FRAMES] += rows
        return total / self.cover.reshape(-1, *[1] * (values.ndim - 2))

    @property
    def cover(self) -> np.ndarray:
        """float32 (frames,): how many windows saw each frame, at least 1."""
        seen = np.zeros(self.frames, np.float32)
        for first in self.first:
            seen[first : first + FRAMES] += 1
        return np.maximum(seen, 1)


def seconds(frame: float) -> float:
    """When frame number `frame` begins; it counts for the middle of what it is computed from."""
    return (frame - 0.5) * FRAME + FIELD / 2 / SAMPLE_RATE


@torch.inference_mode()
def segment(recording: Recording, progress: Callable[[float], None] = lambda _: None) -> Local:
    """The voices in every window of the recording; `progress` is told the part done, in [0, 1]."""
    network = _network()
    starts = np.arange(0, max(recording.duration - WINDOW, 0) + STEP, STEP)
    heard = []
    for i in range(0, len(starts), BATCH):
        windows = np.stack([_window(recording, start) for start in starts[i : i + BATCH]])
        heard.append(network(torch.from_numpy(windows)).numpy().astype(np.float16))
        progress(min(1.0, (i + BATCH) / len(starts)))
    first = np.rint(starts * SAMPLE_RATE / HOP).astype(int)
    return Local(first, np.concatenate(heard))


def _window(recording: Recording, start: float) -> np.ndarray:
    audio = recording.read(start, start + WINDOW)
    return np.pad(audio, (0, round(WINDOW * SAMPLE_RATE) - len(audio)))


class _Foreign:
    """Stands for what the checkpoint holds beside its weights: settings in classes of others."""

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, state):
        pass


def _network() -> PyanNet:
    package = find_spec("whisperx")  # found, not imported: that would load everything
    path = Path(package.origin).parent / "assets" / "pytorch_model.bin" if package else None
    if path is None or not path.exists():
        raise BackendUnavailable(
            "The network that tells voices apart comes with whisperx, which is not installed.",
            "Do: pip install whisperx==3.8.6",
        )
    foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    with torch.serialization.safe_globals([(_Foreign, name) for name in foreign]):
        weights = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return PyanNet(weights).eval()


class PyanNet(nn.Module):
    """Sinc filters, two convolutions, four bidirectional LSTMs, and a layer that says who speaks."""

    def __init__(self, weights: dict[str, torch.Tensor]):
        super().__init__()
        self.register_buffer("sinc", _sinc_filters(weights))
        self.loudness = nn.InstanceNorm1d(1, affine=True)
        self.norm = nn.ModuleList([nn.InstanceNorm1d(width, affine=True) for width in (80, 60, 60)])
        self.conv = nn.ModuleList([nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.lstm = nn.LSTM(60, 128, 4, batch_first=True, bidirectional=True)
        self.linear = nn.ModuleList([nn.Linear(256, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, 3)
        ours = {"sincnet.wav_norm1d": "loudness", "sincnet.norm1d": "norm"}
        ours |= {"sincnet.conv1d.1": "conv.0", "sincnet.conv1d.2": "conv.1"}
        named = {"sinc": self.sinc}
        for name, value in weights.items():
            if "filterbank" not in name:
                theirs = next((prefix for prefix in ours if name.startswith(prefix)), "")
                named[ours.get(theirs, "") + name[len(theirs) :]] = value
        self.load_state_dict(named)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """float32 (windows, samples) -> (windows, frames, 3) in [0, 1]"""
        x = F.conv1d(self.loudness(audio[:, None]), self.sinc, stride=10).abs()
        x = F.leaky_relu(self.norm[0](F.max_pool1d(x, 3)))
        for conv, norm in zip(self.conv, self.norm[1:], strict=True):
            x = F.leaky_relu(norm(F.max_pool1d(conv(x), 3)))
        x, _ = self.lstm(x.transpose(1, 2))
        for linear in self.linear:
            x = F.leaky_relu(linear(x))
        return torch.sigmoid(self.classifier(x))


def _sinc_filters(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """The 80 band passes, (80, 1, 251), from the edges that were learned: asteroid's ParamSincFB."""
    low_, band_, n, window = (
        weights[f"sincnet.conv1d.0.filterbank.{name}"] for name in ("low_hz_", "band_hz_", "n_", "window_")
    )
    low = 50 + low_.abs()
    high = torch.clamp(low + 50 + band_.abs(), 50, SAMPLE_RATE / 2)
    band = high - low
    even = (torch.sin(high @ n) - torch.sin(low @ n)) / (n / 2) * window
    odd = (torch.cos(low @ n) - torch.cos(high @ n)) / (n / 2) * window
    even = torch.cat([even, 2 * band, even.flip(1)], 1)
    odd = torch.cat([odd, torch.zeros_like(band), -odd.flip(1)], 1)
    return (torch.cat([even, odd]) / (2 * torch.cat([band, band])))[:, None]
