"""Long work from the page, from an empty library on: index a folder, watch it, find its photos; stop a job; a service that goes away."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from search import Library

from .conftest import SERVE, Look, Served, run_served
from .steps import faults, names, settled, type_words, wait_for_count

WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => {
    for (const card of document.querySelectorAll('.job')) {
      const now = [card.querySelector('.pill')?.dataset.state, card.querySelector('progress')?.getAttribute('value'), card.querySelector('.hint')?.textContent];
      if (JSON.stringify(now) !== JSON.stringify(window.seen.at(-1))) window.seen.push(now);
    }
  }).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
}"""


@pytest.fixture
def begun(filled: Served, tmp_path: Path) -> Iterator[Served]:
    """A service whose library is not there yet; it may index a folder with a few photos, and no other."""
    photos = tmp_path / "Pictures"
    shutil.copytree(filled.photos, photos)
    (photos / "broken.jpg").write_bytes(b"no photo")
    with ExitStack() as stack:
        roots = {"PELLUCID_SERVE_ROOTS": json.dumps([str(photos)])}
        yield Served(run_served(stack, [*SERVE, str(tmp_path / "library")], roots), tmp_path / "library", photos)


def test_a_folder_is_indexed_from_the_page_and_watched(begun: Served, look: Look) -> None:
    looker = look(begun.address)
    looker.page.add_init_script(f"({WATCH})()")
    page = looker.open()
    page.wait_for_selector(".welcome h1")
    assert page.locator(".welcome h1").inner_text() == "No photos yet"
    assert faults(page) == []
    page.wait_for_load_state("networkidle")
    assert looker.errors == [], "what asks an empty library is answered"
    page.get_by_label("Folder").fill(str(begun.photos.parent))
    page.get_by_role("button", name="Start").click()
    page.wait_for_selector(".note.shown.bad")
    assert str(begun.photos.parent) in page.locator(".note").inner_text(), "a folder that is not allowed is named"
    looker.forgive("40[03]|422")
    page.get_by_role("button", name=str(begun.photos), exact=True).click()
    page.get_by_label("Find parts of photos, too").check()
    with page.expect_request("**/v1/jobs/*/events"):
        page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/jobs/*")
    page.wait_for_selector('.job [data-state="finished"]')
    seen = page.evaluate("window.seen")
    states = list(dict.fromkeys(state for state, _, _ in seen if state))
    assert "running" in states
    assert states[-1] == "finished"
    told = [words for _, _, words in seen if words and re.search(r"\d+ of \d+", words)]
    assert told, seen
    shares = [float(share) for _, share, _ in seen if share]
    assert shares, seen
    assert min(shares) < 1, "progress is told before the end"
    assert len(Library(begun.library).file.roots) == 1
    page.get_by_role("link", name="See the photos").click()
    wait_for_count(page, 12)
    type_words(page, "a cup of coffee")
    assert names(page)[0] == "coffee.jpg"
    page.goto(begun.address + "/library")
    page.wait_for_selector(".figures")
    figures = dict(zip(page.locator(".figures dt").all_inner_texts(), page.locator(".figures dd").all_inner_texts(), strict=True))
    assert figures["Files that could not be read"] == "1"
    assert figures["Photos"] == "12 in 13 files"


def test_a_service_that_is_gone_is_said_and_one_that_is_back_is_used(look: Look) -> None:
    script = Path(__file__).with_name("synthetic.py")
    command = [sys.executable, str(script), "--photos", "60", "--port"]
    where = {"PYTHONPATH": str(script.parents[2])}
    with ExitStack() as first, ExitStack() as second:
        looker = look(run_served(first, [*command, "0"], where))
        page = looker.open()
        settled(page)
        first.close()
        page.keyboard.press("/")
        page.keyboard.type("a dog")
        page.wait_for_selector(".offline[role=alert]")
        page.wait_for_selector(".state[role=alert] h2")
        assert "No connection" in page.locator(".state h2").inner_text()
        run_served(second, [*command, looker.address.rsplit(":", 1)[1]], where)
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector(".offline", state="detached")
        page.wait_for_selector(".verdict.strong")
        page.close()
    looker.forgive("ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
