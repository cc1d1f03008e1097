"""Commands with --server: they print what they print of a library here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from api.service import create_app
from api.settings import Settings
from search import Library, Store

CHILD = (sys.executable, "-P", str(Path(__file__).with_name("colour_child.py")))


@pytest.fixture
def server(service_settings: Settings) -> Iterator[str]:
    """The address of a service over fourteen photos, on a port of this machine."""
    import threading
    import time

    app = create_app(service_settings)
    app.state.service.jobs.command = CHILD
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not running.started:
        assert time.monotonic() < until
        time.sleep(0.01)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join(10)


@pytest.fixture
def both(pellucid: Callable[..., Any], server: str, service_settings: Settings) -> Callable[..., tuple[Any, Any]]:
    """What a command does here, and what it does by the service."""

    def run(*words: object) -> tuple[Any, Any]:
        return pellucid(*words, "--library", service_settings.library), pellucid(*words, "--server", server)

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("red", "-k", "3", "--strictness", "0"),
        ("2:red", "blue", "-k", "20", "--in", "images", "--strictness", "0", "--sort", "date"),
        ("red", "--where", "iso > 100", "--strictness", "0", "--in", "regions"),
        ("red", "--where", "iso > 90000"),
        ("red", "--strictness", "100"),
        ("red", "--collapse", "--strictness", "0"),
    ],
)
def test_a_search_prints_the_same(both: Callable[..., tuple[Any, Any]], words: tuple[str, ...]) -> None:
    here, there = both("search", *words, "--json")
    assert (there.code, there.err) == (here.code, here.err)
    assert there.json == here.json
    here, there = both("search", *words)
    assert (there.out, there.err) == (here.out, here.err)


def test_what_is_left_out_is_left_out_there_too(both: Callable[..., tuple[Any, Any]]) -> None:
    here, there = both("search", "red", "without:blue", "--strictness", "0", "--json")
    assert there.json["hits"] == here.json["hits"]
    assert there.json["verdict"] == here.json["verdict"]


def test_a_search_by_a_picture_here_sends_it(both: Callable[..., tuple[Any, Any]], service_photos: Path) -> None:
    here, there = both("search", service_photos / "blue.png", "--paths", "-k", "2", "--strictness", "0")
    assert there.out == here.out
    assert there.out.splitlines()[0].endswith("blue.png")


def test_stats_and_runs_print_the_same(both: Callable[..., tuple[Any, Any]]) -> None:
    for words in (("stats",), ("tags", "runs")):
        here, there = both(*words, "--json")
        assert there.json == here.json
        here, there = both(*words)
        assert there.out == here.out


def test_tags_are_said_by_the_file_here_the_name_there_or_the_digest(
    pellucid: Callable[..., Any], server: str, service_settings: Settings, service_photos: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy of it.png"
    copy.write_bytes((service_photos / "blue.png").read_bytes())
    told = pellucid("tags", "confirm", copy, "azure", "Été/1", "--server", server, "--json").json
    assert (told["said"], told["tags"], told["not_in_vocabularies"]) == ("confirmed", ["blue", "Été/1"], ["Été/1"])
    assert told["file"] == str(service_photos / "blue.png")
    here = pellucid("tags", "reject", service_photos / "blue.png", "green", "--library", service_settings.library)
    there = pellucid("tags", "reject", told["digest"], "green", "--server", server)
    assert there.out == here.out
    undone = pellucid("tags", "confirm", "somewhere/blue.png", "blue", "--undo", "--server", server)
    assert (undone.code, "Name a file" in undone.err) == (2, True)
    undone = pellucid("tags", "confirm", "photos/trip/red copy.png", "blue", "--undo", "--server", server, "--json")
    assert undone.json["file"].endswith("red.png")
    assert set(Store(Library(service_settings.library)).marks.labels()) == {"blue", "green", "Été/1"}


def test_a_run_is_taken_back(pellucid: Callable[..., Any], server: str) -> None:
    done = pellucid("tags", "retract", "latest", "--server", server, "--json").json
    assert done["did"] == "retract"
    again = pellucid("tags", "retract", done["run"], "--server", server)
    assert again.code == 5
    assert "retracted already" in again.err


def test_tagging_and_indexing_are_jobs_of_the_service(
    both: Callable[..., tuple[Any, Any]], pellucid: Callable[..., Any], server: str, service_photos: Path
) -> None:
    here, there = both("tag", "--vocabulary", "weather", "--precision", "0.02", "--dry-run", "--json")
    differ = {"seconds", "library"}
    assert {name: value for name, value in there.json.items() if name not in differ} == {
        name: value for name, value in here.json.items() if name not in differ
    }
    done = pellucid("index", "--server", server)
    assert done.code == 0, done.err
    assert "14 unchanged" in done.out
    elsewhere = pellucid("index", service_photos.parent.parent, "--server", server)
    assert elsewhere.code in (1, 2)


def test_an_export_is_written_here(pellucid: Callable[..., Any], server: str, service_settings: Settings, tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    assert pellucid("export", "coco", one, "--library", service_settings.library).code == 0
    assert pellucid("export", "coco", other, "--server", server).code == 0
    assert other.read_bytes() == one.read_bytes()
    again = pellucid("export", "coco", other, "--server", server)
    assert (again.code, "--force" in again.err) == (2, True)
    assert pellucid("export", "coco", other, "--server", server, "--force", "--json").json["bytes"] == one.stat().st_size
    here, there = tmp_path / "here", tmp_path / "there"
    pellucid("export", "yolo", here, "--library", service_settings.library)
    assert pellucid("export", "yolo", there, "--server", server).code == 0
    assert _files(there) == _files(here)
    assert pellucid("export", "yolo", there, "--server", server, "--force").code == 2
    assert not list(tmp_path.glob(".*.new"))
    assert pellucid("export", "coco", tmp_path / "photo.jpg", "--server", server).code == 2


def _files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "red", "--html", "x.html"), "--html"),
        (("search", "red", "--encoder", "builtin"), "--encoder"),
        (("index", "--precision", "int8"), "--precision"),
        (("export", "coco", "x.json", "--labels", "a,b"), "--labels"),
        (("tag", "--templates", "plain"), "--templates"),
        (("stats", "--library", "lib"), "either --server or --library"),
    ],
)
def test_what_a_service_cannot_be_asked_says_so(pellucid: Callable[..., Any], words: tuple[str, ...], said: str) -> None:
    done = pellucid(*words, "--server", "http://127.0.0.1:9")
    assert done.code == 2
    assert said in done.err


def test_the_setting_is_as_good_as_the_option_and_a_library_that_is_named_wins(
    pellucid: Callable[..., Any], server: str, service_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELLUCID_SERVER", server)
    assert pellucid("stats", "--json").json["photos"] == 14
    monkeypatch.setenv("PELLUCID_SERVER", "http://127.0.0.1:9")
    assert pellucid("stats", "--json").code == 3
    assert pellucid("stats", "--json", "--library", service_settings.library).json["photos"] == 14


def test_the_key_comes_from_the_environment_and_is_never_shown(
    pellucid: Callable[..., Any], server: str, service_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.service.keys import KeyStore
    from api.settings import load_settings

    _, secret = KeyStore(service_settings.library).create("read")
    refused = pellucid("stats", "--server", server)
    assert (refused.code, "PELLUCID_SERVER_KEY" in refused.err) == (2, True)
    monkeypatch.setenv("PELLUCID_SERVER_KEY", secret)
    assert pellucid("stats", "--server", server, "--json").json["photos"] == 14
    assert secret not in repr(load_settings())


def test_an_archive_that_leads_elsewhere_is_not_unpacked(tmp_path: Path) -> None:
    import zipfile

    from api.remote_work import unpacked
    from preprocess import FetchError

    for at, name in enumerate(("../out.txt", "/etc/out", "a/../../b", "C:\\x")):
        archive = tmp_path / f"{at}.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr(name, b"x")
        with pytest.raises(FetchError):
            unpacked(archive, tmp_path / str(at))
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04broken")
    with pytest.raises(FetchError, match="damaged"):
        unpacked(tmp_path / "broken.zip", tmp_path / "broken")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(FetchError, match="empty"):
        unpacked(tmp_path / "empty.zip", tmp_path / "none")
    assert not (tmp_path.parent / "out.txt").exists()
