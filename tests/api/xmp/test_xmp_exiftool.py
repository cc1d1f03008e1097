"""What exiftool reads back of what was written, where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotate import Annotation, Region
from indexer import build
from search import Library, Store

A, B, BEACH = "one/a.png", "one/b.jpg", "one/été/плаж 1.png"


def with_regions(place: Any, name: str, size_wh: tuple[int, int] = (48, 32)) -> None:
    library = Library(place.folder / "library")
    box = (0.0, 0.0, size_wh[0] / 2, size_wh[1] / 4)
    with library.locked("test"):
        Store(library).regions.put({place.digest(name): Annotation(size_wh, (Region(box, "dog", 0.9),), "tiny-1")})


def exiftool(file: Path, *arguments: str) -> Any:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool (libimage-exiftool-perl) is not installed")
    done = subprocess.run(["exiftool", "-j", "-struct", "-n", *arguments, str(file)], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)[0]


def test_exiftool_reads_back_what_was_written(place: Any) -> None:
    (place.folder / "one/été/плаж 1.xmp").write_text(place.lightroom)
    place.tag(**{BEACH: ["dog", "beach"]})
    with_regions(place, BEACH)
    told = place.json("write", "--regions", "--prefix", "auto|")
    assert (told["areas"], told["left_out"]) == (1, {})
    read = exiftool(place.folder / "one/été/плаж 1.xmp")
    assert set(read["Subject"]) == {"Rome", "dog", "beach"}
    paths = [path.split("|") for path in read["HierarchicalSubject"]]
    assert {path[0] for path in paths} == {"auto"}
    assert {path[-1] for path in paths} == {"dog", "beach"}
    assert read["RegionInfo"]["AppliedToDimensions"] == {"W": 48, "H": 32, "Unit": "pixel"}
    (region,) = read["RegionInfo"]["RegionList"]
    assert (region["Name"], region["Type"]) == ("dog", "Pet")
    area = region["Area"]
    assert (area["X"], area["Y"], area["W"], area["H"]) == (0.25, 0.125, 0.5, 0.25)
    place.json("retract", told["run"][:-2])
    assert (place.folder / "one/été/плаж 1.xmp").read_text() == place.lightroom


def test_regions_are_shares_of_the_stored_photo(place: Any, encoder: Any) -> None:
    wanted = {1: (0.25, 0.125, 0.5, 0.25), 3: (0.75, 0.875, 0.5, 0.25), 6: (0.125, 0.75, 0.25, 0.5), 8: (0.875, 0.25, 0.25, 0.5)}
    for orientation in wanted:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.full((32, 48, 3), 20 * orientation, np.uint8)).save(place.folder / f"one/{orientation}.jpg", exif=exif)
    build(Library(place.folder / "library"), [], encoder)
    for orientation in wanted:  # its top left: half as wide, a quarter as high
        with_regions(place, f"one/{orientation}.jpg", (48, 32) if orientation < 5 else (32, 48))
    place.json("write", "--regions")
    for orientation, numbers in wanted.items():
        read = exiftool(place.folder / f"one/{orientation}.xmp")
        assert read["RegionInfo"]["AppliedToDimensions"] == {"W": 48, "H": 32, "Unit": "pixel"}
        area = read["RegionInfo"]["RegionList"][0]["Area"]
        assert (area["X"], area["Y"], area["W"], area["H"]) == numbers
