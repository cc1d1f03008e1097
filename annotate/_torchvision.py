"""torchvision's DeepLabV3 with ResNet-50 or -101 as smp's DeepLabV3, which then gives the same logits.

The two are the same network (Chen, Papandreou, Schroff, Adam, "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv:1706.05587) up to
three things besides the names: torchvision dilates the first block of layer3 by 1 and that of layer4 by 2, as the block before, smp by 2 and 4 as
the rest of their layers; torchvision enlarges the logits with `align_corners=False`, smp with `align_corners=True`; and torchvision may have a second
classifier, which is only for training.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from preprocess import WeightsError

from ._smp import Loaded, create, fill, read_checkpoint

_SHORT = 520  # pixels of the short side that torchvision brings photos to
_TILE = 784  # so that photos of 3:2 fit into one

_NAMES = (
    (re.compile(r"backbone\."), "encoder."),
    (re.compile(r"classifier\.0\."), "decoder.aspp."),
    (re.compile(r"classifier\.1\."), "decoder.conv."),
    (re.compile(r"classifier\.2\."), "decoder.bn."),
    (re.compile(r"classifier\.4\."), "segmentation_head.0."),
)
_ENCODERS = {6: "resnet50", 23: "resnet101"}  # by the blocks of layer3


def load_torchvision(file: Path) -> Loaded:
    """The model in a file of torchvision's, such as deeplabv3_resnet50_coco-cd0a2569.pth.

    Raises:
        WeightsError: the file is missing or damaged, holds more than tensors, or is not a DeepLabV3 with ResNet-50 or -101.
    """
    return convert(read_checkpoint(file), str(file))


def is_torchvision(state: dict[str, Any]) -> bool:
    """Whether a state dict has the names of torchvision's DeepLabV3."""
    return "classifier.4.weight" in state and "classifier.0.project.0.weight" in state and "backbone.layer4.0.conv2.weight" in state


def convert(state: dict[str, Any], what: str = "The state dict") -> Loaded:
    """smp's model of torchvision's state dict; `what` begins messages. At sides that are multiples of 8, both give the same logits.

    Raises:
        WeightsError: it is not a DeepLabV3 with ResNet-50 or -101.
    """
    blocks = {name.split(".")[2] for name in state if name.startswith("backbone.layer3.")}
    if not is_torchvision(state) or len(blocks) not in _ENCODERS or "backbone.layer3.0.conv3.weight" not in state:
        raise WeightsError(
            f"{what} is not torchvision's DeepLabV3 with ResNet-50 or ResNet-101. For other models, name architecture and encoder."
        )
    classes = int(state["classifier.4.weight"].shape[0])
    loaded = create("DeepLabV3", encoder_name=_ENCODERS[len(blocks)], classes=classes, encoder_output_stride=8)
    fill(loaded.module, {_renamed(name): tensor for name, tensor in state.items() if not name.startswith("aux_classifier.")}, what)
    as_torchvision(loaded.module)
    return replace(loaded, frame=replace(loaded.frame, short=_SHORT, tile=_TILE))


def as_torchvision(module: Any) -> None:
    """Make smp's DeepLabV3 with a ResNet work as torchvision's: dilations of two blocks, and how logits are enlarged."""
    for layer, dilation in ((module.encoder.layer3, 1), (module.encoder.layer4, 2)):
        layer[0].conv2.dilation = layer[0].conv2.padding = (dilation, dilation)
        for part in layer.modules():
            if isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1):
                part.dilation = (
                    1,
                    1,
                )  # smp's means nothing there, but leads to other code, which rounds otherwise: up to 0.0004 of a logit
    module.segmentation_head[1] = nn.Upsample(scale_factor=8, mode="bilinear", align_corners=False)


def _renamed(name: str) -> str:
    for old, new in _NAMES:
        if old.match(name):
            return old.sub(new, name, count=1)
    return name
