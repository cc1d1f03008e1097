"""The two segmenters, on the same backbone."""

from __future__ import annotations

from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from segment_photos import CLASSES
from torch import Tensor, nn

STRIDE = 16  # sides must be multiples of this
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ARCHS = {
    # Half of smp's rates, as Chen et al. (2018) have them for output stride 16: at 24 pixels of a feature map, 36 sees nothing but padding.
    "deeplabv3plus": (smp.DeepLabV3Plus, {"encoder_output_stride": 16, "decoder_atrous_rates": (6, 12, 18)}),
    # smp's default reads the third stage only; Zhao et al. (2017) pool the last one, dilated to stride 8.
    "pspnet": (smp.PSPNet, {"encoder_depth": 5, "output_stride": 8, "upsampling": 8}),
}


class Segmenter(nn.Module):
    """Logits of RGB in [0, 1]: Float["photo 3 h w"] to Float["photo class h w"], h and w multiples of STRIDE. `body` is smp's module."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body((pixels - self.mean) / self.std)


def build(arch: str, encoder: Path | None = None) -> Segmenter:
    """A new network; with `encoder`, its backbone from a file whose `body.*` is torchvision's `mobilenet_v2().features`.

    Raises ValueError where the file has not all of the backbone's weights.
    """
    maker, settings = ARCHS[arch]
    network = maker("mobilenet_v2", encoder_weights=None, classes=len(CLASSES), **settings)
    if encoder:
        saved = torch.load(encoder, weights_only=True, map_location="cpu")
        wanted = network.encoder.state_dict()
        found = {key: saved.get(key.replace("features.", "body.", 1)) for key in wanted}
        missing = [key for key, value in found.items() if value is None or value.shape != wanted[key].shape]
        if missing:
            raise ValueError(
                f"{encoder} has no {missing[0].replace('features', 'body', 1)!r} of the right shape; it must be a module whose body is mobilenet_v2().features."
            )
        network.encoder.load_state_dict(found)
    return Segmenter(network)
