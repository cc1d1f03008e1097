"""A service that asks for a key."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from api.service.keys import KeyStore

from .conftest import SERVE, Look, Served, run_served
from .steps import faults, open_photo, wait_for_count


@pytest.fixture(scope="module")
def locked(filled: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, KeyStore]]:
    """A service over a copy of the library that has keys, and its keys."""
    library = tmp_path_factory.mktemp("locked") / "library"
    shutil.copytree(filled.library, library)
    keys = KeyStore(library)
    keys.create("admin", "owner")
    with ExitStack() as stack:
        yield Served(run_served(stack, [*SERVE, str(library)]), library, filled.photos), keys


def test_a_key_opens_the_page_for_what_it_allows(look: Look, locked: tuple[Served, KeyStore]) -> None:
    served, keys = locked
    key, secret = keys.create("read", "visitor")
    looker = look(served.address)
    page = looker.open()
    dialog = page.get_by_role("dialog", name="This service asks for a key")
    dialog.wait_for()
    assert page.locator(".tile").count() == 0
    assert faults(page) == []
    page.get_by_label("Key", exact=True).fill("plk_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector(".fault[role=alert]")
    assert "wrong" in page.locator(".fault").inner_text()
    page.get_by_label("Key", exact=True).fill(secret)
    page.keyboard.press("Enter")
    dialog.wait_for(state="detached")
    wait_for_count(page, 12)
    looker.forgive("401")
    assert secret not in page.evaluate("JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"), (
        "no script can read the key"
    )
    open_photo(page, "astronaut.jpg")
    page.wait_for_selector(".tags .tag")
    assert page.locator(".tags button").count() == 0, "who may only look is offered nothing else"
    page.goto(served.address + "/jobs")
    page.wait_for_selector("h1")
    assert page.locator(".new-job").count() == 0
    assert "may only look" in page.locator("#main").inner_text()
    keys.revoke(key.name)
    page.goto(served.address)
    dialog.wait_for()
    looker.forgive("401")


def test_who_signs_out_is_asked_again(look: Look, locked: tuple[Served, KeyStore]) -> None:
    served, keys = locked
    _, secret = keys.create("tag", "friend")
    looker = look(served.address)
    page = looker.open()
    page.get_by_label("Key", exact=True).fill(secret)
    page.keyboard.press("Enter")
    wait_for_count(page, 12)
    page.reload()
    wait_for_count(page, 12)
    page.goto(served.address + "/library")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog", name="This service asks for a key").wait_for()
    looker.forgive("401")
