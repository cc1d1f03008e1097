"""COCO comes back as human regions: what was exported, what other tools write, and nothing at all of a document that is wrong."""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotate.export import export_photos
from annotate.export_run import AnnotatedPhoto
from annotate.export_shapes import fill
from annotate.import_coco import CocoImport, human_annotation, read_coco
from annotate.import_match import KnownPhoto, PhotoNames
from annotate.masks import decode_mask, encode_mask, mask_box
from annotate.region import Annotation, Region
from preprocess import InputError

SIZES = {"a.jpg": (8, 6), "t/b.jpg": (8, 6), "u/b.jpg": (8, 6), "t/only here.jpg": (8, 6)}


def document(**changes: Any) -> dict[str, Any]:
    """A small document that is right, with an annotation of every kind."""
    common = {"image_id": 7, "category_id": 3}
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 8, "height": 6}, {"id": 9, "file_name": "t/b.jpg", "width": 8, "height": 6}],
        "categories": [{"id": 3, "name": "dog"}, {"id": 90, "name": "a cat, é 🐕"}],
        "annotations": [
            {**common, "id": 1, "bbox": [1, 1, 3, 2], "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]], "iscrowd": 0, "area": 6},
            {**common, "id": 2, "bbox": [2, 0, 1, 6], "segmentation": {"size": [6, 8], "counts": [12, 6, 30]}, "iscrowd": 1},
            {**common, "id": 4, "category_id": 90, "bbox": [0.5, 0, 7, 5.25], "score": 0.5},
            {**common, "id": 5, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2], [5, 3, 8, 3, 8, 6, 5, 6]]},
        ],
        **changes,
    }


KNOWN = [KnownPhoto(path, f"{at:064x}", size) for at, (path, size) in enumerate(SIZES.items())]


def read(value: Any, folder: Path, photos: list[KnownPhoto] = KNOWN) -> CocoImport:
    file = folder / "coco.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return read_coco(file, photos)


def unmade(got: CocoImport) -> dict[str, Annotation]:
    """The annotations without their makers."""
    return {path: replace(annotation, maker="human") for path, annotation in got.annotations.items()}


def test_every_kind_of_annotation(tmp_path: Path) -> None:
    got = read(document(), tmp_path)
    assert set(got.annotations) == {"a.jpg", "t/b.jpg"}
    assert unmade(got)["t/b.jpg"] == Annotation((8, 6), (), "human")
    annotation = got.annotations["a.jpg"]
    assert re.fullmatch("human-[0-9a-f]{12}", annotation.maker)
    assert annotation.size_wh == (8, 6)
    assert {region.source for region in annotation.regions} == {"human"}
    box, two, polygon, crowd = annotation.regions
    assert [region.area for region in annotation.regions] == [7 * 5.25 / 48, 13 / 48, 6 / 48, 6 / 48]  # the largest first
    assert [(region.label, region.confidence) for region in annotation.regions] == [("a cat, é 🐕", 0.5), *[("dog", 1)] * 3]
    assert (polygon.box_xyxy, box.box_xyxy, box.mask) == ((1, 1, 4, 3), (0.5, 0, 7.5, 5.25), None)
    ys, xs = np.mgrid[:6, :8]
    for region, truth in (
        (polygon, (xs >= 1) & (xs < 4) & (ys >= 1) & (ys < 3)),
        (crowd, xs == 2),
        (two, ((xs < 2) & (ys < 2)) | ((xs >= 5) & (ys >= 3))),
    ):
        assert region.mask is not None
        np.testing.assert_array_equal(decode_mask(region.mask), truth)
    assert two.box_xyxy == (0, 0, 8, 6)


def test_photos_are_found_by_path_or_else_by_name(tmp_path: Path) -> None:
    names = ["b.jpg", "./t/b.jpg", "images/train/only here.jpg", "nobody.jpg", "elsewhere\\a.jpg"]
    images = [{"id": at, "file_name": name, "width": 8, "height": 6} for at, name in enumerate(names)]
    got = read(
        document(images=images, annotations=[{"id": at, "image_id": at, "category_id": 3, "bbox": [at, 0, 1, 1]} for at in range(5)]),
        tmp_path,
    )
    assert {path: annotation.regions[0].box_xyxy[0] for path, annotation in got.annotations.items()} == {
        "t/b.jpg": 1, "t/only here.jpg": 2, "a.jpg": 4,
    }  # fmt: skip
    assert got.unmatched == ("nobody.jpg",)
    assert got.ambiguous == {"b.jpg": ("t/b.jpg", "u/b.jpg")}


