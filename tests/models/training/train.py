"""Trains the network for a given time, in two processes whose weights are averaged every few steps.

python train.py corpus.pt out.pt --minutes 60 --plan full [--resume checkpoint.pt]
"""

import argparse
import copy
import json
import math
import os
import random
import time
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F
from corpus import Clip
from network import Looks, Shape, Whisper
from optimizer import Muon
from synth import Batch, Synth
from torch import Tensor, nn

SHARES = {"fsdd": 0.5, "espeak": 0.4, "other": 0.1}
PROCESSES, STEPS_BETWEEN_AVERAGES = 2, 8
SMOOTHING = 0.04  # an average counts this much in the running mean of the weights
SAVE_EVERY = 120  # seconds


class Size(NamedTuple):
    """Of a batch, and how often it is drawn."""

    seconds: float
    windows: int
    share: float
    answers: int = 1
    prompts: float = 0.35  # how many answers follow earlier text
    learn_encoder: bool = True  # the decoder alone learns three times faster


# Until what share of the time which batches are drawn.
PLANS = {
    "full": [
        (0.25, [Size(3, 16, 0.3), Size(5, 10, 0.4), Size(8, 6, 0.3)]),
        (0.5, [Size(6, 8, 0.4), Size(10, 5, 0.35), Size(16, 3, 0.25)]),
        (1.0, [Size(8, 6, 0.2), Size(16, 3, 0.2), Size(30, 2, 0.6)]),
    ],
    "mixed": [(1.0, [Size(4, 12, 0.25), Size(8, 6, 0.4), Size(16, 3, 0.35)])],
    "long": [(1.0, [Size(8, 6, 0.35), Size(16, 3, 0.35), Size(30, 2, 0.3)])],
    "count": [
        (
            0.8,
            [
                Size(8, 6, 0.2, 2),
                Size(16, 3, 0.2, 3),
                Size(30, 2, 0.15, 4),
                Size(30, 3, 0.45, 4, learn_encoder=False),
            ],
        ),
        (1.0, [Size(8, 6, 0.3, 2), Size(30, 2, 0.35, 4), Size(30, 3, 0.35, 4, learn_encoder=False)]),
    ],
    "prompted": [(1.0, [Size(8, 6, 0.4, 2, 0.6), Size(15, 3, 0.35, 3, 0.6), Size(30, 2, 0.25, 4, 0.6)])],
}


class Listener(nn.Module):
    """Heads on the encoder that are thrown away after training: which word each frame belongs to, which words
    stand around it, and how many came before. Without them the decoder learns to count but not to listen."""

    def __init__(self, width: int):
        super().__init__()
        self.context, self.place = nn.Linear(width, 4 * 11), nn.Linear(width, 2)

    def loss(self, memory: Tensor, batch: Batch) -> Tensor:
        words = batch.context[..., 0] > 0
        guesses = self.context(memory).unflatten(-1, (4, 11))
        here = F.cross_entropy(guesses[..., 0, :].flatten(0, 1), batch.context[..., 0].flatten())
        if not words.any():
            return here
        around = F.cross_entropy(guesses[words][:, 1:].flatten(0, 1), batch.context[words][:, 1:].flatten())
        place = F.smooth_l1_loss(self.place(memory)[words], batch.place[words], beta=0.1)
        return here + 0.5 * around + place


def attention_loss(looks: Looks, wanted: Tensor) -> Tensor:
    """Cross entropy of the supervised heads' attention, for tokens that stand for a place in the audio."""
    losses = []
    for q, k, places in zip(*looks, wanted, strict=True):
        rows = places.sum(-1) > 0
        found = (q[:, rows] @ k.mT).float() * q.shape[-1] ** -0.5
        losses.append(-(places[rows] * found.log_softmax(-1)).sum(-1).flatten())
    losses = torch.cat(losses)
    return losses.sum() / max(1, len(losses))


