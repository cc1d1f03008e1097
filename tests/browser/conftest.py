"""A browser, the real service over a small library of real photos, and one that makes up a hundred thousand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .real_photos import fill, gather

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


# Of a module, not of the session: Playwright keeps an event loop running in this thread, in which tests of other files that a worker runs next could not begin their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser of this machine. Skips where there is none, and says what is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'pellucid[test]'")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser on the PATH ({', '.join(NAMES)}): apt install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Looker:
    """A tab that shows a service, and what went wrong in it: errors on its console, and requests that went elsewhere."""

    page: Any
    address: str
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Any:
        """Go to a view; the page."""
        self.page.goto(self.address + path)
        return self.page

    def forgive(self, pattern: str) -> None:
        """Errors like this are what the test is about."""
        self.errors = [error for error in self.errors if not re.search(pattern, error)]


Look = Callable[..., Looker]


@pytest.fixture(scope="module")
def window(chromium: Any) -> Iterator[Any]:
    """The window in which tests open their tabs that ask for nothing special, so that the page's assets are loaded once and nothing is drawn for motion's sake."""
    with chromium.new_context(locale="en-GB", reduced_motion="reduce") as context:
        yield context


@pytest.fixture
def look(chromium: Any, window: Any) -> Iterator[Look]:
    """Open a tab on a service. When the test ends, no tab may have had an error, nor asked another host for anything. Tabs that need more than a size have a
    window of their own, without anything kept.
    """
    tabs: list[Looker] = []
    with ExitStack() as stack:

        def begin(address: str, *, width: int = 1280, height: int = 800, **given: Any) -> Looker:
            if given:
                context = stack.enter_context(chromium.new_context(locale="en-GB", **given))
            else:
                context = window
                stack.callback(window.clear_cookies)
            page = context.new_page()
            stack.callback(page.close)
            page.set_viewport_size({"width": width, "height": height})
            page.set_default_timeout(15_000)
            looker = Looker(page, address)
            tabs.append(looker)
            looker.page.on("console", lambda said: looker.errors.append(f"{said.text} {said.location}") if said.type == "error" else None)
            looker.page.on("pageerror", lambda error: looker.errors.append(str(error)))
            looker.page.on("request", lambda asked: looker.elsewhere.append(asked.url) if not _ours(asked.url, address) else None)
            return looker

        yield begin
    assert [looker.errors for looker in tabs if looker.errors] == []
    assert [looker.elsewhere for looker in tabs if looker.elsewhere] == []


def _ours(url: str, address: str) -> bool:
    return url.startswith((address + "/", "blob:", "data:"))


@dataclass(frozen=True)
class Served:
    """A running service, the library that it serves, and the folder of its photos."""

    address: str
    library: Path
    photos: Path


def run_served(stack: ExitStack, command: list[str], environment: dict[str, str] | None = None) -> str:
    """Start a process that says its address, and end it with the stack; the address, without a slash at the end."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    )  # fmt: skip
    assert process.stdout is not None

    output = process.stdout
    reader = threading.Thread(target=output.read, daemon=True)  # so that the process never waits to be read

    def end() -> None:
        process.terminate()
        process.wait(15)
        if reader.ident is not None:
            reader.join(5)
        output.close()

    stack.callback(end)
    said = []
    for line in output:
        said.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            reader.start()
            return found.group()
    raise RuntimeError("the service did not start: " + "".join(said))


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The library of `real_photos`, made once. The address is empty."""
    for package in ("skimage", "sklearn"):
        pytest.importorskip(package, reason=f"the photos of {package} are not installed: pip install 'pellucid[demo]'")
    folder = tmp_path_factory.mktemp("browser")
    gather(folder / "photos")
    library = fill(folder / "library", folder / "photos")
    return Served("", library.folder, folder / "photos")


SERVE = [sys.executable, "-c", "from api.cli import main; main()", "serve", "--port", "0", "--library"]


@pytest.fixture(scope="session")
def served(filled: Served) -> Iterator[Served]:
    """The real service over the library; shared, so that no test may change anything in it."""
    with ExitStack() as stack:
        yield Served(run_served(stack, [*SERVE, str(filled.library)]), filled.library, filled.photos)


@pytest.fixture(scope="session")
def synthetic() -> Iterator[Served]:
    """A service of 100,000 photos that are made up; shared."""
    with ExitStack() as stack:
        script = Path(__file__).with_name("synthetic.py")
        address = run_served(
            stack, [sys.executable, str(script), "--photos", "100000", "--port", "0"], {"PYTHONPATH": str(script.parents[2])}
        )
        yield Served(address, Path(), Path())
