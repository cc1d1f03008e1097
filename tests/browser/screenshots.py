"""Make the pictures of docs/page.md: the page over photos that scikit-image and scikit-learn carry.
Run it from the checkout: `python -m tests.browser.screenshots [docs/screenshots]`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from PIL import Image
from playwright.sync_api import sync_playwright

from .conftest import ARGUMENTS, NAMES, run_served
from .real_photos import SMALL_CAT, fill, gather

WIDE, PHONE = (1280, 800), (360, 740)
LARGEST = 200_000


@dataclass
class Camera:
    """Opens views of one service and keeps what is seen."""

    browser: Any
    address: str
    folder: Path

    def shoot(self, name: str, path: str, ready: str, act: Any = None, *, size: tuple[int, int] = WIDE, dark: bool = False) -> None:
        """Open a view, wait until that is there, do something, and keep a picture of it."""
        phone = size == PHONE
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", locale="en-GB", timezone_id="UTC",
            device_scale_factor=2 if phone else 1, has_touch=phone, is_mobile=phone,
        )  # fmt: skip
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.goto(self.address + path)
        page.wait_for_selector(ready)
        if act is not None:
            act(page)
        page.mouse.move(1, size[1] - 1)
        settle(page)
        written = self.folder / f"{name}.png"
        page.screenshot(path=written)
        with Image.open(written) as seen:
            seen.convert("RGB").save(written.with_suffix(".webp"), quality=82, method=6)
        written.unlink()
        kept = written.with_suffix(".webp").stat().st_size
        if kept > LARGEST:
            raise ValueError(f"{name}.webp has {kept} bytes; the documentation keeps pictures of at most {LARGEST}.")
        print(f"{name}.webp: {kept / 1000:.0f} kB")
        context.close()


def settle(page: Any) -> None:
    """Wait until every picture in sight is there and nothing moves any more."""
    page.wait_for_load_state("networkidle")
    page.wait_for_function(
        """() => [...document.images].filter((one) => { const box = one.getBoundingClientRect(); return box.bottom > 0 && box.top < innerHeight; })
                 .every((one) => one.complete && one.naturalWidth > 0) && document.getAnimations().every((one) => one.playState === 'finished')"""
    )


def show_photo(page: Any, name: str) -> None:
    """Open the photo of that name in the gallery."""
    page.locator(".tile a", has=page.locator(f".name:text-is('{name}')")).first.click()
    page.wait_for_selector(".detail .facts")
    page.wait_for_selector(".preview.there")


def take_all(camera: Camera) -> None:
    """All pictures of the documentation."""
    camera.shoot("gallery-light", "/", ".tile img.there")
    camera.shoot("gallery-dark", "/", ".tile img.there", dark=True)
    camera.shoot("search", f"/?q={quote_plus('a cup of coffee')}", ".verdict.strong")
    camera.shoot(
        "filters", "/?from=2020-01-01&to=2021-12-31", ".tile img.there", lambda page: page.get_by_role("button", name="Filters").click()
    )
    camera.shoot(
        "photo-with-regions", f"/?q={quote_plus('a cat')}&in=regions&strict=0", ".tile img.there", lambda page: show_photo(page, SMALL_CAT)
    )
    camera.shoot("dehazed", "/?haze=0.5-1", ".tile img.there", compare)
    camera.shoot("nothing-matches", f"/?q={quote_plus('penguins on ice')}", ".miss img.there")
    camera.shoot("duplicates", "/duplicates", ".group img.there")
    camera.shoot("map", "/map", ".pin img")
    camera.shoot("review", "/review", ".doubt img")
    camera.shoot("runs", "/runs", ".run")
    camera.shoot("library", "/library", ".figures")
    camera.shoot("phone", f"/?q={quote_plus('a cup of coffee')}", ".tile img.there", size=PHONE)
    camera.shoot("phone-photo", "/", ".tile img.there", lambda page: show_photo(page, "coffee.jpg"), size=PHONE)
    camera.shoot("jobs", "/jobs", "h1", start_tagging)


def compare(page: Any) -> None:
    """Show the dehazed version beside the photo."""
    page.locator(".tile a").first.click()
    page.wait_for_selector(".preview.there")
    page.get_by_role("button", name="Compare with the dehazed version").click()
    page.wait_for_selector(".compare img")


def start_tagging(page: Any) -> None:
    """Start a job, wait for its end, and show the form of another."""
    page.get_by_role("button", name="Tag photos").click()
    page.get_by_role("button", name="Start").click()
    page.wait_for_selector('.job [data-state="finished"]', timeout=60_000)
    page.get_by_role("button", name="Index folders").click()


def main() -> int:
    """Make them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[2] / "docs" / "screenshots")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    program = next(found for name in NAMES if (found := shutil.which(name)))
    with ExitStack() as stack:
        home = Path(tempfile.gettempdir()) / "pellucid"  # its name is to be seen in the pictures
        home.mkdir()
        stack.callback(shutil.rmtree, home)
        gather(home / "Pictures")
        fill(home / "library", home / "Pictures")
        command = [sys.executable, "-c", "from api.cli import main; main()", "serve", "--library", str(home / "library"), "--port", "0"]
        address = run_served(stack, command, {"PELLUCID_SERVE_ROOTS": f'["{home / "Pictures"}"]', "PATH": os.environ["PATH"]})
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        stack.callback(browser.close)
        take_all(Camera(browser, address, given.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