PLACES = [
    KnownPhoto("photos/2019/a.jpg", "a" * 64, (8, 6), ("2019/a.jpg", "/home/x/photos/2019/a.jpg")),
    KnownPhoto("scans/2019/a.jpg", "b" * 64, (8, 6), ("2019/a.jpg", "/home/x/scans/2019/a.jpg")),
    KnownPhoto("scans/copy of a.jpg", "b" * 64, (8, 6), ("copy of a.jpg", "/home/x/scans/copy of a.jpg")),
    KnownPhoto("photos/scans/2019/a.jpg", "c" * 64, (8, 6), ("scans/2019/a.jpg", "/home/x/photos/scans/2019/a.jpg")),
    KnownPhoto("photos/été/ü 1.png", "d" * 64, (8, 6), ("été/ü 1.png",)),
    KnownPhoto("photos/0a1b2c3d-b.jpg", "e" * 64, (8, 6), ("0a1b2c3d-b.jpg",)),
]


@pytest.mark.parametrize(
    ("file_name", "digest", "fits"),
    [
        ("photos/2019/a.jpg", None, "a"),
        ("2019/a.jpg", None, "ab"),
        ("2019/a.jpg", "b" * 64, "b"),
        ("2019/a.jpg", "f" * 64, "ab"),  # the photo was changed since: its name decides
        ("whatever.png", "a" * 64, "a"),
        ("images/" + "a" * 64 + ".jpg", None, "a"),
        ("scans/2019/a.jpg", None, "b"),  # a photo's own name goes before another's path
        ("/home/x/photos/scans/2019/a.jpg", None, "c"),
        ("C:\\data\\photos\\2019\\a.jpg", None, "a"),
        ("a.jpg", None, "abc"),
        ("upload/copy of a.jpg", None, "b"),
        ("../../photos/2019/a.jpg", None, "a"),
        ("/data/local-files/?d=photos/%C3%A9t%C3%A9/%C3%BC%201.png", None, "d"),
        (unicodedata.normalize("NFD", "été/ü 1.png"), None, "d"),
        ("images/1234abcd-ü 1.png", None, "d"),
        ("images/0a1b2c3d-b.jpg", None, "e"),
        ("images/b.jpg", None, ""),
        ("", None, ""),
        ("a.jpg", 7, "abc"),
        ("%C3%BC%201.png", None, "d"),
    ],
)
def test_a_photo_is_known_by_many_names(file_name: str, digest: Any, fits: str) -> None:
    assert "".join(photo.digest[0] for photo in PhotoNames(PLACES).find([file_name], digest)) == fits


def test_a_second_name_helps(tmp_path: Path) -> None:
    """Label Studio's export of brushes puts the whole name into `path`."""
    images = [{"id": 7, "file_name": "a.jpg", "path": "/data/local-files/?d=scans/2019/a.jpg", "width": 8, "height": 6}]
    assert set(read(document(images=images, annotations=[]), tmp_path, PLACES).annotations) == {"scans/2019/a.jpg"}
    images[0]["path"] = 5
    assert read(document(images=images, annotations=[]), tmp_path, PLACES).ambiguous.keys() == {"a.jpg"}


def test_copies_of_a_photo_are_matched_one_by_one(tmp_path: Path) -> None:
    images = [{"id": at, "file_name": name, "digest": "b" * 64, "width": 8, "height": 6} for at, name in enumerate(["one.jpg", "two.jpg"])]
    got = read(document(images=images, annotations=[]), tmp_path, PLACES)
    assert set(got.annotations) == {"scans/2019/a.jpg", "scans/copy of a.jpg"}


