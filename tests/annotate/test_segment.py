from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotate._onnx_segmenter import OnnxSegmenter, best, enlarged
from annotate.segment import GRAPH, Frame, SegmenterOptions, load_segmenter, open_segmenter
from preprocess import InputError, UnknownName, WeightsError

LABELS = ("red", "green", "blue")
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
FRAME = Frame(stride=8, tile=64, overlap=16, mean=MEAN, std=STD)
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, write_segmenter: Make) -> Make:
    def write(name: str = "colours", frame: Frame = FRAME, **more: Any) -> Path:
        return write_segmenter(tmp_path / name, frame, **more)

    return write


def noise(height: int, width: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Coarse colours with grain."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    return (coarse + random.normal(0, 20, coarse.shape)).clip(0, 255).astype(np.uint8)


def opened(folder: Path, **options: Any) -> OnnxSegmenter:
    return OnnxSegmenter(folder, SegmenterOptions(threads=1, **options))


def test_every_pixel_gets_the_class_and_probability_of_the_graph(make: Make) -> None:
    pixels = noise(30, 50)
    found = opened(make()).segment(pixels)
    logits = (pixels / 255.0 - MEAN) / STD
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_array_equal(found.classes, pixels.argmax(-1))
    assert found.classes.dtype == found.confidence.dtype == np.uint8
    assert np.abs(found.confidence / 255 - chances.max(-1)).max() <= 0.5 / 255 + 1e-5


@pytest.mark.parametrize("layout", ["pixels", "floats"])
@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (8, 8), (9, 23), (64, 64), (65, 63), (64, 200), (130, 70), (201, 203)])
def test_maps_have_the_photos_size_whatever_it_is(make: Make, size: tuple[int, int], layout: Any) -> None:
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[: size[0] // 2, ..., 2] = 200
    pixels[size[0] // 2 :, ..., 1] = 200
    found = opened(make("pooled", replace(FRAME, layout=layout), pooled=True)).segment(
        pixels
    )  # fails at sides that the stride does not divide
    assert found.classes.shape == found.confidence.shape == size
    assert found.classes[-1, -1] == 1
    if size[0] > 16:
        assert found.classes[0, 0] == 2


def test_least_side_is_kept(make: Make) -> None:
    segmenter = opened(make("least", replace(FRAME, least=32)))
    fed: list[tuple[int, ...]] = []
    inner = segmenter.logits
    segmenter.logits = lambda pixels: (fed.append(pixels.shape), inner(pixels))[1]  # type: ignore[method-assign]
    assert segmenter.segment(noise(5, 40)).classes.shape == (5, 40)
    assert fed == [(32, 40, 3)]


def test_tiles_give_what_the_whole_photo_gives(make: Make) -> None:
    pixels, folder = noise(250, 330), make("blurred", blur=5)
    tiled, whole = opened(folder), opened(folder, tile=512)
    parts = np.concatenate([strip.copy() for strip in tiled.strips(pixels)], axis=1)
    one = next(whole.strips(pixels))
    inside = np.abs(parts - one)[:, 4:-4, 4:-4]
    assert inside.mean() < 0.0005  # what two pixels of zeros at the edges of tiles leave; 0.018 if tiles counted the same everywhere
    assert inside.max() < 0.02  # 0.69 then
    exact = make("exact")
    np.testing.assert_array_equal(opened(exact).segment(pixels).classes, opened(exact, tile=512).segment(pixels).classes)


def peak(segmenter: OnnxSegmenter, pixels: Any) -> int:
    tracemalloc.start()
    try:
        for _ in enlarged(segmenter.strips(pixels), len(pixels), pixels.shape[:2]):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_height(make: Make) -> None:
    segmenter = opened(make())
    short, tall = np.zeros((300, 256, 3), np.uint8), np.zeros((4800, 256, 3), np.uint8)
    peak(segmenter, short)
    assert peak(segmenter, tall) < 1.1 * peak(segmenter, short)


def cut(logits: Any, heights: list[int]) -> Iterator[Any]:
    top = 0
    for rows in heights:
        yield logits[:, top : top + rows]
        top += rows


@pytest.mark.parametrize("heights", [[40], [1, 39], [13, 13, 14], [1] * 40, [39, 1]])
@pytest.mark.parametrize("size", [(40, 30), (41, 31), (97, 75), (400, 300)])
def test_strips_are_enlarged_as_one_piece_is(heights: list[int], size: tuple[int, int]) -> None:
    logits = np.random.default_rng(1).normal(size=(3, 40, 30)).astype(np.float32)
    parts = list(enlarged(cut(logits, heights), 40, size))
    assert [top for top, _ in parts] == list(np.cumsum([0, *(rows.shape[1] for _, rows in parts[:-1])]))
    whole = [np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR)) for plane in logits]
    np.testing.assert_allclose(np.concatenate([rows for _, rows in parts], axis=1), np.stack(whole), atol=1e-5)


