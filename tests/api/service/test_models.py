"""Pictures that are sent in: labels, scores, regions, and copies without haze."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from annotate import encode_mask
from api.service.held_models import MOST_LABELS, HeldModels
from api.service.model_work import likely
from api.service.outlines import outlines
from preprocess import add_haze


def _picture(colour: tuple[int, int, int] = (220, 30, 30), kind: str = "PNG", size: tuple[int, int] = (96, 64), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind, **options)
    return buffer.getvalue()


def _sent(data: bytes, name: str = "a.png") -> dict[str, Any]:
    return {"picture": (name, data)}


def _hazy() -> np.ndarray[Any, Any]:
    """A photo that ships with scikit-image, in fog."""
    import skimage

    photo = Image.open(Path(skimage.__file__).parent / "data" / "coffee.png").convert("RGB").resize((300, 200))
    pixels = np.asarray(photo)
    return np.asarray(add_haze(pixels, 0.35, "coffee"), np.uint8)


def test_labels_come_likeliest_first_and_sum_to_one(client: TestClient) -> None:
    answer = client.post("/v1/tags:zero-shot", files=_sent(_picture()), data={"labels": ["blue", "red", "  green "], "templates": "plain"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["labels"][0]["label"] == "red"
    assert {each["label"] for each in told["labels"]} == {"red", "blue", "green"}
    assert sum(each["probability"] for each in told["labels"]) == pytest.approx(1, abs=1e-6)
    assert (told["encoder"], told["probabilities"], told["asked"]) == ("mean-colour", "softmax", 3)
    assert told["labels"][0]["similarity"] == pytest.approx(1, abs=1e-2)


def test_a_vocabulary_that_ships_gives_its_likeliest_words(bare_client: TestClient) -> None:
    answer = bare_client.post(
        "/v1/tags:zero-shot", files=_sent(_picture()), data={"vocabulary": "weather", "templates": "plain", "most": 3}
    )
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["labels"]) == 3
    assert answer.json()["asked"] > 50


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({}, 400, "either labels or a vocabulary"),
        ({"labels": "red", "vocabulary": "photo"}, 400, "either labels or a vocabulary"),
        ({"vocabulary": "/etc/passwd"}, 400, "No vocabulary named"),
        ({"vocabulary": "phot"}, 400, "Did you mean 'photo'"),
        ({"labels": "red", "templates": "nonsense"}, 400, "ensemble of templates"),
        ({"labels": [f"word {at}" for at in range(MOST_LABELS + 1)]}, 422, "labels"),
        ({"labels": [f"word {at}" for at in range(200)], "templates": "clip-80"}, 400, "templates=one"),
        ({"labels": "x" * 201}, 422, "labels"),
        ({"labels": ""}, 422, "labels"),
        ({"labels": "red", "most": "0"}, 422, "most"),
    ],
)
def test_labels_that_cannot_be_asked_for(client: TestClient, form: dict[str, Any], status: int, said: str) -> None:
    answer = client.post("/v1/tags:zero-shot", files=_sent(_picture()), data=form)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]


def test_a_sigmoid_says_of_each_label_alone_and_nothing_overflows() -> None:
    similar = np.array([0.9, -0.9, 0.1])
    assert likely(similar, 1e4, None).tolist() == [1, 0, 0]
    each = likely(similar, 100, -10)
    assert each[2] == pytest.approx(0.5)
    assert each[0] == pytest.approx(1)
    assert likely(similar, 1e4, -1e3).tolist() == [1, 0, 0.5]


def test_scores_are_in_bounds_and_measures_are_of_the_picture(client: TestClient) -> None:
    dark, bright = (client.post("/v1/score", files=_sent(_picture(colour))).json() for colour in ((5, 5, 5), (250, 250, 250)))
    assert dark["measures"]["brightness"] < 0.1 < 0.9 < bright["measures"]["brightness"]
    assert {"quality", "aesthetic", "rating"} <= set(dark["scores"])
    assert all(0 <= value <= 1 for value in dark["scores"].values())
    assert "beauty" in dark["note"]
    assert dark["mode"] == "fast"


def test_the_mode_of_the_paper_says_what_it_lacks(client: TestClient) -> None:
    answer = client.post("/v1/score?mode=paper", files=_sent(_picture()))
    assert answer.status_code == 400
    assert "models iqa" in answer.json()["detail"]
    assert client.post("/v1/score?mode=other", files=_sent(_picture())).status_code == 422


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp"), ("TIFF", "image/tiff"), ("BMP", "image/png")],
)
def test_a_dehazed_picture_keeps_its_format_exif_and_profile(client: TestClient, kind: str, media_type: str) -> None:
    from PIL import ImageCms

    exif = Image.Exif()
    exif[0x010F] = "Lumen"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    Image.fromarray(_hazy()).save(buffer, kind, **({} if kind == "BMP" else {"exif": exif, "icc_profile": profile}))
    answer = client.post("/v1/dehaze?method=dark-channel", files=_sent(buffer.getvalue(), "wrong name.gif"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-pellucid-method"] == "dark-channel-1"
    assert 0 <= float(answer.headers["x-pellucid-haze"]) <= 1
    made = Image.open(io.BytesIO(answer.content))
    assert made.size == (300, 200)
    assert np.asarray(made.convert("L")).std() > 1.2 * _hazy().mean(2).std()
    if kind != "BMP":
        assert made.getexif()[0x010F] == "Lumen"
        assert made.info["icc_profile"] == profile


def test_a_sideways_picture_comes_back_upright(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = client.post("/v1/dehaze?method=dark-channel", files=_sent(_picture(kind="JPEG", size=(80, 40), exif=exif)))
    made = Image.open(io.BytesIO(answer.content))
    assert made.size == (40, 80)
    assert made.getexif().get(0x0112, 1) == 1


def test_a_clear_picture_comes_back_byte_for_byte(client: TestClient, skimage_photos: Path) -> None:
    data = (skimage_photos / "coffee.png").read_bytes()
    for query in ("", "?method=dark-channel&only_hazy=true"):
        answer = client.post(f"/v1/dehaze{query}", files=_sent(data))
        assert answer.content == data, query
        assert answer.headers["x-pellucid-method"] == "none"
        assert answer.headers["x-pellucid-reason"] == "clear"
    gif = _picture(kind="GIF")
    answer = client.post("/v1/dehaze", files=_sent(gif))
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (96, 64)


def test_unknown_methods_and_presets_name_the_known_ones(client: TestClient) -> None:
    assert "dark-channel" in client.post("/v1/dehaze?method=dark", files=_sent(_picture())).json()["detail"]
    answer = client.post("/v1/dehaze?preset=odd", files=_sent(_picture()))
    assert (answer.status_code, "default" in answer.json()["detail"]) == (400, True)


def test_regions_lie_in_the_picture_with_their_outlines(client: TestClient, skimage_photos: Path) -> None:
    data = (skimage_photos / "chelsea.png").read_bytes()
    answer = client.post("/v1/segment", files=_sent(data))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["width"], told["height"]) == Image.open(io.BytesIO(data)).size
    assert told["regions"]
    for region in told["regions"]:
        x1, y1, x2, y2 = region["box_xyxy"]
        assert 0 <= x1 < x2 <= told["width"]
        assert 0 <= y1 < y2 <= told["height"]
        xs, ys = ([value for line in region["polygons"] for value in line[at::2]] for at in (0, 1))
        assert min(xs) >= x1 - 3
        assert max(xs) <= x2 + 3
        assert min(ys) >= y1 - 3
        assert max(ys) <= y2 + 3


def test_regions_are_drawn_for_who_takes_a_picture(client: TestClient, skimage_photos: Path) -> None:
    data = (skimage_photos / "chelsea.png").read_bytes()
    answer = client.post("/v1/segment", files=_sent(data), headers={"accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    drawn, plain = (
        np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")),
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB")),
    )
    assert drawn.shape == plain.shape
    assert (drawn != plain).any()


@pytest.mark.parametrize("segmenter", ["none", "nobody", "../../etc", "builtin+none", "builtin+builtin"])
def test_a_segmenter_that_is_none(client: TestClient, segmenter: str) -> None:
    answer = client.post("/v1/segment", params={"segmenter": segmenter}, files=_sent(_picture()))
    assert answer.status_code == 400
    assert "segmenter" in answer.json()["detail"] or "maker" in answer.json()["detail"]


def test_outlines_have_holes_and_are_scaled_to_the_photo() -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[5:35, 10:50] = True
    mask[15:25, 20:30] = False
    lines = outlines(encode_mask(mask), (600, 400))
    assert sorted(sorted({(x, y) for x, y in zip(line[::2], line[1::2], strict=True)}) for line in lines) == [
        [(100.0, 50.0), (100.0, 350.0), (500.0, 50.0), (500.0, 350.0)],
        [(200.0, 150.0), (200.0, 250.0), (300.0, 150.0), (300.0, 250.0)],
    ]
    single = np.zeros((4, 4), np.bool_)
    single[1, 1] = True
    (line,) = outlines(encode_mask(single), (4, 4))
    assert sorted(zip(line[::2], line[1::2], strict=True)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert outlines(None, (4, 4)) == []


def test_a_model_is_loaded_once_by_however_many_at_once() -> None:
    models, loads, gate = HeldModels(SimpleNamespace()), [], threading.Barrier(8)  # type: ignore[arg-type]

    def load() -> object:
        loads.append(1)
        return object()

    def ask(_: int) -> object:
        gate.wait()
        return models.held("key", load)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert len(loads) == 1
    assert len(set(map(id, found))) == 1


def test_a_load_that_fails_is_tried_again() -> None:
    models = HeldModels(SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        models.held("key", lambda: 1 // 0)
    assert models.held("key", lambda: 5) == 5


def test_pictures_of_many_callers_at_once_get_their_own_answers(
    make_settings: Callable[..., Any], connect: Callable[..., TestClient]
) -> None:
    client = connect(make_settings(serve_workers=4, serve_queue=100))
    colours = {"red": (220, 30, 30), "green": (30, 190, 40), "blue": (30, 50, 220), "yellow": (240, 220, 40), "black": (8, 8, 8)}
    names = list(colours) * 4

    def ask(name: str) -> str:
        told = client.post("/v1/tags:zero-shot", files=_sent(_picture(colours[name])), data={"labels": list(colours), "templates": "plain"})
        return str(told.json()["labels"][0]["label"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, names)) == names
