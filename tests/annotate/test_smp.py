from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="torch is not installed")
smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")

from annotate import _segmenter_export  # noqa: E402
from annotate._segmenter_export import export_segmenter  # noqa: E402
from annotate._smp import Loaded, create, load_checkpoint, load_folder, read_checkpoint  # noqa: E402
from annotate.segment import GRAPH, SegmenterFacts, SegmenterOptions, open_segmenter  # noqa: E402
from preprocess import InputError, UnknownName, WeightsError  # noqa: E402

ENCODER = "mobilenet_v2"
LABELS = ("sky", "road", "tree", "car", "other")


def lively(module: Any, seed: int = 0) -> Any:
    """The module with the statistics of random pictures, and logits of mean 0 and deviation 3: those of random weights are nearly all the same number."""
    torch.manual_seed(seed)
    norms = {name: part for name, part in module.named_modules() if isinstance(part, torch.nn.BatchNorm2d)}
    for norm in norms.values():
        norm.momentum = None
    given, head = torch.randn(2, 3, 16, 16).repeat_interleave(8, 2).repeat_interleave(8, 3), module.segmentation_head[0]
    with torch.inference_mode():
        module.train()(given)
        for name, norm in norms.items():
            if "convs.4" in name:  # of one pixel a picture: two are too few for a deviation
                norm.reset_running_stats()
        found = module.eval()(given)
        scale = 3 / found.std()
        head.weight *= scale
        head.bias.copy_((head.bias - found.mean((0, 2, 3))) * scale)
    return module


def loaded(arch: str = "PSPNet", classes: int = 5, seed: int = 0, **more: Any) -> Loaded:
    torch.manual_seed(seed)
    found = create(arch, encoder_name=ENCODER, classes=classes, **more)
    lively(found.module, seed)
    return found


