"""What the page does, over a service whose answers are made up: the address, the query's parts, filters, a photo, tags, runs, jobs, and what goes wrong."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .conftest import Look, Served


def asked(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def open_photo(page: Any, at: int = 2) -> None:
    page.locator(".tile:has(img.there) a").nth(at).click()
    page.wait_for_selector(".detail .title")
    page.wait_for_selector(".preview.there")


def requests_of(page: Any) -> list[dict[str, Any]]:
    """The bodies of searches that are sent from now on."""
    sent: list[dict[str, Any]] = []
    page.on("request", lambda request: sent.append(request.post_data_json) if request.url.endswith("/v1/search") else None)
    return sent


def test_parts_of_a_query_are_chips_and_go_into_the_address_and_the_request(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open("/?q=a+dog")
    sent = requests_of(page)
    page.wait_for_selector(".tile")
    page.get_by_role("button", name="and", exact=True).click()
    page.locator("#search").type("night")
    page.get_by_role("button", name="less", exact=True).click()
    page.locator("#search").type("people")
    page.get_by_role("button", name="without", exact=True).click()
    page.get_by_role("button", name="a dog, weight 1. Change").click()
    page.get_by_role("button", name="2 counts double").click()
    page.wait_for_function("() => document.querySelector('.summary').textContent.includes('300 hits')")
    assert asked(page.url) == {"t": ["2*text:a dog", "-1*text:night"], "not": ["people"]}
    page.wait_for_timeout(250)
    assert sent[-1]["terms"] == [{"text": "a dog", "weight": 2}, {"text": "night", "weight": -1}]
    assert sent[-1]["without"] == ["people"]
    page.reload()
    assert page.locator(".chip b").all_inner_texts() == ["a dog", "night", "people"]
    page.get_by_role("button", name="Remove night").click()
    page.wait_for_url(lambda url: "night" not in url)
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('.chip').length === 3")


def test_filters_become_a_condition_that_can_be_edited(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open("/?q=a+dog&from=2010-01-01&haze=0.2-0.7&tag=it%27s")
    sent = requests_of(page)
    page.get_by_role("button", name=re.compile("^Filters")).click()
    page.get_by_label(re.compile("^beach")).check(force=True)
    words = "taken_at >= '2010-01-01' and haze >= 0.2 and haze <= 0.7 and tag('it''s') and tag('beach')"
    page.wait_for_function("(words) => document.querySelector('.filters textarea').value === words", arg=words)
    page.wait_for_timeout(100)
    assert sent[-1]["where"] == words
    page.locator(".filters textarea").fill("iso < 400")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: asked(url) == {"q": ["a dog"], "where": ["iso < 400"]})
    page.wait_for_timeout(100)
    assert sent[-1]["where"] == "iso < 400"


def test_nothing_matches_is_said_and_the_nearest_miss_is_shown_apart(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open("/?q=penguin")
    page.wait_for_selector(".miss img.there")
    assert page.locator(".nothing h2").inner_text() == "Nothing here matches “penguin”"
    assert page.locator(".tile").count() == 0
    assert "best 0.21" in page.locator(".why-not").inner_text()


def test_an_error_is_told_with_its_reason(look: Look, synthetic: Served) -> None:
    looker = look(synthetic.address)
    page = looker.open("/?q=error")
    page.wait_for_selector(".state[role=alert]")
    assert "Did you mean 'haze'?" in page.locator(".state").inner_text()
    page.locator("#search").fill("a dog")
    page.wait_for_selector(".tile")
    looker.forgive("400")


def test_without_a_service_the_page_says_so_and_tries_again(look: Look, synthetic: Served) -> None:
    looker = look(synthetic.address)
    page = looker.open()
    page.wait_for_load_state("networkidle")
    page.route("**/v1/search", lambda route: route.abort())
    page.locator("#search").fill("a dog")
    page.wait_for_selector(".offline")
    page.unroute("**/v1/search")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(".verdict")
    assert page.locator(".offline").count() == 0
    looker.forgive("ERR_FAILED")


@pytest.mark.parametrize("size", [(1280, 800), (360, 740), (900, 500)])
def test_regions_lie_where_they_are(look: Look, synthetic: Served, size: tuple[int, int]) -> None:
    page = look(synthetic.address, width=size[0], height=size[1]).open("/?q=a+dog")
    page.wait_for_selector(".tile img.there")
    open_photo(page, 1)
    photo = page.locator(".preview").bounding_box()
    shape = page.evaluate("() => { const image = document.querySelector('.preview'); return image.naturalWidth / image.naturalHeight; }")
    assert photo["width"] / photo["height"] == pytest.approx(shape, rel=0.01)
    for number, (x1, y1, x2, y2) in {0: (0.25, 0.2, 0.75, 0.9), 2: (0.6, 0.6, 0.8, 0.8)}.items():
        box = page.locator(f"[data-region='{number}'] > rect").bounding_box()
        found = [
            (box["x"] - photo["x"]) / photo["width"],
            (box["y"] - photo["y"]) / photo["height"],
            box["width"] / photo["width"],
            box["height"] / photo["height"],
        ]
        assert found == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=0.012)


def test_tags_are_confirmed_rejected_and_undone_with_keys(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open()
    page.wait_for_selector(".tile img.there")
    open_photo(page, 3)
    tags = page.locator(".tags .tag")
    first, second = (tags.nth(at).get_attribute("data-tag") for at in (0, 1))
    tags.nth(0).focus()
    page.keyboard.press("y")
    page.wait_for_selector(f".tags .human [data-tag='{first}']")
    page.locator(f"[data-tag='{second}']").focus()
    page.keyboard.press("n")
    page.wait_for_selector(f".tags .rejected [data-tag='{second}']")
    page.keyboard.press("u")
    page.wait_for_selector(f".tags li:not(.rejected) [data-tag='{second}']")
    page.get_by_label("Add a tag").fill("my own")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tags .human [data-tag='my own']")
    assert page.locator(".note").inner_text() == "“my own” confirmed"


def test_the_dehazed_version_is_compared_with_a_slider(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open()
    page.wait_for_selector(".tile img.there")
    open_photo(page, 2)
    page.keyboard.press("d")
    slider = page.get_by_label("How much of the dehazed version is shown")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator(".compare img").evaluate("image => image.style.clipPath").endswith(" 0%)")
    page.keyboard.press("End")
    assert page.locator(".compare img").evaluate("image => image.style.clipPath").endswith(" 100%)")
    page.wait_for_function(
        "() => document.querySelector('.compare img').complete && document.querySelector('.compare img').naturalWidth > 0"
    )


def test_a_run_is_taken_back_only_when_asked_twice(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open("/runs")
    run = page.locator("[data-run='run-1']")
    run.get_by_role("button", name="Take back").click()
    assert "400,000 tags" in run.locator("dialog").inner_text()
    run.get_by_role("button", name="Cancel").click()
    assert run.locator(".pill").inner_text() == "written"
    run.get_by_role("button", name="Take back").click()
    run.locator("dialog").get_by_role("button", name="Take back").click()
    page.wait_for_selector("[data-run='run-1'] [data-state=retracted]")


def test_a_job_is_started_and_watched_until_it_ends(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open("/jobs")
    page.get_by_role("button", name="Index folders").click()
    page.get_by_label("Folder").first.fill("/photos/new")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/jobs/job-*")
    page.wait_for_selector(".job progress[value]")
    page.wait_for_selector(".job [data-state=finished]", timeout=8_000)
    assert page.get_by_role("link", name="See the photos").is_visible()


def test_keys_move_through_the_photos(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open()
    page.wait_for_selector(".tile img.there")
    page.locator(".tile a").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.dataset.at === '1'")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => Number(document.activeElement.dataset.at) > 3")
    page.keyboard.press("End")
    page.wait_for_function("() => document.activeElement.dataset.at === '99999'")
    page.keyboard.press("Home")
    page.wait_for_function("() => document.activeElement.matches('a[data-at=\"0\"]')")
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail .title")
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail", state="detached")
    page.wait_for_function("() => document.activeElement.dataset.at === '0'")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()


def test_on_a_phone_nothing_is_wider_than_the_screen(look: Look, synthetic: Served) -> None:
    looker = look(synthetic.address, width=360, height=740)
    for view in ("/", "/?q=a+dog&not=people", "/?q=penguin", "/review", "/runs", "/duplicates", "/map", "/jobs", "/library"):
        page = looker.open(view)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
