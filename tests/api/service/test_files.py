"""Thumbnails, previews and originals: only of indexed photos, only as long as they are what was indexed, and never as anything but a picture."""

from __future__ import annotations

import asyncio
import io
import os
import runpy
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from api.service import picture_cache, pictures
from api.service.file_response import OriginalResponse
from api.service.original_file import OriginalFile, OutsideRoot, open_inside
from api.service.photo_rows import Place
from api.service.picture_cache import PictureCache
from indexer import BuildOptions, build
from search import Library

HOSTILE = [
    "new\nline.jpg",
    'say "cheese".jpg',
    "été 写真 🏖.jpg",
    "semi;colon='x'.jpg",
    "%2e%2e%2f.jpg",
    "<script>alert(1)</script>.jpg".replace("/", "_"),
    "back\\slash.jpg",
]


@pytest.fixture
def own(make_settings: Any, connect: Callable[..., TestClient], tmp_path: Path, paint: Callable[..., Path], make_encoder: Any) -> Own:
    """A service over a library of its own, whose photos a test may change."""
    return Own(tmp_path, connect(make_settings(library=tmp_path / "own")), make_encoder(), paint)


class Own:
    """A folder of photos, the library of it, and a client."""

    def __init__(self, home: Path, client: TestClient, encoder: Any, paint: Callable[..., Path]) -> None:
        self.folder, self.library, self.client, self.encoder = home / "own photos", home / "own", client, encoder
        self.paint = paint
        self.folder.mkdir()

    def index(self, **options: Any) -> None:
        build(Library(self.library, create=True), [self.folder], self.encoder, BuildOptions(**{"dehaze": "none", **options}))

    def add(self, name: str, colour: Any = "red", **given: Any) -> Path:
        return self.paint(self.folder / name, colour, **given)

    def url(self, file: Path | str, what: str = "file") -> str:
        digest = file if isinstance(file, str) else sha256(file.read_bytes()).hexdigest()
        return f"/v1/images/{digest}/{what}"


def picture_of(answer: Any) -> Image.Image:
    """The picture that was sent."""
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    return image


def test_thumbnails_fit_their_size_and_are_webp_for_who_takes_it(own: Own) -> None:
    wide, small = own.add("wide.jpg", "orange", seed=1, size=(1000, 400)), own.add("small.png", "blue", size=(20, 30))
    own.index()
    for size in (160, 320, 640):
        image = picture_of(own.client.get(own.url(wide, "thumbnail"), params={"size": size}, headers={"Accept": "image/*"}))
        assert (image.format, image.size) == ("JPEG", (size, round(size * 0.4)))
        assert np.abs(np.asarray(image.convert("RGB")).mean((0, 1)) - (245, 140, 20)).max() < 6
    image = picture_of(own.client.get(own.url(small, "thumbnail"), headers={"Accept": "image/avif,image/webp,*/*;q=0.8"}))
    assert (image.format, image.size) == ("WEBP", (20, 30))  # never enlarged
    assert own.client.get(own.url(small, "thumbnail")).headers["vary"] == "Accept"
    for wrong in ("161", "0", "-160", "1e9", ""):
        assert own.client.get(own.url(small, "thumbnail"), params={"size": wrong}).status_code == 422


def test_a_preview_is_upright_without_metadata_and_shows_what_browsers_cannot(own: Own) -> None:
    pixels = np.zeros((1000, 3000, 3), np.uint8)
    pixels[:, :1500] = (250, 10, 10)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Secret camera"  # to be turned by 90 degrees
    Image.fromarray(pixels).save(own.folder / "turned.tif", exif=exif)
    own.index()
    answer = own.client.get(own.url(own.folder / "turned.tif", "preview"), headers={"Accept": "*/*"})
    image = picture_of(answer)
    assert (image.format, image.size, answer.headers["content-type"]) == ("JPEG", (683, 2048), "image/jpeg")
    assert np.asarray(image)[100, 300, 0] > 200 > 100 > np.asarray(image)[2000, 300, 0]
    assert not image.getexif()
    assert b"Secret" not in answer.content
    original = own.client.get(own.url(own.folder / "turned.tif"))
    assert original.headers["content-type"] == "image/tiff"
    assert original.content == (own.folder / "turned.tif").read_bytes()


