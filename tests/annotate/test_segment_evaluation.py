from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotate import SegmentMap, evaluate_segmentation, find_labels, find_masked_photos, open_segmenter, read_labels
from annotate.label_sets import data_labels
from annotate.segment_evaluation import confusion_of, merged, overlaps
from preprocess import ImageError, InputError

COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


class Fixed:
    """Says the same of every photo."""

    def __init__(self, labels: tuple[str, ...], classes: Any) -> None:
        self.id, self.labels, self.classes = "fixed", labels, np.asarray(classes, np.uint8)

    def segment(self, pixels: Any) -> SegmentMap:
        assert pixels.shape[:2] == self.classes.shape
        return SegmentMap(self.classes, np.full_like(self.classes, 255))


def write_set(folder: Path, truths: dict[str, Any], names: str = "") -> Path:
    """Black photos with these masks."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name, truth in truths.items():
        mask = np.asarray(truth, np.uint8)
        Image.new("RGB", mask.shape[::-1]).save(folder / "images" / f"{name}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    if names:
        (folder / "labels.txt").write_text(names, encoding="utf-8")
    return folder


def measured(folder: Path, segmenter: Any, labels: str | None = None) -> dict[str, Any]:
    return evaluate_segmentation(find_masked_photos(folder), find_labels(folder, labels), segmenter)


def test_figures_by_hand(tmp_path: Path) -> None:
    """Two rows of 10 pixels: 4 of 6 road right, 2 of them said to be pavement; 10 of pavement right; of 4 unlabelled ones anything may be said."""
    truth = [[0] * 6 + [255] * 4, [1] * 10]
    said = [[0] * 4 + [1] * 2 + [0] * 4, [1] * 10]
    found = measured(write_set(tmp_path, {"a": truth}, "road\npavement\n"), Fixed(("road", "pavement"), said))
    assert found["classes"] == {"road": round(4 / 6, 4), "pavement": round(10 / 12, 4)}
    assert found["miou"] == found["miou_all"] == round((4 / 6 + 10 / 12) / 2, 4)
    assert found["pixel_accuracy"] == round(14 / 16, 4)
    assert found["categories"] == {"flat": 1.0}  # mixed up within it
    assert (found["category_miou"], found["photos"], found["unknown"]) == (1.0, 1, [])


def test_pixels_are_summed_over_photos_before_they_are_divided(tmp_path: Path) -> None:
    found = measured(write_set(tmp_path, {"a": [[0, 0, 1, 1]], "b": [[0, 1, 1, 1]]}, "cat\ndog\n"), Fixed(("cat", "dog"), [[0, 0, 1, 1]]))
    assert found["classes"] == {"cat": round(3 / 4, 4), "dog": round(4 / 5, 4)}
    assert found["categories"] == {}


def test_classes_are_matched_by_name_and_by_other_words(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"a": [[0, 1, 2, 2]]}, "Pedestrian\nside-walk\nbuilding\n")
    with pytest.raises(InputError, match="names none of the set's classes"):
        measured(folder, Fixed(("x", "y"), [[0, 0, 0, 0]]))
    (folder / "labels.txt").write_text("Pedestrian\nsidewalk\nbuilding\n", encoding="utf-8")
    found = measured(folder, Fixed(("pavement", "house", "pet", "person"), [[3, 0, 1, 2]]))
    assert found["classes"] == {"Pedestrian": 1.0, "sidewalk": 1.0, "building": 0.5}  # a pet that is none counts as missed
    assert found["pixel_accuracy"] == 0.75


def test_what_the_segmenter_does_not_know_is_left_out_and_said(tmp_path: Path) -> None:
    """Of four road pixels two are said to be cars: they count against cars, which are right on two."""
    folder = write_set(tmp_path, {"a": [[0, 0, 0, 0, 1, 1]]}, "road\ncar\nsky\n")
    found = measured(folder, Fixed(("car", "other"), [[0, 0, 1, 1, 0, 0]]))
    assert found["unknown"] == ["road", "sky"]
    assert found["classes"] == {"road": 0.0, "car": 0.5, "sky": None}  # there is no sky
    assert (found["miou"], found["miou_all"], found["pixel_accuracy"]) == (0.5, 0.25, 1.0)


def test_ignored_numbers_count_nowhere(tmp_path: Path) -> None:
    truth, said = [[0, 1, 11, 255]], [[0, 1, 1, 1]]
    labels = [*(f"c{number}" for number in range(11)), "unlabelled"]
    folder = write_set(tmp_path, {"a": truth}, "\n".join(labels))
    found = measured(folder, Fixed(tuple(labels[:11]), said))
    assert (found["pixel_accuracy"], found["miou"]) == (1.0, 1.0)
    assert found["classes"]["c1"] == 1.0
    assert measured(folder, Fixed(("sky", "building"), said), "camvid")["miou"] == 1.0


def test_class_numbers_need_not_follow_each_other(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"a": [[7, 7, 254, 254]]})
    (folder / "labels.json").write_text(
        '{"labels": [{"id": 254, "name": "dog", "parent": "pet"}, {"id": 7, "name": "cat", "parent": "pet"}]}', encoding="utf-8"
    )
    found = measured(folder, Fixed(("dog", "cat"), [[1, 0, 0, 0]]))
    assert found["classes"] == {"cat": 0.5, "dog": round(2 / 3, 4)}
    assert found["categories"] == {"pet": 1.0}


def test_a_real_segmenter_is_measured(tmp_path: Path, write_segmenter: Callable[..., Path]) -> None:
    folder = write_set(tmp_path / "set", {}, "red\ngreen\nblue\n")
    (folder / "images" / "deep").mkdir()
    (folder / "masks" / "deep").mkdir()
    for at, (name, colour) in enumerate(COLOURS.items()):
        Image.new("RGB", (30, 20), colour).save(folder / "images" / "deep" / f"{name}.jpg")
        mask = Image.new("P", (30, 20), at)
        mask.putpalette([value for shown in COLOURS.values() for value in shown])  # as tools do, so that people see something
        mask.save(folder / "masks" / "deep" / f"{name}.png")
    moves: list[tuple[int, int]] = []
    found = evaluate_segmentation(
        find_masked_photos(folder), find_labels(folder), open_segmenter(write_segmenter(tmp_path / "colours")), None,
        lambda done, total: moves.append((done, total)),
    )  # fmt: skip
    assert found["classes"] == dict.fromkeys(COLOURS, 1.0)
    assert moves == [(1, 3), (2, 3), (3, 3)]
    assert found["segmenter"].startswith("colours-")


def test_confusion_counts_every_pixel_once() -> None:
    random = np.random.default_rng(0)
    truth, answer = random.integers(0, 5, (40, 50)).astype(np.uint8), random.integers(0, 7, (40, 50)).astype(np.uint8)
    truth[truth == 4] = 255
    found = confusion_of(truth, answer, 4)
    assert found.shape == (4, 5)
    for true in range(4):
        for said in range(4):
            assert found[true, said] == ((truth == true) & (answer == said)).sum()
        assert found[true, 4] == ((truth == true) & (answer >= 4)).sum()
    for at, value in enumerate(overlaps(found)):
        either = ((truth == at) | (answer == at)) & (truth != 255)
        assert value == pytest.approx(((truth == at) & (answer == at)).sum() / either.sum())
    groups = np.array([0, 1, 0, 1])
    both = merged(found, groups)
    assert both.sum() == found.sum()
    assert both[0, 1] == sum(found[true, said] for true in (0, 2) for said in (1, 3))


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no masks": (lambda folder: (folder / "masks").rename(folder / "other"), "There is no folder .*masks"),
    "no photos": (lambda folder: [file.unlink() for file in (folder / "images").iterdir()], "There are no photos"),
    "a photo without a mask": (lambda folder: (folder / "masks" / "b.png").unlink(), r"1 photos have no mask in .*: b\.png"),
    "a mask without a photo": (lambda folder: (folder / "images" / "b.png").unlink(), r"1 masks have no photo in .*: b\.png"),
    "two photos of one mask": (lambda folder: Image.new("RGB", (4, 1)).save(folder / "images" / "a.jpg"), "share a mask: a.png"),
    "no labels": (lambda folder: (folder / "labels.txt").unlink(), r"What do the numbers in .*labels\.txt.*or one of voc, camvid"),
    "colours": (lambda folder: Image.new("RGB", (4, 1)).save(folder / "masks" / "a.png"), "mode RGB, not one byte a pixel"),
    "another size": (lambda folder: Image.new("L", (3, 1)).save(folder / "masks" / "a.png"), "has 3×1 pixels; .* has 4×1"),
    "another number": (lambda folder: Image.new("L", (4, 1), 9).save(folder / "masks" / "a.png"), r"holds the number 9.*0 \(cat\), 1 \(dog\)"),
    "damaged": (lambda folder: (folder / "masks" / "a.png").write_bytes(b"x"), "cannot be read as a PNG"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_set_that_is_not_whole_is_refused(tmp_path: Path, case: str) -> None:
    folder = write_set(tmp_path, {"a": [[0, 0, 1, 1]], "b": [[0, 1, 1, 1]]}, "cat\ndog\n")
    segmenter = Fixed(("cat", "dog"), [[0, 0, 1, 1]])
    assert measured(folder, segmenter)["photos"] == 2
    change, said = REFUSED[case]
    change(folder)
    with pytest.raises(InputError, match=said):
        measured(folder, segmenter)


def test_a_photo_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"a": [[0, 1]]}, "cat\ndog\n")
    (folder / "images" / "a.png").write_bytes(b"no photo")
    with pytest.raises(ImageError, match=r"a\.png"):
        measured(folder, Fixed(("cat", "dog"), [[0, 1]]))


def test_hidden_files_are_no_photos(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"a": [[0, 1]]}, "cat\ndog\n")
    (folder / "images" / "._a.png").write_bytes(b"of macOS")
    (folder / "masks" / "._a.png").write_bytes(b"of macOS")
    assert len(find_masked_photos(folder)) == 1


def test_more_masks_than_a_byte_can_tell_are_not_read() -> None:
    assert len(data_labels([f"c{number}" for number in range(255)]).labels) == 255
    with pytest.raises(InputError, match="256 labels"):
        data_labels([f"c{number}" for number in range(256)])


def test_camvid_is_measured_with_its_own_numbers(shared: Callable[[str], Path]) -> None:
    """With the truth itself as the answer every figure is 1, and the categories are those of Cityscapes."""
    pairs = find_masked_photos(shared("segmentation/camvid/val"))[:3]
    masks = iter([np.asarray(Image.open(pair.mask)) for pair in pairs])

    class Truth(Fixed):
        def segment(self, pixels: Any) -> SegmentMap:
            truth = next(masks)
            return SegmentMap(truth, np.full_like(truth, 255))

    found = evaluate_segmentation(pairs, read_labels("camvid"), Truth((*read_labels("camvid").names[:11], "pet"), [[0]]))
    assert (found["miou"], found["category_miou"], found["pixel_accuracy"]) == (1.0, 1.0, 1.0)
    assert set(found["categories"]) == {"sky", "construction", "object", "flat", "nature", "vehicle", "human"}
