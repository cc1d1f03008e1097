"""Regions by words: cells of crops, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotate import NOTHING, decode_mask
from preprocess import InputError, read_image
from search import Cells, CropEncoder, CropOptions, OpenVocabulary, VocabularyOptions, labels_of, load_dense
from search.dense import LONGEST, starts
from search.open_vocabulary import MOST_LABELS

RED, BLUE, GREY = (220, 30, 30), (30, 50, 220), (128, 128, 128)


def flag(height: int = 90, width: int = 150) -> Any:
    """Red on the left, blue on the right, grey between."""
    pixels = np.full((height, width, 3), GREY, np.uint8)
    pixels[:, : width // 3], pixels[:, -(width // 3) :] = RED, BLUE
    return pixels


@pytest.fixture
def crops(encoder: Any) -> CropEncoder:
    return CropEncoder(encoder, CropOptions(sizes=(1 / 3, 1 / 5), rows=15))


@pytest.mark.parametrize(("length", "tile", "step"), [(10, 4, 2), (11, 4, 1.5), (4, 4, 1), (1000, 7, 7), (8, 7, 0.1)])
def test_starts_cover_everything_and_never_leave_a_gap(length: int, tile: int, step: float) -> None:
    places = starts(length, tile, step)
    assert places[0] == 0
    assert places[-1] + tile == length
    assert max(np.diff(places), default=0) <= max(np.ceil(step), 1)


@pytest.mark.parametrize("shape", [(90, 150), (150, 90), (33, 2000), (1, 5), (1, 1), (700, 700)])
def test_every_cell_of_any_shape_has_a_vector(crops: CropEncoder, shape: tuple[int, int]) -> None:
    steps: list[float | None] = []
    cells = crops(np.full((*shape, 3), RED, np.uint8), lambda _, share: steps.append(share)).vectors
    assert min(cells.shape[:2]) == 15
    assert max(cells.shape[:2]) <= LONGEST * 15
    np.testing.assert_allclose(np.linalg.norm(cells, axis=-1), 1, atol=1e-3)  # everything looks the same, so no view disagrees
    assert steps == sorted(steps)  # type: ignore[type-var]
    assert steps[-1] == 1.0


def test_crops_go_through_the_encoder_in_batches(crops: CropEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    encode = crops.encoder.encode_images
    monkeypatch.setattr(crops.encoder, "encode_images", lambda batch: sizes.append(len(batch)) or encode(batch))
    crops(flag())
    assert max(sizes) == crops.encoder.batch_size
    assert len(sizes) > 10


def test_what_crops_disagree_about_is_short(crops: CropEncoder) -> None:
    lengths = np.linalg.norm(crops(flag()).vectors, axis=-1)
    edge = round(lengths.shape[1] / 3)
    assert lengths[:, edge].max() < lengths[:, 1].min() - 0.02


def test_regions_are_where_the_colours_are(crops: CropEncoder) -> None:
    found = OpenVocabulary(crops, ("red", "blue"))(flag(), (1500, 900))
    assert [region.label for region in found.regions] == ["red", "blue"] or [region.label for region in found.regions] == ["blue", "red"]
    by_label = {region.label: region for region in found.regions}
    assert found.size_wh == (1500, 900)
    for label, box in (("red", (0, 0, 500, 900)), ("blue", (1000, 0, 1500, 900))):
        np.testing.assert_allclose(by_label[label].box_xyxy, box, atol=150)  # of the full size: half of the larger window
        assert by_label[label].area == pytest.approx(1 / 3, abs=0.1)
        assert by_label[label].confidence > 0.9
    red = by_label["red"]
    assert red.colour is not None
    assert np.abs(np.array(red.colour) - RED).max() < 60
    assert red.mask is not None
    assert decode_mask(red.mask).shape == (90, 150)
    assert found.maker.startswith("words-mean-colour-")


def test_nothing_is_found_where_nothing_is(crops: CropEncoder) -> None:
    assert OpenVocabulary(crops, ("red", "blue"))(np.full((60, 60, 3), GREY, np.uint8), (60, 60)).regions == ()


def test_the_threshold_decides_what_is_nothing(crops: CropEncoder) -> None:
    likely = np.linspace(0, 1, 11, dtype=np.float32)[None, :, None]
    shares = []
    for threshold in (0.0, 0.25, 0.75, 1.0):
        found = OpenVocabulary(crops, ("red",), VocabularyOptions(threshold))._labelled(likely, (1, 11))
        assert ((found.classes != NOTHING) == ((likely[..., 0] >= threshold) & (likely[..., 0] > 0))).all()
        shares.append(float((found.classes != NOTHING).mean()))
    assert shares == sorted(set(shares), reverse=True)


def test_other_words_take_what_they_name(crops: CropEncoder) -> None:
    plain, with_others = (OpenVocabulary(crops, ("red",), VocabularyOptions(0.1, others)) for others in ((), ("orange",)))
    orange = np.full((60, 60, 3), (245, 140, 20), np.uint8)
    assert (plain.map(orange, (60, 60)).classes != NOTHING).all()
    assert (with_others.map(orange, (60, 60)).classes == NOTHING).all()
    both = OpenVocabulary(crops, ("orange",), VocabularyOptions(0.1, ("Orange",)))  # what is looked for cannot be what is not
    assert (both.map(orange, (60, 60)).classes != NOTHING).all()


def test_background_words_near_a_label_do_not_compete(crops: CropEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.open_vocabulary.BACKGROUND", ("red wall", "grey wall", "blue sky", "green grass"))
    counts = [len(OpenVocabulary(crops, labels)._vectors(lambda *_: None)) for labels in (("red",), ("red", "green"))]
    assert counts == [1 + 3, 2 + 2]


def test_many_labels_take_no_more_memory_than_one(crops: CropEncoder) -> None:
    names = (*(f"red {at}" for at in range(MOST_LABELS - 1)), "blue")
    maker = OpenVocabulary(crops, names)
    likely = np.random.default_rng(0).random((20, 30, MOST_LABELS), np.float32) / MOST_LABELS * 2
    found = maker._labelled(likely, (40, 60))
    assert len(found.labels) <= NOTHING
    assert set(np.unique(found.classes)) <= {*range(len(found.labels)), NOTHING}
    assert {region.label for region in maker(flag(), (150, 90)).regions} >= {"blue"}


def test_the_id_says_all_that_decides(crops: CropEncoder, make_encoder: Callable[..., Any]) -> None:
    one = OpenVocabulary(crops, ("red", "blue"))
    others = [
        OpenVocabulary(crops, ("red",)),
        OpenVocabulary(crops, ("red", "blue"), VocabularyOptions(0.3)),
        OpenVocabulary(crops, ("red", "blue"), VocabularyOptions(others=("green",))),
        OpenVocabulary(CropEncoder(crops.encoder, replace(crops.options, rows=16)), ("red", "blue")),
        OpenVocabulary(CropEncoder(make_encoder(precision="int8"), crops.options), ("red", "blue")),
    ]
    assert one.id == OpenVocabulary(crops, (" red", "blue", "Red")).id
    assert len({one.id, *(other.id for other in others)}) == 6


def test_labels_are_cleaned_and_hostile_ones_refused() -> None:
    assert labels_of([" Dog", "dog", "traffic_light", "traffic  light", "", "собака"]) == ("Dog", "traffic_light", "собака")
    for words, message in (
        (["", " "], "There is no label"),
        ((f"w{at}" for at in range(1001)), "1,001 labels"),
        (["x" * 201], "201 letters"),
    ):
        with pytest.raises(InputError, match=message):
            labels_of(words)


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"threshold": float("nan")}, {"least_area": -1}, {"short": 0}, {"most": 0}])
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        VocabularyOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"sizes": ()}, {"sizes": (1.5,)}, {"step": 0}, {"rows": 0}])
def test_impossible_crops_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        CropOptions(**wrong)


def test_cells_hold_one_vector_a_place() -> None:
    assert Cells(np.zeros((2, 3, 4), np.float32)).vectors.shape == (2, 3, 4)


def test_the_encoder_that_ships_knows_where_the_cup_is(skimage_photos: Path) -> None:
    photo = read_image(skimage_photos / "coffee.png").pixels
    maker = OpenVocabulary(load_dense("builtin"), ("cup of coffee",))
    likely = maker.likelihoods(maker.dense(photo), maker._vectors(lambda *_: None))[..., 0]
    rows, columns = likely.shape
    inside = likely[rows // 4 : -rows // 4, columns // 4 : -columns // 4].mean()
    assert inside > 0.3
    assert inside > 2 * likely.mean()
