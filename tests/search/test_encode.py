from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from preprocess import Fit, UnknownName, WeightsError, fit, read_image
from search import ENCODERS, Encoder, EncoderOptions, ImageInput, Model, Recipe, TextInput, _onnx_clip, load_encoder, normalize
from search._onnx_clip import PART, OnnxEncoder, builtin_folder, floats
from search.bench import machine

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


# Models that were added

DIM = 6


def graph(file: Path, name: str, kind: int, axes: list[int], weights: Any) -> None:
    """A tower that casts its input to floats and multiplies them, flat, with `weights`; its second output is the input's sum."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", [name], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["cast"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["found"]),
        helper.make_node("ReduceSum", ["flat"], ["sum"]),
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in ("found", "sum")]
    inputs = [helper.make_tensor_value_info(name, kind, ["batch", *axes])]
    made = helper.make_graph(nodes, "tower", inputs, outputs, [numpy_helper.from_array(weights, "weights")])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)


@pytest.fixture
def add_model(tmp_path: Path) -> Any:
    """Make a model folder with random towers: `image` and `text` say how they are fed."""

    def add(image: ImageInput, text: TextInput, name: str = "tiny") -> tuple[Path, Any, Any]:
        from onnx import TensorProto
        from tokenizers import Tokenizer, models, pre_tokenizers

        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        random = np.random.default_rng(0)
        towers = [random.normal(size=(count, DIM)).astype(np.float32) for count in (image.side**2 * 3, text.length)]
        pixels = (TensorProto.UINT8, [image.side, image.side, 3])
        values = (TensorProto.FLOAT, [3, image.side, image.side])
        graph(folder / "image.onnx", image.tensor, *(pixels if image.layout == "pixels" else values), towers[0])
        kind = {"int64": TensorProto.INT64, "int32": TensorProto.INT32}[text.dtype]
        graph(folder / "text.onnx", text.tensor, kind, [text.length], towers[1])
        tokenizer = Tokenizer(models.WordLevel({"?": 1, "dog": 2, "cat": 3}, unk_token="?"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.save(str(folder / "tokenizer.json"))
        Model(name, DIM, image, text, {}).write(folder)
        return folder, *towers

    return add


PHOTO = np.random.default_rng(2).integers(0, 256, (40, 70, 3), np.uint8)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize", ["squash", "shortest", "longest"])
@pytest.mark.parametrize("layout", ["pixels", "floats"])
def test_pixels_are_fed_as_the_model_says(add_model: Any, layout: Any, resize: Any, interpolation: Any) -> None:
    image = ImageInput(16, resize, interpolation, fill=9, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), layout=layout, tensor="picture")
    folder, tower, _ = add_model(image, TextInput(length=4))
    encoder = OnnxEncoder(folder, EncoderOptions(threads=2))
    prepared = [encoder.prepare(PHOTO[:, :width]) for width in (70, 40, 25)]
    fitted = [fit(PHOTO[:, :width], Fit(16, resize, interpolation, fill=9)) for width in (70, 40, 25)]
    np.testing.assert_array_equal(prepared, fitted)
    fed = np.stack(fitted).astype(np.float64)
    if layout == "floats":
        fed = ((fed / 255 - image.mean) / image.std).transpose(0, 3, 1, 2)
    expected = normalize(fed.reshape(3, -1) @ tower)
    np.testing.assert_allclose(encoder.encode_images(prepared), expected, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_images(prepared * 30)[-3:], expected, atol=1e-5)


def test_floats_are_those_of_torchvision() -> None:
    transforms = pytest.importorskip("torchvision.transforms", reason="the extra torch is not installed")
    image = ImageInput(256)
    every = np.arange(256 * 256 * 3).reshape(256, 256, 3).astype(np.uint8)
    expected = transforms.Compose([transforms.ToTensor(), transforms.Normalize(image.mean, image.std)])(every)
    made = floats([every], image)
    assert made.dtype == np.float32
    assert made.flags.c_contiguous
    np.testing.assert_array_equal(made[0], expected.numpy())


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_words_are_fed_as_the_model_says(add_model: Any, dtype: Any) -> None:
    folder, _, tower = add_model(ImageInput(16), TextInput(length=4, pad=7, clean="canonicalize", dtype=dtype, tensor="tokens"))
    rows = OnnxEncoder(folder).encode_texts(["A Dog!", "dog cat dog cat dog", ""])
    ids = np.array([[1, 2, 7, 7], [2, 3, 2, 3], [7, 7, 7, 7]])
    np.testing.assert_allclose(rows, normalize(ids @ tower), atol=1e-5)


def test_what_was_measured_is_used(add_model: Any) -> None:
    folder, *_ = add_model(ImageInput(16), TextInput(length=4))
    assert (OnnxEncoder(folder).batch_size, OnnxEncoder(folder).part) == (OnnxEncoder.batch_size, PART)
    speed = {"precision": "fp32", "batch": 24, "part": 3, "threads": 5, "intra": 1, "images_s": 9.5}
    (folder / "bench.json").write_text(json.dumps({"format": 1, "machine": machine(), "speeds": [speed]}))
    encoder = OnnxEncoder(folder)
    assert (encoder.batch_size, encoder.part, encoder.threads) == (24, 3, 5)
    assert OnnxEncoder(folder, EncoderOptions(threads=2)).threads == 2  # what was asked for comes first
    prepared = [encoder.prepare(PHOTO[:, at:]) for at in range(10)]
    np.testing.assert_allclose(encoder.encode_images(prepared), OnnxEncoder(folder).encode_images(prepared), atol=1e-6)


@pytest.mark.parametrize(
    "text", ["{", "[1]", '"batch"', '{"batch": 0, "part": "16", "threads": true}', '{"format": 1, "speeds": 3}', "\x00"]
)
def test_a_damaged_measurement_changes_nothing(add_model: Any, text: str) -> None:
    folder, *_ = add_model(ImageInput(16), TextInput(length=4))
    untouched = OnnxEncoder(folder)
    (folder / "bench.json").write_text(text)
    encoder = OnnxEncoder(folder)
    assert (encoder.batch_size, encoder.part, encoder.threads) == (untouched.batch_size, untouched.part, untouched.threads)
    assert encoder.recipe == untouched.recipe


def test_an_added_model_is_found_by_its_name(add_model: Any) -> None:
    folder, *_ = add_model(ImageInput(16), TextInput(length=4), "mine")
    encoder = load_encoder("mine", EncoderOptions(folder.parent))
    assert_unit_rows(encoder.encode_images([encoder.prepare(PHOTO)]), 1, encoder)
    with pytest.raises(UnknownName, match=r"Known: builtin, mine"):
        load_encoder("yours", EncoderOptions(folder.parent))
    folder.rename(folder.with_name("yours"))  # what is made by it now must be found by that name
    assert load_encoder("yours", EncoderOptions(folder.parent)).recipe == replace(encoder.recipe, encoder="yours")


def test_files_that_were_replaced_are_not_taken_for_those_of_the_recipe(add_model: Any) -> None:
    folder, *_ = add_model(ImageInput(16), TextInput(length=4))
    other, *_ = add_model(ImageInput(16), TextInput(length=4), "other")
    replace(Model.read(other), files={"image.onnx": "2" * 64}).write(other)
    encoders = [OnnxEncoder(folder), OnnxEncoder(folder)]
    photo, rows = encoders[0].prepare(PHOTO), encoders[0].encode_texts(["dog"])
    folder.rename(folder.with_name("older"))
    other.rename(folder)
    np.testing.assert_array_equal(encoders[0].encode_texts(["dog"]), rows)  # what is loaded goes on
    for run in (lambda: encoders[0].encode_images([photo]), lambda: encoders[1].encode_texts(["dog"])):
        with pytest.raises(WeightsError, match=r"tiny was replaced while this ran\. Run the same command again"):
            run()


def test_a_tower_is_loaded_once(add_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, *_ = add_model(ImageInput(16), TextInput(length=4))
    loaded, load = [], _onnx_clip._session

    def slow(*given: Any) -> Any:
        loaded.append(threading.current_thread())
        return load(*given)

    monkeypatch.setattr(_onnx_clip, "_session", slow)
    encoder = OnnxEncoder(folder, EncoderOptions(threads=8))
    encoder.encode_images([encoder.prepare(PHOTO)] * (8 * PART))
    assert loaded == [threading.current_thread()]  # not in one of the threads, which would load it side by side


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3, "shape": "new"}, r"weights\.json has format 3; this Pellucid reads up to 2\. Upgrade Pellucid"),
        ({"format": "two"}, r"weights\.json is missing or damaged .* pellucid models add SOURCE --name 'my model' --force"),
        (
            {"shape": "new", "source": "path:a b.pt", "arch": "RN50"},
            r"pellucid models add 'path:a b\.pt' --arch RN50 --name 'my model' --force",
        ),
    ],
)
def test_facts_that_do_not_read(change: dict[str, Any], message: str, add_model: Any) -> None:
    folder, *_ = add_model(ImageInput(16), TextInput(length=4), "my model")
    (folder / "weights.json").write_text(json.dumps(json.loads((folder / "weights.json").read_text()) | change))
    with pytest.raises(WeightsError, match=message):
        Model.read(folder)


def test_how_a_model_is_fed_is_part_of_its_recipe(add_model: Any) -> None:
    folder, *_ = add_model(ImageInput(16), TextInput(length=4))
    model = Model.read(folder)
    first = OnnxEncoder(folder).recipe.id
    for changed in (replace(model, image=replace(model.image, resize="squash")), replace(model, text=replace(model.text, clean="none"))):
        changed.write(folder)
        assert OnnxEncoder(folder).recipe.id != first


# The tiny one, on which other tests rest


def test_the_tiny_encoder_knows_its_colours(encoder: Encoder) -> None:
    from PIL import Image

    words = ["red", "green", "blue", "yellow", "black", "white"]
    photos = [encoder.prepare(np.asarray(Image.new("RGB", (9, 9), word))) for word in words]
    images, texts = encoder.encode_images(photos), encoder.encode_texts([f"a {word} photo" for word in words])
    assert_unit_rows(images, len(words), encoder)
    assert_unit_rows(texts, len(words), encoder)
    assert (texts @ images.T).argmax(1).tolist() == list(range(len(words)))
