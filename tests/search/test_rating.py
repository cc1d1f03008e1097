"""The rater that ships: what its file must hold, what it gives, and that it follows what is done to a photo."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import DECODED_SIDE, WeightsError, cv2, measure, natural_statistics
from search import PixelScorer, Rater, evaluate_quality, load_encoder, load_rater
from search.rating import FEATURES, MEASURED, features_of, gaussians, rater_of, spread_out, square_vectors

Shared = Callable[[str], Path]


@pytest.fixture(scope="module")
def rater() -> Rater:
    return load_rater()


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return dict(json.loads((resources.files("search") / "builtin" / "quality.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    data = pytest.importorskip("skimage.data")
    return [np.ascontiguousarray(getattr(data, name)()[:288, :352]) for name in ("astronaut", "chelsea", "coffee")]


def test_it_knows_the_encoder_that_ships_and_no_other(rater: Rater, make_encoder: Any) -> None:
    assert rater.knows(load_encoder("builtin"))
    assert not rater.knows(make_encoder())


def test_the_rating_is_the_formula(rater: Rater, photos: list[np.ndarray]) -> None:
    rows = np.stack([features_of(photo) for photo in photos])
    vectors = np.random.default_rng(0).normal(size=(3, len(rater.map))).astype(np.float32) / 16
    ratings, alone = rater.rate(rows, vectors), rater.rate(rows)
    for at, row in enumerate(rows):
        given = np.clip((row - rater.mean) / rater.spread, -4, 4) * rater.importance
        near = (
            sum(w * np.exp(-rater.width * ((given - centre) ** 2).sum()) for w, centre in zip(rater.weights, rater.centres, strict=True))
            + rater.bias
        )
        assert alone[at] == pytest.approx(np.clip(near, 0, 1), abs=1e-3)
        whole = (1 - rater.share) * near + rater.share * (vectors[at] @ rater.map + rater.map_bias)
        assert ratings[at] == pytest.approx(np.clip(whole, 0, 1), abs=1e-3)
    assert rater.rate(np.zeros((0, FEATURES), np.float32)).shape == (0,)


def test_features_are_measures_and_statistics(photos: list[np.ndarray]) -> None:
    row, measured = features_of(photos[0]), measure(photos[0])
    assert row.shape == (FEATURES,)
    assert row[MEASURED.index("brightness")] == pytest.approx(measured.brightness)
    assert row[MEASURED.index("laplacian")] == pytest.approx(np.log(measured.laplacian + 1))
    assert row[MEASURED.index("shadows")] == pytest.approx(np.sqrt(measured.shadows))
    np.testing.assert_allclose(row[len(MEASURED) :], natural_statistics(photos[0]))


def test_another_file_has_another_id(facts: dict[str, Any], rater: Rater) -> None:
    assert rater_of(facts).id == rater.id != rater_of(facts | {"share": 0.5}).id


def test_gaussians_are_one_at_their_centres() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    found = gaussians(rows, rows, 0.3)
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-5)
    assert found[0, 1] == pytest.approx(float(np.exp(-0.3 * ((rows[0] - rows[1]) ** 2).sum())), rel=1e-4)


@pytest.mark.parametrize("with_vectors", [False, True])
def test_spoilt_photos_are_rated_lower(rater: Rater, photos: list[np.ndarray], with_vectors: bool) -> None:
    encoder = load_encoder("builtin")
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "plain": lambda photo: photo,
        "blurred": lambda photo: np.asarray(cv2.GaussianBlur(photo, (0, 0), 5), np.uint8),
        "dark": lambda photo: (photo * 0.12).astype(np.uint8),
    }
    asked = encoder if with_vectors else None
    means = {name: float(np.mean([rater.rate_photo(change(photo), asked) for photo in photos])) for name, change in changes.items()}
    assert max(means["blurred"], means["dark"]) < means["plain"] - 0.2, means


def test_one_photo_is_rated_with_an_encoder_that_the_map_is_for_and_without_any_other(
    rater: Rater, photos: list[np.ndarray], make_encoder: Any
) -> None:
    encoder, photo = load_encoder("builtin"), photos[0]
    assert rater.rate_photo(photo) == pytest.approx(float(rater.rate(features_of(photo)[None])[0]), abs=1e-5)
    whole = rater.rate(features_of(photo)[None], square_vectors(photo, encoder)[None])
    assert rater.rate_photo(photo, encoder) == pytest.approx(float(whole[0]), abs=1e-4)
    assert rater.rate_photo(photo, make_encoder()) == rater.rate_photo(photo)


def test_squares_are_spread_from_edge_to_edge() -> None:
    picture = np.arange(50 * 90 * 3, dtype=np.uint32).astype(np.uint8).reshape(50, 90, 3)
    found = spread_out(picture, 40, 3)
    assert len(found) == 9
    np.testing.assert_array_equal(found[0], picture[:40, :40])
    np.testing.assert_array_equal(found[-1], picture[10:, 50:])
    (only,) = spread_out(picture[:40, :40], 40, 3)
    np.testing.assert_array_equal(only, picture[:40, :40])


@pytest.mark.parametrize("size", [(1, 1), (40, 900), (112, 112), (113, 300)])
def test_squares_of_any_photo(size: tuple[int, int]) -> None:
    encoder = load_encoder("builtin")
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    row = square_vectors(picture, encoder)
    assert row.shape == (encoder.recipe.dim,)
    assert 0 < float(np.linalg.norm(row)) <= 1.0001
    if size == (112, 112):
        np.testing.assert_allclose(row, encoder.encode_images([encoder.prepare(picture)])[0], atol=1e-6)


@pytest.mark.parametrize("fault", ["format", "features", "centres", "map"])
def test_a_damaged_file_is_refused(facts: dict[str, Any], fault: str) -> None:
    if fault == "map":
        broken = {key: value for key, value in facts.items() if key != "map"}
    else:
        broken = facts | {"format": {"format": 99}, "features": {"measured": ["sharpness"]}, "centres": {"centres": [[0.0]]}}[fault]
    with pytest.raises((ValueError, KeyError)):
        rater_of(broken)
    assert rater_of(facts).centres.shape[1] == FEATURES


def test_a_missing_file_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from search import rating

    monkeypatch.setattr(rating.resources, "files", lambda _: tmp_path)
    with pytest.raises(WeightsError, match="pip install --force-reinstall"):
        load_rater()


def test_it_agrees_with_people(shared: Shared, rater: Rater, tmp_path: Path) -> None:
    """On 42 of the photos that it was not fitted on; all 250 give the figures of docs/quality.md."""
    folder = shared("eval/quality-biq2021")
    header, *lines = (folder / "mos.csv").read_text(encoding="utf-8").splitlines()
    for line in lines[::6]:
        name = line.rpartition(",")[0]
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "mos.csv").write_text("\n".join([header, *lines[::6]]), encoding="utf-8")
    encoder = load_encoder("builtin")
    found = evaluate_quality(tmp_path, [PixelScorer(DECODED_SIDE, lambda pixels: {"rating": rater.rate_photo(pixels, encoder)})])
    assert found["axes"]["rating"]["srcc"] > 0.45
