"""Each format read back by a reader that is not ours, or by the format's own description."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import warnings
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotate.export import EXPORTERS, export_photos
from annotate.export_label_studio import brush_runs
from annotate.export_run import AnnotatedPhoto, ExportOptions, PhotoFacts
from annotate.export_shapes import as_one_ring, exact_ring, fill
from annotate.export_voc import voc_palette
from annotate.masks import decode_mask, encode_mask, resize_mask
from annotate.polygons import polygons_of
from annotate.region import Annotation, Region
from preprocess import InputError

# pycocotools 2.0.11 itself, of any mask that it decodes, with numpy 2: not of what it reads.
quiet_decode = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")

SIZE = (40, 30)
PATHS = ("été/плаж 1.png", "b.png", "c.png")


def shapes() -> dict[str, Any]:
    """Masks (height, width) of every kind."""
    ys, xs = np.mgrid[: SIZE[1], : SIZE[0]]
    disk = (xs - 14) ** 2 + (ys - 13) ** 2 < 90
    ring = disk & ~((xs - 14) ** 2 + (ys - 13) ** 2 < 20)
    return {
        "block": (xs >= 5) & (xs < 17) & (ys >= 3) & (ys < 9),
        "disk": disk,
        "ring": ring,
        "two": disk | ((xs > 30) & (ys > 20)),
        "corner": ((xs < 3) & (ys < 3)) | ((xs >= 3) & (xs < 6) & (ys >= 3) & (ys < 6)),
        "all": np.ones(SIZE[::-1], np.bool_),
        "pixel": (xs == 39) & (ys == 29),
        "noise": np.random.default_rng(5).random(SIZE[::-1]) < 0.4,
    }


def of_mask(label: str, mask: Any, confidence: float = 0.75) -> Region:
    ys, xs = np.nonzero(mask)
    box = (float(xs.min()), float(ys.min()), float(xs.max()) + 1, float(ys.max()) + 1)
    return Region(box, label, confidence, encode_mask(mask))


def sample(masks: bool = True, labels: tuple[str, ...] = tuple(shapes()), root: Path | None = None) -> list[AnnotatedPhoto]:
    chosen = shapes()
    first = tuple(of_mask(label, chosen[label]) for label in labels) if masks else ()
    boxes = (Region((2.5, 3, 10, 12.25), "block", 0.5), Region((0, 0, 40, 30), "a dog, black", 0.125, source="human"))
    regions = (first if masks else boxes, (), boxes)
    return [
        AnnotatedPhoto(path, Annotation(SIZE, found, "tiny-1"), root and root / path) for path, found in zip(PATHS, regions, strict=True)
    ]


def root(folder: Path) -> Path:
    for path in PATHS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, (9, 99, 199)).save(folder / path)
    return folder


@pytest.fixture(scope="module")
def supervision() -> Any:
    return pytest.importorskip("supervision", reason="supervision is not installed")


@quiet_decode
@pytest.mark.parametrize("name", ["coco", "coco-rle", "fiftyone"])
def test_pycocotools_reads_the_same_masks(name: str, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    told = export_photos(name, sample(), tmp_path / "out")
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        warnings.simplefilter("error")
        read = coco.COCO(str(tmp_path / "out" / "labels.json" if name == "fiftyone" else tmp_path / "out"))
    assert "warn" not in said.getvalue().lower()
    assert [image["file_name"] for image in read.loadImgs(read.getImgIds())] == list(PATHS)
    assert {read.cats[at]["name"] for at in read.getCatIds()} == set(told.labels)
    masked = read.loadAnns(read.getAnnIds(imgIds=1))
    for row, (label, mask) in zip(masked, shapes().items(), strict=True):
        assert read.cats[row["category_id"]]["name"] == label
        np.testing.assert_array_equal(read.annToMask(row), mask, err_msg=label)
        assert row["area"] == mask.sum()
        assert isinstance(row["segmentation"], list) == (name == "coco" and label in ("block", "disk", "all", "pixel")), label
    assert read.getAnnIds(imgIds=2) == []
    boxes = read.loadAnns(read.getAnnIds(imgIds=3))
    assert [row["bbox"] for row in boxes] == [[2.5, 3, 7.5, 9.25], [0, 0, 40, 30]]
    assert [row["id"] for row in read.loadAnns(read.getAnnIds())] == list(range(1, 11))


@quiet_decode
def test_pycocotools_evaluates_against_itself(tmp_path: Path) -> None:
    """As truth and as results, the export finds itself wholly: average precision 1."""
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    from pycocotools.cocoeval import COCOeval

    export_photos("coco-rle", sample(labels=("disk", "ring", "two")), tmp_path / "out.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(tmp_path / "out.json"))
        rows = truth.loadAnns(truth.getAnnIds(imgIds=1))
        found = truth.loadRes([{key: row[key] for key in ("image_id", "category_id", "segmentation", "score")} for row in rows])
        evaluation = COCOeval(truth, found, "segm")
        evaluation.params.imgIds = [1]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


@pytest.mark.parametrize("name", ["coco", "coco-rle"])
def test_supervision_reads_coco(name: str, supervision: Any, tmp_path: Path) -> None:
    export_photos(name, sample(labels=("block", "ring", "two")), tmp_path / "out.json")
    read = supervision.DetectionDataset.from_coco(str(root(tmp_path / "photos")), str(tmp_path / "out.json"))
    by_name = {Path(path).name: found for path, found in read.annotations.items()}
    first = by_name[Path(PATHS[0]).name]
    assert [read.classes[at] for at in first.class_id] == ["block", "ring", "two"]
    for mask, label in zip(first.mask, ("block", "ring", "two"), strict=True):
        if (
            name == "coco-rle" or label != "block"
        ):  # supervision draws the border of polygons as well, and so one pixel more at right and bottom
            np.testing.assert_array_equal(mask, shapes()[label])
    assert len(by_name["b.png"]) == 0
    np.testing.assert_allclose(by_name["c.png"].xyxy, [[2.5, 3, 10, 12.25], [0, 0, 40, 30]])


def test_supervision_reads_yolo_boxes(supervision: Any, tmp_path: Path) -> None:
    options = ExportOptions(place="copy", labels=("block", "a dog, black"))
    told = export_photos("yolo", sample(masks=False, root=root(tmp_path / "photos")), tmp_path / "out", options)
    out = tmp_path / "out"
    for folder in (".", "été"):
        read = supervision.DetectionDataset.from_yolo(str(out / "images" / folder), str(out / "labels" / folder), str(out / "data.yaml"))
        assert tuple(read.classes) == told.labels
        by_name = {Path(path).name: found for path, found in read.annotations.items()}
        boxed = by_name["c.png" if folder == "." else "плаж 1.png"]
        np.testing.assert_allclose(boxed.xyxy, [[2.5, 3, 10, 12.25], [0, 0, 40, 30]], atol=1e-4)
        assert boxed.class_id.tolist() == [0, 1]
    assert (out / "labels" / "b.txt").read_text() == ""
    assert (out / "classes.txt").read_text() == "block\na dog, black\n"


def test_supervision_reads_yolo_segments(supervision: Any, tmp_path: Path) -> None:
    options = ExportOptions(place="copy")
    export_photos(
        "yolo-segments", sample(labels=("block", "disk", "all", "noise"), root=root(tmp_path / "photos")), tmp_path / "out", options
    )
    out = tmp_path / "out"
    read = supervision.DetectionDataset.from_yolo(str(out / "images/été"), str(out / "labels/été"), str(out / "data.yaml"))
    found = next(iter(read.annotations.values()))
    assert [read.classes[at] for at in found.class_id] == ["block", "disk", "all", "noise"]
    for mask, label in zip(found.mask[:3], ("block", "disk", "all"), strict=True):
        truth = shapes()[label]
        assert mask[truth].all(), label  # the border is drawn on top of what is inside
        assert not (mask & ~np.pad(truth, 1)[:-2, :-2] & ~np.pad(truth, 1)[:-2, 1:-1] & ~np.pad(truth, 1)[1:-1, :-2] & ~truth).any()


def test_data_yaml_holds_any_label(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    odd = [chr(code) for code in (*range(0x180), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xE000, 0x1F415)]
    labels = [f"{character}a{character}" for character in odd] + ["yes", "null", "1.0", "~", "- a", "a: b", "'", '"', "\\n", " "]
    photo = AnnotatedPhoto("a.jpg", Annotation(SIZE, tuple(Region((0, 0, 1, 1), label) for label in labels), "tiny-1"))
    export_photos("yolo", [photo], tmp_path / "out")
    assert list(yaml.safe_load((tmp_path / "out/data.yaml").read_bytes())["names"].values()) == labels
    assert len((tmp_path / "out/classes.txt").read_text(encoding="utf-8").split("\n")) == len(labels) + 1


@pytest.mark.parametrize("label", shapes())
def test_one_ring_encloses_what_the_mask_has(label: str) -> None:
    """Counted by another library: pixels whose middle lies inside the one ring that YOLO gets, bridges and all."""
    measure = pytest.importorskip("skimage.measure", reason="scikit-image is not installed")
    mask = shapes()[label]
    ring = as_one_ring(polygons_of(encode_mask(mask)))
    inside = measure.grid_points_in_poly(SIZE[::-1], ring[:, ::-1] - (0.5 + 1e-7, 0.5 + 2e-7))
    np.testing.assert_array_equal(inside, mask)


@quiet_decode
def test_polygons_are_filled_as_coco_fills_them() -> None:
    """Our filling against COCO's mask API, pixel by pixel, on 300 random polygons, some of them crossing themselves and the photo's border."""
    api = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    random = np.random.default_rng(11)
    for at in range(300):
        width, height = (int(side) for side in random.integers(1, 50, 2))
        corners = random.uniform(0, 1, (int(random.integers(3, 12)), 2)) * (width, height)
        if at % 3 == 0:
            corners = corners.round()
        rle = api.merge(api.frPyObjects([corners.ravel().tolist()], height, width))
        np.testing.assert_array_equal(fill(corners, (height, width)), api.decode(rle).astype(bool), err_msg=str(corners))


def test_one_ring_is_filled_to_the_same_pixels() -> None:
    """Masks of one part without holes, enlarged or not, at the photo's border or not: 60 of 400 random ones at least."""
    random = np.random.default_rng(2)
    rings = 0
    for _ in range(400):
        mask = random.random(tuple(random.integers(1, 8, 2))) < random.choice([0.3, 0.8, 0.95])
        rle = resize_mask(encode_mask(mask), (mask.shape[0] * int(random.integers(1, 4)) + 1, mask.shape[1] * int(random.integers(1, 4))))
        ring = exact_ring(rle)
        if ring is not None:
            rings += 1
            np.testing.assert_array_equal(fill(ring.astype(np.float64), rle.size_hw), decode_mask(rle))
    assert rings > 60


