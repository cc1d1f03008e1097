"""CLIP-IQA: the graph gives the method's vectors at any size, and pairs of texts become scores."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import InputError, UnknownName, WeightsError, example_photos
from search import Model
from search.iqa import IQA, LOGIT_SCALE, LOOK, PAIRS, TECHNICAL, Axes, Pair, choose_pairs, load_axes, parse_pairs, read_pairs, scale_of
from search.model import TORCH

ARCH = "Tiny-RN"
SIDE = 64


@pytest.fixture(scope="module")
def loaded() -> Any:
    """A residual net of OpenAI's kind that is small, with random weights and random means and spreads in its norms."""
    for name in ("torch", "open_clip", "onnx"):
        pytest.importorskip(name)
    import torch
    from open_clip import factory

    from search._open_clip import create_module, describe

    factory._MODEL_CONFIGS[ARCH] = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": SIDE, "layers": [1, 2, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    try:
        torch.manual_seed(0)
        module = create_module(ARCH)
        for name, tensor in module.visual.state_dict().items():
            if name.endswith(("running_var", "bn3.weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
        module.visual.attnpool.positional_embedding.data.normal_(0, 1)
        yield describe(module, ARCH)
    finally:
        del factory._MODEL_CONFIGS[ARCH]


@pytest.fixture(scope="module")
def folder(loaded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the graph, whose weights lie in a file of their own, as those of a large model do."""
    from search import _graph_beside, _iqa_export, _shared_weights, _towers
    from search._export import export_model

    place = tmp_path_factory.mktemp("rn") / "tiny"
    place.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_towers, "LARGEST_FILE", 100_000)
        patch.setattr(_graph_beside, "LARGEST_FILE", 100_000)
        patch.setattr(_shared_weights, "_SHARED_BYTES", 256)
        export_model(loaded, place, "tiny", "path:tiny", "none", runtime="torch")
        _iqa_export.replace_iqa(loaded, place)
    return place


def reference(visual: Any, pixels: np.ndarray, image: Any) -> np.ndarray:
    """The method in plain steps: every token attends to every token, positions are not added, and the first, the mean's, is read."""
    import torch

    levels = torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2) / 255
    planes = (levels - torch.tensor(image.mean).view(1, 3, 1, 1)) / torch.tensor(image.std).view(1, 3, 1, 1)
    with torch.inference_mode():
        cells = visual.stem(planes)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            cells = layer(cells)
        batch, width, rows, columns = cells.shape
        tokens = [cells[:, :, row, column] for row in range(rows) for column in range(columns)]
        tokens = torch.stack([torch.stack(tokens).mean(0), *tokens], 1)
        pool, heads = visual.attnpool, visual.attnpool.num_heads
        q, k, v = (
            (tokens @ part.weight.T + part.bias).reshape(batch, -1, heads, width // heads)
            for part in (pool.q_proj, pool.k_proj, pool.v_proj)
        )
        weights = torch.einsum("bihd,bjhd->bhij", q, k).div(math.sqrt(width // heads)).softmax(-1)
        mixed = torch.einsum("bhij,bjhd->bihd", weights, v).reshape(batch, -1, width)
        row = (mixed @ pool.c_proj.weight.T + pool.c_proj.bias)[:, 0]
        return (row / row.norm(dim=-1, keepdim=True)).numpy()


SIZES = ((64, 64), (32, 32), (96, 160), (201, 77), (33, 250))


@pytest.mark.parametrize("size", SIZES)
def test_the_graph_is_the_method_at_any_size(loaded: Any, folder: Path, size: tuple[int, int]) -> None:
    from search._iqa import open_iqa

    pixels = np.random.default_rng(size[0]).integers(0, 256, (1, *size, 3), np.uint8)
    (rows,) = open_iqa(folder, 1).run(None, {"pixels": pixels})
    np.testing.assert_allclose(rows, reference(loaded.module.visual, pixels, loaded.image), atol=2e-5)


def test_positions_matter_to_the_models_own_tower_so_leaving_them_out_is_seen(loaded: Any, folder: Path) -> None:
    from search._iqa import open_iqa
    from search._onnx_clip import OnnxEncoder

    photo = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    (rows,) = open_iqa(folder, 1).run(None, {"pixels": photo[None]})
    assert float((OnnxEncoder(folder).encode_images([photo]) * rows).sum()) < 0.99


def test_the_folder_says_what_was_measured_and_shares_its_weights(folder: Path) -> None:
    model = Model.read(folder)
    assert IQA in model.files
    assert not model.wrong_files(folder)
    assert min(model.measured["iqa_cosine"], model.measured["iqa_pool_cosine"]) > 0.99999
    assert (folder / IQA).stat().st_size < 0.2 * (folder / "image.onnx.data").stat().st_size


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (131, 70)])
def test_the_scores_are_those_of_piq_and_torchmetrics(loaded: Any, folder: Path, size: tuple[int, int]) -> None:
    clip = pytest.importorskip("piq.feature_extractors.clip")
    torchmetrics = pytest.importorskip("torchmetrics.functional.multimodal.clip_iqa")
    import torch

    from search._iqa import IqaEncoder
    from search._onnx_clip import OnnxEncoder
    from search.encode import EncoderOptions

    theirs = clip.CLIP(24, SIDE, (1, 2, 1, 1), 16, None, 77, 49408, 32, 2, 1).eval()
    missing, _ = theirs.load_state_dict(loaded.module.state_dict(), strict=False)
    assert not missing
    pixels = np.random.default_rng(size[1]).integers(0, 256, (*size, 3), np.uint8)
    axes = load_axes(OnnxEncoder(folder), choose_pairs(["quality", "contrast"]), LOGIT_SCALE)
    ids = torch.zeros((4, 77), dtype=torch.int64)
    for row, tokens in enumerate(OnnxEncoder(folder)._words([text for pair in axes.pairs for text in (pair.positive, pair.negative)])):
        ids[row, : len(tokens)] = torch.from_numpy(np.asarray(tokens, np.int64))
    with torch.inference_mode():
        anchors = theirs.encode_text(ids)
        anchors = anchors / anchors.norm(p=2, dim=-1, keepdim=True)
        vector = torchmetrics._clip_iqa_update(
            "clip_iqa", torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), theirs, None, 255.0, "cpu"
        )
        wanted = torchmetrics._clip_iqa_compute(vector, anchors, ["quality", "contrast"], format_as_dict=False)
    scores = axes.scores(IqaEncoder(folder, EncoderOptions(threads=1))(pixels)[None])
    assert np.abs(scores - 0.5).max() > 1e-3
    np.testing.assert_allclose(scores, wanted.numpy(), atol=2e-4)


def test_a_scorer_of_pixels_is_the_method_with_its_own_scale(folder: Path) -> None:
    from search import iqa_scorer
    from search._iqa import IqaEncoder
    from search._onnx_clip import OnnxEncoder
    from search.encode import EncoderOptions

    encoder, options, photo = OnnxEncoder(folder), EncoderOptions(threads=1), example_photos()[0]
    pairs = (PAIRS["quality"], Pair("warm", "Warm photo.", "Cold photo."))
    scorer = iqa_scorer(encoder, folder, pairs, options)
    wanted = load_axes(encoder, pairs, LOGIT_SCALE).scores(IqaEncoder(folder, options)(photo)[None])[0]
    assert encoder.model.logit_scale != LOGIT_SCALE
    assert scorer.score(photo) == pytest.approx({"quality": wanted[0], "warm": wanted[1]}, abs=1e-5)
    assert scorer.sources["quality"].startswith("paper-")
    assert scorer.sources["warm"].startswith(scorer.sources["quality"] + "-")


def test_photos_are_seen_at_their_own_size_up_to_a_cap() -> None:
    pytest.importorskip("onnxruntime")
    from search._iqa import DECODED_SIDE, LEAST_SIDE, LONGEST, at_native_size

    for height, width, wanted in ((600, 1024, (600, 1024)), (3000, 4000, (768, 1024)), (20, 40, (32, 40)), (10, 5000, (32, 1024))):
        assert at_native_size(np.zeros((height, width, 3), np.uint8)).shape == (*wanted, 3)
    assert (LEAST_SIDE, LONGEST) == (32, 1024)
    assert 3 * DECODED_SIDE >= LONGEST


def test_a_folder_without_the_graph_and_a_tower_of_another_kind_are_refused(folder: Path, tmp_path: Path) -> None:
    from search._iqa import IqaEncoder
    from search._iqa_export import IqaTower
    from search.encode import EncoderOptions

    model = Model.read(folder)
    replace(model, files={}).write(tmp_path)
    with pytest.raises(WeightsError, match="pellucid models iqa"):
        IqaEncoder(tmp_path, EncoderOptions())

    class VisionTransformer:
        pass

    class Other:
        module, arch, image = type("Module", (), {"visual": VisionTransformer()})(), "ViT-B-32", None

    with pytest.raises(WeightsError, match=r"VisionTransformer.*RN50"):
        IqaTower(Other())  # type: ignore[arg-type]


def test_a_model_that_was_added_gets_the_graph_later(loaded: Any, folder: Path, tmp_path: Path) -> None:
    from search import add_iqa, find_faults, iqa_folder, load_encoder
    from search.encode import EncoderOptions

    place = tmp_path / "models" / "tiny"
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns(IQA + "*"))
    whole = Model.read(folder)
    replace(whole, files={name: digest for name, digest in whole.files.items() if name != IQA}).write(place)
    options = EncoderOptions(place.parent, runtime="onnx", threads=1)
    before = load_encoder("tiny", options).recipe
    with pytest.raises(InputError, match="pellucid models iqa rn50"):
        iqa_folder(load_encoder("builtin"), place.parent)
    model = add_iqa("tiny", place.parent)
    assert IQA in model.files
    assert not find_faults(place)
    assert load_encoder("tiny", options).recipe == before
    assert iqa_folder(load_encoder("builtin"), place.parent) == place == iqa_folder(load_encoder("tiny", options), None)
    shutil.copytree(place, place.parent / "other")
    with pytest.raises(InputError, match=r"other, tiny.*--encoder other"):
        iqa_folder(load_encoder("builtin"), place.parent)
    shutil.copytree(folder, place.parent / "third")
    (place.parent / "third" / TORCH).unlink()
    replace(whole, source="hub:a/b").write(place.parent / "third")
    with pytest.raises(InputError, match="ready-made graphs"):
        add_iqa("third", place.parent)


def test_a_graph_that_does_not_give_the_vectors_is_taken_away_again(
    loaded: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search import _iqa_export

    place = tmp_path / "tiny"
    shutil.copytree(folder, place)
    monkeypatch.setattr(_iqa_export, "write_iqa", lambda *_: shutil.copyfile(folder / IQA, place / IQA))
    monkeypatch.setattr(_iqa_export, "LEAST_COSINE", 1.1)
    with pytest.raises(WeightsError, match="It was not kept"):
        _iqa_export.replace_iqa(loaded, place)
    assert not list(place.glob(IQA + "*"))
    assert IQA not in Model.read(place).files


def test_scores_are_the_softmax_over_a_pair() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(7, 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    axes = Axes((TECHNICAL["quality"], LOOK["happy"]), rows[:2], rows[2:4])
    scores = axes.scores(rows[4:])
    for photo in range(3):
        for pair in range(2):
            good, bad = (100.0 * float(rows[4 + photo] @ text) for text in (rows[pair], rows[2 + pair]))
            assert scores[photo, pair] == pytest.approx(1 / (1 + math.exp(min(700.0, bad - good))), abs=1e-5)
    assert axes.names() == ["quality", "happy"]
    assert np.isfinite(Axes(axes.pairs, rows[:2], rows[2:4], 1e6).scores(rows)).all()


def test_the_builtin_encoder_tells_sharp_from_blurred_in_the_fast_mode() -> None:
    """What it can do, and no more: over the photos that ship, the mean score falls with each degradation that the axis is about."""
    from preprocess import cv2
    from search import load_encoder

    encoder = load_encoder("builtin")
    photos = [photo for photo in example_photos() if min(photo.shape[:2]) >= 64]
    axes = load_axes(encoder, choose_pairs(["brightness", "sharpness", "colourfulness"]))

    def scores(change: Any) -> Any:
        return axes.scores(encoder.encode_images([encoder.prepare(change(photo)) for photo in photos])).mean(0)

    plain = scores(lambda photo: photo)
    assert scores(lambda photo: (photo * 0.25).astype(np.uint8))[0] < plain[0]
    assert scores(lambda photo: np.asarray(cv2.GaussianBlur(photo, (0, 0), min(photo.shape[:2]) / 40), np.uint8))[1] < plain[1]
    assert scores(lambda photo: np.repeat(photo.mean(2, keepdims=True), 3, 2).astype(np.uint8))[2] < plain[2]


@pytest.mark.parametrize(
    ("learnt", "scale"),
    [(35.107, 35.107), (100.0, LOGIT_SCALE), (117.3, 117.3), (1.0, LOGIT_SCALE), (None, LOGIT_SCALE), (math.nan, LOGIT_SCALE)],
)
def test_differences_are_scaled_as_the_encoder_learnt_to(learnt: float | None, scale: float, make_encoder: Any) -> None:
    """Ready-made graphs say nothing of theirs, which is noted as 1."""
    encoder = make_encoder()
    if learnt is not None:
        encoder.model = type("Facts", (), {"logit_scale": learnt})()
    assert scale_of(encoder) == scale
    assert load_axes(encoder, choose_pairs(["quality"])).scale == scale


def test_pairs_of_a_users_own(tmp_path: Path) -> None:
    file = tmp_path / "pairs.txt"
    file.write_text("# mine\n\nwarm: Warm photo. | Cold photo.\nlonely:Lonely photo.|Sociable photo.\n", encoding="utf-8")
    pairs = read_pairs(file)
    assert pairs == (Pair("warm", "Warm photo.", "Cold photo."), Pair("lonely", "Lonely photo.", "Sociable photo."))
    assert [pair.axis for pair in choose_pairs(["warm", "quality"], pairs)] == ["warm", "quality"]
    assert len(choose_pairs([], pairs)) == len(PAIRS) + 2
    with pytest.raises(UnknownName, match="Did you mean 'sharpness'"):
        choose_pairs(["sharpnes"])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "There are no pairs in"),
        ("# only\n", "There are no pairs in"),
        ("warm: Warm photo.", "Line 1 .* not an axis with two texts"),
        ("ok: a | b\nwarm Warm photo. | Cold photo.", "Line 2"),
        ("a: b | c | d", "two texts"),
        ("Warm: a | b", "no name for an axis"),
        ("warm: a | a", "two different texts"),
        ("warm: | a", "two different texts"),
        ("quality: a | b", "there already"),
        ("warm: a | b\nwarm: c | d", "Line 2 .* there already"),
    ],
)
def test_a_wrong_file_of_pairs_says_where(text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        parse_pairs(text)


def test_a_file_of_pairs_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(tmp_path / "none.txt")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_pairs(tmp_path / "bytes")


def test_no_pairs_are_no_axes() -> None:
    with pytest.raises(InputError, match="no axes"):
        load_axes(None, ())  # type: ignore[arg-type]


def test_opposites_are_opposite() -> None:
    assert set(TECHNICAL) == {"quality", "brightness", "sharpness", "noisiness", "colourfulness", "contrast"}
    assert set(LOOK) == {"aesthetic", "happy", "natural", "new", "scary", "complex"}