def test_an_image_that_a_tool_never_opened_says_nothing(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.jpg", "width": None, "height": None}, {"id": 9, "file_name": "t/b.jpg"}]
    got = read(document(images=images), tmp_path)
    assert got.unopened == ("t/b.jpg",)
    assert len(got.annotations["a.jpg"].regions) == 4


def test_the_maker_says_what_was_drawn(tmp_path: Path) -> None:
    first, again = (read(document(), tmp_path).annotations["a.jpg"].maker for _ in range(2))
    other = read(changed("annotations", 2, "bbox", to=[0.5, 0, 7, 5])(document()), tmp_path).annotations["a.jpg"].maker
    assert first == again != other


def test_sizes_of_unknown_photos_cost_nothing(tmp_path: Path) -> None:
    huge = {"id": 8, "file_name": "nobody.jpg", "width": 10**9, "height": 10**9}
    mask = {"size": [10**9, 10**9], "counts": [10**18]}
    annotations = [{"id": 1, "image_id": 8, "category_id": 3, "bbox": [0, 0, 1, 1], "segmentation": mask}]
    got = read(document(images=[huge], annotations=annotations), tmp_path)
    assert (got.annotations, got.unmatched) == ({}, ("nobody.jpg",))


def changed(*place: Any, to: Any) -> Callable[[dict[str, Any]], Any]:
    """The document with another value at a place; gone, where it is `...`."""

    def change(value: dict[str, Any]) -> Any:
        inner: Any = value
        for key in place[:-1]:
            inner = inner[key]
        if to is ...:
            del inner[place[-1]]
        else:
            inner[place[-1]] = to
        return value

    return change


ANNOTATION = ("annotations", 0)
RUNS = ("annotations", 1, "segmentation")
HOSTILE = [
    (changed("images", to=...), "list of images"),
    (changed("images", to={"id": 1}), "list of images"),
    (changed("annotations", to=None), "list of annotations"),
    (changed("categories", to="dog"), "list of categories"),
    (changed("images", 0, to=[]), "Image number 1 must be a JSON object"),
    (changed("images", 0, "id", to="7"), "whole number as id"),
    (changed("images", 0, "id", to=True), "whole number as id"),
    (changed("images", 0, "id", to=9), "comes twice"),
    (changed("images", 0, "file_name", to=5), "text as file_name"),
    (changed("images", 0, "file_name", to="\ud800.jpg"), "not valid Unicode"),
    (changed("images", 0, "width", to=...), "whole number as width"),
    (changed("images", 0, "height", to=None), "whole number as height"),
    (changed("images", 0, "width", to=10**9), "1000000000×6, but a.jpg is 8×6"),
    (changed("images", 0, "height", to=-6), "8×-6, but a.jpg is 8×6"),
    (changed("images", 1, "file_name", to="./a.jpg"), "both a.jpg"),
    (changed("categories", 0, "name", to=""), "text as name"),
    (changed("categories", 1, "id", to=3), "comes twice"),
    (changed(*ANNOTATION, "image_id", to=1), "image 1, which is not listed"),
    (changed(*ANNOTATION, "category_id", to=1), "category 1, which is not listed"),
    (changed(*ANNOTATION, "id", to=2), "comes twice"),
    (changed(*ANNOTATION, "bbox", to=[1, 1, 3]), "left, top, width and height"),
    (changed(*ANNOTATION, "bbox", to=0), "left, top, width and height"),
    (changed(*ANNOTATION, "bbox", to=[1, 1, 3, "2"]), "finite numbers"),
    (changed(*ANNOTATION, "bbox", to=[1, 1, 3, float("nan")]), "finite numbers"),
    (changed(*ANNOTATION, "bbox", to=[1, 1, 3, float("inf")]), "finite numbers"),
    (changed(*ANNOTATION, "bbox", to=[1, 1, 3, 10**400]), "finite numbers"),
    (changed(*ANNOTATION, "bbox", to=[1, 1, 3, 0]), "is empty"),
    (changed(*ANNOTATION, "bbox", to=[4, 1, -2, 2]), "is empty"),
    (changed(*ANNOTATION, "bbox", to=[1, 1, 3, 50]), "outside of the photo"),
    (changed(*ANNOTATION, "bbox", to=[-5, 1, 3, 2]), "outside of the photo"),
    (changed(*ANNOTATION, "segmentation", to="mask"), "polygons or runs"),
    (changed(*ANNOTATION, "segmentation", to=[[1, 1, 2, 2]]), "at least 3 corners"),
    (changed(*ANNOTATION, "segmentation", to=[[1, 1, 4, 1, 4, 3, 1]]), "at least 3 corners"),
    (changed(*ANNOTATION, "segmentation", to=[[1, 1, 4, 1, 4, None]]), "finite numbers"),
    (changed(*ANNOTATION, "segmentation", to=[[1, 1, 1e12, 1, 4, 3]]), "outside of the photo"),
    (changed(*ANNOTATION, "segmentation", to=[{"x": 1}]), "at least 3 corners"),
    (changed(*RUNS, "size", to=[8, 6]), "are of size"),
    (changed(*RUNS, "size", to=...), "are of size"),
    (changed(*RUNS, "counts", to=[12, 6, 31]), "do not fill"),
    (changed(*RUNS, "counts", to=[12, -6, 42]), "do not fill"),
    (changed(*RUNS, "counts", to=[48.0]), "do not fill"),
    (changed(*RUNS, "counts", to=[True] * 48), "do not fill"),
    (changed(*RUNS, "counts", to=10**9), "do not fill"),
    (changed(*RUNS, "counts", to=...), "do not fill"),
    (changed(*RUNS, "counts", to="é"), "damaged"),
    (changed(*RUNS, "counts", to=""), "damaged"),
    (changed(*RUNS, "counts", to="o" * 500), "damaged"),
    (changed("annotations", 2, "bbox", to=...), "neither a bbox nor a segmentation"),
    (changed("annotations", 2, "score", to=1.5), "outside"),
    (changed("annotations", 2, "score", to="high"), "finite numbers"),
    (lambda value: [value], "must be a JSON object"),
    (lambda value: "", "no JSON"),
    (lambda value: json.dumps(value)[:-9], "no JSON"),
    (lambda value: "[" * 200_000, "no JSON"),
    (lambda value: '{"images": 1' + "0" * 9_000 + "}", "no JSON"),
]


@pytest.mark.parametrize(("change", "said"), HOSTILE)
def test_what_is_wrong_is_told_and_nothing_comes(change: Callable[[dict[str, Any]], Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as told:
        read(change(copy.deepcopy(document())), tmp_path)
    assert said in str(told.value)
    assert len(str(told.value)) < 500
    assert read(document(), tmp_path).annotations  # it is the change that was refused


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for file in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_coco(file, KNOWN)
    (tmp_path / "latin.json").write_bytes('{"images": "é"}'.encode("latin-1"))
    with pytest.raises(InputError, match="no JSON"):
        read_coco(tmp_path / "latin.json", KNOWN)


@pytest.mark.parametrize(
    ("bbox", "box"),
    [([1, 1, 4, 3], (1, 1, 4, 3)), ([0.25, 1, 4, 2], (1, 1, 4, 3)), ([1, 1, 6, 2], (1, 1, 7, 3)), (None, (1, 1, 4, 3))],
    ids=["a pixel wider", "rounded", "drawn so", "none"],
)
def test_a_box_fits_its_mask_but_where_it_was_drawn_otherwise(bbox: Any, box: Any, tmp_path: Path) -> None:
    got = read(changed("annotations", 0, "bbox", to=bbox)(document()), tmp_path)
    assert box in [region.box_xyxy for region in got.annotations["a.jpg"].regions if region.label == "dog"]


@pytest.mark.parametrize("shape", [[[1, 1, 1, 1, 1, 1]], [[8, 6, 8, 6, 8, 6]], {"size": [6, 8], "counts": [48]}])
def test_what_has_no_pixel_is_left_out_and_counted(shape: Any, tmp_path: Path) -> None:
    got = read(changed("annotations", 0, "segmentation", to=shape)(document()), tmp_path)
    assert (got.empty, len(got.annotations["a.jpg"].regions)) == (1, 3)
    assert read(document(), tmp_path).empty == 0


def test_polygons_are_filled_at_the_border_as_within(tmp_path: Path) -> None:
    """Each polygon as `fill` has it in the whole photo, though only their part of it is looked at."""
    random = np.random.default_rng(7)
    for _ in range(40):
        rings = random.uniform(-0.9, 1, (2, 4, 2)) + random.uniform(0, 1, (2, 1, 2)) * (8, 6)
        annotations = [{"id": 1, "image_id": 7, "category_id": 3, "segmentation": rings.reshape(2, -1).tolist()}]
        regions = read(document(annotations=annotations), tmp_path).annotations["a.jpg"].regions
        truth = np.logical_or.reduce([fill(np.clip(ring, 0, (8, 6)), (6, 8)) for ring in rings])
        assert (decode_mask(regions[0].mask) == truth).all() if regions else not truth.any()  # type: ignore[arg-type]


def test_a_little_over_the_border_is_clipped(tmp_path: Path) -> None:
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [-0.5, 0, 9, 6.25], "segmentation": [[-1, 0, 8.5, 0, 8.5, 6.5, -1, 6.5]]}
    ]
    (region,) = read(document(annotations=annotations), tmp_path).annotations["a.jpg"].regions
    assert region.box_xyxy == (0, 0, 8, 6)
    assert region.mask is not None
    assert decode_mask(region.mask).all()


@st.composite
def photos(draw: st.DrawFn) -> list[AnnotatedPhoto]:
    """Photos of 1×1 to 12×12 pixels with masks of any kind and boxes, labels and names of any text."""
    names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=6).filter(
        lambda x: x not in (".", "..")
    )
    made = []
    for path in draw(st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=3, unique=True)):
        width, height = draw(st.integers(1, 12)), draw(st.integers(1, 12))
        regions = []
        for _ in range(draw(st.integers(0, 3))):
            x1, y1 = draw(st.integers(0, 4 * width - 1)), draw(st.integers(0, 4 * height - 1))
            x2, y2 = draw(st.integers(x1 + 1, 4 * width)), draw(st.integers(y1 + 1, 4 * height))
            pixels = np.array(draw(st.lists(st.booleans(), min_size=width * height, max_size=width * height))).reshape(height, width)
            mask = encode_mask(pixels) if pixels.any() and draw(st.booleans()) else None
            label = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4))
            box = (x1 / 4, y1 / 4, x2 / 4, y2 / 4) if mask is None else mask_box(mask)
            regions.append(Region(box, label, draw(st.floats(0, 1)), mask))  # type: ignore[arg-type]
        made.append(AnnotatedPhoto(path, Annotation((width, height), tuple(regions), "tiny-1")))
    return made


