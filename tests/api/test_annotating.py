"""`pellucid annotate` as people and programs run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotate import Rle, decode_mask
from api import drawing
from api.annotating import Annotating
from preprocess import read_image

Command = Callable[..., Any]


@pytest.fixture
def annotate(write_segmenter: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pellucid: Command) -> Command:
    """`pellucid annotate ARGUMENT... --segmenter colours`."""
    write_segmenter(tmp_path / "models" / "colours", gain=4.0)
    monkeypatch.setenv("PELLUCID_MODELS", str(tmp_path / "models"))

    def run(*arguments: object) -> Any:
        return pellucid("annotate", *arguments, *([] if "--segmenter" in arguments else ["--segmenter", "colours"]))

    return run


def write_photo(file: Path, size: tuple[int, int] = (160, 120), *, orientation: int | None = None) -> Path:
    """Blue, with a red part in the top left quarter."""
    pixels = np.full((size[1], size[0], 3), (20, 20, 230), np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = (230, 20, 20)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, quality=95, exif=exif)
    return file


def test_regions_are_listed_and_the_photo_is_not_touched(annotate: Command, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "my photos" / "küche.jpg")
    before = photo.read_bytes()
    ran = annotate(photo)
    assert (ran.code, ran.err) == (0, "")
    assert f"{photo}: 160×120 pixels, 2 regions by colours-" in ran.out
    lines = ran.out.splitlines()
    assert [line.split()[0] for line in lines if "%" in line] == ["blue", "red"]
    assert photo.read_bytes() == before
    assert list(photo.parent.iterdir()) == [photo]


def test_json_has_all_that_is_known(annotate: Command, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg", (400, 300))
    found = annotate(photo, "--json").json
    assert found["failed"] == {}
    (row,) = found["photos"]
    assert (row["file"], row["width"], row["height"], row["drawn"]) == (str(photo), 400, 300, None)
    assert row["maker"] == found["segmenter"]
    assert row["maker"].startswith("colours-")
    blue, red = row["regions"]
    assert (blue["label"], red["label"]) == ("blue", "red")
    np.testing.assert_allclose(red["box_xyxy"], (0, 0, 200, 150), atol=3)
    assert red["area"] == pytest.approx(0.25, abs=0.02)
    assert red["colour"].startswith("#")
    mask = decode_mask(Rle((red["mask"]["size"][0], red["mask"]["size"][1]), red["mask"]["counts"].encode()))
    assert mask.mean() == pytest.approx(red["area"], abs=1e-6)


def test_a_copy_is_drawn_and_kept(annotate: Command, tmp_path: Path) -> None:
    photo, out = write_photo(tmp_path / "a.jpg"), tmp_path / "out" / "drawn.png"
    ran = annotate(photo, "--draw", out)
    assert ran.code == 0
    assert f"Drawn: {out}" in ran.out
    plain, drawn = read_image(photo).pixels, read_image(out).pixels
    assert drawn.shape == plain.shape
    assert (drawn != plain).any(-1).mean() > 0.9  # all of it is in a region
    whole = out.read_bytes()
    again = annotate(photo, "--draw", out)
    assert (again.code, "--force" in again.err, out.read_bytes() == whole) == (2, True, True)
    write_photo(photo, (320, 240))
    assert annotate(photo, "--draw", out, "--force").code == 0
    assert read_image(out).pixels.shape == (240, 320, 3)
    refused = annotate(photo, "--draw", photo, "--force")
    assert (refused.code, "originals are never written to" in refused.err) == (2, True)


def test_labels_have_colours_that_are_far_apart(annotate: Command, tmp_path: Path) -> None:
    from annotate import LabelSet

    photo, out = write_photo(tmp_path / "a.png", (600, 400)), tmp_path / "drawn.png"
    assert annotate(photo, "--draw", out).code == 0
    drawn = read_image(out).pixels
    colours = LabelSet.of(["red", "green", "blue"])
    assert tuple(drawn[300, 599]) == colours.colour("blue")  # the outline at the photo's edge
    assert tuple(drawn[100, 0]) == colours.colour("red")


def test_an_upright_photo_is_what_is_looked_at(annotate: Command, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "turned.jpg", (160, 120), orientation=6)  # the top left goes to the top right
    row = annotate(photo, "--json").json["photos"][0]
    assert (row["width"], row["height"]) == (120, 160)
    red = next(region for region in row["regions"] if region["label"] == "red")
    np.testing.assert_allclose(red["box_xyxy"], (60, 0, 120, 80), atol=3)


def test_a_folder_goes_on_after_what_cannot_be_read(annotate: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "drawn"
    for name in ("a.jpg", "b.png", "sub/c.jpg"):
        write_photo(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    ran = annotate(folder, "--draw", out)
    assert ran.code == 0
    assert "1 file could not be annotated:" in ran.out
    assert "broken.jpg" in ran.out
    drawn = ["a.jpg.regions.jpg", "b.png.regions.jpg", "sub/c.jpg.regions.jpg"]
    assert sorted(file.relative_to(out).as_posix() for file in out.rglob("*.*")) == drawn
    told = annotate(folder, "--json").json
    assert [Path(row["file"]).name for row in told["photos"]] == ["a.jpg", "b.png", "c.jpg"]
    assert [Path(name).name for name in told["failed"]] == ["broken.jpg"]


def test_a_run_goes_on_where_it_ended(annotate: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "drawn"
    photos = [write_photo(folder / name) for name in ("a.jpg", "sub/a.jpg", "sub/deep/a.jpg")]  # one name in every subfolder
    assert annotate(folder, "--draw", out).code == 0
    copies = [out / f"{name}.regions.jpg" for name in ("a.jpg", "sub/a.jpg", "sub/deep/a.jpg")]
    assert sorted(file for file in out.rglob("*") if file.is_file()) == sorted(copies)
    copies[1].unlink()
    copies[0].write_bytes(b"mine")
    again = annotate(folder, "--draw", out)
    assert again.code == 0
    assert "2 drawn before, skipped; --force draws them anew" in again.out
    assert f"Drawn: {copies[1]}" in again.out
    assert f"Drawn: {copies[2]}" not in again.out
    assert (copies[0].read_bytes(), read_image(copies[1]).pixels.shape) == (b"mine", (120, 160, 3))
    copies[2].unlink()
    whole = photos[0].read_bytes()
    photos[0].write_bytes(b"\xff\xd8\xff no photo")  # what is skipped is not read
    told = annotate(folder, "--draw", out, "--json").json
    photos[0].write_bytes(whole)
    assert told["failed"] == {}
    assert told["skipped"] == [{"file": str(photo), "drawn": str(copy)} for photo, copy in zip(photos[:2], copies[:2], strict=True)]
    assert [(row["file"], row["drawn"]) for row in told["photos"]] == [(str(photos[2]), str(copies[2]))]
    forced = annotate(folder, "--draw", out, "--force", "--json").json
    assert (len(forced["photos"]), forced["skipped"]) == (3, [])
    assert read_image(copies[0]).pixels.shape == (120, 160, 3)


def test_one_photo_is_skipped_in_a_folder_and_refused_as_a_file(annotate: Command, tmp_path: Path) -> None:
    photo, out = write_photo(tmp_path / "photos" / "a.jpg"), tmp_path / "drawn"
    assert annotate(photo.parent, "--draw", out).code == 0  # a folder was named, so that OUT is one
    copy = out / "a.jpg.regions.jpg"
    for named in (photo, photo.parent):
        ran = annotate(named, "--draw", out)
        assert (ran.code, "1 drawn before, skipped" in ran.out) == (0, True)
    refused = annotate(photo, "--draw", copy)
    assert (refused.code, "--force" in refused.err) == (2, True)


def test_a_copy_that_another_run_has_drawn_meanwhile(annotate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = tmp_path / "photos", tmp_path / "drawn"
    write_photo(folder / "a.jpg"), write_photo(folder / "b.jpg")
    real = drawing.read_working

    def meanwhile(photo: Path, *rest: Any, **more: Any) -> Any:
        if photo.name == "a.jpg":
            out.mkdir()
            (out / "a.jpg.regions.jpg").write_bytes(b"theirs")
        return real(photo, *rest, **more)

    monkeypatch.setattr(drawing, "read_working", meanwhile)
    ran = annotate(folder, "--draw", out, "--jobs", 1)
    assert (ran.code, "1 drawn before, skipped" in ran.out) == (0, True), ran.err
    assert (out / "a.jpg.regions.jpg").read_bytes() == b"theirs"
    assert (out / "b.jpg.regions.jpg").exists()


def test_a_copy_that_would_have_too_long_a_name_is_a_failure_of_its_own(annotate: Command, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos" / f"{'x' * 240}.jpg"), write_photo(tmp_path / "photos" / "y.jpg")
    told = annotate(tmp_path / "photos", "--draw", tmp_path / "drawn", "--json").json
    assert [Path(row["file"]).name for row in told["photos"]] == ["y.jpg"]
    assert ["more than 255 bytes" in reason for reason in told["failed"].values()] == [True]


def test_copies_are_never_drawn_over_photos_of_subfolders(annotate: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "drawn"
    photo = write_photo(folder / "sub" / "a.jpg")
    odd = write_photo(folder / "sub" / "a.jpg.regions.jpg")  # named as a copy, and given by its own name
    before = odd.read_bytes()
    out.mkdir()
    (out / "sub").symlink_to(folder / "sub")
    for arguments in ((folder, odd, "--draw", out), (photo, odd, "--draw", photo.parent)):
        ran = annotate(*arguments, "--force")
        assert (ran.code, "originals are never written to" in ran.err) == (2, True)
    assert odd.read_bytes() == before


def test_what_was_drawn_into_the_folder_is_not_a_photo_of_it(annotate: Command, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    write_photo(folder / "a.jpg"), write_photo(folder / "b.jpg")
    assert annotate(folder, "--draw", folder).code == 0
    assert len(annotate(folder, "--json").json["photos"]) == 2
    drawn = folder / "a.jpg.regions.jpg"
    assert [row["file"] for row in annotate(drawn, "--json").json["photos"]] == [str(drawn)]  # asked for by name


def test_many_photos_take_a_line_each(annotate: Command, tmp_path: Path) -> None:
    for number in range(22):
        write_photo(tmp_path / "photos" / f"{number:02}.png", (40, 30))
    ran = annotate(tmp_path / "photos", "--jobs", 3)
    assert ran.code == 0
    assert ran.out.splitlines() == [f"{tmp_path / 'photos'}/{number:02}.png: 1 blue, 1 red" for number in range(22)]


def test_one_photo_that_cannot_be_read_is_an_error(annotate: Command, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    ran = annotate(tmp_path / "broken.jpg")
    assert ran.code == 3
    assert "broken.jpg" in ran.err
    assert annotate(tmp_path / "missing.jpg").code == 2


def test_wrong_names(annotate: Command, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    unknown = annotate(photo, "--segmenter", "color")
    assert (unknown.code, "Did you mean 'colours'?" in unknown.err) == (2, True)
    none = annotate(photo, "--segmenter", "none")
    assert (none.code, "finds no regions" in none.err) == (2, True)


def test_other_makers_are_segmenters_too(annotate: Command, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    found = annotate(photo, "--segmenter", "colours+proposals", "--json").json
    labels = [region["label"] for region in found["photos"][0]["regions"]]
    assert labels[:2] == ["blue", "red"]
    alone = annotate(photo, "--segmenter", "proposals", "--json").json
    assert {region["label"] for region in alone["photos"][0]["regions"]} == {"part"}
    assert len(labels) <= 2 + len(alone["photos"][0]["regions"])


def test_a_damaged_segmenter_ends_the_run(annotate: Command, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos" / "a.jpg"), write_photo(tmp_path / "photos" / "b.jpg")
    (tmp_path / "models" / "colours" / "segment.onnx").write_bytes(b"damaged")
    ran = annotate(tmp_path / "photos")
    assert (ran.code, len(ran.err.splitlines()), "damaged: its sha256" in ran.err) == (8, 1, True)


def test_an_empty_folder(annotate: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = annotate(tmp_path / "empty")
    assert (ran.code, ran.out) == (0, "There is no photo in these folders.\n")
    assert annotate(tmp_path / "empty", "--json").json["photos"] == []


def test_an_interrupt_ends_with_what_was_found(
    annotate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # the real signal is the same exception
    for number in range(4):
        write_photo(tmp_path / "photos" / f"{number}.png", (40, 30))
    real = Annotating._one

    def interrupted(self: Annotating, task: Any) -> Any:
        if task[0].name == "2.png":
            raise KeyboardInterrupt
        return real(self, task)

    with monkeypatch.context() as patch:
        patch.setattr(Annotating, "_one", interrupted)
        ran = annotate(tmp_path / "photos", "--draw", tmp_path / "drawn", "--jobs", 1)
    assert (ran.code, "run the same command to go on" in ran.out) == (130, True)
    assert "2 drawn before, skipped" in annotate(tmp_path / "photos", "--draw", tmp_path / "drawn").out
    assert len(list((tmp_path / "drawn").iterdir())) == 4
    monkeypatch.setattr(Annotating, "_one", interrupted)
    ran = annotate(tmp_path / "photos", "--json", "--jobs", 1)
    assert ran.code == 130
    assert [Path(row["file"]).name for row in json.loads(ran.out)["photos"]] == ["0.png", "1.png"]