def test_a_dehazed_preview_is_made_by_the_recorded_dehazer(own: Own, skimage_photos: Path) -> None:
    hazy = (np.asarray(Image.open(skimage_photos / "coffee.png").convert("RGB")) * 0.35 + 155).astype(np.uint8)
    Image.fromarray(hazy).save(own.folder / "hazy.png")
    plain = own.add("plain.png", "red")
    own.index(dehaze="dark-channel")
    own.paint(own.folder / "late.png", "blue")
    shots = [
        picture_of(own.client.get(own.url(own.folder / "hazy.png", "preview"), params={"enhancer": name})) for name in ("none", "dehazed")
    ]
    assert shots[0].size == shots[1].size == (600, 400)
    contrast = [np.asarray(shot, np.float64).std() for shot in shots]
    assert contrast[1] > 1.3 * contrast[0]
    etags = {
        own.client.get(own.url(own.folder / "hazy.png", "preview"), params={"enhancer": name}).headers["etag"]
        for name in ("none", "dehazed")
    }
    assert len(etags) == 2
    assert own.client.get(own.url(plain, "preview"), params={"enhancer": "sharper"}).status_code == 422


def test_a_photo_without_a_dehazed_version_has_none_to_preview(client: TestClient) -> None:
    digest = client.get("/v1/images").json()["photos"][0]["digest"]
    answer = client.get(f"/v1/images/{digest}/preview?enhancer=dehazed")
    assert answer.status_code == 404
    assert "enhancer=none" in answer.json()["detail"]


def test_pictures_are_made_once_and_known_by_their_etag(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    file = own.add("a.jpg", seed=3)
    own.index()
    made: list[Any] = []
    make = pictures.made

    def counted(*given: Any) -> bytes:
        made.append(given)
        return make(*given)

    monkeypatch.setattr(pictures, "made", counted)
    first = own.client.get(own.url(file, "thumbnail"))
    assert own.client.get(own.url(file, "thumbnail")).content == first.content
    assert len(made) == 1
    etag = first.headers["etag"]
    assert etag.startswith('"')
    assert "max-age" in first.headers["cache-control"]
    assert "private" in first.headers["cache-control"]
    for known in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        answer = own.client.get(own.url(file, "thumbnail"), headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert own.client.get(own.url(file, "thumbnail?size=160"), headers={"If-None-Match": etag}).status_code == 200
    assert own.client.get(own.url("0" * 64, "thumbnail"), headers={"If-None-Match": "*"}).status_code == 404
    file.unlink()
    assert own.client.get(own.url(Path(first.request.url.path).parts[3], "thumbnail")).content == first.content  # it is the same photo's


def test_many_makers_of_one_picture_all_get_it(own: Own) -> None:
    file = own.add("a.jpg", seed=3, size=(600, 400))
    own.index()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: own.client.get(own.url(file, "thumbnail")), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    kept = [entry.name for entry in (own.library / "cache" / "pictures").rglob("*") if entry.is_file()]
    assert len(kept) == 1
    assert not kept[0].endswith(".new")


def test_nothing_is_made_of_a_file_that_has_changed(own: Own) -> None:
    file = own.add("a.jpg", "red", seed=1)
    own.index()
    digest, data, facts = sha256(file.read_bytes()).hexdigest(), file.read_bytes(), file.stat()
    changed = bytearray(data)
    changed[-10] ^= 1
    for other in (bytes(changed), data + b"more", data[:-1], b""):  # the same size, and others
        file.write_bytes(other)
        os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000_000))
        for what in ("file", "preview", "thumbnail"):
            answer = own.client.get(own.url(digest, what))
            assert answer.status_code == 409
            assert "Index its folder again" in answer.json()["detail"]
    file.write_bytes(data)  # only its time is another one
    assert own.client.get(own.url(digest)).content == data
    assert own.client.get(own.url(digest, "thumbnail")).status_code == 200
    file.unlink()
    assert own.client.get(own.url(digest)).status_code == own.client.get(own.url(digest, "preview")).status_code == 410
    file.mkdir()
    assert own.client.get(own.url(digest)).status_code == 410
    file.rmdir()
    os.mkfifo(file)
    assert own.client.get(own.url(digest)).status_code == 410  # and does not wait for a writer


