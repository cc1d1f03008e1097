"""The two published architectures, in torch."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

RADIUS, SMOOTH = 0.2, 0.01  # of the guided filter: a share of the short side, and the variance of grey under which it sees no edge
GREY = (0.299, 0.587, 0.114)


def refine(maps: Tensor, pixels: Tensor) -> Tensor:
    """Guided filter (He, Sun, Tang, PAMI 2013, equations 5 and 6) of Float["photo n h w"] along the grey of Float["photo 3 h w"]."""
    height, width = pixels.shape[2:]
    radius = max(1, round(RADIUS * min(height, width)))
    rows, columns = box(height, radius), box(width, radius).T
    grey = (pixels * pixels.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
    mean, means = rows @ grey @ columns, rows @ maps @ columns
    slope = (rows @ (maps * grey) @ columns - mean * means) / (rows @ (grey * grey) @ columns - mean * mean + SMOOTH)
    return (rows @ slope @ columns) * grey + rows @ (means - slope * mean) @ columns


@cache
def box(size: int, radius: int) -> Tensor:
    """Float["size size"]: each row the mean over a window that is cut off at the border."""
    near = (torch.arange(size)[:, None] - torch.arange(size)).abs() <= radius
    return near / near.sum(1, keepdim=True)


class DehazeNetwork(nn.Module):
    """DehazeNet (Cai et al., IEEE TIP 2016, table I): hazy pixels over the light, Float["photo 3 h w"], to transmission Float["photo 1 h-9 w-9"].

    A patch of 16×16 gives one number. The first and the last convolution are without padding, those in between keep the size, as published.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 5)
        self.scales = nn.ModuleList(nn.Conv2d(4, 16, side, padding=side // 2) for side in (3, 5, 7))
        self.last = nn.Conv2d(48, 1, 6)
        for layer in (self.first, *self.scales):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.last.weight, std=0.001)
        nn.init.constant_(self.last.bias, 0.5)

    def forward(self, pixels: Tensor) -> Tensor:
        """Transmission in [0, 1]: BReLU is the last step."""
        return self.linear(pixels).clamp(0, 1)

    def linear(self, pixels: Tensor) -> Tensor:
        """Transmission before BReLU."""
        maps = self.first(pixels).unflatten(1, (4, 4)).amax(2)  # Maxout: the largest of each four
        scales = torch.cat([scale(maps) for scale in self.scales], 1)
        scales = scales.contiguous(memory_format=torch.channels_last)  # pools ten times as fast on a CPU
        return self.last(functional.max_pool2d(functional.max_pool2d(scales, (7, 1), stride=1), (1, 7), stride=1))


class AodNetwork(nn.Module):
    """AOD-Net (Li et al., ICCV 2017, figure 3): hazy pixels in [0, 1] to clear ones, Float["photo 3 h w"], all convolutions padded."""

    def __init__(self) -> None:
        super().__init__()
        shapes = ((3, 1), (3, 3), (6, 5), (6, 7), (12, 3))
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, 3, side, padding=side // 2) for channels, side in shapes)
        with torch.no_grad():  # near K = 1, which gives the picture back; a dead ReLU at the start would never come alive
            for layer in self.convolutions:
                nn.init.normal_(layer.weight, std=(2 / layer.weight[0].numel()) ** 0.5)
                nn.init.constant_(layer.bias, 0.1)
            self.convolutions[4].weight.mul_(0.1)
            nn.init.constant_(self.convolutions[4].bias, 1.0)

    def forward(self, pixels: Tensor) -> Tensor:
        """Clear pixels; above 1 where the network is too bold."""
        k = self.gain(pixels)
        return functional.relu(k * pixels - k + 1)

    def gain(self, pixels: Tensor) -> Tensor:
        """K(x), equation 4, with b = 1."""
        one, two, three, four, five = self.convolutions
        x1 = functional.relu(one(pixels))
        x2 = functional.relu(two(x1))
        x3 = functional.relu(three(torch.cat([x1, x2], 1)))
        x4 = functional.relu(four(torch.cat([x2, x3], 1)))
        return functional.relu(five(torch.cat([x1, x2, x3, x4], 1)))
