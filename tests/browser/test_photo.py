"""One photo: its parts in their places, the dehazed version, what is beside it."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Look, Served
from .real_photos import CAT_BOX, HAZY, SMALL_CAT
from .steps import asked, box_of, far, open_photo, opened, settled, wait_for_count, within

PART = "/?q=a+cat&in=regions&strict=0"
SIZES = ((1280, 800), (700, 1000), (360, 740), (900, 500))


def matched(page: Any, digest: str) -> tuple[tuple[float, ...], int]:
    """Box and number of the part of the small cat's photo that the service says was found."""
    answer = page.evaluate(
        """() => fetch('/v1/search', {method: 'POST', headers: {'content-type': 'application/json'},
                  body: JSON.stringify({terms: [{text: 'a cat'}], in: 'regions', strictness: 0})}).then((answer) => answer.json())"""
    )
    region = next(hit["region"] for hit in answer["hits"] if hit["digest"] == digest)
    return tuple(region["box_xyxy"]), region["number"]


def test_the_part_that_was_found_is_framed_in_its_place(look: Look, served: Served) -> None:
    page = look(served.address, width=1000, height=700).open(PART)
    settled(page)
    digest = open_photo(page, SMALL_CAT)
    box, number = matched(page, digest)
    page.wait_for_selector(f'g.marked[data-region="{number}"]')
    shown = box_of(page, ".preview")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(
            "(before) => Math.abs(document.querySelector('.preview').getBoundingClientRect().width - before) > 20", arg=shown[2] - shown[0]
        )
        shown = box_of(page, ".preview")
        frame = box_of(page, f'[data-region="{number}"] > rect')
        assert far(frame, within(box, shown, (640, 427))) < 2
        natural = page.evaluate("(({naturalWidth, naturalHeight}) => [naturalWidth, naturalHeight])(document.querySelector('.preview'))")
        assert abs((shown[2] - shown[0]) / (shown[3] - shown[1]) - natural[0] / natural[1]) < 0.01, "the photo fills what it is measured by"
        assert shown[0] >= 0
        assert shown[2] <= width
        x1, y1, x2, y2 = within(CAT_BOX, shown, (640, 427))
        assert x1 < (frame[0] + frame[2]) / 2 < x2, "the cat is in it"
        assert y1 < (frame[1] + frame[3]) / 2 < y2