def test_a_copy_stands_in_for_a_photo_that_is_gone(own: Own) -> None:
    first = own.add("a.jpg", seed=1)
    (own.folder / "deep").mkdir()
    shutil.copyfile(first, own.folder / "deep" / "copy.jpg")
    own.index()
    data, url = first.read_bytes(), own.url(first)
    first.write_bytes(b"something else")
    answer = own.client.get(url)
    assert answer.content == data
    assert 'filename="copy.jpg"' in answer.headers["content-disposition"]


def test_links_are_followed_inside_the_root_and_refused_outside(own: Own, tmp_path: Path) -> None:
    inside = own.add("real/a.jpg", "red", seed=1)
    secret = own.paint(tmp_path / "secret" / "b.jpg", "blue", seed=2)
    (own.folder / "linked").symlink_to(own.folder / "real")
    (own.folder / "b.jpg").symlink_to(secret)
    own.index()
    assert own.client.get(own.url(inside)).status_code == 200
    for what in ("file", "preview", "thumbnail"):
        answer = own.client.get(own.url(secret, what))
        assert answer.status_code == 403
        assert "outside" in answer.json()["detail"]


def test_a_folder_that_became_a_link_leads_nowhere(own: Own, tmp_path: Path) -> None:
    file = own.add("deep/a.jpg", "red", seed=1)
    own.index()
    url = own.url(file)
    shutil.move(own.folder / "deep", tmp_path / "elsewhere")
    (own.folder / "deep").symlink_to(tmp_path / "elsewhere")
    assert own.client.get(url).status_code == 403


@pytest.mark.parametrize("path", ["../x.jpg", "a/../../x.jpg", "/etc/passwd", "", ".", "a/.."])
def test_no_name_leads_out_of_its_root(tmp_path: Path, path: str) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "x.jpg").write_bytes(b"secret")
    with pytest.raises(OutsideRoot):
        open_inside(tmp_path / "root", path)


def test_a_link_that_appears_between_looking_and_opening_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "x.jpg").write_bytes(b"fine")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x.jpg").write_bytes(b"secret")
    resolve = Path.resolve

    def swapped(path: Path, strict: bool = False) -> Path:
        found = resolve(path, strict)
        if path.name == "x.jpg":
            shutil.rmtree(tmp_path / "root" / "a")
            (tmp_path / "root" / "a").symlink_to(tmp_path / "secret")
        return found

    monkeypatch.setattr(Path, "resolve", swapped)
    with pytest.raises(OSError, match=r"directory|link"):
        open_inside(tmp_path / "root", "a/x.jpg")


def test_a_root_that_the_library_no_longer_has_is_closed(own: Own) -> None:
    from dataclasses import replace

    file = own.add("a.jpg", seed=1)
    own.index()
    library = Library(own.library)
    with library.locked("test"):
        library.write(replace(library.file, roots=()))
    assert own.client.get(own.url(file)).status_code == own.client.get(own.url(file, "thumbnail")).status_code == 403


def test_hostile_names_stay_names(own: Own) -> None:
    for at, name in enumerate(HOSTILE):
        own.add(name, seed=at)
    own.index()
    for name in HOSTILE:
        answer = own.client.get(own.url(own.folder / name))
        disposition = answer.headers["content-disposition"]
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert disposition.isascii()
        assert disposition.isprintable()
        assert disposition.count('"') == 2
        assert "sandbox" in answer.headers["content-security-policy"]
        assert own.client.get(own.url(own.folder / name, "thumbnail")).status_code == 200
    listed = {photo["path"] for photo in own.client.get("/v1/images").json()["photos"]}
    assert listed == set(HOSTILE)


