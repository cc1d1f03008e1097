"""Regions on real photos: the segmenter that ships, street scenes indexed and searched by their parts, and exports that pycocotools reads."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from annotate import SegmenterOptions, evaluate_segmentation, find_labels, find_masked_photos, load_region_maker, load_segmenter
from indexer import BuildOptions, build
from preprocess import read_image
from search import Library, Query, Term, load_encoder, search


def test_the_built_in_segmenter_keeps_its_floors(shared: Callable[[str], Path]) -> None:
    """As its card says, with a point to spare for other processors."""
    folder = shared("segmentation/camvid/val")
    segmenter = load_segmenter("builtin", SegmenterOptions(threads=1))
    found = evaluate_segmentation(find_masked_photos(folder)[::4], find_labels(folder, "camvid"), segmenter)
    assert found["unknown"] == []
    assert found["miou"] > 0.60
    assert found["category_miou"] > 0.70
    assert found["classes"]["road"] > 0.9
    assert all(value > 0.1 for value in found["classes"].values())


def test_people_and_a_cat_are_found(skimage_photos: Path) -> None:
    maker = load_region_maker("builtin")
    assert maker is not None
    for name, label in (("astronaut.png", "person"), ("chelsea.png", "pet")):
        photo = read_image(skimage_photos / name)
        largest = maker(photo.pixels, (photo.width, photo.height)).regions[0]
        assert (largest.label, largest.confidence > 0.7) == (label, True)


@pytest.fixture(scope="module")
def streets(shared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 17 street scenes and 25 photos with captions, with regions."""
    place = tmp_path_factory.mktemp("streets")
    for name, every in (("segmentation/camvid/val/images", 6), ("eval/retrieval-coco", 10)):
        folder = place / Path(name).name
        folder.mkdir()
        for file in sorted(shared(name).glob("*.jpg"))[::every]:
            (folder / file.name).write_bytes(file.read_bytes())
    report = build(
        Library(place / "library", create=True),
        [place / "images", place / "retrieval-coco"],
        load_encoder(),
        BuildOptions(regions="builtin"),
    )
    assert (report.failed, report.annotated, report.found) == ({}, 42, 42)
    return place / "library"


def test_streets_are_found_by_their_parts(streets: Path) -> None:
    encoder = load_encoder()

    def ask(where: str, within: str | None = None) -> list[str]:
        return [hit.root.rsplit("/", 1)[-1] for hit in search(Library(streets), Query((Term("a street"),), 50, where, within), encoder)]

    assert set(ask("region.label = 'road' and region.area > 0.15 and region.confidence > 0.9")) == {"images"}
    assert ask("count(region.label = 'car') >= 2 and count(region.label = 'building') >= 1").count("images") >= 8
    assert len(ask("above('sky', 'road')")) >= 10
    assert ask("left_of('building', 'building') and right_of('building', 'building')", "regions")
    hits = search(Library(streets), Query((Term("a car"),), 5, "region.label = 'car'", "regions"), encoder)
    assert hits
    assert {hit.region and hit.region.label for hit in hits} == {"car"}


def test_a_crop_finds_its_region(streets: Path, tmp_path: Path) -> None:
    from PIL import Image

    encoder = load_encoder()
    (hit, *_) = search(Library(streets), Query((Term("a car"),), 1, "region.label = 'car' and region.area > 0.01", "regions"), encoder)
    assert hit.region is not None
    left, top, right, bottom = (int(value) for value in hit.region.box_xyxy)
    Image.fromarray(np.ascontiguousarray(read_image(Path(hit.file)).pixels[top:bottom, left:right])).save(tmp_path / "crop.png")
    (found, *_) = search(Library(streets), Query((Term(str(tmp_path / "crop.png"), kind="file"),), 3, None, "regions"), encoder)
    assert found.path == hit.path
    assert found.region == hit.region or (found.region is not None and found.region.similarity > 0.8)


def test_an_export_of_streets_is_read_by_pycocotools_without_a_warning(streets: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    out = tmp_path / "regions.json"
    command = [sys.executable, "-m", "api.cli", "export", "coco-rle", str(out), "--library", str(streets), "--json"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["photos"] == 42
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # pycocotools' own, whatever it decodes
        read = coco.COCO(str(out))
        areas = [(annotation["area"], int(read.annToMask(annotation).sum())) for annotation in read.loadAnns(read.getAnnIds())]
    assert len(areas) > 300
    assert all(told == counted for told, counted in areas)
