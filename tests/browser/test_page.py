"""What the page asks for, over a service whose answers are made up: the query's parts and filters in the address and in the request; keys."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .conftest import Look, Served


def asked(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def requests_of(page: Any) -> list[dict[str, Any]]:
    """The bodies of searches that are sent from now on."""
    sent: list[dict[str, Any]] = []
    page.on("request", lambda request: sent.append(request.post_data_json) if request.url.endswith("/v1/search") else None)
    return sent


def wait_until(page: Any, true: Callable[[], bool], sent: list[dict[str, Any]]) -> None:
    """Let the page go on until what it has sent is that."""
    end = time.monotonic() + 10
    while not (sent and true()):
        if time.monotonic() > end:
            pytest.fail(f"The page sent {sent}.")
        page.wait_for_timeout(20)


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
    terms = [{"text": "a dog", "weight": 2}, {"text": "night", "weight": -1}]
    wait_until(page, lambda: sent[-1]["terms"] == terms and sent[-1].get("without") == ["people"], sent)
    page.wait_for_function("() => document.querySelector('.summary').textContent.includes(', 238 unlikely')")
    assert asked(page.url) == {"t": ["2*text:a dog", "-1*text:night"], "not": ["people"]}
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
    wait_until(page, lambda: sent[-1].get("where") == words, sent)
    page.locator(".filters textarea").fill("iso < 400")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: asked(url) == {"q": ["a dog"], "where": ["iso < 400"]})
    wait_until(page, lambda: sent[-1].get("where") == "iso < 400", sent)


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
