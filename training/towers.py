"""The two towers of the built-in encoder, and the sentence encoder that teaches its text side.

All three map to unit rows. Shapes: photos are Float["batch 3 side side"] in [0, 1]; token ids are Int64["batch length"] with 0 as padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

DIM = 256  # of the shared space
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class SqueezeExcite(nn.Module):
    """Scale channels by a gate made from their means (Hu et al., 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, width // 8, 1), nn.Conv2d(width // 8, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.up(functional.relu(self.down(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


class Block(nn.Module):
    """Two 3×3 convolutions and a skip (He et al., 2016)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(width_in, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width))
        self.two = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        self.gate = SqueezeExcite(width)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or width_in != width:
            pool = nn.AvgPool2d(2) if stride == 2 else nn.Identity()
            self.skip = nn.Sequential(pool, nn.Conv2d(width_in, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.skip(x) + self.gate(self.two(functional.relu(self.one(x)))))


class ImageTower(nn.Module):
    """A compact residual net: 109 million multiply-adds at 64 px, 3.3 million parameters."""

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256), depths: tuple[int, ...] = (2, 2, 2)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        layers: list[nn.Module] = []
        for width_in, width in ((3, 32), (32, widths[0])):
            layers += [nn.Conv2d(width_in, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        before = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for index in range(depth):
                layers.append(Block(before, width, 2 if stage and not index else 1))
                before = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.LayerNorm(2 * before), nn.Linear(2 * before, 512), nn.GELU(), nn.Linear(512, DIM))

    def forward(self, photos: Tensor) -> Tensor:
        grid = self.body((photos - self.mean) / self.std)
        pooled = torch.cat([grid.mean((2, 3)), grid.amax((2, 3))], 1)
        return functional.normalize(self.head(pooled.float()), dim=-1)


class Layer(nn.Module):
    """A transformer layer, normalised after each half as in BERT (Devlin et al., 2019)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm_one, self.norm_two = nn.LayerNorm(width, 1e-12), nn.LayerNorm(width, 1e-12)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        batch, length, width = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        weights = torch.softmax(q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5 + bias, -1)
        x = self.norm_one(x + self.out((weights @ v).transpose(1, 2).reshape(batch, length, width)))
        return self.norm_two(x + self.down(functional.gelu(self.up(x))))


class SentenceTower(nn.Module):
    """Token ids to a unit sentence vector: BERT layers, the mean over tokens, and an optional projection."""

    def __init__(self, tokens: int, width: int, layers: int, heads: int, hidden: int, length: int, out: int | None) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(tokens, width), nn.Embedding(length, width)
        self.norm = nn.LayerNorm(width, 1e-12)
        self.layers = nn.ModuleList(Layer(width, heads, hidden) for _ in range(layers))
        self.project = nn.Linear(width, out, bias=False) if out else nn.Identity()

    def forward(self, ids: Tensor) -> Tensor:
        mask = (ids != 0).float()
        x = self.norm(self.tokens(ids) + self.places.weight[: ids.shape[1]])
        bias = (1 - mask)[:, None, None, :] * -1e4
        for layer in self.layers:
            x = layer(x, bias)
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return functional.normalize(self.project(mean), dim=-1)