def test_large_photos_are_looked_at_in_the_networks_size(make: Make) -> None:
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :301, 0] = pixels[:, 301:, 2] = 220
    found = opened(make("small", replace(FRAME, short=50))).segment(pixels)
    assert found.classes.shape == (300, 600)
    edge = (found.classes == 0).sum(1)
    assert np.abs(edge - 301).max() <= 3  # half a pixel of the reduced photo
    assert set(np.unique(found.classes)) == {0, 2}
    full = opened(make("small", replace(FRAME, short=50)), short=0).segment(pixels)
    assert ((full.classes == 0).sum(1) == 301).all()


def test_best_is_the_softmax_of_large_numbers_too() -> None:
    logits = np.array([[[1000.0, -1000.0, 0.0]], [[0.0, -1000.0, 0.0]]], np.float32)
    classes, confidence = best(logits)
    assert classes.tolist() == [[0, 0, 0]]
    assert confidence.tolist() == [[255, 128, 128]]


def test_threads_share_a_segmenter(make: Make) -> None:
    segmenter = opened(make("shared", blur=3))
    photos = [noise(90, 120, seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(segmenter.segment, photos))
    for photo, ours in zip(photos, found, strict=True):
        np.testing.assert_array_equal(ours.classes, segmenter.segment(photo).classes)


def test_the_id_says_what_decides_a_map(make: Make) -> None:
    ids = {
        opened(make()).id,
        opened(make(labels=("a", "b", "c"))).id,
        opened(make(gain=2.0)).id,
        opened(make(), short=10).id,
        opened(make(), tile=128).id,
    }
    assert len(ids) == 5
    assert all(id_.startswith("colours-") for id_ in ids)
    assert opened(make()).id in ids


def test_segmenters_are_found_by_name(make: Make, tmp_path: Path) -> None:
    make("mine")
    options = SegmenterOptions(models=tmp_path, threads=1)
    segmenter = load_segmenter("mine", options)
    assert segmenter.labels == LABELS
    assert segmenter.id == open_segmenter(tmp_path / "mine").id
    with pytest.raises(UnknownName, match="Did you mean 'mine'"):
        load_segmenter("mien", options)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_photo_is_refused(make: Make, pixels: Any) -> None:
    with pytest.raises(InputError, match="8-bit RGB"):
        opened(make()).segment(pixels)


def changed(folder: Path, **facts: Any) -> Path:
    file = folder / "weights.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | facts), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"format": 99}, "Upgrade Pellucid"),
        ({"kind": "encoder"}, "of the kind 'encoder', not a segmenter"),
        ({"labels": ["a", "a"]}, "each its own"),
        ({"labels": ["a"]}, "2 to 255 labels"),
        ({"frame": {"stride": 0}}, "damaged"),
        ({"frame": {"stride": 8, "tile": 60, "overlap": 9}}, "multiple of the stride"),
        ({"frame": {"stride": 8, "tensor": "other"}}, "no input 'other'"),
        ({"files": {}}, "among its files"),
        ({"surprise": 1}, "damaged"),
    ],
)
def test_wrong_facts_are_refused(make: Make, facts: dict[str, Any], said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        opened(changed(make(), **facts))


def test_damaged_files_are_refused(make: Make) -> None:
    folder = make()
    graph = bytearray((folder / GRAPH).read_bytes())
    graph[-1] ^= 1
    (folder / GRAPH).write_bytes(graph)
    with pytest.raises(WeightsError, match="sha256"):
        opened(folder)
    (folder / GRAPH).write_bytes(b"no graph")
    changed(folder, files={GRAPH: hashlib.sha256(b"no graph").hexdigest()})
    with pytest.raises(WeightsError, match="does not load"):
        opened(folder)
    (folder / GRAPH).unlink()
    with pytest.raises(WeightsError, match="missing"):
        opened(folder)
    (folder / "weights.json").unlink()
    with pytest.raises(WeightsError, match="missing"):
        opened(folder)


def test_a_graph_that_gives_something_else_is_refused(make: Make) -> None:
    with pytest.raises(WeightsError, match="instead of"):
        opened(make(labels=("a", "b", "c", "d"))).segment(noise(16, 16))
    with pytest.raises(WeightsError, match="not a number"):
        opened(make(gain=float("nan"))).segment(noise(16, 16))


def test_a_tile_that_does_not_fit_is_refused(make: Make) -> None:
    with pytest.raises(InputError, match="multiple of the stride"):
        opened(make(), tile=30)
