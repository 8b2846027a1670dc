"""Muon for matrices (Jordan et al., https://kellerjordan.github.io/posts/muon/), AdamW for the rest."""

from collections import defaultdict

import torch
from torch import Tensor


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, by Newton and Schulz's iteration; batch, rows, columns."""
    x = matrices.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x.mT if tall else x).float()


class Muon:
    def __init__(
        self, matrices: list[Tensor], others: list[Tensor], momentum: float = 0.95, decay: float = 0.02
    ):
        self.momentum, self.decay = momentum, decay
        self.groups = defaultdict(list)  # matrices of one shape are made orthogonal together
        for p in matrices:
            self.groups[p.shape].append(p)
        self.adam = torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=decay)
        self.velocity = {shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()}
        self.parameters = [*matrices, *others]

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        for shape, group in self.groups.items():
            moving = [i for i, p in enumerate(group) if p.grad is not None]
            gradient = torch.stack([group[i].grad for i in moving])
            velocity = self.velocity[shape][moving].lerp(gradient, 1 - self.momentum)
            self.velocity[shape][moving] = velocity
            update = orthogonal(gradient.lerp(velocity, self.momentum))
            size = 0.2 * max(shape) ** 0.5 * rate  # moves a matrix as far as Adam would
            for i, u in zip(moving, update, strict=True):
                group[i].mul_(1 - rate * self.decay).add_(u, alpha=-size)
