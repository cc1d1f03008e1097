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
    assert sorted(file.name for file in out.iterdir()) == ["a.jpg.regions.jpg", "b.png.regions.jpg", "c.jpg.regions.jpg"]
    told = annotate(folder, "--json").json
    assert [Path(row["file"]).name for row in told["photos"]] == ["a.jpg", "b.png", "c.jpg"]
    assert [Path(name).name for name in told["failed"]] == ["broken.jpg"]


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

    monkeypatch.setattr(Annotating, "_one", interrupted)
    ran = annotate(tmp_path / "photos", "--json", "--jobs", 1)
    assert ran.code == 130
    assert [Path(row["file"]).name for row in json.loads(ran.out)["photos"]] == ["0.png", "1.png"]