def test_all_parts_lie_where_the_service_says_and_the_list_marks_them(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    digest = open_photo(page, "astronaut.jpg")
    image = asked(page, f"/v1/images/{digest}")
    assert len(image["regions"]) > 3
    shown, size = box_of(page, ".preview"), (image["width"], image["height"])
    for region in image["regions"]:
        assert far(box_of(page, f'[data-region="{region["number"]}"] > rect'), within(tuple(region["box_xyxy"]), shown, size)) < 2
    listed = page.locator(".info .labels button").evaluate_all("all => all.map((one) => one.firstChild.textContent)")
    assert sorted(listed) == sorted(region["label"] for region in image["regions"])
    page.keyboard.press("r")
    page.wait_for_selector("svg.regions", state="detached")
    page.keyboard.press("r")
    page.wait_for_selector("svg.regions")
    assert page.locator("g.marked").count() == 0
    label = page.locator(".info .labels button").first
    label.click()
    page.wait_for_selector("g.marked")
    number = int(page.locator("g.marked").get_attribute("data-region"))
    assert next(region["label"] for region in image["regions"] if region["number"] == number) in label.inner_text()
    label.click()
    page.wait_for_selector("g.marked", state="detached")


def test_the_frame_on_a_hit_lies_in_its_place_too(look: Look, served: Served) -> None:
    page = look(served.address).open(PART)
    settled(page)
    tile = page.locator(f".tile:has(.name:text-is('{SMALL_CAT}'))")
    tile.locator("img.there").wait_for()
    digest = tile.locator("a").get_attribute("href").split("/photo/")[1].split("?")[0]
    box, _ = matched(page, digest)
    tile.evaluate("(tile) => { tile.id = 'found'; }")
    # The tile's shape is the photo's, to a hundredth: the picture fills it and loses less than a pixel.
    assert far(box_of(page, "#found .mark rect"), within(box, box_of(page, "#found a"), (640, 427))) < 2


def test_before_and_after_are_compared_with_a_slider(look: Look, served: Served) -> None:
    page = look(served.address).open("/?haze=0.9-1")
    wait_for_count(page, 1)
    open_photo(page, HAZY)
    page.keyboard.press("d")
    page.wait_for_function("() => document.querySelector('.compare img')?.naturalWidth > 0")
    assert far(box_of(page, ".compare img"), box_of(page, ".preview")) < 1, "one lies on the other"
    contrasts = page.evaluate(
        """async () => Promise.all(['.preview', '.compare img'].map(async (one) => {
          const image = document.querySelector(one), board = new OffscreenCanvas(64, 64), pen = board.getContext('2d');
          await image.decode(); pen.drawImage(image, 0, 0, 64, 64);
          const greys = Array.from(pen.getImageData(0, 0, 64, 64).data).filter((_, at) => at % 4 === 1), mean = greys.reduce((a, b) => a + b) / greys.length;
          return Math.sqrt(greys.reduce((sum, grey) => sum + (grey - mean) ** 2, 0) / greys.length);
        }))"""
    )
    assert contrasts[1] > 1.5 * contrasts[0], "the dehazed version shows more"
    slider = page.get_by_role("slider", name="How much of the dehazed version is shown")
    assert hidden(page) == pytest.approx(50, abs=0.1)
    left, top, right, bottom = box_of(page, ".compare")
    page.mouse.move((left + right) / 2, (top + bottom) / 2)
    page.mouse.down()
    page.mouse.move(left + (right - left) / 4, (top + bottom) / 2, steps=4)
    page.mouse.up()
    assert hidden(page) == pytest.approx(25, abs=3)
    line = box_of(page, ".compare .line")
    assert (line[0] + line[2]) / 2 == pytest.approx(left + (right - left) * hidden(page) / 100, abs=2), "the line stands where one ends"
    slider.focus()
    page.keyboard.press("End")
    assert hidden(page) == 100
    page.keyboard.press("Home")
    assert hidden(page) == 0
    page.keyboard.press("d")
    page.wait_for_selector(".compare", state="detached")


def hidden(page: Any) -> float:
    """How much of the dehazed version is cut away from the left, in hundredths."""
    share: float = page.evaluate("parseFloat(document.querySelector('.compare img').style.clipPath.split(' ').at(-1))")
    return share


def test_a_photo_without_haze_has_nothing_to_compare(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    open_photo(page, "coffee.jpg")
    page.wait_for_selector(".facts")
    assert page.get_by_role("button", name="Compare with the dehazed version").count() == 0
    page.keyboard.press("d")
    assert page.locator(".compare").count() == 0


def test_what_is_known_is_shown_and_what_is_similar_is_one_click_away(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    digest = open_photo(page, "china.jpg")
    facts = page.locator(".detail .facts").inner_text()
    for words in ("9 October 2022 at 12:00", "Canon EOS 5D", "480 × 320", str(served.photos / "china.jpg"), "39.9990"):
        assert words in facts
    image = asked(page, f"/v1/images/{digest}")
    bars = page.locator(".scores dl > div")
    assert bars.count() == len(image["scores"])
    near = page.locator(".strip a").first
    name = near.get_attribute("aria-label")
    near.click()
    assert opened(page, name) != digest
    page.go_back()
    assert opened(page, "china.jpg") == digest


def test_the_original_is_downloaded_as_it_is(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    open_photo(page, "rocket.jpg")
    with page.expect_download() as got:
        page.get_by_role("link", name="Download the original").click()
    assert got.value.suggested_filename == "rocket.jpg"
    assert got.value.path().read_bytes() == (served.photos / "rocket.jpg").read_bytes()