def test_a_name_that_is_no_text_is_never_indexed(own: Own) -> None:
    good = own.add("good.jpg", seed=1)
    shutil.copyfile(good, os.fsencode(own.folder) + b"/bad \xff.jpg")
    own.index()
    assert own.client.get("/v1/images").json()["total"] == 1
    assert 'filename="good.jpg"' in own.client.get(own.url(good)).headers["content-disposition"]


def test_types_come_from_what_the_file_is(own: Own) -> None:
    image = Image.effect_noise((32, 32), 50).convert("RGB")
    kinds = {
        "PNG": "image/png",
        "WEBP": "image/webp",
        "GIF": "image/gif",
        "BMP": "image/bmp",
        "JPEG": "image/jpeg",
        "PPM": "image/x-portable-anymap",
    }
    for kind in kinds:
        image.save(own.folder / f"really a {kind}.png", kind)
    own.index()
    for kind, media_type in kinds.items():
        answer = own.client.get(own.url(own.folder / f"really a {kind}.png"))
        assert (kind, answer.headers["content-type"]) == (kind, media_type)


RANGES = [
    ("bytes=0-9", 206, (0, 10)), ("bytes=10-", 206, (10, None)), ("bytes=-7", 206, (-7, None)), ("bytes=0-0", 206, (0, 1)), ("bytes=0-99999999", 206, (0, None)),
    ("bytes=-99999999", 206, (0, None)), ("bytes=99999999-", 416, None), ("bytes=-0", 416, None), ("bytes=9-3", 200, (0, None)), ("bytes=-", 200, (0, None)),
    ("bytes=a-b", 200, (0, None)), ("chunks=0-9", 200, (0, None)), ("bytes=0-1,4-5", 200, (0, None)), ("bytes=" + "9" * 5000 + "-", 416, None), ("", 200, (0, None)),
]  # fmt: skip


def test_parts_of_an_original_are_sent_as_they_are_asked_for(own: Own) -> None:
    file = own.add("a.jpg", seed=1, size=(64, 64))
    own.index()
    data, url = file.read_bytes(), own.url(file)
    for asked, status, span in RANGES:
        answer = own.client.get(url, headers={"Range": asked})
        assert (asked[:40], answer.status_code) == (asked[:40], status)
        if span is None:
            assert answer.headers["content-range"] == f"bytes */{len(data)}"
            assert answer.headers["content-type"] == "application/problem+json"
        else:
            assert answer.content == data[span[0] : span[1]]
            assert answer.headers["content-length"] == str(len(answer.content))
        if status == 206:
            begin = data.index(answer.content)
            assert answer.headers["content-range"] == f"bytes {begin}-{begin + len(answer.content) - 1}/{len(data)}"
    etag = own.client.get(url).headers["etag"]
    assert own.client.get(url, headers={"Range": "bytes=0-3", "If-Range": etag}).status_code == 206
    assert own.client.get(url, headers={"Range": "bytes=0-3", "If-Range": '"another"'}).status_code == 200
    assert own.client.get(url, headers={"If-None-Match": etag}).status_code == 304


def test_a_file_is_closed_when_its_reader_goes_or_it_becomes_shorter(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    for shorter in (False, True):
        file.write_bytes(bytes(1_000_000))
        place = Place(str(tmp_path), "a.jpg", "JPEG", 1_000_000, 0, None, (1, 1))
        original = OriginalFile(os.open(file, os.O_RDONLY), place, 1_000_000)
        sent: list[int] = []

        async def send(message: Any, *, shorter: bool = shorter, sent: list[int] = sent) -> None:
            sent.append(len(message.get("body", b"")))
            if shorter:
                file.write_bytes(b"")
            elif sum(sent):
                raise OSError("the reader has gone")

        async def receive() -> Any:
            await asyncio.sleep(60)

        response = OriginalResponse(original, '"x"', None, None)
        with pytest.raises((OSError, ClientDisconnect)):
            asyncio.run(response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send))
        assert sum(sent) < 1_000_000
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(original.descriptor)