def test_supervision_reads_voc(supervision: Any, tmp_path: Path) -> None:
    options = ExportOptions(place="copy")
    export_photos("voc", sample(masks=False, root=root(tmp_path / "photos")), tmp_path / "out", options)
    out = tmp_path / "out"
    read = supervision.DetectionDataset.from_pascal_voc(str(out / "JPEGImages/été"), str(out / "Annotations/été"))
    found = next(iter(read.annotations.values()))
    np.testing.assert_allclose(found.xyxy, [[2, 3, 10, 13], [0, 0, 40, 30]])  # whole pixels that hold the box
    assert [read.classes[at] for at in found.class_id] == ["block", "a dog, black"]
    assert ET.parse(out / "Annotations/b.xml").findall("object") == []
    assert (out / "ImageSets/Main/default.txt").read_text(encoding="utf-8").splitlines() == ["été/плаж 1", "b", "c"]
    assert (out / "ImageSets/Segmentation/default.txt").read_text() == ""


def test_voc_masks_are_indexed_pictures(tmp_path: Path) -> None:
    told = export_photos("voc", sample(labels=("two", "ring", "pixel")), tmp_path / "out")
    chosen = shapes()
    objects = np.zeros(SIZE[::-1], np.uint8)
    for value, label in ((1, "two"), (2, "ring"), (3, "pixel")):  # from the largest to the smallest
        objects[chosen[label]] = value
    for part, values in (("SegmentationObject", objects), ("SegmentationClass", objects)):
        with Image.open(tmp_path / "out" / part / "été/плаж 1.png") as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.asarray(picture), values)
            assert bytes(picture.getpalette() or [])[:12] == voc_palette()[:12]
    assert (tmp_path / "out/labels.txt").read_text().splitlines() == ["background", *told.labels]
    listed = [line.split(":")[:2] for line in (tmp_path / "out/labelmap.txt").read_text().splitlines()[1:]]
    assert listed[:4] == [["background", "0,0,0"], ["two", "128,0,0"], ["ring", "0,128,0"], ["pixel", "128,128,0"]]
    root = ET.parse(tmp_path / "out/Annotations/été/плаж 1.xml").getroot()
    assert [root.findtext(name) for name in ("folder", "filename", "segmented", "size/width")] == ["été", "плаж 1.png", "1", "40"]


