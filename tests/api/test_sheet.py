from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from api.hits_output import hits_table
from api.sheet import FRAME_WH, STYLE, Answered, contact_sheet, placed
from api.wiring import write_text
from preprocess import InputError, PellucidError, StorageFull
from search import Hit, RegionHit

BOXES = [
    ((400, 300), (100, 60, 180, 240)),
    ((800, 300), (700, 20, 780, 80)),
    ((800, 300), (20, 20, 60, 80)),
    ((1600, 200), (900, 50, 1000, 150)),
    ((1600, 200), (100, 50, 1500, 150)),  # wider than what the frame shows
    ((300, 800), (50, 700, 250, 790)),
    ((300, 800), (50, 350, 90, 500)),
    ((300, 800), (0, 0, 300, 800)),
    ((333, 257), (17, 31, 201, 240)),
    ((401, 300), (380, 10, 401, 300)),
]


@pytest.mark.parametrize(("size_wh", "box"), BOXES)
def test_the_box_lies_where_the_thumbnail_shows_the_region(size_wh: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    """Against Pillow's way of filling a frame."""
    pixels = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    at = placed(box, size_wh)
    centering = (at.position_xy[0] / 100, at.position_xy[1] / 100)
    seen = np.asarray(
        ImageOps.fit(Image.fromarray(pixels), (FRAME_WH[0] * 100, FRAME_WH[1] * 100), Image.Resampling.BILINEAR, centering=centering)
    )
    rows, columns = np.flatnonzero((seen > 127).any(1)), np.flatnonzero((seen > 127).any(0))
    percent = np.array([columns[0] / 4, rows[0] / 3, (columns[-1] + 1 - columns[0]) / 4, (rows[-1] + 1 - rows[0]) / 3])
    assert np.array([at.left, at.top, at.width, at.height]) == pytest.approx(percent, abs=0.7)


def test_the_frame_is_that_of_the_style() -> None:
    assert f"aspect-ratio: {FRAME_WH[0]}/{FRAME_WH[1]}; object-fit: cover" in STYLE


def test_a_small_region_is_shown_whole_wherever_it_is() -> None:
    for x in range(0, 1901, 100):
        at = placed((x, 100, x + 100, 300), (2000, 600))
        assert at.width == pytest.approx(100 * 100 / 800)
        assert at.height == pytest.approx(100 * 200 / 600)
        assert 0 <= at.left <= 100 - at.width


DOG = RegionHit((200.0, 30.0, 290.0, 80.4), "dog <b>", 0.312, 2.44, 0.9, 0.04, 3)


@pytest.fixture
def hit(tmp_path: Path) -> Hit:
    """A photo of 300 x 100 pixels that is ranked by its region."""
    Image.new("RGB", (300, 100), (90, 120, 60)).save(tmp_path / "a&b.png")
    return Hit(str(tmp_path), "a&b.png", "0" * 64, 0.205, 0.9, {"width": 300, "height": 100}, region=DOG, matched="region")


def test_the_sheet_marks_the_region_that_matched(hit: Hit) -> None:
    page = contact_sheet("dog", "1 photo", [Answered("dog", [hit])])
    at = placed(DOG.box_xyxy, (300, 100))
    style = f'class="box" style="left:{at.left:.2f}%;top:{at.top:.2f}%;width:{at.width:.2f}%;height:{at.height:.2f}%"'
    assert page.count(style) == 1
    assert f"object-position:{at.position_xy[0]:.2f}% " in page
    assert 'alt="a&amp;b.png; a box marks: dog &lt;b&gt;, right"' in page
    caption = re.sub(r"<[^>]*>", "", re.findall(r"<figcaption>.*?</figcaption>", page)[0])
    assert caption == "strong dog &lt;b&gt; 0.312 +2.4 (photo 0.205 +0.9) a&amp;b.png"
    assert 'style="width:31%"' in page
    assert "A yellow box marks" in page


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [(0, 0, "top left"), (100, 40, "centre"), (200, 90, "bottom right"), (100, 0, "top"), (0, 40, "left"), (130, 95, "bottom")],
)
def test_the_alternative_text_says_where_the_region_is(hit: Hit, x: int, y: int, words: str) -> None:
    moved = replace(hit, region=replace(DOG, label="dog", box_xyxy=(x, y, x + 60, y + 5)))
    assert f'a box marks: dog, {words}"' in contact_sheet("", "", [Answered("", [moved])])


