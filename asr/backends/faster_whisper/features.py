"""How much Whisper's encoder is given to hear, and what silence looks like to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FRAMES = 3000  # of 10 ms: the 30 s that Whisper was trained on
REST = 100  # frames of silence after a window that is padded to less than that
SILENCE, RANGE = -1.5, 2.0  # the lowest value of a log-mel feature, and how far below the loudest it may lie


def room(windows: Sequence[np.ndarray], least: float | None = None, usual: int = FRAMES) -> int:
    """Frames to give windows of features: `least` seconds, and always some silence after the speech.

    None means the `usual` length, that of the audio the model was trained on. It may loop or invent
    on less: nobody asks for that unless the model is known to bear it.
    """
    longest = max(w.shape[1] for w in windows)
    if least is None:
        return min(FRAMES, max(longest, usual))
    return min(FRAMES, -(-max(longest + REST, round(least * 100)) // REST) * REST)


def padded(features: np.ndarray, frames: int = FRAMES) -> np.ndarray:
    """Features with silence after them: float32 (mels, frames).

    Whisper was trained on audio padded with silence, which in its features is the lowest value
    there is, not the zero that faster-whisper pads with (SYSTRAN/faster-whisper#1084 has figures).
    """
    silence = max(SILENCE, features.max(initial=SILENCE) - RANGE)
    out = np.full((len(features), frames), silence, np.float32)
    out[:, : features.shape[1]] = features[:, :frames]
    return out