CONTROL, BREAK, LONG = "bell\x07.jpg", "two\nlines.jpg", f"{'x' * 251}.jpg"  # a second photo of LONG's stem would have a file of 259 bytes
ODD_NAMES = {"voc": {CONTROL, BREAK, LONG}, "cvat": {CONTROL}, "yolo": {LONG}, "yolo-segments": {LONG}}


@pytest.mark.parametrize("name", EXPORTERS)
def test_photos_whose_names_a_format_cannot_hold_are_left_out(name: str, tmp_path: Path) -> None:
    (first, *_), paths = sample(masks=False), ["a.jpg", CONTROL, "b.jpg", BREAK, LONG.replace(".jpg", ".png"), LONG, "not text \udcff.jpg"]
    odd = ODD_NAMES.get(name, set()) | {"not text \\udcff.jpg"}
    told = export_photos(name, [replace(first, path=path) for path in paths], tmp_path / "out")
    assert set(told.photos_left_out) == odd
    assert all("Rename it" in reason for reason in told.photos_left_out.values())
    assert told.photos == len(paths) - len(odd)
    assert told.regions == told.photos * len(first.annotation.regions)
    if name == "cvat":
        assert [image.get("name") for image in ET.parse(tmp_path / "out").findall("image")] == [
            path for path in paths[:-1] if path not in odd
        ]
    if name == "voc":
        listed = (tmp_path / "out/ImageSets/Main/default.txt").read_text().splitlines()
        assert listed == ["a", "b", LONG.removesuffix(".jpg")]
        assert sorted(file.stem for file in (tmp_path / "out/Annotations").iterdir()) == listed
    with pytest.raises(InputError, match="No photo has a name"):
        export_photos(name, [replace(first, path=paths[-1])], tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("given", [False, True])
def test_labels_that_the_label_map_of_voc_cannot_hold(given: bool, tmp_path: Path) -> None:
    """A name ends at a colon, a line that starts with # is a comment, and "background" is there already: all files have the names that can be told apart."""
    labels = ["car: red", "#1", "car_ red", "background", " dog", "C#"]
    photos = [AnnotatedPhoto("a.png", Annotation(SIZE, tuple(Region((0, 0, 4, 4), label) for label in labels), "tiny-1"))]
    told = export_photos("voc", photos, tmp_path / "out", ExportOptions(labels=tuple(labels) if given else None))
    plain, mapped = (
        ("car_ red-2", "car_ red") if given else ("car_ red", "car_ red-2")
    )  # known before, a label that needs no change has none
    names = [plain, "_1", mapped, "background-2", "dog", "C#"]
    lines = (tmp_path / "out/labelmap.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith("#")] == ["background", *names]
    assert {line.count(":") for line in lines} == {3}
    assert (tmp_path / "out/labels.txt").read_text(encoding="utf-8").splitlines() == ["background", *names]
    assert [node.text for node in ET.parse(tmp_path / "out/Annotations/a.xml").findall("object/name")] == names
    assert told.labels == tuple(labels)
    assert told.relabelled == {label: name for label, name in zip(labels, names, strict=True) if label != name}


def test_the_palette_of_voc() -> None:
    """The colours that the development kit documents for its first classes, the twentieth, and "void"."""
    colours = [tuple(voc_palette()[3 * at : 3 * at + 3]) for at in (0, 1, 2, 3, 15, 20, 255)]
    assert colours == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (192, 128, 128), (0, 64, 128), (224, 224, 192)]


def cvat_mask(element: ET.Element) -> Any:
    """As CVAT reads it: runs row by row in the mask's box, the first one outside."""
    left, top, width, height = (int(element.get(name, "")) for name in ("left", "top", "width", "height"))
    runs = [int(run) for run in element.get("rle", "").split(",")]
    assert sum(runs) == width * height
    mask = np.zeros(SIZE[::-1], np.bool_)
    mask[top : top + height, left : left + width] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return mask


def test_cvat(tmp_path: Path) -> None:
    export_photos("cvat", sample(), tmp_path / "out.xml")
    root = ET.parse(tmp_path / "out.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/size") == "3"
    images = root.findall("image")
    assert [(image.get("id"), image.get("name"), image.get("width"), image.get("height")) for image in images] == [
        (str(at), path, "40", "30") for at, path in enumerate(PATHS)
    ]
    named = {name.text for name in root.findall("meta/task/labels/label/name")}
    assert {shape.get("label") for image in images for shape in image} == named == {*shapes(), "a dog, black"}
    for shape, (label, mask) in zip(images[0], shapes().items(), strict=True):
        assert (shape.get("label"), shape.get("source"), shape.get("occluded"), shape.get("z_order")) == (label, "auto", "0", "0")
        if shape.tag == "polygon":
            corners = np.array([point.split(",") for point in shape.get("points", "").split(";")], np.float64)
            np.testing.assert_array_equal(fill(corners, SIZE[::-1]), mask)
        else:
            np.testing.assert_array_equal(cvat_mask(shape), mask)
    assert [shape.tag for shape in images[0]] == ["polygon", "polygon", "mask", "mask", "mask", "polygon", "polygon", "mask"]
    assert len(images[1]) == 0
    box = images[2][0]
    assert (box.tag, [box.get(side) for side in ("xtl", "ytl", "xbr", "ybr")]) == ("box", ["2.5", "3", "10", "12.25"])
    assert [shape.get("source") for shape in images[2]] == ["auto", "manual"]


def test_label_studio(tmp_path: Path) -> None:
    export_photos("label-studio", sample(), tmp_path / "out")
    tasks = json.loads((tmp_path / "out/tasks.json").read_bytes())
    config = ET.parse(tmp_path / "out/labels.xml").getroot()
    names = {tag.get("name"): tag.tag.lower() for tag in config if tag.tag != "Image"}
    assert [task["data"]["path"] for task in tasks] == list(PATHS)
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=%C3%A9t%C3%A9/%D0%BF%D0%BB%D0%B0%D0%B6%201.png"
    assert tasks[1]["annotations"] == tasks[1]["predictions"] == []
    results = [row for task in tasks for made in ("predictions", "annotations") for group in task[made] for row in group["result"]]
    for row in results:
        assert names[row["from_name"]] == row["type"]
        assert (row["original_width"], row["original_height"], row["image_rotation"]) == (*SIZE, 0)
        (label,) = row["value"][row["type"]]
        assert config.find(f"BrushLabels/Label[@value='{label}']") is not None
    assert [row["type"] for row in results[:3]] == ["polygonlabels", "polygonlabels", "brushlabels"]
    assert sorted(map(tuple, results[0]["value"]["points"])) == [(12.5, 10), (12.5, 30), (42.5, 10), (42.5, 30)]
    (found,), (drawn,) = tasks[2]["predictions"][0]["result"], tasks[2]["annotations"][0]["result"]
    assert [found["value"][side] for side in ("x", "y", "width", "height")] == pytest.approx([6.25, 10, 18.75, 925 / 30])
    assert (found["score"], drawn["value"]["width"], drawn.get("score")) == (0.5, 100, None)
    assert tasks[2]["predictions"][0]["model_version"] == "tiny-1"


@pytest.mark.parametrize("label", shapes())
def test_label_studios_own_reader_reads_the_brush(label: str) -> None:
    package = importlib.util.find_spec("label_studio_sdk")
    if package is None or not package.submodule_search_locations:
        pytest.skip("label-studio-sdk is not installed")
    file = Path(package.submodule_search_locations[0]) / "converter" / "brush.py"
    spec = importlib.util.spec_from_file_location("brush", file)  # alone: the package around it wants much more
    assert spec is not None
    assert spec.loader is not None
    brush = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(brush)
    mask = shapes()[label]
    values = brush.decode_rle(brush_runs(mask)).reshape(*mask.shape, 4)
    np.testing.assert_array_equal(values, np.repeat(255 * mask[..., None].astype(np.uint8), 4, 2))


def test_long_runs_of_a_brush() -> None:
    """600×300 pixels are 720,000 values, eleven runs of at most 65,536."""
    packed = brush_runs(np.ones((300, 600), np.bool_))
    bits = "".join(f"{byte:08b}" for byte in packed)
    at, total = 53, 0
    while total < 720_000:
        assert bits[at : at + 3] == "111"
        total += int(bits[at + 3 : at + 19], 2) + 1
        assert bits[at + 19 : at + 27] == "1" * 8
        at += 27
    assert total == int(bits[:32], 2) == 720_000
    assert len(bits) - at < 8


def test_tables_agree(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    for name in ("csv", "jsonl", "parquet"):
        export_photos(name, sample(), tmp_path / name)
    with (tmp_path / "csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    table = pq.read_table(tmp_path / "parquet").to_pylist()
    lines = [json.loads(line) for line in (tmp_path / "jsonl").read_text(encoding="utf-8").splitlines()]
    assert [{key: "" if value is None else value for key, value in row.items()} for row in table] == [
        {key: type(old)(row[key]) if (old := table[at][key]) is not None else row[key] for key in row} for at, row in enumerate(rows)
    ]
    flat = [(line["path"], region) for line in lines for region in line["regions"] or [None]]
    assert len(flat) == len(table) == 11
    for (path, region), row in zip(flat, table, strict=True):
        assert (path, SIZE, "tiny-1") == (row["path"], (row["width"], row["height"]), row["maker"])
        if region is None:
            assert path == "b.png"
            assert {row[key] for key in ("region", "label", "confidence", "source", "left", "area", "mask_counts")} == {None}
        else:
            assert region["box_xyxy"] == [row[side] for side in ("left", "top", "right", "bottom")]
            for key in ("label", "confidence", "source", "area", "pixels", "colour", "haze_depth"):
                assert region[key] == row[key]
            assert (region["mask"] or {}).get("counts") == row["mask_counts"]
    noise = next(row for row in table if row["label"] == "noise")
    assert shapes()["noise"].sum() == noise["pixels"] == pytest.approx(noise["area"] * SIZE[0] * SIZE[1])


def test_tables_say_what_is_known(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    region = Region((0, 0, 4, 3), "sky", 0.5, area=0.25, colour=(1, 32, 255), haze_depth=0.75)
    facts = PhotoFacts("/photos", "ab" * 32, "2024-05-01T12:00:00", "Maker X", 47.5, -8.25, "dog; été", 0.5)
    photos = [AnnotatedPhoto("a.jpg", Annotation(SIZE, (region,), "tiny-1"), facts=facts)]
    for name in ("parquet", "csv", "jsonl"):
        export_photos(name, photos, tmp_path / name)
    (row,) = pq.read_table(tmp_path / "parquet").to_pylist()
    assert {key: row[key] for key in asdict(facts)} == asdict(facts)
    assert (row["area"], row["pixels"], row["colour"], row["haze_depth"]) == (0.25, 12, "#0120ff", 0.75)
    line = json.loads((tmp_path / "jsonl").read_bytes())
    assert {key: line[key] for key in asdict(facts)} == asdict(facts)
    with (tmp_path / "csv").open(encoding="utf-8", newline="") as stream:
        (told,) = csv.DictReader(stream)
    assert told == {key: "" if value is None else str(value) for key, value in row.items()} | {
        side: told[side] for side in ("left", "top", "right", "bottom", "pixels")
    }


def test_coco_knows_the_photo_again(tmp_path: Path) -> None:
    facts = PhotoFacts(digest="ab" * 32, taken_at="2024-05-01T12:00:00")
    export_photos("coco", [AnnotatedPhoto("a.jpg", Annotation(SIZE, (), "tiny-1"), facts=facts)], tmp_path / "out")
    (image,) = json.loads((tmp_path / "out").read_bytes())["images"]
    assert (image["digest"], image["date_captured"]) == (facts.digest, facts.taken_at)


def test_label_studio_is_served_from_a_folder(tmp_path: Path) -> None:
    photo = AnnotatedPhoto("b/a.jpg", Annotation(SIZE, (), "tiny-1"), tmp_path / "photos" / "a.jpg")
    export_photos("label-studio", [photo], tmp_path / "out", ExportOptions(served=tmp_path))
    assert json.loads((tmp_path / "out/tasks.json").read_bytes())[0]["data"]["image"] == "/data/local-files/?d=photos/a.jpg"
    with pytest.raises(InputError, match="does not lie in"):
        export_photos("label-studio", [photo], tmp_path / "other", ExportOptions(served=tmp_path / "elsewhere"))


def test_many_rows_of_parquet(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    photos = (AnnotatedPhoto(f"{at}.jpg", Annotation(SIZE, (Region((0, 0, 1, 1), "dot"),) * 9, "tiny-1")) for at in range(2500))
    export_photos("parquet", photos, tmp_path / "out")
    file = pq.ParquetFile(tmp_path / "out")
    assert file.metadata.num_rows == 22_500
    assert file.metadata.num_row_groups == 3
    assert file.read(["path"])["path"][-1].as_py() == "2499.jpg"


def test_fiftyone_finds_the_photos(tmp_path: Path) -> None:
    """As FiftyOne's importer looks for them: `data/` by path under it, or `data.json`, a map from names to places."""
    photos = root(tmp_path / "photos")
    export_photos("fiftyone", sample(root=photos), tmp_path / "listed")
    places = json.loads((tmp_path / "listed/data.json").read_bytes())
    assert {name: Path(place).read_bytes() for name, place in places.items()} == {path: (photos / path).read_bytes() for path in PATHS}
    export_photos("fiftyone", sample(root=photos), tmp_path / "placed", ExportOptions(place="copy"))
    for path in PATHS:
        assert (tmp_path / "placed/data" / path).read_bytes() == (photos / path).read_bytes()
    assert (tmp_path / "placed/labels.json").read_bytes() == (tmp_path / "listed/labels.json").read_bytes()
    export_photos("fiftyone", sample(), tmp_path / "bare")
    assert [file.name for file in (tmp_path / "bare").iterdir()] == ["labels.json"]
