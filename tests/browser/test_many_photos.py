"""The gallery with 100,000 photos: few elements at any time, and any place at once."""

from __future__ import annotations

from .conftest import Look, Served

MOST_ELEMENTS = 1_500
FRAMES = """async (steps) => {
  const spent = [];
  for (let at = 0; at < steps; at++) {
    scrollBy(0, 260);
    const before = performance.now();
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    spent.push((performance.now() - before) / 2);
  }
  return spent.sort((a, b) => a - b);
}"""


def test_only_the_rows_in_sight_are_in_the_document(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open()
    page.wait_for_selector(".tile img.there")
    assert page.evaluate("document.querySelector('.grid').clientHeight") > 1_000_000
    counts = []
    for share in (0.0, 0.31, 0.77, 1.0, 0.5):
        page.evaluate("(share) => scrollTo(0, share * document.documentElement.scrollHeight)", share)
        page.wait_for_function(
            """() => [...document.querySelectorAll('.tile img')].some((one) => one.classList.contains('there') &&
                     one.getBoundingClientRect().top > 0 && one.getBoundingClientRect().bottom < innerHeight)"""
        )
        counts.append(page.locator("*").count())
    assert max(counts) < MOST_ELEMENTS, counts
    assert page.locator(".tile").count() > 20


def test_scrolling_is_smooth(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open()
    page.wait_for_selector(".tile img.there")
    page.evaluate(FRAMES, 10)
    spent = page.evaluate(FRAMES, 60)
    median, slow = spent[len(spent) // 2], spent[int(len(spent) * 0.95)]
    print(f"frames: median {median:.1f} ms, 95 % below {slow:.1f} ms, slowest {spent[-1]:.1f} ms")
    assert median < 34, "30 frames a second, on a machine that draws without a graphics card and does other work"
    assert slow < 120


def test_a_year_is_reached_at_once_and_its_photos_open(look: Look, synthetic: Served) -> None:
    page = look(synthetic.address).open()
    page.wait_for_selector(".tile img.there")
    page.locator(".years button", has_text="2015").click()
    page.wait_for_function(
        "() => document.querySelector('.month')?.textContent.includes('2015') || document.querySelector('.month')?.textContent.includes('2014')"
    )
    tile = page.locator(".tile:has(img.there) a").nth(12)
    name = tile.get_attribute("aria-label").split(",")[0]
    tile.click()
    page.wait_for_selector(".detail .title")
    assert page.locator(".detail .title").inner_text() == name
    assert "/photo/" in page.url
    before = page.evaluate("scrollY")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(name) => document.querySelector('.detail .title') && document.querySelector('.detail .title').textContent !== name", arg=name
    )
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail", state="detached")
    assert page.evaluate("scrollY") == before
    assert "/photo/" not in page.url
