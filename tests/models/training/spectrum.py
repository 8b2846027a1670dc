"""faster-whisper's log-mel spectrogram of windows, seen through a microphone or a codec."""

import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from windows import RATE, Window


class Channel:
    """faster-whisper's log-mel spectrogram of windows, seen through a microphone or a codec."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.filters = torch.from_numpy(FeatureExtractor.get_mel_filters(RATE, 400, 80).astype("float32"))
        self.hann = torch.hann_window(400)

    def mel(self, windows: list[Window]) -> torch.Tensor:
        audio = torch.from_numpy(np.stack([w.audio for w in windows]))
        spectrum = torch.stft(audio, 400, 160, window=self.hann, return_complex=True)[..., :-1]
        power = self.filters @ (spectrum.real**2 + spectrum.imag**2)
        mel = power.clamp_min_(1e-10).log10_()
        for one, window in zip(mel, windows, strict=True):
            self._through(one, window)
        return mel

    def _through(self, mel: torch.Tensor, window: Window) -> None:
        rng = self.rng
        content = min(mel.shape[1], int(window.content * 100) + 1)
        if rng.random() < 0.35:
            bands = np.interp(np.arange(80), np.linspace(0, 79, 6), rng.normal(0, 0.35, 6))
            mel += torch.from_numpy(bands.astype(np.float32))[:, None]
        if rng.random() < 0.25:  # the band of a telephone or a codec
            mel[int(rng.integers(52, 78)) :] -= float(rng.uniform(1, 6))
            mel[: int(rng.integers(0, 9))] -= float(rng.uniform(0, 4))
        padded_by_zeros = rng.random() < 0.65  # faster-whisper's own padding; otherwise digital silence
        mel[:, content:] = -10
        loudest = mel[:, :content].max()
        if rng.random() < 0.25:  # of a long file, which is normalised as a whole
            loudest = loudest + float(rng.uniform(0, 2))
        mel.clamp_(min=-10).clamp_(min=float(loudest) - 8).add_(4).div_(4)
        if padded_by_zeros:
            mel[:, content:] = 0
        if rng.random() < 0.3:
            height = int(rng.integers(1, 10))
            low = int(rng.integers(0, 80 - height))
            mel[low : low + height] = mel[low : low + height].mean()
