"""What all exporters have in common: nothing is lost, replaced or left half written, and names of every kind pass."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotate.export import EXPORTERS, FORMATS, export_photos, load_exporter
from annotate.export_run import AnnotatedPhoto, ExportOptions
from annotate.masks import encode_mask, resize_mask
from annotate.region import Annotation, Region, Rle
from preprocess import InputError, UnknownName

ODD_LABEL = 'a, "b";\nc <d> & é 🐕'
ODD_PATHS = ["Ferien 2024/Strand, 1.jpg", "été/плаж 🏖.jpg", "été/плаж 🏖.png", "other/плаж 🏖.jpg", "no ending", 'a "b" <c> & d.jpg']


def annotation(*regions: Region, size: tuple[int, int] = (8, 6)) -> Annotation:
    return Annotation(size, regions, "tiny-1")


def block(box: tuple[int, int, int, int], size: tuple[int, int] = (8, 6)) -> Rle:
    mask = np.zeros(size[::-1], np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return encode_mask(mask)


def some(paths: list[str], root: Path | None = None) -> Iterator[AnnotatedPhoto]:
    for at, path in enumerate(paths):
        box = (1, 1, 4, 3 + at % 3)
        regions = (Region(box, "dog", 0.5, block(box)), Region((0, 0, 2.5, 2), "sky", 0.25, source="human"))
        yield AnnotatedPhoto(path, annotation(*regions) if at % 2 == 0 else annotation(), root and root / path)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def whole(destination: Path) -> dict[str, bytes]:
    return everything(destination) if destination.is_dir() else {"": destination.read_bytes()}


@pytest.mark.parametrize("name", EXPORTERS)
class TestEvery:
    def test_counts_and_is_the_same_again(self, name: str, tmp_path: Path) -> None:
        told = export_photos(name, some(["b.jpg", "a.jpg", "c/a.jpg"]), tmp_path / "one")
        assert (told.photos, told.regions, told.left_out, told.labels) == (3, 4, 0, ("dog", "sky"))
        export_photos(name, some(["b.jpg", "a.jpg", "c/a.jpg"]), tmp_path / "two")
        if name != "parquet":
            assert whole(tmp_path / "one") == whole(tmp_path / "two")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]

    def test_never_over_what_is_there(self, name: str, tmp_path: Path) -> None:
        export_photos(name, some(["a.jpg"]), tmp_path / "out")
        before = whole(tmp_path / "out")
        with pytest.raises(InputError, match="--force"):
            export_photos(name, some(["a.jpg", "b.jpg", "c.jpg"]), tmp_path / "out")
        assert whole(tmp_path / "out") == before
        export_photos(name, some(["a.jpg", "b.jpg", "c.jpg"]), tmp_path / "out", ExportOptions(force=True))
        assert whole(tmp_path / "out") != before
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_nothing_is_left_where_the_stream_fails(self, name: str, tmp_path: Path) -> None:
        def broken() -> Iterator[AnnotatedPhoto]:
            yield from some(["a.jpg"])
            raise ValueError("the library closed")

        with pytest.raises(ValueError, match="closed"):
            export_photos(name, broken(), tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_streams(self, name: str, tmp_path: Path) -> None:
        """When a photo is asked for, no earlier one is held any more."""
        import gc
        import weakref

        class Watched(Annotation):
            __slots__ = ("__weakref__",)

            def __init__(self, *told: Any, **named: Any) -> None:
                super().__init__(*told, **named)
                alive[len(made)] = self
                made.append(len(made))

        made: list[int] = []
        alive: weakref.WeakValueDictionary[int, Watched] = weakref.WeakValueDictionary()

        def many() -> Iterator[AnnotatedPhoto]:
            for at in range(40):
                gc.collect(0)
                assert len(alive) <= 4, f"{len(alive)} annotations are held"  # the last one, and its checked copy
                yield AnnotatedPhoto(f"{at}.jpg", Watched((8, 6), (Region((1, 1, 3, 3), "dog"),), "tiny-1"))

        assert export_photos(name, many(), tmp_path / "out").photos == 40
        assert len(made) >= 80

    @pytest.mark.parametrize("path", ["../a.jpg", "/a.jpg", "a//b.jpg", "a/../../b.jpg", "", ".", "a\0b.jpg", "bad\udcff.jpg"])
    def test_refuses_paths_outside_of_the_root(self, name: str, path: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="path"):
            export_photos(name, some([path]), tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_odd_names_and_labels(self, name: str, tmp_path: Path) -> None:
        photos = [AnnotatedPhoto(path, annotation(Region((0, 0, 3, 2), "plain"), Region((1, 1, 4, 3), "é, '🐕'"))) for path in ODD_PATHS]
        told = export_photos(name, photos, tmp_path / "Ziel, 1 🏖")
        assert (told.photos, told.regions) == (6, 12)

    def test_the_smallest_photo_and_none(self, name: str, tmp_path: Path) -> None:
        one = encode_mask(np.ones((1, 1), np.bool_))
        told = export_photos(
            name, [AnnotatedPhoto("a.png", annotation(Region((0, 0, 1, 1), "dot", 1.0, one), size=(1, 1)))], tmp_path / "one"
        )
        assert told.regions == 1
        assert export_photos(name, [], tmp_path / "none").photos == 0
        assert (tmp_path / "none").exists()

    def test_an_empty_mask_is_none(self, name: str, tmp_path: Path) -> None:
        box, nothing = (1, 1, 4, 3), encode_mask(np.zeros((6, 8), np.bool_))
        for out, mask in (("empty", nothing), ("none", None)):
            export_photos(name, [AnnotatedPhoto("a.jpg", annotation(Region(box, "dog", 0.5, mask)))], tmp_path / out)
        assert whole(tmp_path / "empty") == whole(tmp_path / "none")

    def test_boxes_are_clipped(self, name: str, tmp_path: Path) -> None:
        regions = (Region((-3, -1, 4, 900), "dog"), Region((9, 9, 12, 12), "outside"))
        told = export_photos(name, [AnnotatedPhoto("a.jpg", annotation(*regions))], tmp_path / "out")
        assert (told.regions, told.left_out, told.labels) == (1, 1, ("dog",))

    def test_reduced_masks_are_brought_to_the_photos_size(self, name: str, tmp_path: Path) -> None:
        """A mask of half the size, and the box that its own size rounds to: the same export as of the mask and the box of the full size."""
        size, full = (8, 6), block((2, 2, 6, 4))
        for out, mask, box in (("full", full, (2, 2, 6, 4)), ("reduced", resize_mask(full, (3, 4)), (1.5, 1.5, 6.5, 4.5))):
            export_photos(name, [AnnotatedPhoto("a.jpg", annotation(Region(box, "dog", 0.5, mask), size=size))], tmp_path / out)
        if name != "parquet":
            assert whole(tmp_path / "reduced") == whole(tmp_path / "full")

    def test_faults_are_told(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="comes twice"):
            export_photos(name, some(["a.jpg", "a.jpg"]), tmp_path / "out")
        with pytest.raises(InputError, match="not among those given"):
            export_photos(name, some(["a.jpg"]), tmp_path / "out", ExportOptions(labels=("dog",)))
        wrong = AnnotatedPhoto("a.jpg", annotation(Region((0, 0, 2, 2), "dog", 1.0, block((0, 0, 1, 1), (6, 8)))))
        with pytest.raises(InputError, match=r"is 6×8, which is not the shape of its photo of 8×6"):
            export_photos(name, [wrong], tmp_path / "out")
        damaged = AnnotatedPhoto("a.jpg", annotation(Region((0, 0, 2, 2), "dog", 1.0, Rle((6, 8), b"04"))))
        with pytest.raises(InputError, match=r"'dog' of a\.jpg cannot be written.*damaged"):
            export_photos(name, [damaged], tmp_path / "out")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "a file").write_text("mine")
        with pytest.raises(InputError, match=r"is a file"):
            export_photos(name, some(["a.jpg"]), tmp_path / "a file" / "out")

    def test_labels_given_keep_their_numbers(self, name: str, tmp_path: Path) -> None:
        given = ("none", "sky", "dog")
        assert export_photos(name, some(["a.jpg"]), tmp_path / "out", ExportOptions(labels=given)).labels == given


def test_names() -> None:
    assert list(FORMATS) == list(EXPORTERS)
    with pytest.raises(UnknownName, match="Did you mean 'coco'"):
        load_exporter("cocoo")
    with pytest.raises(InputError, match="twice"):
        ExportOptions(labels=("a", "a"))


@pytest.mark.parametrize("name", [name for name in EXPORTERS if load_exporter(name).kind == "file"])
def test_a_file_does_not_replace_a_folder_or_a_link(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder|exists"):
        export_photos(name, some(["a.jpg"]), tmp_path / "folder", ExportOptions(force=True))
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(InputError, match="exists"):
        export_photos(name, some(["a.jpg"]), tmp_path / "link")
    export_photos(name, some(["a.jpg"]), tmp_path / "link", ExportOptions(force=True))
    assert (tmp_path / "target").read_text() == "mine"


@pytest.mark.parametrize("name", [name for name in EXPORTERS if load_exporter(name).kind == "folder"])
def test_an_empty_folder_is_used_and_other_files_stay(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_photos(name, some(["a.jpg"]), tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    export_photos(name, some(["a.jpg", "b.jpg"]), tmp_path / "out", ExportOptions(force=True))
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the system lets this user write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be used"):
        export_photos("coco", some(["a.jpg"]), tmp_path / "locked" / "out.json")


def test_a_read_only_place_is_named_and_not_the_temporary_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Path.mkdir

    def refuse(self: Path, *arguments: Any, **named: Any) -> None:
        if self.name.startswith(".pellucid-"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        make(self, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'out'} cannot be used: {os.strerror(errno.EROFS)}")):
        export_photos("voc", some(["a.jpg"]), tmp_path / "out")


def odd() -> list[AnnotatedPhoto]:
    return [AnnotatedPhoto("a.jpg", annotation(Region((0, 0, 3, 2), ODD_LABEL))), AnnotatedPhoto("b.jpg", annotation())]


def label_in(name: str, out: Path) -> Any:
    if name.startswith("coco"):
        return json.loads(out.read_bytes())["categories"][0]["name"]
    if name == "fiftyone":
        return json.loads((out / "labels.json").read_bytes())["categories"][0]["name"]
    if name == "jsonl":
        return json.loads(out.read_bytes().splitlines()[0])["regions"][0]["label"]
    if name == "csv":
        with out.open(encoding="utf-8", newline="") as stream:
            return next(csv.DictReader(stream))["label"]
    if name == "parquet":
        import pyarrow.parquet as pq

        return pq.read_table(out)["label"][0].as_py()
    if name == "cvat":
        return ET.parse(out).find("image/box").get("label")  # type: ignore[union-attr]
    if name == "label-studio":
        assert ET.parse(out / "labels.xml").find("RectangleLabels/Label").get("value") == ODD_LABEL  # type: ignore[union-attr]
        return json.loads((out / "tasks.json").read_bytes())[0]["predictions"][0]["result"][0]["value"]["rectanglelabels"][0]
    yaml = pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
    return yaml.safe_load((out / "data.yaml").read_bytes())["names"][0]


@pytest.mark.parametrize("name", [name for name in EXPORTERS if name != "voc"])
def test_a_label_comes_back_to_the_letter(name: str, tmp_path: Path) -> None:
    export_photos(name, odd(), tmp_path / "out")
    assert label_in(name, tmp_path / "out") == ODD_LABEL


def test_what_a_format_cannot_hold_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line break"):
        export_photos("voc", odd(), tmp_path / "out")
    control = [AnnotatedPhoto("a.jpg", annotation(Region((0, 0, 3, 2), "bell\x07")))]
    for name in ("voc", "cvat", "label-studio"):
        with pytest.raises(InputError, match="XML"):
            export_photos(name, control, tmp_path / "out")
    mask = block((0, 0, 1, 1))
    many = [AnnotatedPhoto("a.jpg", annotation(*(Region((0, 0, 1, 1), "dot", 1.0, mask) for _ in range(255))))]
    with pytest.raises(InputError, match="255 regions"):
        export_photos("voc", many, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["yolo", "voc"])
def test_stems_that_two_photos_share(name: str, tmp_path: Path) -> None:
    """YOLO and VOC find a photo's file by its stem: the second photo of a stem keeps its ending, wherever it is placed."""
    paths = ["t/a.jpg", "t/a.png", "T/A.jpg", "u/a.jpg", "t/a.png.jpg"]
    for path in paths:
        (tmp_path / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / path).write_text(path)
    told = export_photos(name, some(paths, tmp_path / "root"), tmp_path / "out", ExportOptions(place="copy"))
    assert told.renamed == {"t/a.png": "t/a.png", "T/A.jpg": "T/A.jpg", "t/a.png.jpg": "t/a.png.jpg"}
    labels, images = ("labels", "images") if name == "yolo" else ("Annotations", "JPEGImages")
    stems = {str(file.relative_to(tmp_path / "out" / labels).with_suffix("")) for file in (tmp_path / "out" / labels).rglob("*.*")}
    placed = [file.relative_to(tmp_path / "out" / images) for file in (tmp_path / "out" / images).rglob("*.*")]
    assert {str(file.with_suffix("")) for file in placed} == stems
    assert len(stems) == len(placed) == 5
    assert (tmp_path / "out" / images / "t/a.png.png").read_text() == "t/a.png"


def test_photos_are_linked_or_missed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.jpg").write_text("the photo")
    export_photos("yolo", some(["a.jpg"], tmp_path / "root"), tmp_path / "out", ExportOptions(place="link"))
    assert (tmp_path / "out/images/a.jpg").readlink() == (tmp_path / "root" / "a.jpg").resolve()
    with pytest.raises(InputError, match="There is no photo"):
        export_photos("yolo", some(["b.jpg"], tmp_path / "root"), tmp_path / "other", ExportOptions(place="copy"))
    with pytest.raises(InputError, match=r"There is no photo a\.jpg"):
        export_photos("yolo", some(["a.jpg"]), tmp_path / "other", ExportOptions(place="copy"))
