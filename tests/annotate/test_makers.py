"""Makers of regions: segmenters, joined ones, and what is measured of each region."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from annotate.makers import (
    NO_REGIONS,
    REGION_MAKERS,
    JoinedRegions,
    RegionMaker,
    RegionMakerOptions,
    SegmentedRegions,
    box_overlap,
    load_region_maker,
)
from annotate.masks import encode_mask
from annotate.measures import brought_down, measured, scaled_box
from annotate.region import Annotation, Region
from annotate.segment import GRAPH, Frame, SegmenterFacts
from preprocess import InputError, UnknownName, WeightsError, relative_depth

GREY, RED, BLUE = (128, 128, 128), (250, 20, 20), (20, 20, 250)
Make = Callable[..., Path]


def write_segmenter(folder: Path, labels: tuple[str, ...] = ("red", "background", "blue"), gain: float = 40.0, **frame: Any) -> Path:
    """The class is the strongest colour, but for a little: grey is the second class."""
    weight = np.zeros((3, 3, 1, 1), np.float32)
    weight[range(3), range(3)] = gain
    constants = {"weight": weight, "bias": np.array([0, gain * 0.05, 0], np.float32), "full": np.array(255, np.float32)}
    nodes = [
        ("Cast", ["pixels"], "floats", {"to": TensorProto.FLOAT}), ("Div", ["floats", "full"], "shares", {}),
        ("Transpose", ["shares"], "planes", {"perm": [0, 3, 1, 2]}), ("Conv", ["planes", "weight", "bias"], "logits", {}),
    ]  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(kind, ins, [out], **more) for kind, ins, out, more in nodes],
        "segmenter",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), str(folder / GRAPH))
    digest = hashlib.sha256((folder / GRAPH).read_bytes()).hexdigest()
    SegmenterFacts(folder.name, labels, Frame(stride=8, **frame), {GRAPH: digest}, "CC0-1.0", arch="colours").write(folder)
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_segmenter(tmp_path / "models" / "colours", short=64)
    return tmp_path / "models"


@pytest.fixture
def options(models: Path) -> RegionMakerOptions:
    return RegionMakerOptions(models)


def scene(height: int = 120, width: int = 160) -> Any:
    """Grey, with a red part on the left and a smaller blue one on the right."""
    pixels = np.full((height, width, 3), GREY, np.uint8)
    pixels[height // 4 : height * 3 // 4, : width // 4] = RED
    pixels[: height // 4, width * 3 // 4 :] = BLUE
    return pixels


def made(name: str, options: RegionMakerOptions) -> RegionMaker:
    maker = load_region_maker(name, options)
    assert maker is not None
    return maker


def test_regions_of_each_class_but_the_background_with_all_that_is_measured(options: RegionMakerOptions) -> None:
    found = made("colours", options)(scene(), (320, 240))
    assert found.size_wh == (320, 240)
    red, blue = found.regions
    assert (red.label, blue.label) == ("red", "blue")
    np.testing.assert_allclose([red.box_xyxy, blue.box_xyxy], [(0, 60, 80, 180), (240, 0, 320, 60)], atol=4)  # a pixel of the mask
    assert red.area == pytest.approx(1 / 8, rel=0.1)
    assert blue.area == pytest.approx(1 / 16, rel=0.1)
    assert red.mask is not None
    assert red.mask.size_hw == (64, 85)  # the segmenter's size, not the photo's
    assert np.abs(np.array([red.colour, blue.colour]) - [RED, BLUE]).max() < 12  # reduced, so mixed a little at the edges
    assert red.haze_depth is not None
    assert 0 <= red.haze_depth < 5
    assert min(red.confidence, blue.confidence) > 0.9


def test_a_photo_in_which_nothing_is_found_has_an_annotation_without_regions(options: RegionMakerOptions) -> None:
    grey = np.full((50, 70, 3), GREY, np.uint8)
    for name in ("colours", "proposals", "colours+proposals"):
        maker = made(name, options)
        assert maker(grey, (700, 500)) == Annotation((700, 500), (), maker.id)


def test_no_more_than_asked_for_and_none_that_is_small_or_doubtful(options: RegionMakerOptions, tmp_path: Path) -> None:
    pixels = scene(64, 64)
    pixels[60:62, 60:62] = RED  # 0.1 %
    labels = [region.label for region in made("colours", options)(pixels, (64, 64)).regions]
    assert labels == ["red", "blue"]
    assert [r.label for r in made("colours", replace(options, least_area=0))(pixels, (64, 64)).regions] == ["red", "blue", "red"]
    assert [r.label for r in made("colours", replace(options, most=1))(pixels, (64, 64)).regions] == ["red"]
    write_segmenter(tmp_path / "models" / "unsure", gain=0.5)
    assert made("unsure", replace(options, least_confidence=0.3))(pixels, (64, 64)).regions != ()
    assert made("unsure", replace(options, least_confidence=0.6))(pixels, (64, 64)).regions == ()


def test_the_largest_are_kept_of_those_that_are_sure(tmp_path: Path) -> None:
    """A large doubtful region does not take the place of a small sure one."""
    write_segmenter(tmp_path / "models" / "soft", gain=3.0)
    pixels = np.full((64, 64, 3), GREY, np.uint8)
    pixels[:, :40] = (170, 128, 128)
    pixels[:16, 48:] = BLUE
    every = made("soft", RegionMakerOptions(tmp_path / "models", least_confidence=0))(pixels, (64, 64)).regions
    assert [region.label for region in every] == ["red", "blue"]
    doubtful, sure = (region.confidence for region in every)
    assert doubtful < sure - 0.2
    strict = RegionMakerOptions(tmp_path / "models", most=1, least_confidence=(doubtful + sure) / 2)
    assert [region.label for region in made("soft", strict)(pixels, (64, 64)).regions] == ["blue"]


def test_a_photo_is_segmented_at_the_size_that_the_network_knows_and_masks_are_no_larger_than_512_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from annotate._onnx_segmenter import OnnxSegmenter

    seen: list[tuple[int, int]] = []
    real = OnnxSegmenter.segment
    monkeypatch.setattr(OnnxSegmenter, "segment", lambda self, pixels: (seen.append(pixels.shape[:2]), real(self, pixels))[1])
    for short, wanted in ((0, 1024), (2000, 1024), (560, 560), (300, 300)):
        maker = SegmentedRegions("large", write_segmenter(tmp_path / "large", short=short, tile=1024))
        assert maker.short == wanted
        red, _blue = maker(scene(600, 900), (900, 600)).regions
        assert seen.pop() == (min(600, wanted), min(600, wanted) * 3 // 2)
        assert red.mask is not None
        assert red.mask.size_hw == (min(512, wanted), min(512, wanted) * 3 // 2)
        np.testing.assert_allclose(red.box_xyxy, (0, 150, 225, 450), atol=3)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3), (9, 1000)])
def test_photos_of_any_shape(options: RegionMakerOptions, size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), RED, np.uint8)
    full = (size[1] * 7, size[0] * 7)
    for name in ("colours", "colours+proposals"):
        (region, *_) = made(name, options)(pixels, full).regions
        assert region.box_xyxy == (0, 0, *full)
        assert region.area == 1


def test_the_id_needs_no_weights_and_says_what_decides_the_regions(options: RegionMakerOptions, models: Path) -> None:
    maker = made("colours", options)
    name, digest = maker.id.split("-")
    assert (name, len(digest)) == ("colours", 12)
    assert made("colours", replace(options, most=3)).id != maker.id
    assert made("colours", replace(options, least_confidence=0.9)).id != maker.id
    write_segmenter(models / "colours", gain=7.0, short=64)
    assert made("colours", options).id != maker.id
    (models / "colours" / GRAPH).write_bytes(b"damaged")
    broken = made("colours", options)
    assert broken.id.startswith("colours-")
    with pytest.raises(WeightsError, match="damaged"):
        broken(scene(), (160, 120))


def test_the_id_does_not_depend_on_where_models_lie(options: RegionMakerOptions, tmp_path: Path, models: Path) -> None:
    models.rename(tmp_path / "elsewhere")
    assert (
        made("colours", RegionMakerOptions(tmp_path / "elsewhere")).id == SegmentedRegions("colours", tmp_path / "elsewhere" / "colours").id
    )


def test_threads_share_a_maker_and_open_its_weights_once(options: RegionMakerOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    from annotate import makers

    opened: list[Any] = []
    real = makers.open_segmenter
    monkeypatch.setattr(makers, "open_segmenter", lambda *given: (opened.append(given), real(*given))[1])
    maker = made("colours", options)
    assert opened == []
    pictures = [scene(60 + 8 * step, 90) for step in range(8)]
    alone = [maker(pixels, (900, 600)) for pixels in pictures]
    fresh = made("colours", options)
    opened.clear()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda pixels: fresh(pixels, (900, 600)), pictures)) == alone
    assert len(opened) == 1
    assert opened[0][1].threads == 1


class Fixed:
    """Finds what it is told."""

    short, labels = 32, ("thing",)

    def __init__(self, name: str, *boxes: tuple[float, float, float, float]) -> None:
        self.id, self.boxes = name, boxes

    def __call__(self, _pixels: Any, size_wh: tuple[int, int]) -> Annotation:
        return Annotation(size_wh, tuple(Region(box, self.id) for box in self.boxes), self.id)


def test_joined_makers_do_not_repeat_each_other() -> None:
    first = Fixed("first", (0, 0, 100, 100), (0, 0, 10, 10))
    second = Fixed("second", (0, 0, 100, 90), (0, 0, 50, 100), (200, 0, 300, 100), (200, 0, 300, 100))
    joined = JoinedRegions((first, second), RegionMakerOptions(repeated=0.6))
    found = joined(scene(), (400, 300))
    assert found.maker == joined.id == "first+second"
    # IoU 0.9 is left out, 0.5 is not; what one maker repeats itself is its own affair
    assert [(r.label, r.box_xyxy[0], r.box_xyxy[2]) for r in found.regions] == [
        ("first", 0, 100), ("first", 0, 10), ("second", 0, 50), ("second", 200, 300), ("second", 200, 300),
    ]  # fmt: skip


def test_joined_by_name(options: RegionMakerOptions) -> None:
    joined, alone = made("colours+proposals", options), made("colours", options)
    assert joined.id == f"{alone.id}+{made('proposals', options).id}"
    assert joined.short == 256
    assert joined.labels == ("red", "blue", "part")
    found = joined(scene(), (160, 120)).regions
    assert found[:2] == alone(brought_down(scene(), 256), (160, 120)).regions
    assert {region.label for region in found[2:]} <= {"part"}


def test_names(options: RegionMakerOptions, models: Path) -> None:
    assert load_region_maker(NO_REGIONS) is None
    assert set(REGION_MAKERS) >= {"none", "builtin", "proposals"}
    with pytest.raises(UnknownName, match=r"No maker of regions named 'colour'\. Did you mean 'colours'"):
        load_region_maker("colour", options)
    with pytest.raises(UnknownName, match="'proposal'"):
        load_region_maker("colours+proposal", options)
    for name in ("colours+none", "none+proposals", "colours+colours"):
        with pytest.raises(InputError, match="cannot be joined"):
            load_region_maker(name, options)
    write_segmenter(models / "a+b")
    assert made("a+b", options).id.startswith("a+b-")
    (models / "encoder").mkdir()
    (models / "encoder" / "weights.json").write_text(json.dumps({"format": 1}), encoding="utf-8")
    with pytest.raises(UnknownName):
        load_region_maker("encoder", options)


def test_a_segmenter_cannot_pass_for_a_person(options: RegionMakerOptions, models: Path) -> None:
    write_segmenter(models / "human")
    with pytest.raises(InputError, match="Rename its folder"):
        load_region_maker("human", options)


@pytest.mark.parametrize("wrong", [{"most": 0}, {"least_area": -0.1}, {"least_confidence": 2}, {"repeated": 1.1}])
def test_options_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        RegionMakerOptions(**wrong)


def test_measures_are_those_of_the_pixels_inside() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:70:2] = True
    inside, box = measured(pixels, [Region((20, 10, 70, 30), "a", 1.0, encode_mask(mask)), Region((0, 0, 40, 60), "b")])
    depth = relative_depth(pixels)
    for region, where in ((inside, mask), (box, np.arange(80)[None] < np.full((60, 1), 40))):
        assert region.area == pytest.approx(where.mean())
        np.testing.assert_allclose(region.colour, pixels[where].mean(0), atol=0.51)
        assert region.haze_depth == pytest.approx(float(depth[where].mean()), abs=1e-4)


def test_depth_of_a_large_photo_is_about_that_of_a_small_one(skimage_photos: Path) -> None:
    from preprocess import read_image

    pixels = read_image(skimage_photos / "rocket.jpg").pixels
    height, width = pixels.shape[:2]
    boxes = [Region((0, 0, width, height // 2), "top"), Region((0, height // 2, width, height), "bottom")]
    exact = relative_depth(pixels)
    for region, part in zip(measured(pixels, boxes), (exact[: height // 2], exact[height // 2 :]), strict=True):
        assert region.haze_depth == pytest.approx(float(part.mean()), rel=0.25)


def test_what_cannot_be_measured() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(InputError, match="Resize it"):
        measured(pixels, [Region((0, 0, 5, 5), "a", 1.0, encode_mask(np.ones((5, 5), bool)))])
    with pytest.raises(InputError, match="no pixel"):
        measured(pixels, [Region((0, 0, 5, 5), "a", 1.0, encode_mask(np.zeros((10, 10), bool)))])
    with pytest.raises(InputError, match="no pixel"):
        measured(pixels, [Region((10, 0, 15, 5), "a")])
    assert measured(pixels, []) == ()


@pytest.mark.parametrize(
    ("small", "full", "box", "expected"),
    [
        ((10, 10), (10, 10), (1, 2, 3, 4), (1, 2, 3, 4)),
        ((10, 10), (25, 25), (1, 2, 3, 4), (2, 5, 8, 10)),
        ((100, 100), (7, 7), (99, 0, 100, 1), (6, 0, 7, 1)),
        ((3, 3), (4000, 3000), (2, 2, 3, 3), (2666, 2000, 4000, 3000)),
        ((10, 10), (20, 20), (-3, -3, 15, 15), (0, 0, 20, 20)),
    ],
)
def test_boxes_grow_outwards_and_stay_in_the_photo(small: Any, full: Any, box: Any, expected: Any) -> None:
    assert scaled_box(Region(box, "a"), small, full).box_xyxy == expected


@pytest.mark.parametrize(
    ("size", "short", "expected"), [((100, 200), 50, (50, 100)), ((40, 60), 50, (40, 60)), ((16, 1_000_000), 512, (8, 500_000))]
)
def test_brought_down(size: tuple[int, int], short: int, expected: tuple[int, int]) -> None:
    assert brought_down(np.zeros((*size, 3), np.uint8), short).shape[:2] == expected


def test_overlap_of_boxes() -> None:
    assert box_overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert box_overlap((0, 0, 2, 2), (2, 0, 4, 2)) == 0
    assert box_overlap((0, 0, 4, 4), (1, 1, 3, 3)) == 0.25
