"""The haze density: finite and in range for any picture, the same at any scale, and higher the more haze there is."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocess import InputError, RgbImage, decode, haze_density, load_dehazer, reduced
from preprocess.gate import HAZE_THRESHOLD, Gate
from preprocess.haze import MODEL, haze_features
from preprocess.haze_evaluation import evaluate_haze, find_sources, roc_auc

NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")


def flat(height: int, width: int, colour: tuple[int, int, int]) -> RgbImage:
    return np.full((height, width, 3), colour, np.uint8)


def noise(height: int, width: int) -> RgbImage:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


ODD = {
    "1x1": flat(1, 1, (200, 10, 10)),
    "1x1 black": flat(1, 1, (0, 0, 0)),
    "black": flat(80, 120, (0, 0, 0)),
    "white": flat(80, 120, (255, 255, 255)),
    "grey": flat(80, 120, (128, 128, 128)),
    "red": flat(33, 7, (255, 0, 0)),
    "tall": noise(3000, 1),
    "wide": noise(1, 3000),
    "2x3": noise(2, 3),
    "noise": noise(64, 64),
    "grey picture": np.repeat(noise(90, 60)[..., :1], 3, axis=2),
}


def with_haze(pixels: RgbImage, t: float, light: int = 215) -> RgbImage:
    """The atmospheric model with one transmission everywhere."""
    return (pixels * t + light * (1 - t)).round().astype(np.uint8)


@pytest.fixture(params=NAMES)
def photo(request: pytest.FixtureRequest, skimage_photos: Path) -> RgbImage:
    return np.asarray(Image.open(skimage_photos / request.param).convert("RGB"))


@pytest.mark.parametrize("name", ODD)
def test_any_picture_has_a_density_and_no_warnings(name: str) -> None:
    pixels = ODD[name].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        density, features = haze_density(pixels), haze_features(pixels)
    assert type(density) is float
    assert 0 <= density <= 1
    assert set(MODEL) <= set(features)
    assert np.isfinite(list(features.values())).all()
    assert (pixels == ODD[name]).all(), "the picture was changed"


def test_read_only_pixels_and_views_are_taken(photo: RgbImage) -> None:
    locked = photo.copy()
    locked.flags.writeable = False
    assert haze_density(locked) == haze_density(photo)
    assert haze_density(photo[::2, ::2]) == haze_density(np.ascontiguousarray(photo[::2, ::2]))


def test_more_haze_is_a_higher_density(photo: RgbImage) -> None:
    densities = [haze_density(with_haze(photo, t)) for t in (1.0, 0.8, 0.6, 0.45, 0.3)]
    assert densities[0] < HAZE_THRESHOLD / 2
    assert densities[:4] == sorted(set(densities[:4]))
    assert min(densities[-2:]) > 0.9  # from there on nearly nothing is left of the photo, and there is no order


def test_the_size_of_the_photo_does_not_matter(photo: RgbImage) -> None:
    hazy = with_haze(photo, 0.45)
    for pixels in (photo, hazy):
        whole = haze_density(pixels)
        for short in (128, 192, 256):
            small = np.asarray(Image.fromarray(pixels).resize((short * pixels.shape[1] // pixels.shape[0], short), Image.Resampling.BOX))
            assert haze_density(small) == pytest.approx(whole, abs=0.06)
        assert haze_density(reduced(pixels, 128)) == pytest.approx(whole, abs=0.03)


def test_a_jpeg_that_is_decoded_at_reduced_size_has_the_same_density(photo: RgbImage) -> None:
    for t in (1.0, 0.5):
        large = Image.fromarray(with_haze(photo, t)).resize((1600, 1200), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        large.save(file, "JPEG", quality=90)
        whole, part = decode(file.getvalue(), "a.jpg"), decode(file.getvalue(), "a.jpg", side=64)
        assert part.pixels.shape[0] < whole.pixels.shape[0]
        assert haze_density(part.pixels) == pytest.approx(haze_density(whole.pixels), abs=0.03)


@pytest.mark.parametrize("value", [0, 3])
def test_a_black_photo_shows_no_haze(value: int) -> None:
    assert haze_density(np.full((40, 60, 3), value, np.uint8)) < 0.1


def test_roc_auc_counts_equal_ones_half() -> None:
    assert roc_auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1
    assert roc_auc(np.array([1.0]), np.array([2.0, 3.0])) == 0
    assert roc_auc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert roc_auc(np.array([0.2, 0.9]), np.array([0.1, 0.2, 0.3])) == pytest.approx((1.5 + 3) / 6)


@pytest.fixture
def weather(tmp_path: Path, skimage_photos: Path) -> Path:
    """Clear photos, dense haze on the same ones, and a damaged file."""
    for folder in ("clear", "hazy/deep"):
        (tmp_path / folder).mkdir(parents=True)
    for name in NAMES[:4]:
        pixels = np.asarray(Image.open(skimage_photos / name).convert("RGB").resize((180, 120)))
        Image.fromarray(pixels).save(tmp_path / "clear" / f"{Path(name).stem}.png")
        Image.fromarray(with_haze(pixels, 0.25)).save(tmp_path / "hazy/deep" / f"fog_{Path(name).stem}.png")
    (tmp_path / "clear" / "damaged.jpg").write_bytes(b"\xff\xd8 damaged")
    (tmp_path / "clear" / "notes.txt").write_text("not a photo")
    return tmp_path


def test_figures_of_sources(weather: Path) -> None:
    sources = find_sources(hazy=[str(weather / "hazy")], clear=[str(weather / "clear")], other=[str(weather / "*/*/fog_c*")])
    assert [(source.kind, len(source.files)) for source in sources] == [("hazy", 4), ("clear", 5), ("other", 2)]
    moves: list[tuple[int, int]] = []
    figures = evaluate_haze(sources, Gate(load_dehazer("dark-channel")), on_progress=lambda done, total: moves.append((done, total)))
    assert moves == [(done, 11) for done in range(1, 12)]
    assert figures["auc"] == 1
    hazy, clear, other = figures["sources"]
    assert (hazy["photos"], hazy["auc"], hazy["over"], hazy["kept"]) == (4, 1.0, 1.0, 1.0)
    assert (clear["photos"], clear["auc"], clear["over"], clear["kept"]) == (4, 1.0, 0.0, 0.0)
    assert (other["photos"], other["auc"], other["over"]) == (2, None, 1.0)
    assert figures["all"]["clear"]["photos"] == 4
    assert list(figures["failed"]) == [str(weather / "clear" / "damaged.jpg")]


def test_hidden_files_and_folders_with_names_of_photos_are_no_photos(weather: Path) -> None:
    (weather / "clear" / "album.jpg").mkdir()
    (weather / "clear" / "._coffee.jpg").write_bytes(b"of macOS")
    (weather / "clear" / ".small").mkdir()
    (weather / "clear" / ".small" / "a.png").write_bytes(b"of a file manager")
    for place in ("clear", "clear/[a-z]*"):
        assert len(find_sources(hazy=[str(weather / "hazy")], clear=[str(weather / place)])[1].files) == 5


@pytest.mark.parametrize("place", ["nowhere", "clear/notes*", "**x/["])
def test_sources_without_photos_are_refused(weather: Path, place: str) -> None:
    with pytest.raises(InputError, match="no photos in or at"):
        find_sources(hazy=[str(weather / place)], clear=[str(weather / "clear")])


def test_both_kinds_are_needed(weather: Path) -> None:
    with pytest.raises(InputError, match="--clear"):
        find_sources(hazy=[str(weather / "hazy")])
    only = find_sources(hazy=[str(weather / "hazy")], clear=[str(weather / "clear" / "damaged.jpg")])
    with pytest.raises(InputError, match="could be read"):
        evaluate_haze(only, Gate(load_dehazer("dark-channel")))
