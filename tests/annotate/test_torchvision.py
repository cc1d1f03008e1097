from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
models = pytest.importorskip("torchvision.models.segmentation", reason="torchvision is not installed")
pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")

from annotate._smp import create  # noqa: E402
from annotate._torchvision import as_torchvision, convert, load_torchvision  # noqa: E402
from annotate.label_sets import VOC_LABELS  # noqa: E402
from preprocess import WeightsError  # noqa: E402

KINDS = {"resnet50": "deeplabv3_resnet50", "resnet101": "deeplabv3_resnet101"}


@cache
def original(encoder: str, aux: bool) -> Any:
    """torchvision's model with random weights, the statistics of random pictures, and logits of mean 0 and deviation 3."""
    torch.manual_seed(0)
    model = getattr(models, KINDS[encoder])(weights=None, weights_backbone=None, num_classes=21, aux_loss=aux)
    norms = {name: part for name, part in model.named_modules() if isinstance(part, torch.nn.BatchNorm2d)}
    for norm in norms.values():
        norm.momentum = None
    given, head = pictures(2, 64, 64), model.classifier[4]
    with torch.inference_mode():
        model.train()(given)
        norms["classifier.0.convs.4.2"].reset_running_stats()  # of one pixel a picture: two are too few for a deviation
        found = model.eval()(given)["out"]
        scale = 3 / found.std()
        head.weight *= scale
        head.bias.copy_((head.bias - found.mean((0, 2, 3))) * scale)
    return model


def pictures(count: int, height: int, width: int) -> Any:
    coarse = torch.randn(count, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(1))
    return coarse.repeat_interleave(8, 2).repeat_interleave(8, 3)


@pytest.mark.parametrize(("encoder", "aux"), [("resnet50", True), ("resnet101", False)])
def test_a_converted_model_gives_the_same_logits(encoder: str, aux: bool) -> None:
    theirs = original(encoder, aux)
    found = convert(theirs.state_dict())
    assert (found.arch, found.classes) == (f"DeepLabV3/{encoder}", 21)
    assert (found.frame.stride, found.frame.short) == (8, 520)
    given = pictures(1, 48, 72)
    with torch.inference_mode():
        wanted, ours = theirs(given)["out"], found.module(given)
    assert wanted.std() > 0.1
    assert len(wanted.argmax(1).unique()) > 3
    torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=0)
    assert torch.equal(ours.argmax(1), wanted.argmax(1))


def test_names_alone_are_not_enough(tmp_path: Path) -> None:
    """What dilations and corners are worth: without them the same weights name other classes."""
    theirs = original("resnet50", True)
    torch.save(theirs.state_dict(), tmp_path / "model.pth")
    found = load_torchvision(tmp_path / "model.pth")
    plain = create("DeepLabV3", encoder_name="resnet50", classes=21, encoder_output_stride=8)
    plain.module.load_state_dict(found.module.state_dict())
    given = pictures(1, 48, 72)
    with torch.inference_mode():
        wanted = theirs(given)["out"].argmax(1)
        assert (plain.module(given).argmax(1) == wanted).float().mean() < 0.95
        as_torchvision(plain.module)
        assert (plain.module(given).argmax(1) == wanted).float().mean() > 0.9999


@pytest.mark.parametrize("change", [lambda state: state.pop("classifier.4.weight"), lambda state: state.pop("backbone.layer3.0.conv3.weight"),
                                    lambda state: state.update({"backbone.layer3.6.conv1.weight": torch.zeros(1)})])  # fmt: skip
def test_other_models_are_refused(change: Any) -> None:
    with torch.device("meta"):
        state = dict(models.deeplabv3_resnet50(weights=None, weights_backbone=None).state_dict())
    change(state)
    with pytest.raises(WeightsError, match="is not torchvision's DeepLabV3"):
        convert(state)


def test_labels_are_those_of_the_published_weights() -> None:
    from torchvision.models._meta import _VOC_CATEGORIES

    theirs = [label.replace("__", "") for label in _VOC_CATEGORIES]
    assert [label.replace(" ", "") for label in VOC_LABELS] == theirs
    assert len(np.unique(VOC_LABELS)) == 21
