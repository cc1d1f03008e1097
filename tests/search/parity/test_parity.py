"""From file to vector exactly as open_clip, for a model of each family."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from preprocess import WeightsError, example_photos, read_image
from search import Model
from search.probe import EXAMPLE_TEXTS, probe_difference

FAMILIES = {
    "ViT-B-32": "ViT-B-32",  # of real size; of the others, the first layers
    "ViT-B-32-256": "ViT-B-32-256-cut",
    "RN50-quickgelu": "RN50-quickgelu-cut",
    "MobileCLIP2-S0": "MobileCLIP2-S0-cut",
    "ViT-B-16-SigLIP2": "ViT-B-16-SigLIP2-cut",
    "PE-Core-T-16-384": "PE-Core-T-16-384-cut",
    "coca_ViT-B-32": "coca_ViT-B-32-cut",
    "convnext_base": "convnext_base-cut",
}

TEXTS = (
    *EXAMPLE_TEXTS,
    " ",
    "dog",
    "a PHOTO of the  Eiffel\tTower\n",
    "don't we'll I'd they've it's",
    "100% of 3.14 & <b>bold</b> &lt;3",
    "ﬁne ſtreet Straße İstanbul",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1eb\U0001f1f7 ❤️",
    "Две собаки бегут по пляжу",
    "كلبان يركضان على الشاطئ",
    "สุนัขสองตัววิ่งบนชายหาด",
    "mojibake: cafÃ© and â€œquotesâ€\x9d",
    "word " * 300,
    "字" * 200,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Photo files of each kind that is a trap for decoding or resizing."""
    folder = tmp_path_factory.mktemp("photos")
    landscape, portrait, square, wide, tall, small, large, _, shades, colours = map(Image.fromarray, example_photos(10))
    landscape.save(folder / "landscape.png")
    portrait.save(folder / "portrait.jpg", quality=92)
    square.resize((224, 224)).save(folder / "exact.png")
    wide.save(folder / "wide.webp", quality=90)
    tall.convert("L").save(folder / "grey.png")
    small.resize((7, 5)).save(folder / "tiny.png")
    # Grain finer than the model's pixels, which only an antialiased filter averages.
    grain = np.random.default_rng(0).normal(0, 12, (2400, 3600, 1))
    fine = np.asarray(large.resize((3600, 2400), Image.Resampling.BICUBIC)) + grain
    Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(folder / "large.jpg", quality=90)
    cv2.imwrite(str(folder / "deep-grey.png"), deep(np.asarray(shades.convert("L"))))
    cv2.imwrite(str(folder / "deep-colour.png"), deep(np.asarray(colours)[..., ::-1]))
    return {file.name: file for file in sorted(folder.iterdir())}


def deep(pixels: np.ndarray) -> np.ndarray:
    """8 bits as 16: 255 becomes 65,535."""
    return pixels.astype(np.uint16) * 257


@pytest.fixture(scope="module", params=FAMILIES)
def family(
    request: pytest.FixtureRequest, make_loaded: Callable[..., Any], export: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    import open_clip

    arch = request.param
    constants = open_clip.get_pretrained_cfg(arch, open_clip.list_pretrained_tags_by_model(arch)[0])
    folder = tmp_path_factory.mktemp("models") / FAMILIES[arch]
    yield export(make_loaded(arch, name=FAMILIES[arch], constants=constants), folder, photos=example_photos(3))
    shutil.rmtree(folder)


def reference_pictures(file: Path) -> Image.Image:
    """What open_clip's transform is given for a file.

    It is the picture as Pillow opens it, but for 16-bit grey: there `convert("RGB")`, which the transform does, cuts all values over 255 to white,
    so that no picture is left. Those are compared from our 8-bit pixels on, which are checked by themselves below.
    """
    if file.name == "deep-grey.png":
        return Image.fromarray(read_image(file).pixels)
    return Image.open(file)


def open_clip_images(loaded: Any, pictures: list[Image.Image]) -> np.ndarray:
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(**loaded.module.visual.preprocess_cfg), is_train=False)
    with torch.inference_mode():
        return np.asarray(torch.cat([loaded.module.encode_image(transform(picture)[None], normalize=True) for picture in pictures]))


