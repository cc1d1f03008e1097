"""`pellucid segment`, and what it shares with other commands that draw regions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotate import Annotation, Region, Rle, decode_mask, encode_mask
from api.draw_plan import FoundPhoto, photos_of, targets
from api.drawing import annotation_dict, draw_copy, read_working, regions_table
from api.segmenting import words_of
from preprocess import InputError, Limits

Command = Callable[..., Any]


def flag(height: int = 90, width: int = 150) -> Any:
    pixels = np.full((height, width, 3), 128, np.uint8)
    pixels[:, : width // 3], pixels[:, -(width // 3) :] = (220, 30, 30), (30, 50, 220)
    return pixels


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photos" / "flag.png"
    file.parent.mkdir()
    Image.fromarray(flag()).save(file)
    return file


@pytest.fixture
def segment(pellucid: Command, mean_colour_listed: str) -> Command:
    return lambda *arguments: pellucid("segment", *arguments, "--encoder", mean_colour_listed)


def test_json_has_boxes_and_masks(segment: Command, photo: Path) -> None:
    ran = segment(photo, "--labels", "red, blue,, Red", "--json")
    assert ran.code == 0, ran.err
    (one,) = ran.json["photos"]
    assert ran.json["labels"] == ["red", "blue"]
    assert (one["file"], one["width"], one["height"]) == (str(photo), 150, 90)
    assert {region["label"] for region in one["regions"]} == {"red", "blue"}
    for region in one["regions"]:
        mask = decode_mask(Rle(tuple(region["mask"]["size"]), region["mask"]["counts"].encode()))
        assert mask.mean() == pytest.approx(region["area"], abs=0.01)
        left, top, right, bottom = region["box_xyxy"]
        assert 0 <= left < right <= 150
        assert 0 <= top < bottom <= 90


def test_people_get_a_table(segment: Command, photo: Path) -> None:
    ran = segment(photo, "--labels", "red")
    assert ran.code == 0, ran.err
    assert "flag.png: 150×90 pixels, 1 region by words-mean-colour-" in ran.out
    assert "red" in ran.out
    assert "no regions" in segment(photo, "--labels", "green").out


def test_the_bar_moves_within_a_photo(segment: Command, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[tuple[float, int]] = []

    @contextlib.contextmanager
    def bar(_what: str, _shown: bool) -> Iterator[Callable[[float, int], None]]:
        yield lambda done, total: moves.append((done, total))

    monkeypatch.setattr("api.output.count_bar", bar)
    Image.fromarray(flag()[::-1]).save(photo.with_name("other.png"))
    assert segment(photo.parent, "--labels", "red").code == 0
    assert moves[-1] == (2, 2)
    for first in (0, 1):
        assert any(first < done < first + 1 for done, _ in moves)


def test_a_drawn_copy_never_lies_on_a_photo(segment: Command, photo: Path, tmp_path: Path) -> None:
    digest, out = sha256(photo.read_bytes()).hexdigest(), tmp_path / "drawn.png"
    assert segment(photo, "--labels", "red", "--draw", out).code == 0
    drawn = np.asarray(Image.open(out))
    assert drawn.shape == (90, 150, 3)
    assert (drawn != flag()).any()
    assert "--force" in segment(photo, "--labels", "red", "--draw", out).err
    assert segment(photo, "--labels", "red", "--draw", out, "--force").code == 0
    link = tmp_path / "link.png"
    link.symlink_to(photo)
    hard = tmp_path / "hard.png"
    os.link(photo, hard)
    for same in (photo, link, hard, photo.parent / "../photos/flag.png"):
        ran = segment(photo, "--labels", "red", "--draw", same, "--force")
        assert ran.code != 0
        assert "originals are never written to" in ran.err
    assert sha256(photo.read_bytes()).hexdigest() == digest


def test_a_folder_of_photos_is_drawn_into_a_folder(segment: Command, photo: Path, tmp_path: Path) -> None:
    Image.fromarray(flag()[::-1]).save(photo.with_name("other.jpg"))
    photo.with_name("broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    ran = segment(photo.parent, "--labels", "red, blue", "--draw", tmp_path / "out", "--json")
    assert ran.code == 0  # one failed, and the rest went on
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["flag.png.regions.jpg", "other.jpg.regions.jpg"]
    assert [Path(name).name for name in ran.json["failed"]] == ["broken.jpg"]
    assert sorted(path.name for path in photo.parent.iterdir()) == ["broken.jpg", "flag.png", "other.jpg"]
    again = segment(tmp_path / "out", "--labels", "red", "--json")
    assert again.json["photos"] == []  # drawn copies are no photos


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "pellucid annotate"),
        (("--labels", " , ,"), "There is no label"),
        (("--labels", ",".join(f"w{at}" for at in range(1500))), "1,500 labels"),
        (("--labels", "x" * 300), "300 letters"),
        (("--labels", "red", "--threshold", "7"), "threshold is 7"),
        (("--labels", "red", "--draw", "somewhere.gif"), ".jpg nor .png"),
    ],
)
def test_what_cannot_be_done_says_why(segment: Command, photo: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = segment(photo, *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1


def test_missing_photos_are_named(segment: Command, tmp_path: Path) -> None:
    assert "There is no file or folder" in segment(tmp_path / "gone.jpg", "--labels", "red").err
    (tmp_path / "empty").mkdir()
    assert "no photo" in segment(tmp_path / "empty", "--labels", "red").out


def test_labels_of_any_script_work(segment: Command, photo: Path, tmp_path: Path) -> None:
    ran = segment(photo, "--labels", "red, собака, 犬, a\tb\x1b[31m", "--draw", tmp_path / "drawn.jpg", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["labels"][1:3] == ["собака", "犬"]


def test_dense_features_need_a_model_with_weights(pellucid: Command) -> None:
    ran = pellucid("models", "dense", "nobody")
    assert ran.code == 2
    assert "No added model named 'nobody'" in ran.err
    ran = pellucid("models", "add", "hub:somebody/a-model", "--dense", "--offline")
    assert ran.code == 2
    assert "ready-made graphs" in ran.err


def test_words_between_commas() -> None:
    assert words_of(" a ,b  c,, ") == ("a", "b c")


def annotation(width: int = 300, height: int = 180) -> Annotation:
    mask = np.zeros((90, 150), np.bool_)
    mask[:, :50] = True
    return Annotation((width, height), (Region((0, 0, width / 3, height), "red", 0.9, encode_mask(mask), area=1 / 3),), "maker-1")


def test_drawing_fits_regions_to_the_picture(tmp_path: Path) -> None:
    """The annotation is of a photo of 300×180, its mask of 150×90, and the picture smaller still."""
    draw_copy(np.full((45, 75, 3), 200, np.uint8), annotation(), tmp_path / "a.png", force=False)
    changed = (np.asarray(Image.open(tmp_path / "a.png")) != 200).any(-1)
    assert changed[:, :24].mean() > 0.9
    assert not changed[:, 60:].any()
    with pytest.raises(InputError, match="exists already"):
        draw_copy(np.full((45, 75, 3), 200, np.uint8), annotation(), tmp_path / "a.png", force=False)


def named(file: Path) -> FoundPhoto:
    return FoundPhoto(file, file.name, named=True)


def test_targets_of_several_photos(tmp_path: Path) -> None:
    photos = [named(tmp_path / "a" / "x.jpg"), named(tmp_path / "b" / "y.webp")]
    assert targets(photos, None) == [None, None]
    assert targets(photos, tmp_path / "out") == [tmp_path / "out" / "x.jpg.regions.jpg", tmp_path / "out" / "y.webp.regions.jpg"]
    with pytest.raises(InputError, match="would both be drawn as"):
        targets([named(tmp_path / "a" / "x.jpg"), named(tmp_path / "b" / "x.jpg")], tmp_path / "out")
    trees = [FoundPhoto(tmp_path / root / "sub" / "x.jpg", "sub/x.jpg", named=False) for root in ("a", "b")]
    assert targets(trees[:1], tmp_path / "out") == [tmp_path / "out" / "sub" / "x.jpg.regions.jpg"]
    with pytest.raises(InputError, match="would both be drawn as"):
        targets(trees, tmp_path / "out")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="need a folder"):
        targets(photos, tmp_path / "out")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x.jpg.regions.jpg").write_text("there")
    assert targets(photos[:1], tmp_path / "there", force=False) == [tmp_path / "there" / "x.jpg.regions.jpg"]  # which is skipped
    (tmp_path / "there.jpg").write_text("there")
    with pytest.raises(InputError, match="exists already"):
        targets(photos[:1], tmp_path / "there.jpg", force=False)
    with pytest.raises(InputError, match=r"neither \.jpg nor \.png"):
        targets(photos[:1], tmp_path / "elsewhere")


def test_photos_are_named_once(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(flag()).save(photo.with_name(".hidden.png"))
    assert photos_of([photo, photo.parent]) == ([named(photo)], {})
    monkeypatch.chdir(photo.parent)
    assert photos_of([Path(photo.name), Path()]) == ([named(Path(photo.name))], {})
    assert photos_of([photo.parent.parent, photo]) == ([FoundPhoto(photo, "photos/flag.png", named=False)], {})


def test_a_tree_is_drawn_into_folders_of_the_same_names(segment: Command, photo: Path, tmp_path: Path) -> None:
    (photo.parent / "sub").mkdir()
    Image.fromarray(flag()[::-1]).save(photo.parent / "sub" / photo.name)
    out = tmp_path / "out"
    assert segment(photo.parent, "--labels", "red", "--draw", out).code == 0
    assert sorted(file.relative_to(out).as_posix() for file in out.rglob("*.jpg")) == ["flag.png.regions.jpg", "sub/flag.png.regions.jpg"]
    told = segment(photo.parent, "--labels", "red", "--draw", out, "--json").json
    assert (told["photos"], [Path(row["file"]).name for row in told["skipped"]]) == ([], ["flag.png", "flag.png"])


def test_large_photos_are_worked_on_at_a_reduced_size(tmp_path: Path) -> None:
    Image.new("RGB", (4000, 3000)).save(tmp_path / "large.jpg")
    pixels, size_wh = read_working(tmp_path / "large.jpg", Limits(), 400)
    assert size_wh == (4000, 3000)
    assert 400 <= min(pixels.shape[:2]) < 800
    pixels, _ = read_working(tmp_path / "large.jpg", Limits(), 400, drawn=True)
    assert 1080 <= min(pixels.shape[:2]) < 2160


def test_json_says_what_is_not_known() -> None:
    row = annotation_dict("a.jpg", annotation())["regions"][0]
    assert row["colour"] is None
    assert row["haze_depth"] is None
    assert row["mask"]["size"] == [90, 150]


def test_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    regions_table("a\x1b[31m.jpg", annotation())
    assert "\x1b" not in capsys.readouterr().out