def losses(
    network: Whisper, listener: Listener, batch: Batch, learn_encoder: bool = True
) -> dict[str, Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        states, memory, looks = network(batch.mel, batch.offset, batch.tokens, learn_encoder)
    labelled = batch.labels >= 0
    logits = network.logits(states[labelled].float())
    read = F.pad(batch.attention, (0, 0, 1, 0))[:, :-1]  # where the token just read was heard
    by_window = (len(memory), -1, memory.shape[1])
    result = {
        "tokens": F.cross_entropy(logits, batch.labels[labelled]),
        "next": 0.3 * attention_loss(looks[-1], batch.attention.view(by_window)),
        "read": 0.2 * sum(attention_loss(layer, read.reshape(by_window)) for layer in looks[:-1]),
    }
    if learn_encoder:
        result["frames"] = 0.5 * listener.loss(memory.float(), batch)
    return result


def average(parameters: list[Tensor]) -> None:
    with torch.no_grad():
        flat = torch.cat([p.flatten() for p in parameters])
        dist.all_reduce(flat)
        for p, mean in zip(
            parameters, (flat / PROCESSES).split([p.numel() for p in parameters]), strict=True
        ):
            p.copy_(mean.view_as(p))


@torch.no_grad()
def follow(smooth: Whisper, network: Whisper) -> None:
    for mean, now in zip(smooth.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, SMOOTHING)


def rate(progress: float, step: int) -> float:
    return min(1, (step + 1) / 60) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def save(path: Path, network: Whisper, smooth: Whisper, listener: Listener) -> None:
    partial = path.with_suffix(".tmp")
    states = {"net": network.state_dict(), "smooth": smooth.state_dict(), "listener": listener.state_dict()}
    torch.save(states, partial)
    partial.replace(path)


def load_clips(path: Path) -> dict[str, list[Clip]]:
    return {part: [Clip(**c) for c in clips] for part, clips in torch.load(path, weights_only=False).items()}


def work(rank: int, arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method="tcp://127.0.0.1:29611", rank=rank, world_size=PROCESSES)
    torch.manual_seed(arguments.seed)
    network = Whisper()
    listener = Listener(Shape().width)
    if arguments.resume:
        state = torch.load(arguments.resume, weights_only=False)
        network.load(state["net"])
        if "listener" in state:
            listener.load_state_dict(state["listener"])
    synth = Synth(load_clips(arguments.corpus), SHARES, 1000 * arguments.seed + rank)
    train(rank, network, listener, synth, arguments)


def train(
    rank: int, network: Whisper, listener: Listener, synth: Synth, arguments: argparse.Namespace
) -> None:
    matrices = [p for name, p in network.named_parameters() if ".layers." in name and p.ndim == 2]
    known = {id(p) for p in matrices}
    others = [
        p for p in [*network.parameters(), *listener.parameters()] if p.requires_grad and id(p) not in known
    ]
    parameters, optimizer = [*matrices, *others], Muon(matrices, others)
    sizes = random.Random(arguments.seed)  # the same on both ranks, so that neither waits for the other
    smooth = copy.deepcopy(network)  # the running mean of the weights, which is what gets converted
    start = saved = time.time()
    step, progress, running = 0, 0.0, {}
    while True:
        if step % STEPS_BETWEEN_AVERAGES == 0:
            average(parameters)
            follow(smooth, network)
            clock = torch.tensor([(time.time() - start) / (arguments.minutes * 60)])
            dist.broadcast(clock, 0)
            progress = clock.item()
            if progress >= 1:
                break
        phase = next(phase for until, phase in PLANS[arguments.plan] if progress < until)
        size = sizes.choices(phase, [s.share for s in phase])[0]
        batch = synth.batch(size.windows, size.seconds, size.answers, size.prompts)
        parts = losses(network, listener, batch, size.learn_encoder)
        optimizer.zero_grad()
        sum(parts.values()).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step(arguments.rate * rate(progress, step))
        step += 1
        running |= {k: 0.98 * running.get(k, v.item()) + 0.02 * v.item() for k, v in parts.items()}
        if rank == 0 and step % 50 == 0:
            losses_now = {k: round(v, 3) for k, v in running.items()}
            print(
                json.dumps({"minutes": round((time.time() - start) / 60, 1), "step": step, **losses_now}),
                flush=True,
            )
        if rank == 0 and time.time() - saved > SAVE_EVERY:
            saved = time.time()
            save(arguments.out, network, smooth, listener)
    if rank == 0:
        save(arguments.out, network, smooth, listener)
    dist.barrier()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--plan", choices=PLANS, default="full")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    multiprocessing.spawn(work, (parser.parse_args(),), nprocs=PROCESSES)
