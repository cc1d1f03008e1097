"""Finding photos: by words, by pictures, by filters, with the address as the one truth about what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import Look, Served
from .real_photos import SMALL_CAT
from .steps import box_of, drop, names, open_photo, opened, settled, type_words, wait_for_count, wait_for_names

CATS = {"chelsea.jpg", "chelsea again.jpg"}


def test_words_find_photos_as_they_are_typed(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data) if request.url.endswith("/v1/search") else None)
    type_words(page, "a cup of coffee")
    wait_for_names(page, ["coffee.jpg"])
    assert len(asked) < 5, "a request is not made for each letter"
    assert page.locator(".verdict").inner_text() == "Found"
    assert "%" in page.locator(".why").inner_text()
    assert page.url.endswith("/?q=a+cup+of+coffee")
    type_words(page, "a cat")
    page.wait_for_function("() => document.querySelector('.tile .name')?.textContent.startsWith('chelsea')")
    assert set(names(page)[:2]) == CATS
    assert page.locator(".verdict").inner_text() == "Perhaps"


def test_a_line_stands_where_the_matches_end(look: Look, served: Served) -> None:
    page = look(served.address).open("/?q=a+cat")
    settled(page)
    assert page.locator(".why").inner_text().startswith("2 matches, 11 unlikely"), "a copy is as good a match"
    line, above, below = (box_of(page, one) for one in (".parting", ".tile:not(.unlikely)", ".tile.unlikely"))
    assert above[3] <= line[1] < line[3] <= below[1], "nothing lies over it"
    unlikely = page.locator(".tile").evaluate_all("all => all.map((one) => one.classList.contains('unlikely'))")
    assert unlikely == [False, False, *[True] * 11]
    assert page.locator(".dot").evaluate_all("all => all.map((one) => one.className)") == [*["dot weak"] * 2, *["dot none"] * 11]
    page.get_by_label("Sort").select_option("date")
    wait_for_count(page, 2)
    assert page.locator(".why").inner_text().startswith("2 matches ·"), "by date the service gives what is likely"
    assert page.locator(".parting").count() == 0


def test_the_years_stand_there_only_where_there_is_more_than_is_in_sight(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    page.wait_for_load_state("networkidle")
    assert page.locator(".years").count() == 0
    page.set_viewport_size({"width": 1280, "height": 500})
    page.wait_for_selector(".years button")


@pytest.mark.parametrize("how", ["dropped", "pasted", "chosen"])
def test_a_picture_finds_photos_like_it(look: Look, served: Served, tmp_path: Path, how: str) -> None:
    from PIL import Image

    with Image.open(served.photos / "coffee.jpg") as opened_:
        width, height = opened_.size
        part = opened_.crop((40, 20, width - 30, height - 10)).resize((200, 140))
    page = look(served.address, permissions=["clipboard-read", "clipboard-write"]).open()
    wait_for_count(page, 12)
    part.save(tmp_path / "a cup.png")
    with page.expect_request("**/v1/search") as sent:
        if how == "dropped":
            drop(page, tmp_path / "a cup.png")
        elif how == "pasted":
            data = list((tmp_path / "a cup.png").read_bytes())
            page.evaluate(
                "(data) => navigator.clipboard.write([new ClipboardItem({'image/png': new Blob([new Uint8Array(data)], {type: 'image/png'})})])",
                data,
            )
            page.keyboard.press("Control+v")
        else:
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="Search with a picture").click()
            chooser.value.set_files(tmp_path / "a cup.png")
    assert sent.value.headers["content-type"].startswith("multipart/form-data")
    wait_for_names(page, ["coffee.jpg"])
    assert page.locator(".verdict").inner_text() == "Found"
    assert page.locator(".drop").count() == 0
    assert page.evaluate("document.querySelector('.chip img').naturalWidth") > 0
    page.get_by_role("button", name="Remove like your picture").click()
    wait_for_count(page, 12)


def test_what_is_no_picture_is_refused_in_words(look: Look, served: Served, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    looker = look(served.address)
    page = looker.open()
    wait_for_count(page, 12)
    drop(page, tmp_path / "notes.txt")
    page.wait_for_selector(".note.shown.bad:has-text('That is no picture')")
    wait_for_count(page, 12)
    drop(page, tmp_path / "broken.jpg")
    page.wait_for_selector(".state[role=alert]")
    assert "picture1" in page.locator(".state p").inner_text() or "broken" in page.locator(".state p").inner_text()
    looker.forgive("422")


def test_any_photo_is_the_next_query(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    page.locator(".tile", has_text="china.jpg").hover()
    page.get_by_role("button", name="More like china.jpg").click()
    settled(page)
    page.wait_for_function("() => document.querySelector('.tile .name')?.textContent === 'china.jpg'")
    assert set(names(page)[:3]) == {"china.jpg", SMALL_CAT, "temple in haze.jpg"}
    assert page.locator(".chip b").inner_text() == "like this photo"


def test_the_strictness_changes_the_verdict(look: Look, served: Served) -> None:
    page = look(served.address).open("/?q=a+cat")
    page.wait_for_selector(".verdict.weak")
    slider = page.get_by_role("slider", name="Strictness")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_selector(".verdict.none")
    assert page.url.endswith("?q=a+cat&strict=100")
    assert page.locator(".grid .tile").count() == 0
    page.keyboard.press("Home")
    page.wait_for_selector(".verdict.strong")
    wait_for_count(page, 13)
    assert page.url.endswith("?q=a+cat&strict=0")
    assert slider.input_value() == "0"


def test_nothing_matches_and_the_nearest_miss_stands_apart(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    type_words(page, "penguins on ice")
    page.wait_for_selector(".nothing")
    assert "Nothing here matches “penguins on ice”" in page.locator(".nothing h2").inner_text()
    assert page.locator(".tile").count() == 0, "what misses is not among hits"
    miss = page.locator(".miss")
    assert miss.locator("img").count() == 1
    assert "nearest miss" in miss.inner_text()
    assert re.search(r"probability \d+", page.locator(".why-not").inner_text()), "the reason is there, whole"
    assert "%" in miss.inner_text()
    page.get_by_role("button", name="Show the nearest anyway").click()
    wait_for_count(page, 13)
    assert "strict=0" in page.url


def test_filters_narrow_and_stand_in_the_address(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    page.keyboard.press("f")
    page.get_by_role("checkbox", name="Nikon D750").check()
    wait_for_count(page, 4)
    assert page.url.endswith("?camera=Nikon+D750")
    page.get_by_label("From", exact=True).fill("2020-03-02")
    wait_for_count(page, 2)
    assert set(names(page)) == {"camera.jpg", "moon.jpg"}
    page.get_by_label("To", exact=True).fill("2020-03-02")
    wait_for_count(page, 1)
    assert names(page) == ["moon.jpg"]
    assert page.locator(".filters textarea").input_value() == (
        "taken_at >= '2020-03-02' and substr(taken_at, 1, 10) <= '2020-03-02' and camera in ('Nikon D750')"
    )
    page.get_by_role("button", name="Clear filters").click()
    wait_for_count(page, 12)
    page.get_by_role("slider", name="Haze, at least").fill("0.9")
    wait_for_names(page, ["temple in haze.jpg"])
    wait_for_count(page, 1)
    page.locator(".filters textarea").fill("taken_at < '2020'")
    page.keyboard.press("Enter")
    wait_for_count(page, 2)
    assert set(names(page)) == {"astronaut.jpg", "rocket.jpg"}
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_role("checkbox", name="person", exact=False).first.check()
    wait_for_count(page, 2)
    assert "tag=person" in page.url


def test_a_wrong_condition_says_what_is_wrong(look: Look, served: Served) -> None:
    looker = look(served.address)
    page = looker.open("/?where=hazy+%3E+1")
    page.wait_for_selector(".state[role=alert]")
    assert "hazy" in page.locator(".state p").inner_text()
    assert "haze" in page.locator(".state p").inner_text()
    page.keyboard.press("f")
    page.get_by_role("button", name="Clear filters").click()
    wait_for_count(page, 12)
    looker.forgive("400")


def test_an_address_opens_what_it_was_copied_from(look: Look, served: Served) -> None:
    first = look(served.address).open("/?q=a+cat&camera=Canon+EOS+5D&from=2021-01-01&strict=20&in=regions&sort=date")
    settled(first)
    open_photo(first, SMALL_CAT)
    first.wait_for_selector("g.marked")
    number = first.locator("g.marked").get_attribute("data-region")
    second = look(served.address)
    page = second.open(first.url.removeprefix(served.address))
    opened(page, SMALL_CAT)
    page.wait_for_selector(f'g.marked[data-region="{number}"]')
    page.keyboard.press("Escape")
    first.keyboard.press("Escape")
    settled(page)
    assert names(page) == names(first)
    assert set(names(page)) >= {SMALL_CAT, *CATS}
    assert page.get_by_role("slider", name="Strictness").input_value() == "20"
    assert page.get_by_label("Sort").input_value() == "date"
    assert page.get_by_label("Compare").input_value() == "regions"
    assert page.input_value("#search") == "a cat"


def test_back_and_forward_go_through_what_was_seen(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    type_words(page, "a flower")
    wait_for_names(page, ["flower.jpg"])
    digest = open_photo(page, "flower.jpg")
    page.go_back()
    page.wait_for_selector(".detail", state="detached")
    wait_for_names(page, ["flower.jpg"])
    assert page.input_value("#search") == "a flower"
    page.go_back()
    wait_for_count(page, 12)
    assert page.input_value("#search") == ""
    page.go_forward()
    wait_for_names(page, ["flower.jpg"])
    page.go_forward()
    assert opened(page, "flower.jpg") == digest
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail", state="detached")
    assert page.url.endswith("?q=a+flower")


def test_the_keyboard_is_enough(look: Look, served: Served) -> None:
    page = look(served.address).open()
    wait_for_count(page, 12)
    type_words(page, "a cup of coffee")
    wait_for_names(page, ["coffee.jpg"])
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => document.activeElement.closest('.tile')?.textContent.includes('coffee.jpg')")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    opened(page, "coffee.jpg")
    focus = page.evaluate("Boolean(document.activeElement.closest('.detail'))")
    assert focus, "the keys go to what is open"
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail", state="detached")
    page.wait_for_function("() => document.activeElement.closest('.tile')?.textContent.includes('coffee.jpg')")


def test_the_next_photo_is_another_even_after_a_copy(look: Look, served: Served) -> None:
    page = look(served.address).open("/?q=a+cat")
    settled(page)
    first, second, third = names(page)[:3]
    assert {first, second} == CATS
    page.locator(".tile a").first.click()
    page.wait_for_selector(".preview.there")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
        if page.locator(".detail .title").inner_text() == third:
            break
    opened(page, third)
