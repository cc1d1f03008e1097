"""DehazeNet and AOD-Net: the graphs are the published architectures, the weights are checked, tiles do not show, and haze goes while clear photos stay."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from preprocess import DEHAZERS, InputError, WeightsError, load_dehazer
from preprocess import _learned_dehaze as learned
from preprocess._learned_dehaze import FOLDER, AodNet, DehazeNet, atmospheric_light, haziest_pixels
from preprocess.recovery import Veil

METHODS = {"dehazenet": DehazeNet, "aod-net": AodNet}
SIZES = [(1, 1), (1, 500), (500, 1), (2, 3), (7, 7), (64, 3), (301, 449)]


@pytest.fixture(scope="module", params=METHODS)
def dehazer(request: pytest.FixtureRequest) -> Any:
    return METHODS[request.param]()


def psnr(one: Any, other: Any) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(np.float64) - other) ** 2)))


def grain(*size: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def hazed(clear: Any) -> Any:
    """By the scattering model: haze that thickens towards the top, t from 0.25 to 0.66, under a light of 225 to 230."""
    t = np.exp(-1.4 * np.linspace(1, 0.3, len(clear)))[:, None, None]
    return np.rint(clear * t + np.array([225, 228, 230]) * (1 - t)).astype(np.uint8)


# The graphs, against the papers


def weights(name: str) -> dict[str, Any]:
    return {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(FOLDER / f"{name}.onnx").graph.initializer}


def convolved(maps: Any, weight: Any, bias: Any, padded: bool) -> Any:
    around = weight.shape[2] // 2 if padded else 0
    windows = sliding_window_view(np.pad(maps, ((0, 0), (around, around), (around, around))), weight.shape[2:], (1, 2))
    return np.einsum("cyxij,ocij->oyx", windows, weight, optimize=True) + bias[:, None, None]


def relu(values: Any) -> Any:
    return np.maximum(values, 0)


def test_dehazenet_is_the_published_architecture() -> None:
    w = weights("dehazenet")
    grains = np.random.default_rng(1).random((3, 31, 27))
    pixels = (1 - (1 - grains) * np.linspace(0, 1, 27)).astype(np.float32)  # from haze alone, on the left, to none
    first = [convolved(pixels, w[f"first{part}.weight"], w[f"first{part}.bias"], False) for part in range(4)]
    assert np.concatenate(first).shape == (16, 27, 23)  # 16 filters of 5 × 5
    maxout = np.max(first, 0)
    scales = np.concatenate([convolved(maxout, w[f"scale{side}.weight"], w[f"scale{side}.bias"], True) for side in (3, 5, 7)])
    assert scales.shape == (48, 27, 23)
    pooled = sliding_window_view(scales, (7, 7), (1, 2)).max((3, 4))
    assert w["last.weight"].shape == (1, 48, 6, 6)
    expected = convolved(pooled, w["last.weight"], w["last.bias"], False).clip(0, 1)  # BReLU
    given = onnxruntime.InferenceSession(str(FOLDER / "dehazenet.onnx"), providers=["CPUExecutionProvider"]).run(
        None, {"pixels": pixels[None]}
    )
    assert np.ptp(expected) > 0.2
    np.testing.assert_allclose(given[0][0], expected, atol=1e-5)


def test_a_patch_of_16_gives_dehazenet_one_transmission() -> None:
    session = onnxruntime.InferenceSession(str(FOLDER / "dehazenet.onnx"), providers=["CPUExecutionProvider"])
    assert session.run(None, {"pixels": np.zeros((5, 3, 16, 16), np.float32)})[0].shape == (5, 1, 1, 1)


def test_aod_net_is_the_published_architecture() -> None:
    w = weights("aod-net")
    pixels = np.random.default_rng(2).random((3, 31, 27)).astype(np.float32)

    def step(taken: list[Any], number: int) -> Any:
        return relu(convolved(np.concatenate(taken), w[f"conv{number}.weight"], w[f"conv{number}.bias"], True))

    x1 = step([pixels], 1)
    x2 = step([x1], 2)
    x3 = step([x1, x2], 3)
    x4 = step([x2, x3], 4)
    k = step([x1, x2, x3, x4], 5)
    assert [w[f"conv{n}.weight"].shape for n in range(1, 6)] == [(3, 3, 1, 1), (3, 3, 3, 3), (3, 6, 5, 5), (3, 6, 7, 7), (3, 12, 3, 3)]
    session = onnxruntime.InferenceSession(str(FOLDER / "aod-net.onnx"), providers=["CPUExecutionProvider"])
    found = session.run(["map", "clear"], {"pixels": pixels[None]})
    assert k.std() > 0.02
    np.testing.assert_allclose(found[0][0], k, atol=1e-5)
    np.testing.assert_allclose(found[1][0], relu(k * pixels - k + 1), atol=1e-5)


@pytest.mark.parametrize(("name", "below"), [("dehazenet", 40_000), ("aod-net", 10_000)])
def test_the_weights_are_small_and_are_what_their_table_says(name: str, below: int) -> None:
    facts = json.loads((FOLDER / "weights.json").read_text(encoding="utf-8"))
    data = (FOLDER / f"{name}.onnx").read_bytes()
    assert len(data) < below
    assert facts["models"][name]["sha256"] == hashlib.sha256(data).hexdigest()
    assert facts["licence"] == "Apache-2.0"
    assert facts["trained_on"]
    assert facts["models"][name]["what"]
    assert METHODS[name].id == f"{name}-{facts['version']}"
    assert (FOLDER / "MODEL_CARD.md").is_file()


def test_each_is_found_by_its_name() -> None:
    for name, method in METHODS.items():
        assert isinstance(DEHAZERS[name]("default"), method)


# Tiles


@pytest.mark.parametrize("tile", [16, 37, 1000])
@pytest.mark.parametrize("size", [(40, 90), (16, 33), (1, 70), (5, 2)])
def test_tiles_do_not_show(dehazer: Any, size: tuple[int, int], tile: int) -> None:
    pixels = grain(*size).astype(np.float32) / 255
    whole = dehazer._network.maps(pixels)
    assert whole.shape[1:] == size
    np.testing.assert_allclose(dehazer._network.maps(pixels, tile), whole, atol=1e-5)


def test_a_border_is_like_the_inside_of_a_mirrored_picture(dehazer: Any) -> None:
    pixels = grain(40, 52).astype(np.float32) / 255
    wide = np.pad(pixels, ((24, 24), (24, 24), (0, 0)), "reflect")
    np.testing.assert_allclose(dehazer._network.maps(wide)[:, 24:-24, 24:-24], dehazer._network.maps(pixels), atol=1e-5)


def test_a_long_thin_picture_is_seen_in_tiles(dehazer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = []
    session = dehazer._network._session

    class Watched:
        def run(self, names: Any, inputs: Any) -> Any:
            largest.append(inputs["pixels"].shape[2:])
            return session.run(names, inputs)

    monkeypatch.setattr(dehazer._network, "_session", Watched())
    assert dehazer(grain(30, 4000)).shape == (30, 4000, 3)
    assert len(largest) == 16
    assert np.max(largest) <= 256 + 21


# Edge cases


@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back_as_it_was(dehazer: Any, size: tuple[int, int]) -> None:
    pixels = grain(*size)
    before = pixels.copy()
    out = dehazer(pixels)
    assert (out.shape, out.dtype) == (pixels.shape, np.uint8)
    assert not np.shares_memory(out, pixels)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(dehazer(pixels), out)


@pytest.mark.parametrize("value", [0, 1, 60, 128, 200, 255])
@pytest.mark.parametrize("size", [(1, 1), (33, 50)])
def test_a_picture_of_one_grey_gets_no_pattern(dehazer: Any, size: tuple[int, int], value: int) -> None:
    out = dehazer(np.full((*size, 3), value, np.uint8))
    assert np.ptp(out.astype(int), (0, 1)).max() <= 1


def test_black_stays_black_and_white_stays_white(dehazer: Any) -> None:
    assert dehazer(np.zeros((20, 30, 3), np.uint8)).max() <= 12
    assert dehazer(np.full((20, 30, 3), 255, np.uint8)).min() >= 250


def test_a_grey_picture_stays_nearly_grey(dehazer: Any) -> None:
    grey = np.repeat(grain(120, 160)[..., :1], 3, 2)
    assert np.ptp(dehazer(grey).astype(int), 2).max() <= 40


def test_layout_does_not_matter(dehazer: Any) -> None:
    pixels = grain(60, 80)
    expected = dehazer(pixels)
    locked = pixels.copy()
    locked.flags.writeable = False
    wide = np.zeros((120, 160, 3), np.uint8)
    wide[::2, ::2] = pixels
    for same in (locked, np.asfortranarray(pixels), wide[::2, ::2], pixels[::-1][::-1], np.dstack([pixels, pixels])[..., :3]):
        np.testing.assert_array_equal(dehazer(same), expected)


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 5, 3), np.uint8), np.zeros((4, 4, 3))]
)
def test_what_is_not_rgb_is_refused(dehazer: Any, wrong: Any) -> None:
    with pytest.raises(InputError, match="8-bit RGB"):
        dehazer(wrong)


def test_threads_may_share_one(dehazer: Any) -> None:
    photos = [np.roll(hazed(grain(90 + 7 * i, 120)), i, 1) for i in range(6)]
    expected = [dehazer(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(dehazer, photos * 3), expected * 3, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_a_call_takes_one_thread(dehazer: Any) -> None:
    options = dehazer._network._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


# Damage


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "builtin"
    shutil.copytree(FOLDER, folder)
    monkeypatch.setattr(learned, "FOLDER", folder)
    load_dehazer.cache_clear()
    return folder


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("harm", [Path.unlink, _cut, _flip, _folder_instead])
@pytest.mark.parametrize("name", METHODS)
def test_damaged_or_missing_weights_are_told_with_the_remedy(copied: Path, name: str, harm: Callable[[Path], None]) -> None:
    harm(copied / f"{name}.onnx")
    with pytest.raises(WeightsError, match=rf"{name}\.onnx is (damaged|missing).*pip install --force-reinstall pellucid"):
        load_dehazer(name)
    other = next(other for other in METHODS if other != name)
    assert load_dehazer(other).id == f"{other}-1"


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"format": 1, "models": {}}', '{"format": 1, "models": {"aod-net": {}}}'])
def test_a_damaged_table_is_told_with_the_remedy(copied: Path, text: str | None) -> None:
    table = copied / "weights.json"
    table.unlink() if text is None else table.write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"weights\.json is missing or damaged.*pip install"):
        load_dehazer("aod-net")


def test_a_later_format_is_refused(copied: Path) -> None:
    facts = json.loads((copied / "weights.json").read_text(encoding="utf-8"))
    (copied / "weights.json").write_text(json.dumps(facts | {"format": 99}), encoding="utf-8")
    with pytest.raises(WeightsError, match="format 99"):
        load_dehazer("dehazenet")


def test_a_graph_that_the_runtime_refuses_is_told(copied: Path) -> None:
    (copied / "aod-net.onnx").write_bytes(b"no graph")
    facts = json.loads((copied / "weights.json").read_text(encoding="utf-8"))
    facts["models"]["aod-net"]["sha256"] = hashlib.sha256(b"no graph").hexdigest()
    (copied / "weights.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"aod-net\.onnx does not load.*pip install"):
        load_dehazer("aod-net")


# What they are for


@pytest.fixture(scope="module")
def photos() -> dict[str, Any]:
    data = pytest.importorskip("skimage.data", reason="the real photos of scikit-image are not installed")
    return {name: getattr(data, name)() for name in ("astronaut", "coffee", "chelsea")}


@pytest.mark.parametrize(("name", "gain"), [("dehazenet", 9.0), ("aod-net", 7.5)])
def test_haze_goes(photos: dict[str, Any], name: str, gain: float) -> None:
    gains = {key: psnr(METHODS[name]()(hazed(clear)), clear) - psnr(hazed(clear), clear) for key, clear in photos.items()}
    assert min(gains.values()) > gain, gains


@pytest.mark.parametrize(("name", "least"), [("dehazenet", 20.5), ("aod-net", 16.0)])
def test_a_clear_photo_survives(photos: dict[str, Any], name: str, least: float) -> None:
    kept = {key: psnr(METHODS[name]()(clear), clear) for key, clear in photos.items()}
    assert min(kept.values()) > least, kept


def test_a_large_photo_is_treated_like_a_small_one(dehazer: Any, photos: dict[str, Any]) -> None:
    hazy = hazed(photos["coffee"][:399, :600])
    large = np.repeat(np.repeat(hazy, 4, 0), 4, 1)
    assert psnr(dehazer(large)[2::4, 2::4], dehazer(hazy)) > 30


def test_the_light_is_that_of_the_haze(photos: dict[str, Any]) -> None:
    facts = json.loads((FOLDER / "weights.json").read_text(encoding="utf-8"))["models"]["dehazenet"]
    for clear in photos.values():
        np.testing.assert_allclose(atmospheric_light(hazed(clear), haziest_pixels(hazed(clear)), *facts["light"]), [225, 228, 230], atol=35)


def test_transmission_falls_with_distance(photos: dict[str, Any]) -> None:
    net = DehazeNet()
    veils: list[Veil] = []
    clear = photos["astronaut"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned, "recover", lambda pixels, veil: (veils.append(veil), pixels)[1])
        net(hazed(clear))
    t = np.concatenate([rows for _, _, rows in veils[0].transmission(hazed(clear))])
    assert np.corrcoef(t.mean(1), np.linspace(0, 1, len(t)))[0, 1] > 0.8


@pytest.mark.parametrize(("name", "least"), [("dehazenet", 21.0), ("aod-net", 20.4)])
def test_pairs_of_reside(shared: Callable[[str], Path], name: str, least: float) -> None:
    folder = shared("eval/sots-indoor")
    found = []
    for file in sorted((folder / "hazy").iterdir())[::5]:
        clear = np.asarray(Image.open(folder / "clear" / f"{file.stem.split('_')[0]}{file.suffix}").convert("RGB"))
        found.append(psnr(METHODS[name]()(np.asarray(Image.open(file).convert("RGB"))), clear))
    assert len(found) == 10
    assert np.mean(found) > least
