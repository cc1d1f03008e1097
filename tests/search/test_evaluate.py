from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from preprocess import ImageVanished, InputError
from search import Encoder, evaluate_retrieval, evaluate_zeroshot


class Constant:
    """Says the same about everything."""

    def __init__(self, encoder: Encoder) -> None:
        self.recipe, self.side, self.batch_size, self.prepare = encoder.recipe, encoder.side, encoder.batch_size, encoder.prepare

    def encode_images(self, prepared: Any) -> Any:
        return np.tile(np.eye(1, self.recipe.dim, dtype=np.float32), (len(prepared), 1))

    encode_texts = encode_images


@pytest.fixture
def captioned(photos: Path) -> Path:
    """Ten colours; those of two photos are swapped, so that exactly these are found second or later."""
    names = sorted(file.stem for file in photos.iterdir())
    said = {**{name: name for name in names}, "red": "green", "green": "red"}
    lines = [json.dumps({"image": f"{name}.png", "captions": [f"a {said[name]} photo", f"{said[name]} all over"]}) for name in names]
    (photos / "captions.jsonl").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return photos


def test_recalls_on_a_known_set(captioned: Path, encoder: Encoder) -> None:
    figures = evaluate_retrieval(captioned, encoder)
    assert (figures["photos"], figures["captions"], figures["recipe"]) == (10, 20, encoder.recipe.id)
    assert figures["text_to_image"]["recall_at_1"] == 0.8
    assert figures["image_to_text"]["recall_at_1"] == 0.8
    assert figures["text_to_image"]["recall_at_10"] == 1.0
    assert all(
        figures[way]["recall_at_1"] <= figures[way]["recall_at_5"] <= figures[way]["recall_at_10"]
        for way in ("text_to_image", "image_to_text")
    )


def test_a_constant_encoder_gets_no_recall(captioned: Path, encoder: Encoder) -> None:
    figures = evaluate_retrieval(captioned, Constant(encoder))
    for way in ("text_to_image", "image_to_text"):
        assert figures[way]["recall_at_1"] == 0.0
        assert figures[way]["recall_at_5"] == 0.0


def test_a_photo_counts_its_best_caption(photos: Path, encoder: Encoder) -> None:
    lines = [{"image": "red.png", "captions": ["blue", "red", "green"]}, {"image": "black.png", "captions": ["black"]}]
    (photos / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert evaluate_retrieval(photos, encoder)["image_to_text"]["recall_at_1"] == 1.0


WRONG_CAPTIONS = [
    (None, r"captions\.jsonl is missing"),
    ("", "no photos"),
    ("not json", "has a line that is not"),
    ('{"image": "red.png"}', "has a line that is not"),
    ('["red.png"]', "has a line that is not"),
    ('{"image": "red.png", "captions": []}', "a photo without captions"),
    ('{"image": "red.png", "captions": null}', "has a line that is not"),
]


@pytest.mark.parametrize(("content", "message"), WRONG_CAPTIONS)
def test_wrong_captions_are_explained(content: str | None, message: str, photos: Path, encoder: Encoder) -> None:
    if content is not None:
        (photos / "captions.jsonl").write_text(content)
    with pytest.raises(InputError, match=message):
        evaluate_retrieval(photos, encoder)


def test_captions_of_a_missing_photo_name_it(photos: Path, encoder: Encoder) -> None:
    (photos / "captions.jsonl").write_text('{"image": "none.png", "captions": ["x"]}')
    with pytest.raises(ImageVanished, match=r"none\.png"):
        evaluate_retrieval(photos, encoder)


def as_folders(photos: Path, out: Path) -> Path:
    for name in ("red", "green", "blue", "yellow", "black", "white"):
        (out / name).mkdir(parents=True)
        (out / name / "1.png").write_bytes((photos / f"{name}.png").read_bytes())
    (out / "red" / "2.png").write_bytes((photos / "blue.png").read_bytes())  # wrong on purpose
    (out / "red" / "notes.txt").write_text("not a photo")
    return out


def as_names(photos: Path, out: Path) -> Path:
    out.mkdir()
    for at, name in enumerate(("red", "green", "blue", "yellow", "black", "white")):
        (out / f"n0000000{at}_{name}.png").write_bytes((photos / f"{name}.png").read_bytes())
    Image.open(photos / "blue.png").save(out / "n00000009_red.webp")
    return out


def as_parquet(photos: Path, out: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet

    out.mkdir()
    names = ["red", "green", "blue", "yellow", "black", "white"]
    images = [(photos / f"{name}.png").read_bytes() for name in [*names, "blue"]]
    pyarrow.parquet.write_table(pa.table({"image": images, "label": [*names, "red"]}), out / "photos.parquet")
    (out / "labels.txt").write_text("\n".join(names) + "\n")
    return out


@pytest.mark.parametrize("layout", [as_folders, as_names, as_parquet])
def test_zeroshot_on_a_known_set(layout: Any, photos: Path, encoder: Encoder, tmp_path: Path) -> None:
    figures = evaluate_zeroshot(layout(photos, tmp_path / "set"), encoder)
    assert (figures["photos"], figures["classes"]) == (7, 6)
    assert figures["top_1"] == pytest.approx(6 / 7)
    assert figures["top_5"] >= figures["top_1"]
    nothing = evaluate_zeroshot(tmp_path / "set", Constant(encoder))
    assert nothing["top_1"] == nothing["top_5"] == 0.0


def test_underscores_of_a_class_are_spaces(photos: Path, encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "set" / "bright_red").mkdir(parents=True)
    (tmp_path / "set" / "blue").mkdir()
    (tmp_path / "set" / "bright_red" / "1.png").write_bytes((photos / "red.png").read_bytes())
    (tmp_path / "set" / "blue" / "1.png").write_bytes((photos / "blue.png").read_bytes())
    assert evaluate_zeroshot(tmp_path / "set", encoder)["top_1"] == 1.0


def test_a_folder_of_nothing_known_is_refused(photos: Path, encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        evaluate_zeroshot(tmp_path / "none", encoder)
    with pytest.raises(InputError, match="no sub-folders of photos"):
        evaluate_zeroshot(photos, encoder)


def test_a_label_that_is_not_listed_is_named(photos: Path, encoder: Encoder, tmp_path: Path) -> None:
    folder = as_parquet(photos, tmp_path / "set")
    (folder / "labels.txt").write_text("green\nblue\nyellow\nblack\nwhite\n")
    with pytest.raises(InputError, match=r"lacks the label 'red'"):
        evaluate_zeroshot(folder, encoder)


def test_more_photos_than_one_batch(encoder: Encoder, tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        (tmp_path / "set" / colour).mkdir(parents=True)
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
        for at in range(150):
            (tmp_path / "set" / colour / f"{at}.png").write_bytes(buffer.getvalue())
    assert evaluate_zeroshot(tmp_path / "set", encoder)["top_1"] == 1.0


def test_captions_that_are_no_list_are_refused(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "captions.jsonl").write_text('{"image": "a.png", "captions": "a red photo"}\n')
    with pytest.raises(InputError, match="not a list"):
        evaluate_retrieval(tmp_path, encoder)
