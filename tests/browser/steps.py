"""What people do on the page, and what they then see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search import Library, Store

SETTLED = """() => !document.querySelector('[aria-busy="true"], .grid.dim') && document.querySelector('.tile a, .state')"""
Box = tuple[float, float, float, float]


def settled(page: Any) -> None:
    """Wait until the gallery shows what the address asks for."""
    page.wait_for_function(SETTLED)


def names(page: Any) -> list[str]:
    """The names of the photos in sight, in their order."""
    found: list[str] = page.locator(".tile .name").all_inner_texts() or page.locator(".tile .name").all_text_contents()
    return found


def wait_for_names(page: Any, wanted: list[str]) -> None:
    """Wait until these photos come first, in this order."""
    page.wait_for_function(
        "(wanted) => { const all = [...document.querySelectorAll('.tile .name')].map((one) => one.textContent); return wanted.every((name, at) => all[at] === name); }",
        arg=wanted,
    )


def wait_for_count(page: Any, count: int) -> None:
    """Wait until so many photos are there."""
    page.wait_for_function("(count) => document.querySelectorAll('.tile a').length === count", arg=count)


def type_words(page: Any, words: str) -> None:
    """Type into the search field, and wait for the answer."""
    page.keyboard.press("/")
    page.keyboard.press("Control+a")
    with page.expect_response(lambda answer: answer.url.endswith("/v1/search") and words in (answer.request.post_data or "")):
        page.keyboard.type(words)
    settled(page)


def open_photo(page: Any, name: str) -> str:
    """Click a photo of the gallery, and wait until all is there; its digest."""
    page.locator(f".tile:has(.name:text-is('{name}')) a").first.click()
    return opened(page, name)


def opened(page: Any, name: str) -> str:
    """Wait until the photo of that name is open; its digest."""
    page.wait_for_function("(name) => document.querySelector('.detail .title')?.textContent === name", arg=name)
    page.wait_for_selector(".preview.there")
    digest: str = page.evaluate("location.pathname.split('/').at(-1)")
    return digest


def drop(page: Any, *files: Path) -> None:
    """Let go of files over the middle of the window, as the browser itself gets them from the desktop."""
    session = page.context.new_cdp_session(page)
    given = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 400, "data": given})
        if kind == "dragOver":
            page.wait_for_selector(".drop")
    session.detach()


def box_of(page: Any, selector: str) -> Box:
    """Left, top, right and bottom of an element on the screen. Of a shape, of its outline's middle, whatever is drawn around it."""
    found: list[float] = page.evaluate(
        """(selector) => {
          const one = document.querySelector(selector);
          if (!(one instanceof SVGGraphicsElement)) { const box = one.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom]; }
          const box = one.getBBox(), to = one.getScreenCTM();
          const a = new DOMPoint(box.x, box.y).matrixTransform(to), b = new DOMPoint(box.x + box.width, box.y + box.height).matrixTransform(to);
          return [a.x, a.y, b.x, b.y];
        }""",
        selector,
    )
    return found[0], found[1], found[2], found[3]


def within(box: tuple[float, ...], shown: Box, size_wh: tuple[int, int]) -> Box:
    """Where a box of a photo lies on the screen, whose photo of that size is shown there."""
    across, down = (shown[2] - shown[0]) / size_wh[0], (shown[3] - shown[1]) / size_wh[1]
    return shown[0] + box[0] * across, shown[1] + box[1] * down, shown[0] + box[2] * across, shown[1] + box[3] * down


def far(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """By how many pixels two boxes differ, at most."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def asked(page: Any, path: str) -> Any:
    """What the service itself answers."""
    return page.evaluate("(path) => fetch(path).then((answer) => answer.json())", path)


def store_of(library: Path) -> Store:
    """The library as it lies on disk now, not as the service says it is."""
    return Store(Library(library))


def said(library: Path, digest: str) -> dict[str, str]:
    """What people have said of a photo's tags, as it is on disk: tag -> confirmed or rejected."""
    return dict(store_of(library).marks.people.by_digest({digest}).get(digest, {}).values())


def tags(library: Path, digest: str) -> dict[str, bool]:
    """The tags of a photo on disk: tag -> whether a person said so."""
    return {tag.tag: tag.human for tag in store_of(library).marks.tags([digest]).get(digest, ())}


def faults(page: Any, *rules: str) -> list[str]:
    """What axe-core finds, by all of its rules or by some, that keeps people out, in words."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed: pip install 'pellucid[test]'"
    ).Axe()
    found = axe.run(page, options={"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})})
    return [
        f"{fault['id']} ({fault['impact']}): {fault['help']}: {[' '.join(node['target']) for node in fault['nodes']][:4]}"
        for fault in found.response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