@pytest.mark.parametrize("name", ["coco", "coco-rle"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(made=photos())
def test_what_goes_out_comes_back(name: str, tmp_path: Path, made: list[AnnotatedPhoto]) -> None:
    (tmp_path / "out.json").unlink(missing_ok=True)
    export_photos(name, made, tmp_path / "out.json")
    got = read_coco(tmp_path / "out.json", [KnownPhoto(photo.path, photo.path, photo.annotation.size_wh) for photo in made])
    assert (got.unmatched, got.ambiguous) == ((), {})
    for photo in made:
        human = human_annotation(photo.annotation.size_wh, (replace(region, source="human") for region in photo.annotation.regions))
        assert got.annotations[photo.path] == human


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "size", "counts", "name"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_junk_anywhere_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Any value in any place gives annotations or an InputError, no other error and no warning."""
    value = document()
    part = data.draw(st.sampled_from(["images", "categories", "annotations"]))
    row = data.draw(st.integers(0, len(value[part]) - 1))
    value[part][row][data.draw(st.sampled_from(sorted(value[part][row])))] = data.draw(JUNK)
    try:
        got = read(value, tmp_path)
    except InputError:
        return
    for annotation in got.annotations.values():
        for region in annotation.regions:
            assert 0 <= region.box_xyxy[0] < region.box_xyxy[2] <= 8
            assert region.mask is None or decode_mask(region.mask).shape == (6, 8)


def test_runs_that_pycocotools_wrote(tmp_path: Path) -> None:
    api = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    mask = np.random.default_rng(3).random((6, 8)) < 0.5
    runs = api.encode(np.asfortranarray(mask.astype(np.uint8)))
    segmentation = {"size": runs["size"], "counts": runs["counts"].decode("ascii")}
    annotations = [{"id": 1, "image_id": 7, "category_id": 3, "segmentation": segmentation, "bbox": api.toBbox(runs).tolist()}]
    (region,) = read(document(annotations=annotations), tmp_path).annotations["a.jpg"].regions
    assert region.mask == encode_mask(mask)