def open_clip_texts(family: Any, texts: Any) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return np.asarray(family.loaded.module.encode_text(family.tokenizer(list(texts)), normalize=True))


def cosines(ours: Any, theirs: Any) -> np.ndarray:
    return np.asarray((ours * theirs).sum(-1))


def assert_same(ours: np.ndarray, theirs: np.ndarray, names: Any) -> None:
    """Cosine of 0.9999 at least, and of 0.999 when what all rows have in common, which hides differences, is taken away."""
    for name, cosine in zip(names, cosines(ours, theirs), strict=True):
        assert cosine >= 0.9999, f"{name!r}: {cosine}"
    centre = theirs.mean(0)
    ours, theirs = ours - centre, theirs - centre
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    assert (cosines(ours, theirs) / lengths).min() >= 0.999


def most_alike(rows: np.ndarray) -> float:
    return float((rows @ rows.T)[~np.eye(len(rows), dtype=bool)].max())


def test_photos_have_the_vectors_of_open_clip(family: Any, files: dict[str, Path]) -> None:
    theirs = open_clip_images(family.loaded, [reference_pictures(file) for file in files.values()])
    ours = family.encoder.encode_images([family.encoder.prepare(read_image(file).pixels) for file in files.values()])
    assert most_alike(theirs) < 0.99  # or the next line would prove little
    assert_same(ours, theirs, files)


def test_a_photo_decoded_at_a_reduced_size_has_it_too(family: Any, files: dict[str, Path]) -> None:
    file = files["large.jpg"]
    reduced = read_image(file, side=family.encoder.side).pixels
    assert reduced.shape[0] < 2400
    ours = family.encoder.encode_images([family.encoder.prepare(reduced)])
    assert cosines(ours, open_clip_images(family.loaded, [Image.open(file)]))[0] >= 0.999


def test_texts_have_the_vectors_of_open_clip(family: Any) -> None:
    theirs = open_clip_texts(family, TEXTS)
    assert_same(family.encoder.encode_texts(TEXTS), theirs, TEXTS)
    assert_same(np.concatenate([family.encoder.encode_texts([text]) for text in TEXTS]), theirs, TEXTS)
    different = [0, 1, 3, 9, 12, 15]
    assert most_alike(theirs[different]) < 0.99


def test_the_facts_are_those_of_open_clip(family: Any) -> None:
    from open_clip import get_model_preprocess_cfg

    model, module = Model.read(family.folder), family.loaded.module
    facts = get_model_preprocess_cfg(module)
    assert (model.image.mean, model.image.std) == (tuple(facts["mean"]), tuple(facts["std"]))
    assert (model.image.resize, model.image.interpolation, model.image.gap) == (facts["resize_mode"], facts["interpolation"], None)
    assert model.image.side == np.max(module.visual.image_size)
    assert model.logit_scale == pytest.approx(float(module.logit_scale.detach().exp()))
    assert model.logit_bias == (0 if getattr(module, "logit_bias", None) is None else float(module.logit_bias.detach()))
    assert model.wrong_files(family.folder) == []
    assert (
        set(model.files)
        == {file.name for file in family.folder.iterdir()} - {"weights.json"}
        >= {"image.onnx", "text.onnx", "tokenizer.json"}
    )
    assert model.measured["image_cosine"] >= 0.9999
    assert model.measured["text_cosine"] >= 0.9999
    assert model.measured["photos"] == 3


def test_the_probe_finds_a_runtime_that_computes_something_else(family: Any) -> None:
    probe = family.measured["probe"]
    assert probe_difference(family.encoder, probe) < 1e-4
    wrong = {**probe, "text": [-number for number in probe["text"]]}
    assert probe_difference(family.encoder, wrong) > 1e-3


# Errors that no message tells of: each is made here, and seen


