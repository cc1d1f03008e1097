"""Every view for everybody: by axe-core, in light and in dark, on a phone, and without motion."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Look, Served
from .real_photos import HAZY
from .steps import faults, open_photo, settled, wait_for_count

VIEWS = {
    "gallery": ("/", ".tile img.there"),
    "hits": ("/?q=a+cat", ".tile img.there"),
    "filters": ("/?tag=person&camera=Nikon+D750", ".tile img.there"),
    "nothing": ("/?q=penguins+on+ice", ".miss img.there"),
    "wrong": ("/?where=hazy+%3E+1", ".state[role=alert]"),
    "photo": ("/?q=a+cat&in=regions&strict=0", ".tile img.there"),
    "dehazed": ("/?haze=0.9-1", ".tile img.there"),
    "review": ("/review", ".doubt"),
    "runs": ("/runs", ".run"),
    "duplicates": ("/duplicates", ".group img.there"),
    "map": ("/map", ".pin img"),
    "jobs": ("/jobs", ".new-job"),
    "library": ("/library", ".figures"),
    "keys": ("/", ".tile img.there"),
}
BRIGHTNESS = "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).reduce((sum, one) => sum + Number(one) / 3, 0)"


def shown(page: Any, view: str) -> None:
    """Bring the view into the state that is looked at."""
    page.wait_for_selector(VIEWS[view][1])
    if view == "filters":
        page.get_by_role("button", name="Filters").click()
        page.wait_for_selector(".filters")
    elif view == "photo":
        open_photo(page, "small cat.jpg")
        page.wait_for_selector(".facts")
    elif view == "dehazed":
        open_photo(page, HAZY)
        page.keyboard.press("d")
        page.wait_for_selector(".compare")
    elif view == "jobs":
        page.get_by_role("button", name="Tag photos").click()
        page.wait_for_selector(".job-form")
    elif view == "keys":
        page.keyboard.press("?")
        page.wait_for_selector("dialog.keys[open]")
    elif view in ("gallery", "hits"):
        settled(page)
    page.wait_for_function(
        "() => document.getAnimations().every((one) => one.playState === 'finished' || one.effect.getTiming().iterations === Infinity)"
    )


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(look: Look, served: Served, view: str) -> None:
    looker = look(served.address)
    looker.page.emulate_media(color_scheme="light")
    page = looker.open(VIEWS[view][0])
    shown(page, view)
    assert faults(page) == []
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => {BRIGHTNESS} < 60")
    assert faults(page, "color-contrast") == []
    looker.forgive("400")


def test_the_colours_are_the_systems_until_somebody_chooses(look: Look, served: Served) -> None:
    page = look(served.address, color_scheme="dark").open()
    wait_for_count(page, 12)

    def brightness() -> float:
        found: float = page.evaluate(BRIGHTNESS)
        return found

    assert brightness() < 60
    page.emulate_media(color_scheme="light")
    assert brightness() > 200
    page.get_by_label("Views").first.click()
    page.get_by_role("button", name="Colours as the system has them").click()
    page.get_by_role("button", name="Light colours").click()
    page.get_by_role("button", name="Dark colours").wait_for()
    assert brightness() < 60
    page.reload()
    wait_for_count(page, 12)
    assert brightness() < 60, "the choice is kept"


def test_on_a_phone_nothing_is_wider_than_the_screen(look: Look, served: Served) -> None:
    looker = look(served.address, width=360, height=740, has_touch=True, is_mobile=True, device_scale_factor=2)
    for view in VIEWS:
        page = looker.open(VIEWS[view][0])
        shown(page, view)
        widths = page.evaluate(
            "[document.documentElement.scrollWidth, innerWidth, ...[...document.querySelectorAll('dialog[open], .info, .filters')].map((one) => one.scrollWidth)]"
        )
        assert max(widths) <= 360, view
    looker.forgive("400")


def test_what_is_pressed_on_a_phone_is_large_enough(look: Look, served: Served) -> None:
    page = look(served.address, width=360, height=740, has_touch=True, is_mobile=True, device_scale_factor=2).open()
    wait_for_count(page, 12)
    small = """() => [...document.querySelectorAll('.header button, .header summary, .toolbar button, .toolbar select, .detail .over button, .tags button')]
      .map((one) => [one.getAttribute('aria-label') ?? one.textContent, one.getBoundingClientRect()])
      .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24)).map(([name]) => name)"""
    assert page.evaluate(small) == []
    page.locator(".tile a").first.tap()
    page.wait_for_selector(".preview.there")
    page.wait_for_selector(".tags button")
    assert page.evaluate(small) == []
