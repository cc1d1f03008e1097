"""Keywords and areas as they are written, compared and noted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from annotate import Region
from annotate.xmp_document import XmpDocument
from annotate.xmp_items import Keyword, NamedArea, XmpItems, area_items, fold, items_of, keyword_items
from preprocess import InputError

WANTED = XmpItems(
    ("dog", "a, b & <c>", "日本 🐕"),
    ("auto|animals|dog", 'auto|it\'s "quoted"'),
    (NamedArea("dog", "Pet", 0.25, 0.75, 0.1, 0.2), NamedArea("sky", "", 0.5, 0.1, 1.0, 0.2)),
    (4000, 3000),
)


def test_keywords() -> None:
    given_words = [Keyword(("animals", " dog ")), Keyword(("Dog",)), Keyword(("black|white",)), Keyword(("a,\n b",)), Keyword(("👨‍👩‍👧",))]
    items = keyword_items(given_words, "auto|")
    assert items.subjects == ("dog", "black|white", "a, b", "👨‍👩‍👧")
    assert items.paths == ("auto|animals|dog", "auto|Dog", "auto|black/white", "auto|a, b", "auto|👨‍👩‍👧")
    assert keyword_items(given_words).paths == ("animals|dog",)
    assert keyword_items([Keyword(("dog",))], " auto | machine ").paths == ("auto|machine|dog",)


@pytest.mark.parametrize("levels", [(), ("",), ("a", " "), ("a\0b",), ("a\x1bb",), ("\ud800",), ("\uffff",), ("x" * 1001,)])
def test_keywords_that_no_xml_can_hold(levels: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        Keyword(levels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_areas_are_of_the_stored_photo(orientation: int) -> None:
    stored = np.zeros((60, 80, 3), np.uint8)
    stored[10:20, 40:70] = 255  # left 40, top 10, right 70, bottom 20
    photo = Image.fromarray(stored)
    photo.getexif()[274] = orientation
    upright = np.asarray(ImageOps.exif_transpose(photo))
    rows, columns = np.nonzero(upright[..., 0])
    box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    items = area_items([Region(box, "pet")], (upright.shape[1], upright.shape[0]), orientation)
    assert items.size_wh == (80, 60)
    assert items.areas[0].kind == "Pet"
    assert items.areas[0].xywh == pytest.approx((55 / 80, 15 / 60, 30 / 80, 10 / 60), abs=1e-6)


def test_areas_are_clipped_and_told_apart() -> None:
    regions = [
        Region((-10, -10, 50, 50), "person"),
        Region((0, 0, 50, 50), "Person"),
        Region((200, 0, 300, 9), "sky"),
        Region((0, 0, 9, 9), "person"),
    ]
    items = area_items(regions, (100, 100))
    assert items.areas == (NamedArea("person", "", 0.25, 0.25, 0.5, 0.5), NamedArea("person", "", 0.045, 0.045, 0.09, 0.09))
    for orientation, size in ((9, (1, 1)), (0, (1, 1)), (1, (0, 5))):
        with pytest.raises(InputError, match="orientations 1 to 8"):
            area_items([], size, orientation)


def test_items_as_json() -> None:
    assert items_of(json.loads(json.dumps(WANTED.as_json())), "it") == WANTED
    for wrong in ({}, [], {**WANTED.as_json(), "areas": [[1]]}, {**WANTED.as_json(), "size_wh": ["a", 1]}):
        with pytest.raises(InputError):
            items_of(wrong, "it")


def test_spellings() -> None:
    assert fold(" E\u0301te\u0301 ") == fold("ÉTÉ")
    assert XmpItems(("sea", "sun"), ("a|sea",)).minus(XmpItems(("SEA",), ("A|Sea",))) == XmpItems(("sun",))


@pytest.mark.parametrize(
    ("size_wh", "fits"), [((4000, 3000), True), ((2000, 1500), True), ((4032, 3024), True), ((3000, 4000), False), ((4000, 2250), False)]
)
def test_areas_of_another_picture(size_wh: tuple[int, int], fits: bool) -> None:
    document = XmpDocument((Path(__file__).parent / "lightroom.xmp").read_bytes())
    assert document.takes_areas(size_wh) is fits
