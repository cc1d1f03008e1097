"""Tags by keys and runs that are taken back, read again from the library on disk. All tests of this file change one library; the last takes the run back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .conftest import SERVE, Look, Served, run_served
from .steps import asked, open_photo, said, store_of, tags, wait_for_count


@pytest.fixture(scope="module")
def changing(filled: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over a copy of the library."""
    library = tmp_path_factory.mktemp("changing") / "library"
    shutil.copytree(filled.library, library)
    with ExitStack() as stack:
        yield Served(run_served(stack, [*SERVE, str(library)]), library, filled.photos)


def test_keys_confirm_reject_and_undo_in_the_library(look: Look, changing: Served) -> None:
    page = look(changing.address).open()
    wait_for_count(page, 12)
    digest = open_photo(page, "motorcycle_left.jpg")
    before = tags(changing.library, digest)
    assert len(before) > 1
    assert not any(before.values())
    rows = page.locator(".tags .tag")
    first, second = (rows.nth(at).get_attribute("data-tag") for at in (0, 1))
    assert {first, second} <= set(before)
    rows.nth(0).focus()
    page.keyboard.press("y")
    page.wait_for_selector(f'.tags .human [data-tag="{first}"]')
    assert said(changing.library, digest) == {first: "confirmed"}
    assert tags(changing.library, digest)[first]
    page.locator(f'[data-tag="{second}"]').focus()
    page.keyboard.press("n")
    page.wait_for_selector(f'.tags .rejected [data-tag="{second}"]')
    assert said(changing.library, digest) == {first: "confirmed", second: "rejected"}
    assert second not in tags(changing.library, digest)
    page.wait_for_function("() => document.activeElement.matches('.tag')")  # the keys go on where they were
    page.keyboard.press("u")
    page.wait_for_selector(f'.tags li:not(.rejected) [data-tag="{second}"]')
    assert said(changing.library, digest) == {first: "confirmed"}
    page.reload()
    page.wait_for_selector(f'.tags .human [data-tag="{first}"]')


def test_a_tag_of_ones_own_is_found_at_once(look: Look, changing: Served) -> None:
    page = look(changing.address).open()
    wait_for_count(page, 12)
    digest = open_photo(page, "flower.jpg")
    page.get_by_label("Add a tag").fill("fleur d'été/2022")
    page.keyboard.press("Enter")
    page.wait_for_selector('.tags .human .word:text-is("fleur d\'été/2022")')
    assert page.locator(".note").inner_text() == "“fleur d'été/2022” confirmed"
    assert said(changing.library, digest) == {"fleur d'été/2022": "confirmed"}
    page = look(changing.address).open("/?tag=fleur+d%27%C3%A9t%C3%A9%2F2022")
    wait_for_count(page, 1)
    assert page.locator(".tile .name").text_content() == "flower.jpg"


def test_doubtful_tags_are_answered_one_after_another(look: Look, changing: Served) -> None:
    page = look(changing.address).open("/review")
    page.wait_for_selector(".doubt")
    seen = []
    for key in ("y", "n"):
        doubt = page.locator(".doubt")
        digest, tag = doubt.get_attribute("data-digest"), doubt.get_attribute("data-tag")
        page.keyboard.press(key)
        page.wait_for_selector(f'.doubt:not([data-digest="{digest}"][data-tag="{tag}"])')
        seen.append((digest, tag))
    assert [said(changing.library, digest)[tag] for digest, tag in seen] == ["confirmed", "rejected"]
    page.keyboard.press("u")
    page.wait_for_selector(f'.doubt[data-digest="{seen[1][0]}"][data-tag="{seen[1][1]}"]')
    assert seen[1][1] not in said(changing.library, seen[1][0])


def test_a_run_is_taken_back_after_a_question(look: Look, changing: Served) -> None:
    page = look(changing.address).open("/runs")
    (run,) = store_of(changing.library).marks.runs()
    card = page.locator(f'[data-run="{run.id}"]')
    card.get_by_role("button", name="Take back").click()
    question = card.locator("dialog")
    counted = asked(page, f"/v1/tag-runs/{run.id}")["tags"]
    assert question.inner_text().startswith(f"Take back {counted} tag")
    question.get_by_role("button", name="Cancel").click()
    assert store_of(changing.library).marks.runs()[0].state == "written"
    digests = {row["digest"] for row in asked(page, "/v1/images?limit=100")["photos"]}
    machines = {(digest, tag) for digest in digests for tag, human in tags(changing.library, digest).items() if not human}
    people = {digest: said(changing.library, digest) for digest in digests}
    assert machines
    card.get_by_role("button", name="Take back").click()
    question.get_by_role("button", name="Take back").click()
    page.wait_for_selector(f'[data-run="{run.id}"] [data-state="retracted"]')
    assert page.locator(".note.shown").inner_text().startswith("Took back ")
    assert store_of(changing.library).marks.runs()[0].state == "retracted"
    assert not [digest for digest in digests for human in tags(changing.library, digest).values() if not human]
    assert {digest: said(changing.library, digest) for digest in digests} == people, "what people said stays"
    assert card.get_by_role("button", name="Take back").count() == 0
