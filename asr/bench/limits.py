"""The least time that a Whisper can take: its arithmetic and its memory traffic, by the data sheet.

A roofline (Williams, Waterman and Patterson, 2009): whatever computes needs operations / peak seconds,
whatever is read needs bytes / bandwidth, and the longer of both is the limit. A multiplication and an
addition are two operations. Norms, softmax and activations are left out: the limit is a little too low,
never too high.
"""

from __future__ import annotations

from dataclasses import dataclass

from asr.bench.shapes import Shape
from asr.bench.unlearned import FRAMES, VOCABULARY


@dataclass(frozen=True, slots=True)
class Peak:
    """What a processor can do at most."""

    operations: float  # per second, in 16 bits, dense
    bandwidth: float  # bytes per second of its memory

    def seconds(self, operations: float, bytes: float) -> float:
        return max(operations / self.operations, bytes / self.bandwidth)


# NVIDIA's data sheets: tensor cores, dense, float16, and the memory of the version with most of it.
PEAKS = {
    "T4": Peak(65e12, 0.32e12),
    "A10G": Peak(70e12, 0.6e12),
    "L4": Peak(121e12, 0.3e12),
    "L40S": Peak(362e12, 0.864e12),
    "A100": Peak(312e12, 2.039e12),
    "H100": Peak(989e12, 3.35e12),
    "H200": Peak(989e12, 4.8e12),
}


def peak_of(gpu: str) -> Peak | None:
    """By a GPU's name as the driver gives it; None where its data sheet is not here."""
    parts = gpu.replace("-", " ").split()
    return next((peak for name, peak in PEAKS.items() if name in parts), None)


def bytes_each(compute: str) -> int:
    """Of a weight."""
    return 1 if compute.startswith("int8") else 4 if compute == "float32" else 2


def encoder(shape: Shape, mels: int, batch: int, compute: str, peak: Peak) -> float:
    """Seconds for `batch` windows of 30 s."""
    d, frames = shape.width, FRAMES
    convolutions = 2 * 3 * (mels * d * 2 * frames + d * d * frames)
    layer = 2 * 12 * d * d * frames + 4 * frames * frames * d
    weights = (3 * (mels * d + d * d) + shape.encoder_layers * 12 * d * d) * bytes_each(compute)
    return peak.seconds(batch * (convolutions + shape.encoder_layers * layer) * _pace(compute), weights)


def decoder(shape: Shape, batch: int, tokens: int, beam: int, compute: str, peak: Peak) -> float:
    """Seconds for `tokens` of each window: every step reads all weights, and the frames' keys and values."""
    d, rows, layers = shape.width, batch * beam, shape.decoder_layers
    once = peak.seconds(
        batch * layers * 4 * d * d * FRAMES * _pace(compute), layers * 2 * d * d * bytes_each(compute)
    )
    products = rows * 2 * (layers * 14 * d * d + VOCABULARY * d) * _pace(compute)
    attention = rows * layers * 4 * FRAMES * d
    weights = (layers * 14 * d * d + VOCABULARY * d) * bytes_each(compute)
    keys = batch * layers * 2 * FRAMES * d * (4 if compute.endswith("float32") else 2)
    return once + tokens * peak.seconds(products + attention, weights + keys)


def _pace(compute: str) -> float:
    """What an operation costs beside one in 16 bits."""
    return 0.5 if compute.startswith("int8") else 2.0 if compute == "float32" else 1.0