def test_a_hit_by_its_photo_is_not_marked(hit: Hit) -> None:
    for other in (replace(hit, matched="image"), replace(hit, matched="image", region=None)):
        page = contact_sheet("dog", "1 photo", [Answered("dog", [other])])
        assert 'class="box"' not in page
        assert "A yellow box marks" not in page
        assert 'alt="a&amp;b.png"' in page
        assert ">0.205 +0.9</span> a&amp;b.png" in page


def test_a_photo_that_is_gone_or_of_unknown_size_has_no_box(hit: Hit) -> None:
    unknown = contact_sheet("", "", [Answered("", [replace(hit, columns={})])])
    assert 'class="box"' not in unknown
    assert "dog &lt;b&gt;" in unknown
    Path(hit.file).unlink()
    gone = contact_sheet("", "", [Answered("", [hit])])
    assert 'class="box"' not in gone
    assert "cannot be opened" in gone


def test_the_table_says_which_region_matched(hit: Hit, capsys: pytest.CaptureFixture[str]) -> None:
    steering = replace(hit, region=replace(DOG, label="\x1b[31m", box_xyxy=(1, 2, 3, 4)), path="c.png")
    hits_table([hit, replace(hit, path="b.png", matched="image"), steering])
    head, _, *rows = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert "best region" in head
    assert "0.205" in rows[0]
    assert " dog <b> 0.312 +2.4 at 200,30 90×50 " in rows[0]
    assert "(dog <b> 0.312 +2.4 at 200,30 90×50)" in rows[1]
    assert "\\x1b[31m 0.312 +2.4 at 1,2 2×2" in rows[2]
    hits_table([replace(hit, matched="image", region=None)])
    assert "region" not in capsys.readouterr().out.split(hit.root)[0]


@pytest.mark.parametrize(
    ("number", "error", "said"),
    [(errno.ENOSPC, StorageFull, "Free some space"), (errno.EROFS, InputError, "a folder that can be written to")],
)
def test_a_page_that_cannot_be_written_is_an_error_with_a_remedy(
    tmp_path: Path, number: int, error: type[PellucidError], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), str(self))

    for name in ("write_text", "unlink"):  # on a read-only disk, not even what is not there can be removed
        monkeypatch.setattr(Path, name, refuse)
    with pytest.raises(error, match=said):
        write_text(tmp_path / "page.html", "text")


def test_where_nothing_matched_the_nearest_miss_stands_alone(hit: Hit) -> None:
    miss = replace(hit, verdict="none", probability=0.04)
    page = contact_sheet("a zebra", "Nothing here matches", [Answered("a zebra", [], None, miss)])
    assert page.index("The nearest miss:") < page.index("<figure>")
    assert page.count("<figure>") == 1
    assert '<span class="verdict none" title="probability 4%">none</span>' in page
    assert "nearest miss" not in contact_sheet("a dog", "1 photo", [Answered("a dog", [hit])])
    assert "No photos." in contact_sheet("a dog", "", [Answered("a dog", [])])


def test_photos_that_look_the_same_are_named(hit: Hit, capsys: pytest.CaptureFixture[str]) -> None:
    twice = replace(hit, also=("/photos/<i>.png", "/photos/c.png"))
    page = contact_sheet("a dog", "", [Answered("a dog", [twice])])
    assert "and 2 alike" in page
    assert "<i>" not in page
    hits_table([twice])
    assert "and 2 more that look the same" in capsys.readouterr().out
