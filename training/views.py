"""Random views of a batch of photos."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def random_views(photos: Tensor, side: int) -> Tensor:
    """Random crops, aspect changes and mirrorings of a batch, UInt8 in, Float out, in one sampling pass."""
    count = len(photos)
    area = torch.empty(count).uniform_(0.4, 1.0).sqrt()
    aspect = torch.empty(count).uniform_(-0.3, 0.3).exp().sqrt()
    width, height = (area * aspect).clamp(max=1), (area / aspect).clamp(max=1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = width * torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    theta[:, 1, 1] = height
    theta[:, 0, 2] = (torch.rand(count) * 2 - 1) * (1 - width)
    theta[:, 1, 2] = (torch.rand(count) * 2 - 1) * (1 - height)
    pixels = photos.permute(0, 3, 1, 2).float().div_(255)
    grid = functional.affine_grid(theta, [count, 3, side, side], align_corners=False)
    views = functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    light = torch.empty(count, 1, 1, 1).uniform_(0.8, 1.2) * torch.empty(count, 3, 1, 1).uniform_(0.93, 1.07)
    grey = views.mean((2, 3), keepdim=True)
    contrast = torch.empty(count, 1, 1, 1).uniform_(0.8, 1.2)
    return (((views - grey) * contrast + grey) * light).clamp_(0, 1)
