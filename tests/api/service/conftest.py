"""A small library of the tiny encoder, and the service over it in this process."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from api.service import create_app
from api.settings import Settings, load_settings
from indexer import BuildOptions, build
from search import ENCODERS, Library, Store

ORIGIN = "http://127.0.0.1:8000"

VOCABULARY = """tags:
  red: {parents: [warm], form: mass}
  orange: {parents: [warm], form: mass}
  blue: {parents: [cold], form: mass, synonyms: [azure]}
  green: {parents: [cold], form: mass}
  black: {form: mass}
"""


def _camera_photo(file: Path, left: tuple[int, int, int], right: tuple[int, int, int], day: int) -> None:
    """A JPEG of two colours side by side, with a camera, a date and a place."""
    picture = Image.new("RGB", (192, 128), left)
    picture.paste(right, (96, 0, 192, 128))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Lumen", "L-1"
    exif[0x0132] = f"2024:05:{day:02} 10:00:00"
    exif.get_ifd(0x8769)[0x9003] = f"2024:05:{day:02} 10:00:00"
    exif.get_ifd(0x8769)[0x8827] = 100 * day
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "N", (47.0, 30.0, float(day)), "E", (8.0, 15.0, 0.0)
    picture.save(file, exif=exif, quality=95)


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> SimpleNamespace:
    """Photos and a library of them, made once: ten colours, a copy, and three with a camera, a date, a place and regions; tagged by one run."""
    folder = tmp_path_factory.mktemp("service")
    photos = folder / "photos"
    ours: Any = pytestconfig.pluginmanager.get_plugin(str(Path(__file__).parents[2] / "conftest.py"))
    colours = ours.COLOURS
    for colour in colours:
        ours.paint_photo(photos / f"{colour}.png", colour)
    (photos / "trip").mkdir()
    shutil.copyfile(photos / "red.png", photos / "trip" / "red copy.png")
    for day, (left, right) in enumerate((("red", "blue"), ("green", "yellow"), ("white", "black")), 1):
        _camera_photo(photos / "trip" / f"{left} and {right} é.jpg", colours[left], colours[right], day)
    words = folder / "colours.yaml"
    words.write_text(VOCABULARY, encoding="utf-8")
    library = Library(folder / "library", create=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "mean-colour", lambda _threads: ours.MeanColour())
        build(library, [photos], ours.MeanColour(), BuildOptions(regions="proposals", dehaze="none"))
        from api.tagging import run_tag

        run_tag(
            vocabulary=str(words), templates="plain", where=None, precision=0.02, most=20, dry_run=False, library=library.folder, encoder=None,
            on_progress=lambda _done, _total: None,
        )  # fmt: skip
    return SimpleNamespace(photos=photos, library=library.folder, words=words)


@pytest.fixture
def service_photos(_made: SimpleNamespace) -> Path:
    """The folder of the photos in the library of `service_settings`; shared by all tests, so that none may change it."""
    folder: Path = _made.photos
    return folder


@pytest.fixture
def service_words(_made: SimpleNamespace) -> Path:
    """The file of the vocabulary that the library was tagged with."""
    file: Path = _made.words
    return file


MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(_made: SimpleNamespace, tmp_path: Path, mean_colour_listed: str) -> MakeSettings:
    """Settings over a copy of the library, for this test alone; what is given is set."""

    def make(**given: Any) -> Settings:
        if not (tmp_path / "library").exists():
            shutil.copytree(_made.library, tmp_path / "library")
        return load_settings(**{"library": tmp_path / "library", **given})

    assert mean_colour_listed == "mean-colour"
    return make


@pytest.fixture
def service_settings(make_settings: MakeSettings) -> Settings:
    """Settings over a library of fourteen photos, for this test alone."""
    return make_settings()


@pytest.fixture
def service_library(service_settings: Settings) -> Store:
    """The store of the library that `service_settings` names, to look at what the service wrote."""
    return Store(Library(service_settings.library))


def client_of(app: Any, *, address: str = "127.0.0.1", **given: Any) -> TestClient:
    """A client of an application in this process, as one on this machine would call it."""
    return TestClient(app, base_url=ORIGIN, client=(address, 50_000), follow_redirects=False, **given)


@pytest.fixture
def connect() -> Iterator[Callable[..., TestClient]]:
    """A running service with these settings, and its client; ended with the test."""
    with ExitStack() as stack:
        yield lambda settings, **given: stack.enter_context(client_of(create_app(settings), **given))


@pytest.fixture
def client(service_settings: Settings, connect: Callable[..., TestClient]) -> TestClient:
    """The client of a service over fourteen photos."""
    return connect(service_settings)


@pytest.fixture
def bare_client(tmp_path: Path, mean_colour_listed: str, connect: Callable[..., TestClient]) -> TestClient:
    """The client of a service whose library is not there yet."""
    assert mean_colour_listed == "mean-colour"
    return connect(load_settings(library=tmp_path / "no library yet", encoder="mean-colour"))


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Run a service with these settings as `pellucid serve` does, in a thread of this process on a free port; its address, without a slash at the end."""
    import asyncio

    from uvicorn import Server

    from api.serving import listen, server_config

    with ExitStack() as stack:

        def begin(settings: Settings, change: Callable[[Any], None] = lambda _config: None) -> str:
            config = server_config(settings)
            change(config)
            server, listening = Server(config), listen("127.0.0.1", 0)
            thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), name="server")

            def end() -> None:
                server.should_exit = True
                thread.join(20)
                listening.close()

            stack.callback(end)
            thread.start()
            limit = time.monotonic() + 20
            while not server.started:
                if time.monotonic() > limit or not thread.is_alive():
                    raise RuntimeError("the service did not start")
                time.sleep(0.01)
            return f"http://127.0.0.1:{listening.getsockname()[1]}"

        yield begin


@pytest.fixture
def key() -> Callable[..., dict[str, str]]:
    """Make a key of the library that settings name; the headers that show it."""
    from api.service.keys import KeyStore

    def make(settings: Settings, scope: Any = "admin", name: str | None = None, expires: Any = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {KeyStore(settings.library).create(scope, name, expires)[1]}"}

    return make