def normalised(pixels: Any, found: Loaded) -> Any:
    frame = found.frame
    return torch.from_numpy((pixels / 255.0 - frame.mean) / frame.std).float().permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def photos() -> Sequence[Any]:
    """Real photos that scikit-image carries, small."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    return [np.asarray(Image.fromarray(photo).resize((120, 90))) for photo in (data.astronaut(), data.chelsea(), data.coffee())]


THIN = {"DeepLabV3Plus": {"decoder_channels": 32}, "DeepLabV3": {"decoder_channels": 32}, "PSPNet": {}, "PAN": {},
        "FPN": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}, "Unet": {"decoder_channels": (32, 16, 16, 8, 8)}}  # fmt: skip


@pytest.mark.parametrize("arch", THIN)
def test_a_graph_gives_what_torch_gives(tmp_path: Path, photos: Sequence[Any], arch: str) -> None:
    found = loaded(arch, **THIN[arch])
    facts = export_segmenter(found, tmp_path, "mine", LABELS, source="path:x", licence="MIT", photos=photos)
    assert facts == SegmenterFacts.read(tmp_path)
    assert facts.measured["agreement"] >= 0.999
    assert facts.measured["photos"] == 3
    assert (facts.arch, facts.licence, facts.labels) == (f"{arch}/{ENCODER}", "MIT", LABELS)
    segmenter = open_segmenter(tmp_path, SegmenterOptions(threads=1))
    photo = photos[1]
    sides = [-(-max(side, facts.frame.least) // facts.frame.stride) * facts.frame.stride for side in photo.shape[:2]]
    padded = np.pad(photo, ((0, sides[0] - photo.shape[0]), (0, sides[1] - photo.shape[1]), (0, 0)), "edge")
    with torch.inference_mode():
        chances = found.module(normalised(padded, found)).softmax(1)[0, :, : photo.shape[0], : photo.shape[1]].numpy()
    ours = segmenter.segment(photo)
    assert len(np.unique(ours.classes)) > 1
    assert (ours.classes == chances.argmax(0)).mean() >= 0.999
    assert np.abs(ours.confidence / 255 - chances.max(0)).max() < 0.01


def test_a_model_of_one_class_tells_it_from_all_else(tmp_path: Path, photos: Sequence[Any]) -> None:
    found = loaded(classes=1, activation="sigmoid")
    export_segmenter(found, tmp_path, "people", ("background", "person"), photos=photos[:1])
    photo = photos[0][:64, :96]
    with torch.inference_mode():
        chance = found.module(normalised(photo, found)).sigmoid()[0, 0].numpy()
    ours = open_segmenter(tmp_path, SegmenterOptions(threads=1)).segment(photo)
    assert set(np.unique(ours.classes)) == {0, 1}
    assert (ours.classes == (chance > 0.5)).mean() >= 0.999
    assert np.abs(ours.confidence / 255 - np.maximum(chance, 1 - chance)).max() < 0.01


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_folders_of_save_pretrained_load_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    model = smp.FPN(ENCODER, encoder_weights=None, classes=3).eval()
    model.config["encoder_weights"] = "imagenet"  # as in most folders; must not be fetched
    model.save_pretrained(str(tmp_path))
    if kind == "pytorch_model.bin":
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / kind)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    found = load_folder(tmp_path)
    assert (found.arch, found.classes, found.frame.stride) == (f"FPN/{ENCODER}", 3, 32)
    given = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(found.module(given), model(given))


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}, "epoch": 3},
                                  lambda state: {"model": {f"module.{key}": value for key, value in state.items()}}])  # fmt: skip
def test_state_dicts_load_as_training_left_them(tmp_path: Path, wrap: Any) -> None:
    state = create("FPN", encoder_name=ENCODER, classes=3).module.state_dict()
    torch.save(wrap(state), tmp_path / "model.pt")
    found = load_checkpoint(tmp_path / "model.pt", "fpn", ENCODER, 3)
    assert all(torch.equal(found.module.state_dict()[key], value) for key, value in state.items())


class _Code:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


def test_weights_are_data_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "evil.pt"
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "callback": _Code()}, file)
    with pytest.raises(WeightsError, match="could run code"):
        read_checkpoint(file)
    file.write_bytes(pickle.dumps(_Code()))
    with pytest.raises(WeightsError):
        read_checkpoint(file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("name", "content"), [("a.pt", b""), ("a.pt", b"damaged"), ("a.safetensors", b"damaged"), ("a.safetensors", None)])
def test_damaged_checkpoints_are_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        read_checkpoint(tmp_path / name)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="no state dict"):
        read_checkpoint(tmp_path / "list.pt")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    torch.save(create("FPN", encoder_name=ENCODER, classes=3).module.state_dict(), file)
    with pytest.raises(WeightsError, match=r"does not fit FPN/mobilenet_v2 with 5 classes.*segmentation_head"):
        load_checkpoint(file, "FPN", ENCODER, 5)
    with pytest.raises(WeightsError, match="missing"):
        load_checkpoint(file, "PSPNet", ENCODER, 3)


def test_names_that_smp_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'deeplabv3plus'"):
        create("DeepLabV3Plux")
    with pytest.raises(UnknownName, match="Did you mean 'resnet50'"):
        create("FPN", encoder_name="resnet5O")
    with pytest.raises(InputError, match="4 channels"):
        create("FPN", in_channels=4)
    with pytest.raises(InputError, match="Check the arguments"):
        create("DeepLabV3", encoder_name=ENCODER, encoder_output_stride=7)
    with pytest.raises(WeightsError, match="save_pretrained"):
        load_folder(tmp_path)


def test_a_label_for_each_class_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tells 5 classes, and 2 labels"):
        export_segmenter(create("FPN", encoder_name=ENCODER, classes=5), tmp_path, "mine", ("a", "b"))


def test_a_graph_of_other_classes_is_not_accepted(tmp_path: Path, photos: Sequence[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    write = _segmenter_export._write_graph
    other = loaded(seed=1)
    monkeypatch.setattr(_segmenter_export, "_write_graph", lambda _, model, file: write(_segmenter_export.Whole(other).eval(), model, file))
    with pytest.raises(WeightsError, match="Nothing was kept"):
        export_segmenter(loaded(), tmp_path, "mine", LABELS, photos=photos[:1])
    assert (tmp_path / GRAPH).exists()
    assert not (tmp_path / "weights.json").exists()


@pytest.mark.parametrize("cells", [1, 2, 3, 6, (3, 2)])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 12), (64, 33)])
def test_pooling_by_matrices_is_adaptive_pooling(size: tuple[int, int], cells: Any) -> None:
    planes = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    ours = _segmenter_export._adaptive_mean(planes, cells)
    torch.testing.assert_close(ours, torch.nn.functional.adaptive_avg_pool2d(planes, cells), atol=1e-6, rtol=1e-5)
