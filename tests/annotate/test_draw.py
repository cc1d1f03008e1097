"""Regions on a copy of the photo."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.draw import DrawOptions, draw_regions, place_plates
from annotate.labels import LabelSet
from annotate.masks import encode_mask
from annotate.palette import contrast_ratio
from annotate.region import Region
from preprocess import InputError

LABELS = LabelSet.of(["dog", "sofa", "window", "lamp"])
PLAIN = DrawOptions(text_share=0)


@pytest.fixture(scope="module")
def photo() -> Any:
    data = pytest.importorskip("skimage.data", reason="the real photos of scikit-image are not installed")
    return np.ascontiguousarray(data.coffee())


def disc(size: tuple[int, int], centre: tuple[int, int], radius: int, label: str = "dog") -> Region:
    y, x = np.indices(size)
    mask = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
    rows, columns = np.nonzero(mask)
    box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    return Region(box, label, 0.8, encode_mask(mask))


def overlap(a: Any, b: Any) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def test_the_photo_is_not_touched(photo: Any) -> None:
    read_only = photo.copy()
    read_only.flags.writeable = False
    drawn = draw_regions(read_only, [disc(photo.shape[:2], (300, 200), 90)], LABELS)
    np.testing.assert_array_equal(read_only, photo)
    assert drawn.shape == photo.shape
    assert drawn.dtype == np.uint8
    assert drawn.flags.writeable
    assert (drawn != photo).any()
    np.testing.assert_array_equal(draw_regions(photo, [], LABELS), photo)
    np.testing.assert_array_equal(drawn, draw_regions(photo, [disc(photo.shape[:2], (300, 200), 90)], LABELS))


def test_areas_shine_through_and_outlines_do_not(photo: Any) -> None:
    region = disc(photo.shape[:2], (300, 200), 150, "sofa")
    drawn = draw_regions(photo, [region], LABELS, DrawOptions(opacity=0.4))
    colour, under = np.array(LABELS.colour("sofa")), photo[300, 320].astype(float)
    np.testing.assert_allclose(drawn[300, 320], under + (colour - under) * 0.4, atol=0.51)
    np.testing.assert_array_equal(drawn[200, 151], colour)  # the leftmost pixel inside
    far = np.hypot(*(np.indices(photo.shape[:2]) - np.array([200, 300])[:, None, None])) >= 150
    (plate,) = place_plates([region], (600, 400), LABELS)
    left, top, right, bottom = plate.place
    far[top:bottom, left:right] = False
    np.testing.assert_array_equal(drawn[far], photo[far])


def test_a_box_has_an_outline_and_nothing_in_it(photo: Any) -> None:
    drawn = draw_regions(photo, [Region((100, 80, 400, 300), "lamp")], LABELS)
    np.testing.assert_array_equal(drawn[110:290, 110:390], photo[110:290, 110:390])
    assert (drawn[299, 100:400] == LABELS.colour("lamp")).all()
    assert (drawn[80:300, 399] == LABELS.colour("lamp")).all()
    np.testing.assert_array_equal(drawn[300:], photo[300:])


def test_small_regions_lie_on_large_ones() -> None:
    grey = np.full((200, 300, 3), 128, np.uint8)
    large, small = disc((200, 300), (150, 100), 90, "sofa"), disc((200, 300), (150, 40), 12, "dog")
    first, second = (draw_regions(grey, regions, LABELS, PLAIN) for regions in ([large, small], [small, large]))
    np.testing.assert_array_equal(first, second)
    assert (first[40, 139] == LABELS.colour("dog")).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (13, 13), (20, 40), (60, 60)])
def test_tiny_photos(size: tuple[int, int]) -> None:
    region = Region((0, 0, size[1], size[0]), "a label that is long", 0.5, encode_mask(np.ones(size, bool)))
    drawn = draw_regions(np.zeros((*size, 3), np.uint8), [region])
    assert drawn.shape == (*size, 3)
    assert drawn.any()


BOXES = st.tuples(*[st.floats(-50, 350, width=16)] * 2, *[st.floats(1, 300, width=16)] * 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(BOXES, st.text(min_size=1, max_size=60)), max_size=12), st.integers(1, 400), st.integers(1, 300))
def test_plates_stay_in_the_photo_and_can_be_read(boxes: Any, width: int, height: int) -> None:
    regions = [Region((x, y, x + w, y + h), text, 0.5) for (x, y, w, h), text in boxes]
    plates = place_plates(regions, (width, height))
    for plate in plates:
        left, top, right, bottom = plate.place
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert contrast_ratio(plate.ground, plate.ink) >= 4.5
    assert len(plates) <= len(regions)


@pytest.mark.parametrize("seed", range(5))
def test_plates_keep_apart_where_there_is_room(seed: int) -> None:
    random = np.random.default_rng(seed)
    regions = [Region((x, y, x + 60, y + 60), "window", 0.9) for x, y in random.integers(0, 500, (14, 2)).astype(float).tolist()]
    regions += [regions[0]] * 3  # the same box again and again
    plates = place_plates(regions, (600, 600), LABELS)
    assert len(plates) == 17
    assert not any(overlap(a.place, b.place) for a, b in itertools.combinations(plates, 2))


def test_letters_stay_on_their_plate() -> None:
    black = np.zeros((300, 500, 3), np.uint8)
    region = Region((100, 100, 400, 250), "Ágypjq window", 1.0)
    (plate,) = place_plates([region], (500, 300), LABELS)
    left, top, right, bottom = plate.place
    drawn = draw_regions(black, [region], LABELS, DrawOptions(outline_share=0))
    outside = np.ones((300, 500), bool)
    outside[top:bottom, left:right] = outside[100:250, 100:400] = False
    assert not drawn[outside].any()
    on_plate = drawn[top:bottom, left:right].reshape(-1, 3)
    assert (on_plate == plate.ground).all(1).any()
    assert (on_plate == plate.ink).all(1).any()
    edge = np.concatenate([drawn[top, left:right], drawn[bottom - 1, left:right], drawn[top:bottom, left], drawn[top:bottom, right - 1]])
    assert (edge == plate.ground).all()  # no letter reaches the rim


def test_sizes_follow_the_photo() -> None:
    heights = []
    for scale in (1, 2, 4):
        (plate,) = place_plates([Region((40 * scale, 40 * scale, 300 * scale, 300 * scale), "dog")], (800 * scale, 600 * scale))
        heights.append(plate.place[3] - plate.place[1])
    assert heights[1] / heights[0] == pytest.approx(2, rel=0.15)
    assert heights[2] / heights[0] == pytest.approx(4, rel=0.15)
    thin, thick = (
        np.count_nonzero((draw_regions(np.full((side, side, 3), 9, np.uint8), [Region((0, 0, side, side), "dog")])[side // 2] != 9).any(1))
        for side in (500, 2000)
    )
    assert thick == 4 * thin
    assert thin == 2 * 2  # 0.4 % of 500 pixels, on both sides


def test_a_text_says_label_and_confidence() -> None:
    region = Region((10, 10, 90, 90), "dog\nbig", 0.876)
    assert place_plates([region], (500, 500))[0].text == "dog big 88%"
    assert place_plates([region], (500, 500), options=DrawOptions(with_confidence=False))[0].text == "dog big"
    (cut,) = place_plates([Region((0, 0, 9, 9), "w" * 500)], (200, 200))
    assert cut.text.endswith("w…")


def test_a_plate_lies_on_a_roomy_mask() -> None:
    mask = np.zeros((400, 600), bool)
    mask[300:, :] = mask[:, 500:] = True  # the middle of its box is not in it
    (plate,) = place_plates([Region((0, 0, 600, 400), "sofa", 1.0, encode_mask(mask))], (600, 400))
    left, top, right, bottom = plate.place
    assert mask[top:bottom, left:right].all()


def test_an_empty_mask_and_a_box_outside_paint_no_area() -> None:
    photo = np.full((100, 100, 3), 9, np.uint8)
    empty = Region((10, 10, 20, 20), "dog", 1.0, encode_mask(np.zeros((100, 100), bool)))
    outside = Region((200, 200, 300, 300), "dog")
    for region in (empty, outside):
        (plate,) = place_plates([region], (100, 100))
        drawn = draw_regions(photo, [region])
        left, top, right, bottom = plate.place
        drawn[top:bottom, left:right] = 9
        np.testing.assert_array_equal(drawn, photo)


def test_a_font_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        draw_regions(np.zeros((50, 50, 3), np.uint8), [], options=DrawOptions(font=tmp_path / "none.ttf"))


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_photo(pixels: Any) -> None:
    with pytest.raises(InputError, match="A photo is uint8"):
        draw_regions(pixels, [])


def test_masks_must_fit() -> None:
    region = Region((0, 0, 2, 2), "dog", 1.0, encode_mask(np.ones((2, 2), bool)))
    with pytest.raises(InputError, match="Resize it with resize_mask"):
        draw_regions(np.zeros((4, 4, 3), np.uint8), [region])
    with pytest.raises(InputError, match="opacity"):
        DrawOptions(opacity=1.5)


def test_plates_do_not_hide_small_regions_where_there_is_room() -> None:
    large = disc((400, 600), (300, 200), 190, "sofa")
    x, y = 300, 200  # where the plate of the large one would lie
    small = [Region((x - 12 + 30 * step, y - 8, x + 8 + 30 * step, y + 8), "lamp", 0.9) for step in range(-1, 2)]
    plates = place_plates([large, *small], (600, 400), LABELS)
    assert len(plates) == 4
    assert not any(overlap(plate.place, region.box_xyxy) for plate in plates for region in small)
    assert plates[0].text == "sofa 80%"


def test_in_a_crowded_photo_a_label_is_written_once_and_its_colour_says_the_rest() -> None:
    regions = [
        Region((x, y, x + 30, y + 26), label, 0.9) for y in range(0, 160, 27) for x, label in ((0, "dog"), (60, "sofa"), (150, "dog"))
    ]
    plates = place_plates(regions, (200, 160), LABELS)
    assert {plate.text.split()[0] for plate in plates} == {"dog", "sofa"}
    assert len(plates) < len(regions)
    covered = np.zeros((160, 200), bool)
    for left, top, right, bottom in (plate.place for plate in plates):
        covered[top:bottom, left:right] = True
    assert covered.mean() < 0.3


def test_proposals_take_turns_in_colour() -> None:
    boxes = [Region((10 * step, 10 * step, 10 * step + 200, 10 * step + 150), "part", 0.5) for step in range(3)]
    plates = place_plates(boxes, (600, 400), LABELS)
    assert len({plate.ground for plate in plates}) == 3
    dogs = place_plates([Region(box.box_xyxy, "dog", 0.5) for box in boxes], (600, 400), LABELS)
    assert {plate.ground for plate in dogs} == {LABELS.colour("dog")}
