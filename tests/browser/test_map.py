"""Where photos were taken, without a map from elsewhere."""

from __future__ import annotations

from .conftest import Look, Served

STEPS = """() => [...document.querySelectorAll('path.land')].flatMap((path) => path.getAttribute('d').split(/M/).slice(1).map((line) => {
  const across = line.replace('z', '').split('L').map((point) => Number(point.trim().split(/[ ,]/)[0]));
  return Math.max(...across.map((x, at) => (at ? Math.abs(x - across[at - 1]) : 0)));
}))"""


def test_photos_lie_on_a_map_that_is_part_of_the_page(look: Look, served: Served) -> None:
    page = look(served.address).open("/map")
    page.wait_for_function("() => document.querySelectorAll('.pin').length === 4")
    assert "7 photos with a place" in page.locator(".view-head").inner_text()
    at = {
        pin.get_attribute("title"): pin.bounding_box()
        for pin in page.locator(".pin[title='2 photos here'], .pin[title='3 photos here']").all()
    }
    italy, china = at["2 photos here"], at["3 photos here"]
    assert italy["x"] < china["x"]
    steps = page.evaluate(STEPS)
    assert len(steps) > 50
    world = page.evaluate("256 * 2 ** Math.round(Math.log2(document.querySelector('path.land').getBBox().width / 256))")
    assert max(steps) < world / 2, "no coast runs across the whole map"
    page.locator(".pin[title='1 photo here']").first.click()
    page.locator(".strip a").click()
    page.wait_for_function("() => ['astronaut.jpg', 'rocket.jpg'].includes(document.querySelector('.detail .title')?.textContent)")


def test_a_photos_place_leads_to_the_map(look: Look, served: Served) -> None:
    page = look(served.address).open("/map?at=45.43800,10.99300")
    page.wait_for_selector(".pin img")
    assert page.locator(".pin").count() <= 2, "the map shows that place, not all of them"
