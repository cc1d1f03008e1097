"""`pellucid dehaze` and `pellucid eval dehaze` as people run them."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from api.dehaze_plan import MARKER
from preprocess import DEHAZERS, decode, read_image

Command = Callable[..., Any]
TAKEN, GPS = {0x9003: "2020:01:02 03:04:05"}, {1: "N", 2: (52.0, 30.0, 10.5), 3: "E", 4: (13.0, 1.0, 2.0)}


class Invert:
    """A dehazer that is quick, and whose work cannot be mistaken."""

    id = "invert-1"

    def __call__(self, pixels: Any) -> Any:
        return 255 - pixels


@pytest.fixture(autouse=True)
def invert_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEHAZERS, "invert", lambda _preset: Invert())  # type: ignore[arg-type]


@pytest.fixture
def dehaze(pellucid: Command) -> Command:
    """`pellucid dehaze ARGUMENT... --method invert`."""

    def run(*arguments: object) -> Any:
        return pellucid("dehaze", *arguments, *([] if "--method" in arguments else ["--method", "invert"]))

    return run


def exif_of(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Nikon", orientation
    for tag, block in ((ExifTags.IFD.Exif, TAKEN), (ExifTags.IFD.GPSInfo, GPS)):
        exif[int(tag)] = block
    return exif


@pytest.fixture
def trip(tmp_path: Path, paint: Callable[..., Path]) -> Path:
    """Photos in several formats and folders, one under a name with spaces in another script, one damaged, one hidden, one not a photo."""
    folder = tmp_path / "my trip"
    paint(folder / "red.png", "red")
    paint(folder / "day 1" / "café 咖啡.png", "green")
    paint(folder / "day 1" / ".hidden.png", "blue")
    Image.new("RGB", (40, 30), (200, 100, 50)).save(folder / "day 1" / "upright.jpg", exif=exif_of(), quality=95)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 damaged")
    (folder / "notes.txt").write_text("not a photo")
    return folder


def size_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def digests(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def names(folder: Path) -> list[str]:
    return sorted(set(digests(folder)) - {MARKER}) if folder.exists() else []


def test_a_folder_with_all_below_it(trip: Path, tmp_path: Path, dehaze: Command) -> None:
    before, out = digests(trip), tmp_path / "clear"
    ran = dehaze(trip, "--out", out)
    assert (ran.code, ran.err) == (0, "")
    assert names(out) == ["day 1/café 咖啡.png", "day 1/upright.jpg", "red.png"]
    assert "3 dehazed, 1 failed; 4 photos found." in ran.out
    assert f"{trip}/broken.jpg" in ran.out
    assert digests(trip) == before
    assert np.array_equal(read_image(out / "red.png").pixels, 255 - read_image(trip / "red.png").pixels)


def test_exif_position_and_orientation(trip: Path, tmp_path: Path, dehaze: Command) -> None:
    assert dehaze(trip / "day 1" / "upright.jpg", "--out", tmp_path / "out").code == 0
    with Image.open(tmp_path / "out" / "upright.jpg") as image:
        exif = image.getexif()
        assert (image.size, exif[0x010F], exif[0x0112]) == ((30, 40), "Nikon", 1)
        assert dict(exif.get_ifd(ExifTags.IFD.GPSInfo)) == GPS
        assert dict(exif.get_ifd(ExifTags.IFD.Exif))[0x9003] == TAKEN[0x9003]


def test_a_second_run_skips_and_force_makes_anew(trip: Path, tmp_path: Path, dehaze: Command) -> None:
    out = tmp_path / "out"
    dehaze(trip, "--out", out)
    first = {file: (out / file).stat().st_mtime_ns for file in names(out)}
    (out / "red.png").write_bytes(b"kept, whatever it is")
    again = dehaze(trip, "--out", out)
    assert "3 skipped, made before, 1 failed" in again.out
    assert "--force" in again.out
    assert (out / "red.png").read_bytes() == b"kept, whatever it is"
    assert {file: (out / file).stat().st_mtime_ns for file in names(out) if file != "red.png"}.items() <= first.items()
    (out / "day 1" / "upright.jpg").unlink()
    assert "1 dehazed, 2 skipped" in dehaze(trip, "--out", out).out
    assert "3 dehazed, 1 failed" in dehaze(trip, "--out", out, "--force").out
    assert np.array_equal(read_image(out / "red.png").pixels, 255 - read_image(trip / "red.png").pixels)


def test_what_is_missing_beside_a_photo_is_made_later(trip: Path, tmp_path: Path, dehaze: Command) -> None:
    photo, out = trip / "red.png", tmp_path / "out"
    dehaze(photo, "--out", out)
    made = (out / "red.png").stat().st_mtime_ns
    assert "1 dehazed" in dehaze(photo, "--out", out, "--depth").out
    assert names(out) == ["red.png", "red.png.depth.png"]
    assert (out / "red.png").stat().st_mtime_ns == made


def test_the_shape_of_the_json(trip: Path, tmp_path: Path, dehaze: Command) -> None:
    out = tmp_path / "out"
    document = dehaze(trip, "--out", out, "--json", "--depth").json
    assert {key: document[key] for key in ("out", "method", "preset", "found", "written", "left", "skipped", "interrupted")} == {
        "out": str(out), "method": "invert", "preset": "default", "found": 4, "written": 3, "left": 0, "skipped": 0, "interrupted": False,
    }  # fmt: skip
    assert list(document["failed"]) == [f"{trip}/broken.jpg"]
    assert "not a photo inside" in document["failed"][f"{trip}/broken.jpg"]
    red = next(photo for photo in document["photos"] if photo["source"].endswith("red.png"))
    assert 0 <= red.pop("haze") <= 1
    assert red.pop("seconds") >= 0
    assert red == {
        "source": f"{trip}/red.png", "out": f"{out}/red.png", "depth": f"{out}/red.png.depth.png", "compare": None,
        "method": "invert-1", "kept": True, "reason": "",
    }  # fmt: skip
    second = dehaze(trip, "--out", out, "--json", "--depth").json
    assert (second["written"], second["skipped"]) == (0, 3)
    assert {photo["reason"] for photo in second["photos"]} == {"exists already"}


def test_depth_and_comparison(tmp_path: Path, dehaze: Command) -> None:
    grain = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    Image.fromarray(grain).save(tmp_path / "a photo.jpg", exif=exif_of(orientation=6))
    out = tmp_path / "out"
    assert dehaze(tmp_path / "a photo.jpg", "--out", out, "--depth", "--compare").code == 0
    assert names(out) == ["a photo.jpg", "a photo.jpg.compare.jpg", "a photo.jpg.depth.png"]
    assert size_of(out / "a photo.jpg.depth.png") == (300, 500)
    assert size_of(out / "a photo.jpg.compare.jpg") == (3 * 308 + 8, 500 + 8 + 8 + 34)
    pixels = read_image(out / "a photo.jpg.compare.jpg").pixels.astype(np.float32)
    before, after = pixels[8:508, 8:308], pixels[8:508, 316:616]
    assert np.abs(before - read_image(tmp_path / "a photo.jpg").pixels).mean() < 20  # the sheet is a JPEG
    assert np.abs(after - read_image(out / "a photo.jpg").pixels).mean() < 20
    assert np.abs(after - before).mean() > 60
    for panel in range(3):  # each has a caption, light on dark
        strip = pixels[516:, 8 + 308 * panel : 308 + 308 * panel]
        assert strip.max() > 200
        assert strip.mean() < 60


@pytest.mark.parametrize(
    ("size", "sheet"), [((3000, 20), (3 * 1032 + 8, 7 + 50)), ((1, 1), (3 * 208 + 8, 1 + 50)), ((30, 2048), (3 * 208 + 8, 1024 + 50))]
)
def test_comparisons_of_odd_sizes(size: tuple[int, int], sheet: tuple[int, int], tmp_path: Path, dehaze: Command) -> None:
    Image.new("RGB", size, (90, 120, 200)).save(tmp_path / "a.png")
    assert dehaze(tmp_path / "a.png", "--out", tmp_path / "out", "--compare", "--depth").code == 0
    assert size_of(tmp_path / "out" / "a.png.compare.jpg") == sheet
    assert size_of(tmp_path / "out" / "a.png.depth.png") == size


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif", "avif", "heic", "jp2", "ppm"])
def test_formats(suffix: str, tmp_path: Path, scene_photo: Image.Image, dehaze: Command) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    photo = tmp_path / f"a.{suffix}"
    scene_photo.save(photo)
    assert dehaze(photo, "--out", tmp_path / "out").code == 0
    written = names(tmp_path / "out")
    assert written == [
        photo.name if suffix in ("jpg", "png", "webp", "tif") else photo.name + (".png" if suffix in ("bmp", "gif", "ppm") else ".jpg")
    ]
    out = decode((tmp_path / "out" / written[0]).read_bytes(), "a").pixels.astype(int)
    assert np.abs(255 - out - read_image(photo).pixels).mean() < 6


@pytest.fixture(scope="session")
def scene_photo() -> Image.Image:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    return Image.fromarray(np.stack(np.broadcast_arrays(ramp[None], ramp[:48, None], np.uint8(90)), -1))


# Never over originals


def test_the_folder_of_the_photos_is_refused(trip: Path, dehaze: Command) -> None:
    before = digests(trip)
    for out in (trip, trip / "day 1" / ".."):
        for force in ((), ("--force",)):
            ran = dehaze(trip, "--out", out, *force)
            assert ran.code == 2
            assert "originals are never written to" in ran.err
    assert digests(trip) == before


def test_a_photo_in_the_output_folder_is_refused(trip: Path, dehaze: Command) -> None:
    before = digests(trip)
    for force in ((), ("--force",)):
        ran = dehaze(trip / "red.png", "--out", trip, *force)
        assert ran.code == 2
        assert "would be written over a photo of this run" in ran.err
    assert digests(trip) == before


@pytest.mark.parametrize("kind", ["symlink", "hard link", "linked folder"])
def test_links_to_originals_are_no_way_round(kind: str, trip: Path, tmp_path: Path, dehaze: Command) -> None:
    before, out = digests(trip), tmp_path / "out"
    if kind == "linked folder":
        out.symlink_to(trip / "day 1", target_is_directory=True)
    else:
        (out / "day 1").mkdir(parents=True)
        place = out / "day 1" / "upright.jpg"
        place.symlink_to(trip / "day 1" / "upright.jpg") if kind == "symlink" else place.hardlink_to(trip / "day 1" / "upright.jpg")
    sources = [trip / "day 1" / "upright.jpg", trip / "day 1" / "café 咖啡.png"] if kind == "linked folder" else [trip]
    for force in ((), ("--force",)):
        ran = dehaze(*sources, "--out", out, *force)
        assert ran.code == 0
        assert "would be written over a photo of this run" in ran.out
        assert digests(trip) == before


def test_another_case_of_an_originals_name_is_refused(trip: Path, dehaze: Command) -> None:
    """On disks that tell no case apart, it is the original."""
    shutil.copy(trip / "red.png", trip / "sub.png")
    (trip / "other").mkdir()
    shutil.copy(trip / "red.png", trip / "other" / "RED.png")
    ran = dehaze(trip / "red.png", trip / "other" / "RED.png", "--out", trip, "--force")
    assert "2 files could not be dehazed" in ran.out
    assert "RED.png" not in names(trip)


def test_the_output_folder_inside_the_photos_is_not_dehazed_again(trip: Path, dehaze: Command) -> None:
    out = trip / "clear"
    assert "3 dehazed" in dehaze(trip, "--out", out).out
    made = names(out)
    again = dehaze(trip, "--out", out, "--compare")
    assert "3 dehazed" in again.out
    assert set(names(out)) - set(made) == {f"{name}.compare.jpg" for name in made}
    assert "4 photos found" in dehaze(trip, "--out", out, "--force").out


def test_a_folder_of_photos_inside_the_others_is_no_output_folder(trip: Path, paint: Callable[..., Path], dehaze: Command) -> None:
    paint(trip / "2020" / "red.png", "black")  # another photo of the same name
    before = digests(trip)
    for force in ((), ("--force",)):
        ran = dehaze(trip, "--out", trip / "2020", *force)
        assert ran.code == 2
        assert "has photos of its own, such as red.png" in ran.err
    assert digests(trip) == before


# Several sources


def test_two_sources_with_one_name_are_refused_before_anything_is_written(
    tmp_path: Path, paint: Callable[..., Path], dehaze: Command
) -> None:
    paint(tmp_path / "a" / "x.png", "red")
    paint(tmp_path / "b" / "x.png", "green")
    ran = dehaze(tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out")
    assert ran.code == 2
    for part in (f"{tmp_path}/a/x.png", f"{tmp_path}/b/x.png", "each with its own --out"):
        assert part in ran.err
    assert names(tmp_path / "out") == []


def test_a_photo_named_twice_is_dehazed_once(trip: Path, tmp_path: Path, dehaze: Command) -> None:
    photo = trip / "red.png"
    assert "1 dehazed; 1 photo found" in dehaze(photo, photo, trip.parent / "my trip" / "red.png", "--out", tmp_path / "out").out


def test_raw_and_jpeg_of_one_shot_do_not_meet(tmp_path: Path, scene_photo: Image.Image, dehaze: Command) -> None:
    for name in ("shot.jpg", "shot.avif", "shot.bmp", "shot.gif"):
        scene_photo.save(tmp_path / "in" / name) if (tmp_path / "in").mkdir(exist_ok=True) is None else None
    assert dehaze(tmp_path / "in", "--out", tmp_path / "out").code == 0
    assert names(tmp_path / "out") == ["shot.avif.jpg", "shot.bmp.png", "shot.gif.png", "shot.jpg"]


def test_two_copies_that_are_one_file_on_this_disk(tmp_path: Path, paint: Callable[..., Path], dehaze: Command) -> None:
    """As `a.png` and `A.png` are where case does not count; a link does the same here."""
    first, second = paint(tmp_path / "in" / "A.png", "red"), paint(tmp_path / "in" / "a.png", "green")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").symlink_to("A.png")
    for force in ((), ("--force",)):
        ran = dehaze(first, second, "--out", out, "--jobs", 1, *force)
        assert np.array_equal(read_image(out / "A.png").pixels, 255 - read_image(first).pixels)
    assert "the name of the copy of another photo too" in ran.out
    assert names(out) == ["A.png", "a.png"]


def test_large_photos_wait_for_each_other(
    tmp_path: Path, scene_photo: Image.Image, dehaze: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api import dehaze_run

    inside, most = [0], [0]

    def count(self: Invert, pixels: Any) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        inside[0] -= 1
        return 255 - pixels

    monkeypatch.setattr(Invert, "__call__", count)
    for number in range(6):
        (tmp_path / "in").mkdir(exist_ok=True)
        scene_photo.save(tmp_path / "in" / f"{number}.png")
    assert dehaze(tmp_path / "in", "--out", tmp_path / "small", "--jobs", 3).code == 0
    assert most == [3]
    most[0] = 0
    monkeypatch.setattr(dehaze_run, "_LARGE_PIXELS", 1000)
    assert dehaze(tmp_path / "in", "--out", tmp_path / "large", "--jobs", 3).code == 0
    assert most == [1]


# Errors


def test_one_bad_file_alone_ends_with_its_own_code(trip: Path, tmp_path: Path, dehaze: Command) -> None:
    bad = dehaze(trip / "broken.jpg", "--out", tmp_path / "out")
    assert (bad.code, bad.out) == (3, "")
    assert bad.err.startswith(f"pellucid: {trip}/broken.jpg ")
    assert dehaze(trip / "broken.jpg", trip / "red.png", "--out", tmp_path / "out").code == 0
    assert dehaze(trip / "notes.txt", "--out", tmp_path / "out").code == 3
    missing = dehaze(trip / "nowhere.jpg", "--out", tmp_path / "out")
    assert missing.code == 2
    assert "There is no file or folder" in missing.err


def test_a_broken_link_is_called_one(tmp_path: Path, dehaze: Command) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    ran = dehaze(tmp_path / "a.jpg", "--out", tmp_path / "out")
    assert ran.code == 2
    assert "a.jpg is a broken link" in ran.err


def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    trip: Path, tmp_path: Path, dehaze: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    below = dehaze(trip, "--out", tmp_path / "file" / "below" / "out")
    assert (below.code, below.out) == (2, "")
    assert f"{tmp_path}/file is not a folder" in below.err
    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(
        os, "access", lambda place, _mode: Path(place) != tmp_path / "locked"
    )  # tests may run as root, who may write anywhere
    locked = dehaze(trip, "--out", tmp_path / "locked" / "out")
    assert (locked.code, locked.out) == (2, "")
    assert f"{tmp_path}/locked cannot be written to" in locked.err
    assert dehaze(trip, "--out", tmp_path / "out").code == 0


def test_hostile_files_and_limits(tmp_path: Path, paint: Callable[..., Path], dehaze: Command) -> None:
    folder = tmp_path / "in"
    paint(folder / "good.png", "red")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "program.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    size = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + size + struct.pack(">I", zlib.crc32(size)))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    ran = dehaze(folder, "--out", tmp_path / "out", "--json").json
    assert {Path(name).name for name in ran["failed"]} == {"empty.jpg", "program.png", "bomb.png", "broken.jpg"}
    assert names(tmp_path / "out") == ["good.png"]
    small = dehaze(folder / "good.png", "--out", tmp_path / "other", "--max-megapixels", "0.0001")
    assert small.code == 3
    assert "--max-megapixels" in small.err
    assert dehaze(folder / "pipe.jpg", "--out", tmp_path / "out").code == 3


def test_methods_and_presets_are_checked_first(trip: Path, tmp_path: Path, dehaze: Command) -> None:
    ran = dehaze(trip, "--out", tmp_path / "out", "--method", "dark-chanel")
    assert ran.code == 2
    assert "Did you mean 'dark-channel'?" in ran.err
    assert dehaze(trip, "--out", tmp_path / "out", "--method", "dark-channel", "--preset", "papr").code == 2
    no_folder = dehaze(trip, "--out", trip / "red.png")
    assert no_folder.code == 2
    assert "is not a folder" in no_folder.err
    assert names(tmp_path / "out") == []


def test_a_dehazer_that_fails_on_a_photo_does_not_end_the_run(
    trip: Path, tmp_path: Path, dehaze: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Invert, pixels: Any) -> Any:
        if pixels.shape[0] == 40:
            raise ValueError("a strange photo")
        return 255 - pixels

    monkeypatch.setattr(Invert, "__call__", fail)
    ran = dehaze(trip, "--out", tmp_path / "out")
    assert "2 dehazed, 2 failed" in ran.out
    assert "a strange photo" in ran.out


def test_a_full_disk_ends_the_run(trip: Path, tmp_path: Path, dehaze: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = dehaze(trip, "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (7, "")
    assert "Free some space" in ran.err
    assert names(tmp_path / "out") == []


def test_exclude_and_hidden(trip: Path, tmp_path: Path, dehaze: Command) -> None:
    dehaze(trip, "--out", tmp_path / "out", "--exclude", "day 1", "--exclude", "broken*")
    assert names(tmp_path / "out") == ["red.png"]
    dehaze(trip, "--out", tmp_path / "out", "--include-hidden")
    assert "day 1/.hidden.png" in names(tmp_path / "out")


@pytest.mark.parametrize("jobs", [1, 3])
def test_many_threads_give_the_same(jobs: int, trip: Path, tmp_path: Path, dehaze: Command) -> None:
    out = tmp_path / "out"
    document = dehaze(trip, "--out", out, "--jobs", jobs, "--json").json
    assert [Path(photo["source"]).name for photo in document["photos"]] == ["red.png", "café 咖啡.png", "upright.jpg"]


def test_what_another_run_makes_meanwhile_is_not_a_failure(
    trip: Path, tmp_path: Path, dehaze: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def meanwhile(self: Invert, pixels: Any) -> Any:
        out.mkdir(exist_ok=True)
        (out / "red.png").write_bytes(b"of another run")
        return 255 - pixels

    monkeypatch.setattr(Invert, "__call__", meanwhile)
    assert "2 dehazed, 1 skipped, made before, 1 failed" in dehaze(trip, "--out", out).out
    assert (out / "red.png").read_bytes() == b"of another run"


def test_after_an_interrupt_no_further_large_photo_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from api import dehaze_run
    from api.dehaze_report import DehazeOptions

    for name in ("a", "b", "c", "d"):
        Image.new("RGB", (64, 48), "red").save(tmp_path / f"{name}.png")
    monkeypatch.setattr(dehaze_run, "_LARGE_PIXELS", 1000)
    run = dehaze_run.Dehazing(
        [tmp_path / f"{name}.png" for name in ("a", "b", "c", "d")], DehazeOptions(tmp_path / "out", "invert", jobs=3)
    )

    told = threading.Event()
    begun_after: list[bool] = []

    def interrupt(_done: int, _total: int) -> None:
        told.set()
        raise KeyboardInterrupt

    def slow(_self: Invert, pixels: Any) -> Any:
        begun_after.append(told.is_set())
        time.sleep(0.5)  # the others wait for it
        return 255 - pixels

    monkeypatch.setattr(Invert, "__call__", slow)
    assert run.run(interrupt).interrupted
    assert names(tmp_path / "out")
    assert begun_after.count(True) <= 1  # one may begin between the interrupt and its being heard


def test_an_interrupt_before_the_first_photo_was_done_is_not_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from api.dehaze_output import dehaze_summary
    from api.dehaze_report import DehazeOptions, DehazeReport

    for interrupted, said in ((True, "none finished before the interrupt; 2 photos found."), (False, "nothing to do; 2 photos found.")):
        dehaze_summary(DehazeReport(DehazeOptions(tmp_path), found=2, interrupted=interrupted))
        assert said in capsys.readouterr().out


SLOW = (  # a tenth of a second a photo, so that no machine is through before the interrupt
    # And an interrupt counts: a shell that starts something in the background tells it to ignore them, and all that it starts.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import time, preprocess.dark_channel as d; call = d.DarkChannel.__call__; "
    "d.DarkChannel.__call__ = lambda self, pixels: (time.sleep(0.1), call(self, pixels))[1]"
)


def test_an_interrupt_leaves_whole_files_and_the_next_run_goes_on(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "0.jpg")
    for number in range(1, 60):
        shutil.copy(folder / "0.jpg", folder / f"{number}.jpg")
    code = "from api.cli import main; main()"
    words = ["dehaze", str(folder), "--out", str(out), "--method", "dark-channel", "--jobs", "2"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", f"{SLOW}; {code}", *words], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        limit = time.monotonic() + 60
        while len(list(out.glob("*.jpg"))) < 3 and time.monotonic() < limit and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Interrupted" in said
    made = list(out.iterdir())
    assert 3 <= len(made) < 60
    for file in made:
        assert read_image(file).pixels.shape == (400, 600, 3)
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert f"{60 - len(made)} dehazed, {len(made)} skipped" in done.stdout


# The gate


def veil(pixels: Any, t: float) -> Any:
    return (pixels * t + 225 * (1 - t)).astype(np.uint8)


def test_auto_leaves_clear_photos_and_says_so(tmp_path: Path, skimage_photos: Path, pellucid: Command) -> None:
    from preprocess import load_dehazer

    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    with Image.open(skimage_photos / "coffee.png") as image:
        clear = np.asarray(image.convert("RGB"))
    Image.fromarray(clear).save(folder / "clear.png")
    Image.fromarray(veil(clear, 0.25)).save(folder / "hazy.png")
    gate: Any = load_dehazer("auto")
    wanted = [f"{name}.png" for name, pixels in (("clear", clear), ("hazy", veil(clear, 0.25))) if gate.judge(pixels).pixels is not None]
    document = pellucid("dehaze", folder, "--out", out, "--json").json
    assert names(out) == wanted == ["hazy.png"]
    left, dehazed = document["photos"]
    assert (left["kept"], left["out"], left["method"]) == (False, None, None)
    assert left["reason"]
    assert left["haze"] < dehazed["haze"]
    assert (dehazed["kept"], dehazed["out"]) == (True, str(out / "hazy.png"))
    told = pellucid("dehaze", folder / "clear.png", "--out", out)
    assert told.code == 0
    assert "1 left alone" in told.out
    assert "--method dark-channel" in told.out
    assert pellucid("dehaze", folder / "clear.png", "--out", out, "--method", "dark-channel").code == 0
    assert names(out) == ["clear.png", "hazy.png"]


@pytest.mark.parametrize("method", ["dark-channel", "dehazenet", "aod-net"])
def test_every_method_writes(method: str, tmp_path: Path, scene_photo: Image.Image, pellucid: Command) -> None:
    scene_photo.save(tmp_path / "a.png")
    document = pellucid("dehaze", tmp_path / "a.png", "--out", tmp_path / "out", "--method", method, "--json").json
    assert document["photos"][0]["method"].startswith(method)
    assert names(tmp_path / "out") == ["a.png"]


def test_the_preset_of_the_paper(tmp_path: Path, scene_photo: Image.Image, pellucid: Command) -> None:
    scene_photo.save(tmp_path / "a.png")
    document = pellucid(
        "dehaze", tmp_path / "a.png", "--out", tmp_path / "out", "--method", "dark-channel", "--preset", "paper", "--json"
    ).json
    assert "paper" in document["photos"][0]["method"]


# Measuring


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    pytest.importorskip("skimage", reason="the extra eval is not installed")
    for scene in (1400, 1401):
        clear = np.random.default_rng(scene).integers(0, 200, (68, 84, 3), dtype=np.uint8)
        for place, name, pixels in (("gt", f"{scene}.png", clear), ("hazy", f"{scene}_3.png", veil(clear, 0.5)[10:-10, 10:-10])):
            (tmp_path / "sots" / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "sots" / place / name)
    return tmp_path / "sots"


def test_eval_dehaze(pairs: Path, pellucid: Command) -> None:
    table = pellucid("eval", "dehaze", pairs, "--method", "dark-channel", "--method", "dark-channel-paper")
    assert table.code == 0
    lines = [line.strip() for line in table.out.splitlines() if line.strip()]
    assert lines[1].split() == ["method", "PSNR", "SSIM", "CIEDE2000", "seconds"]
    measured = [line.split()[0] for line in lines[3:6]]
    assert measured == ["hazy", "dark-channel", "dark-channel-paper"]
    assert lines[6].split() == ["DCP,", "published", "18.00", "0.8579"]
    assert "published for RESIDE SOTS, 1,000 pictures" in lines[0]
    document = pellucid("eval", "dehaze", pairs, "--method", "dark-channel", "--limit", "1", "--json").json
    assert document["pairs"] == 1
    assert [row["method"] for row in document["measured"]] == ["hazy (as it is)", "dark-channel"]
    assert set(document["measured"][1]) == {"method", "psnr", "ssim", "ciede2000", "seconds"}
    assert [row["method"] for row in document["published"]] == ["DCP", "DehazeNet", "AOD-Net"]


def test_eval_of_equal_pictures_is_json_too(pairs: Path, pellucid: Command) -> None:
    shutil.rmtree(pairs / "hazy")
    shutil.copytree(pairs / "gt", pairs / "hazy")
    document = pellucid("eval", "dehaze", pairs, "--method", "dark-channel", "--json").json
    assert document["measured"][0]["psnr"] is None
    assert document["measured"][0]["ciede2000"] == 0


def test_eval_says_what_is_wrong(tmp_path: Path, pairs: Path, pellucid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pellucid("eval", "dehaze", tmp_path / "nowhere").code == 2
    assert pellucid("eval", "dehaze", pairs, "--method", "nonsense").code == 2
    monkeypatch.setitem(sys.modules, "skimage", None)
    ran = pellucid("eval", "dehaze", pairs, "--method", "dark-channel")
    assert ran.code == 8
    assert "pip install 'pellucid[eval]'" in ran.err


def test_on_real_pairs(shared: Callable[[str], Path], pellucid: Command) -> None:
    pytest.importorskip("skimage", reason="the extra eval is not installed")
    rows = pellucid("eval", "dehaze", shared("eval/sots-indoor"), "--method", "dark-channel", "--limit", "4", "--json").json["measured"]
    hazy, dehazed = rows
    assert dehazed["psnr"] > hazy["psnr"] + 2
    assert dehazed["ciede2000"] < hazy["ciede2000"]
