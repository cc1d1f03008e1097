from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from preprocess import UnknownName, WeightsError, read_image
from search import ENCODERS, Encoder, EncoderOptions, Recipe, load_encoder, normalize
from search._onnx_clip import OnnxEncoder, builtin_folder

RECIPE = Recipe("builtin", "ab" * 32, "fp32", "none", 256)


@pytest.fixture(scope="module", params=list(ENCODERS))
def listed(request: pytest.FixtureRequest) -> Encoder:
    return load_encoder(request.param, EncoderOptions(threads=1))


@pytest.fixture(scope="module")
def builtin() -> Encoder:
    return load_encoder("builtin", EncoderOptions(threads=1))


@pytest.fixture(scope="module")
def prepared(listed: Encoder, skimage_photos: Path) -> list[Any]:
    return [listed.prepare(read_image(file).pixels) for file in sorted(skimage_photos.iterdir())]


def test_a_recipe_has_a_stable_name() -> None:
    assert RECIPE.id == replace(RECIPE).id == "d699a984d986"  # libraries on people's disks carry these
    assert Recipe(**RECIPE.as_dict()) == RECIPE  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"encoder": "other"}, {"weights": "cd" * 32}, {"precision": "int8"}, {"enhancer": "dehaze"}, {"dim": 128}], ids=str
)
def test_another_maker_has_another_name(change: dict[str, Any]) -> None:
    assert replace(RECIPE, **change).id != RECIPE.id


def test_an_unknown_encoder_is_met_with_a_hint() -> None:
    with pytest.raises(UnknownName, match=r"No encoder named 'bultin'\. Did you mean 'builtin'\? Known: builtin"):
        load_encoder("bultin")


@given(arrays.arrays(np.float32, (3, 5), elements=st.floats(-1e6, 1e6, width=32)))
def test_normalized_rows_have_length_one_or_none(rows: np.ndarray) -> None:
    units = normalize(rows)
    for row, unit in zip(rows, units, strict=True):
        if np.abs(row).max() > 1e-9:
            assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-4)
    assert normalize(np.zeros((2, 3))).tolist() == [[0, 0, 0], [0, 0, 0]]


# Every encoder that is listed


def assert_unit_rows(rows: Any, count: int, encoder: Encoder) -> None:
    assert rows.shape == (count, encoder.recipe.dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)


def test_photos_become_unit_rows(listed: Encoder, prepared: list[Any]) -> None:
    assert_unit_rows(listed.encode_images(prepared), len(prepared), listed)
    assert listed.encode_images([]).shape == (0, listed.recipe.dim)


def test_a_photo_has_the_same_row_in_any_batch(listed: Encoder, prepared: list[Any]) -> None:
    together = listed.encode_images(prepared)
    alone = np.concatenate([listed.encode_images([photo]) for photo in prepared])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    many = [prepared[at % len(prepared)] for at in range(listed.batch_size * 2 + 1)]
    np.testing.assert_allclose(listed.encode_images(many)[-1], together[(len(many) - 1) % len(prepared)], atol=1e-4)


TEXTS = [
    "",
    " ",
    "dog",
    "a photo of a dog on a beach",
    "犬が浜辺にいる",
    "🐕🏖👨‍👩‍👧",
    "\x00\x07\n\t",
    "a" * 10_000,
    "word " * 2_000,
    "é" * 5_000,
    "\u200b\u202e",
]


def test_any_text_becomes_a_unit_row(listed: Encoder) -> None:
    assert_unit_rows(listed.encode_texts(TEXTS), len(TEXTS), listed)
    assert listed.encode_texts([]).shape == (0, listed.recipe.dim)


def test_a_text_has_the_same_row_in_any_batch(listed: Encoder) -> None:
    together = listed.encode_texts(TEXTS)
    alone = np.concatenate([listed.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-3)
    np.testing.assert_allclose(listed.encode_texts(TEXTS * 20)[-len(TEXTS) :], together, atol=1e-3)


def test_odd_photos_can_be_prepared(listed: Encoder) -> None:
    for height, width in [(1, 1), (1, 3000), (3000, 1), (7, 5), (listed.side, listed.side)]:
        ready = listed.prepare(np.full((height, width, 3), 200, np.uint8))
        assert_unit_rows(listed.encode_images([ready]), 1, listed)


# The built-in one


def test_the_builtin_files_are_those_of_its_card(builtin: Any) -> None:
    assert builtin.verify() == []
    assert builtin.recipe.encoder == "builtin"


def test_the_builtin_encoder_is_not_constant(builtin: Encoder, skimage_photos: Path) -> None:
    rows = builtin.encode_images([builtin.prepare(read_image(file).pixels) for file in sorted(skimage_photos.iterdir())])
    others = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
    assert others.max() < 0.99
    texts = builtin.encode_texts(["a cat", "a rocket", "a cup of coffee"])
    assert (texts @ texts.T)[~np.eye(3, dtype=bool)].max() < 0.95


def copied(folder: Path) -> Path:
    folder.mkdir()
    for file in builtin_folder().iterdir():
        if file.suffix in (".onnx", ".json"):
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    folder = copied(tmp_path / "weights")
    (folder / "image.onnx").write_bytes(b"not a graph")
    (folder / "tokenizer.json").write_text("{")
    encoder = OnnxEncoder(folder)
    assert encoder.verify() == ["image.onnx", "tokenizer.json"]
    with pytest.raises(WeightsError, match=r"image\.onnx does not load"):
        encoder.encode_images([np.zeros((encoder.side, encoder.side, 3), np.uint8)])
    with pytest.raises(WeightsError, match=r"tokenizer\.json does not load"):
        encoder.encode_texts(["dog"])
    (folder / "weights.json").write_text('{"side": 64}')
    with pytest.raises(WeightsError, match=r"weights\.json is missing or damaged"):
        OnnxEncoder(folder)
    with pytest.raises(WeightsError, match=r"weights\.json is missing or damaged"):
        OnnxEncoder(tmp_path / "nowhere")


def test_changed_weights_make_another_recipe(tmp_path: Path, builtin: Encoder) -> None:
    folder = copied(tmp_path / "weights")
    assert OnnxEncoder(folder).recipe == builtin.recipe
    facts = (folder / "weights.json").read_text()
    digest = OnnxEncoder(folder).model.files["text.onnx"]
    (folder / "weights.json").write_text(facts.replace(digest, "0" * 64))
    assert OnnxEncoder(folder).recipe.id != builtin.recipe.id


# The tiny one, on which other tests rest


def test_the_tiny_encoder_knows_its_colours(encoder: Encoder) -> None:
    from PIL import Image

    words = ["red", "green", "blue", "yellow", "black", "white"]
    photos = [encoder.prepare(np.asarray(Image.new("RGB", (9, 9), word))) for word in words]
    images, texts = encoder.encode_images(photos), encoder.encode_texts([f"a {word} photo" for word in words])
    assert_unit_rows(images, len(words), encoder)
    assert_unit_rows(texts, len(words), encoder)
    assert (texts @ images.T).argmax(1).tolist() == list(range(len(words)))