def test_no_file_stays_open(own: Own) -> None:
    file = own.add("a.jpg", seed=1)
    own.index()
    url = own.url(file)
    own.client.get(url)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    for headers in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=9999999-"}, {"If-None-Match": "*"}):
        for _ in range(5):
            own.client.get(url, headers=headers)
    file.write_bytes(b"changed")
    for _ in range(5):
        assert own.client.get(own.url("0" * 64)).status_code == 404
        assert own.client.get(url).status_code == 409
    assert not before or len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_a_library_that_cannot_be_written_has_pictures_all_the_same(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    file = own.add("a.jpg", seed=1)
    own.index()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert own.client.get(own.url(file, "thumbnail")).status_code == 200
    assert not list((own.library / "cache").rglob("*.webp"))


def test_pictures_stay_when_photos_are_added_and_go_when_all_caches_do(own: Own) -> None:
    file = own.add("a.jpg", seed=1)
    own.index()
    assert own.client.get(own.url(file, "thumbnail")).status_code == 200
    own.add("b.jpg", seed=2)
    own.index()
    assert own.client.get("/v1/images").json()["total"] == 2
    folder = own.library / "cache" / "pictures"
    assert len([entry for entry in folder.rglob("*") if entry.is_file()]) == 1
    shutil.rmtree(own.library / "cache")  # as `forget` and `compact` do
    assert own.client.get(own.url(file, "thumbnail")).status_code == 200


def test_a_photo_that_was_forgotten_has_no_picture(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    from api.forgetting import run_forget

    file = own.add("a.jpg", seed=1)
    own.add("b.jpg", seed=2)
    own.index()
    make = pictures.made

    def forgotten(*given: Any) -> bytes:
        data = make(*given)
        run_forget([file], own.library)  # while it is made
        return data

    monkeypatch.setattr(pictures, "made", forgotten)
    own.client.get(own.url(file, "thumbnail"))
    assert not list((own.library / "cache").rglob("*.jpeg"))
    assert own.client.get(own.url(file, "thumbnail"), headers={"If-None-Match": "*"}).status_code == 404


def test_a_cache_of_pictures_keeps_to_its_size_and_to_what_was_looked_at(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path / "pictures", most_bytes=10_000)
    for at in range(8):
        cache.put(f"{at:064x}-160.jpeg", bytes(1_000))
        os.utime(cache._file(f"{at:064x}-160.jpeg"), (1_000_000 + at, 1_000_000 + at))
    assert cache.get(f"{0:064x}-160.jpeg") == bytes(1_000)  # which makes it young
    for at in range(8, 11):
        cache.put(f"{at:064x}-160.jpeg", bytes(1_000))
    left = {at for at in range(11) if cache.get(f"{at:064x}-160.jpeg")}
    assert {0, 8, 9, 10} <= left
    assert not {1, 2} & left
    assert len(left) <= 9
    cache.drop(f"{0:064x}")
    assert cache.get(f"{0:064x}-160.jpeg") is None
    assert cache.get(f"{10:064x}-160.jpeg")
    again = PictureCache(tmp_path / "pictures", most_bytes=3_000)  # one that was there before counts
    again.put("ff" * 32 + "-160.jpeg", bytes(1_000))
    assert sum(entry.stat().st_size for entry in (tmp_path / "pictures").rglob("*") if entry.is_file()) <= 3_000


def test_services_that_share_a_cache_write_no_file_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In containers each of them may be the process 1, and each counts for itself."""
    written, write = list[Path](), Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda file, data: (written.append(file), write(file, data))[1])
    for data in (b"a", b"b"):
        service = runpy.run_path(picture_cache.__file__)
        service["PictureCache"](tmp_path).put("ab" * 32 + "-160.jpeg", data)
    assert len(set(written)) == 2
    assert PictureCache(tmp_path).get("ab" * 32 + "-160.jpeg") == b"b"
