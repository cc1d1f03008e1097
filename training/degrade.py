"""Degraded copies of photos, so that words of quality mean something: blurry, hazy, dark, noisy, overexposed, black and white."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def _blurry(x: Tensor) -> Tensor:
    side = x.shape[-1]
    small = functional.interpolate(x, scale_factor=1 / (2.5 + 2.5 * torch.rand(1).item()), mode="bilinear", antialias=True)
    return functional.interpolate(small, size=(side, side), mode="bicubic", align_corners=False)


def _hazy(x: Tensor) -> Tensor:
    """The atmospheric model I = J·t + A·(1 - t), with a transmission that thins from top to bottom."""
    side, count = x.shape[-1], len(x)
    top, bottom = torch.empty(count, 1, 1, 1).uniform_(0.15, 0.5), torch.empty(count, 1, 1, 1).uniform_(0.35, 0.8)
    t = top + (bottom - top) * torch.linspace(0, 1, side).view(1, 1, side, 1)
    return x * t + torch.empty(count, 1, 1, 1).uniform_(0.75, 0.95) * (1 - t)


def _dark(x: Tensor) -> Tensor:
    return x ** torch.empty(len(x), 1, 1, 1).uniform_(1.2, 1.8) * torch.empty(len(x), 1, 1, 1).uniform_(0.12, 0.4)


def _noisy(x: Tensor) -> Tensor:
    return x + torch.randn_like(x) * torch.empty(len(x), 1, 1, 1).uniform_(0.12, 0.3)


def _overexposed(x: Tensor) -> Tensor:
    return x * torch.empty(len(x), 1, 1, 1).uniform_(1.8, 3.0) + 0.1


def _grey(x: Tensor) -> Tensor:
    return (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True).expand_as(x)


KINDS = (_blurry, _hazy, _dark, _noisy, _overexposed, _grey)  # in the order of prepare.DEGRADED


def degrade(photos: Tensor, kinds: Tensor) -> Tensor:
    """Degrade the photos whose kind is 0-5, leave those of kind -1: Float["batch 3 side side"] in [0, 1]."""
    photos = photos.clone()
    for kind, function in enumerate(KINDS):
        rows = (kinds == kind).nonzero()[:, 0]
        if len(rows):
            photos[rows] = function(photos[rows]).clamp(0, 1)
    return photos