def test_resizing_without_antialiasing_is_seen(family: Any, files: dict[str, Path]) -> None:
    side = family.encoder.side
    pixels = read_image(files["large.jpg"]).pixels
    square = pixels[:, 600:3000] if family.loaded.image.resize == "shortest" else pixels
    jagged = cv2.resize(square, (side, side), interpolation=cv2.INTER_CUBIC)
    theirs = open_clip_images(family.loaded, [Image.open(files["large.jpg"])])
    assert cosines(family.encoder.encode_images([jagged]), theirs)[0] < 0.9999


def test_the_other_way_of_resizing_is_seen(family: Any, files: dict[str, Path]) -> None:
    from preprocess import Fit, fit

    image = family.loaded.image
    assert image.resize == ("squash" if family.loaded.arch.startswith(("ViT-B-16-SigLIP2", "PE-Core")) else "shortest")
    other = fit(read_image(files["landscape.png"]).pixels, Fit(image.side, "shortest" if image.resize == "squash" else "squash"))
    theirs = open_clip_images(family.loaded, [Image.open(files["landscape.png"])])
    assert cosines(family.encoder.encode_images([other]), theirs)[0] < 0.9999


def test_texts_are_cut_where_open_clip_cuts_them(family: Any) -> None:
    length = family.loaded.context_length
    assert length == {"coca": 76, "ViT-B-16-SigLIP2": 64, "PE-Core": 32}.get(
        next((start for start in ("coca", "ViT-B-16-SigLIP2", "PE-Core") if family.loaded.arch.startswith(start)), ""), 77
    )
    long = "dog " * length
    ids = family.encoder._words([long])
    assert ids.shape == (1, length)
    assert (ids == family.tokenizer([long]).numpy()).all()
    rows = family.encoder.encode_texts([long, long + "cat", "red " * (length // 2)])
    assert cosines(rows[0], rows[1]) >= 0.9999
    assert cosines(rows[0], rows[2]) < 0.9999


def test_sixteen_bits_keep_their_range(files: dict[str, Path]) -> None:
    photos = example_photos(10)
    grey = np.asarray(Image.fromarray(photos[8]).convert("L"))
    np.testing.assert_array_equal(read_image(files["deep-grey.png"]).pixels, np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(read_image(files["deep-colour.png"]).pixels, photos[9])
    white = np.asarray(Image.open(files["deep-grey.png"]).convert("RGB"))
    assert white.min() == 255 or abs(white.astype(int) - grey[..., None]).max() > 50  # why Pillow's own cannot be the reference


def test_only_siglip_texts_are_canonical_and_padded(family: Any) -> None:
    import torch

    text, siglip = family.encoder.model.text, "SigLIP" in family.loaded.arch
    said, plain = "Two DOGS, run: along_the beach!", "two dogs run along the beach"
    ids = family.encoder._words([said])
    assert text.clean == ("canonicalize" if siglip else "lower")
    assert (ids.shape == family.encoder._words([plain]).shape and bool((ids == family.encoder._words([plain])).all())) == siglip
    if not siglip:
        return
    assert text.padded
    assert ids.shape == (1, 64)
    assert ids[0, -1] == text.pad == 0
    raw = family.tokenizer.tokenizer([said], return_tensors="pt", max_length=64, padding="max_length", truncation=True).input_ids
    with torch.inference_mode():
        not_canonical = family.loaded.module.encode_text(raw, normalize=True).numpy()
    theirs = open_clip_texts(family, [said])
    assert cosines(family.encoder.encode_texts([said]), theirs)[0] >= 0.9999
    assert cosines(not_canonical, theirs)[0] < 0.9999
    with pytest.raises(
        Exception, match=r"[Ii]nvalid dimensions|INVALID_ARGUMENT"
    ):  # less padding would be another vector, so it is refused
        family.encoder._text.run(None, {"ids": ids[:, :32]})


def test_exporting_leaves_the_model_and_torch_as_they_were(family: Any) -> None:
    import torch

    assert {name: float(tensor.double().sum()) for name, tensor in family.loaded.module.state_dict().items()} == family.before
    assert torch.backends.mha.get_fastpath_enabled()
    assert not [part for part in family.loaded.module.modules() if "forward" in vars(part)]
    assert not family.loaded.module.training


def trained_like(module: Any) -> Any:
    """Activations that hang on their biases, and whose mean is taken off again, as training leaves them."""
    import torch

    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, part in module.named_modules():
            if name.endswith(".mlp"):
                part.c_fc.weight.mul_(0.05)
                part.c_fc.bias.normal_(0, 1.5, generator=random)
                part.c_proj.weight.normal_(0, 1, generator=random)
                part.c_proj.bias.copy_(-part.c_proj.weight @ part.gelu(part.c_fc.bias))
    return module


@pytest.mark.parametrize("right", ["GELU", "QuickGELU"])
def test_the_wrong_activation_is_not_accepted(
    right: str, make_narrow: Callable[..., Any], export: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search import _towers

    quick = right == "QuickGELU"
    loaded = make_narrow("narrow-right", quick_gelu=quick)
    trained_like(loaded.module)
    other = make_narrow("narrow-wrong", quick_gelu=not quick)
    other.module.load_state_dict(loaded.module.state_dict())
    assert type(other.module.transformer.resblocks[0].mlp.gelu) is not type(loaded.module.transformer.resblocks[0].mlp.gelu)
    assert export(loaded, tmp_path / "right").measured["image_cosine"] >= 0.9999

    text_tower = _towers.text_tower
    with monkeypatch.context() as wrong:
        wrong.setattr(_towers, "_fused", lambda _: other.module)
        with pytest.raises(WeightsError, match=r"image tower of narrow-right does not give open_clip's vectors: their cosine is 0\.9"):
            export(loaded, tmp_path / "image")
    with monkeypatch.context() as wrong:
        wrong.setattr(_towers, "text_tower", lambda _: text_tower(other.module))
        with pytest.raises(WeightsError, match="text tower of narrow-right does not give open_clip's vectors"):
            export(loaded, tmp_path / "text")
    assert not (tmp_path / "image" / "weights.json").exists()
    assert not (tmp_path / "text" / "weights.json").exists()


def test_a_wrong_tokenizer_is_not_accepted(
    make_narrow: Callable[..., Any], export: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search import _export

    write = _export.write_clip_tokenizer

    def wrong(file: Path, length: int) -> Any:
        text = write(file, length)
        facts = json.loads(file.read_text())
        facts["model"]["merges"] = facts["model"]["merges"][:20_000]
        file.write_text(json.dumps(facts))
        return text

    monkeypatch.setattr(_export, "write_clip_tokenizer", wrong)
    with pytest.raises(WeightsError, match=r"text tower of .* does not give open_clip's vectors"):
        export(make_narrow("narrow-short"), tmp_path / "model")


def test_vectors_that_are_no_numbers_are_not_accepted(make_narrow: Callable[..., Any], export: Callable[..., Any], tmp_path: Path) -> None:
    loaded = make_narrow("narrow-nan")
    loaded.module.visual.proj.data[0, 0] = float("nan")
    with pytest.raises(WeightsError, match="their cosine is nan"):
        export(loaded, tmp_path / "model")


@pytest.mark.parametrize("large", [False, True])
def test_weights_of_a_large_tower_get_their_own_file(
    large: bool, make_narrow: Callable[..., Any], export: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search import _towers

    monkeypatch.setattr(_towers, "LARGEST_FILE", 1_000 if large else 1 << 30)
    family = export(make_narrow("narrow-size"), tmp_path / "model", photos=example_photos(1))
    names = {file.name for file in family.folder.iterdir()}
    beside = {"image.onnx.data", "text.onnx.data"} if large else set()
    assert names == {"image.onnx", "text.onnx", "tokenizer.json", "weights.json"} | beside
    assert set(Model.read(family.folder).files) == names - {"weights.json"}
    assert ((family.folder / "image.onnx").stat().st_size < 1_000_000) == large
    assert len({file.stat().st_mode for file in family.folder.iterdir()}) == 1  # read by whoever reads the others
