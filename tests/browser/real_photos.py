"""A small library of real photos, for the page's tests and pictures: with dates, cameras and places, one hazy, one twice, one with a small cat in it."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from indexer import BuildOptions, build
from preprocess import add_haze
from search import Library, Store, TagOptions, TagRequest, load_encoder, load_tagger, load_vocabulary, run_tagging

SIDE = 480
PACKAGES = {"skimage": "data", "sklearn": "datasets/images"}
SMALL_CAT = "small cat.jpg"
CAT_BOX = (440, 290, 605, 400)
"""Where the cat lies in the photo of that name: x1, y1, x2, y2 in pixels."""
HAZY = "temple in haze.jpg"


class Taken(NamedTuple):
    """What a camera would have written into a photo."""

    day: str
    camera: str
    place: tuple[float, float] | None = None


PHOTOS = {
    "astronaut.png": Taken("2019:05:04", "Nikon D750", (29.559, -95.093)),
    "chelsea.png": Taken("2021:08:14", "Canon EOS 5D"),
    "coffee.png": Taken("2021:08:15", "Canon EOS 5D", (45.438, 10.993)),
    "rocket.jpg": Taken("2019:05:06", "Nikon D750", (28.608, -80.604)),
    "motorcycle_left.png": Taken("2020:03:01", "Canon EOS 5D", (43.724, 11.154)),
    "moon.png": Taken("2020:03:02", "Nikon D750"),
    "camera.png": Taken("2020:03:03", "Nikon D750"),
    "grass.png": Taken("2021:06:01", "Canon EOS 5D"),
    "china.jpg": Taken("2022:10:09", "Canon EOS 5D", (39.999, 116.275)),
    "flower.jpg": Taken("2022:04:20", "Canon EOS 5D", (40.004, 116.289)),
}
COUNT = len(PHOTOS) + 3


def source_of(name: str) -> Path | None:
    """The file of that name that scikit-image or scikit-learn carries; none where it is not installed."""
    for package, folder in PACKAGES.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None and (file := Path(spec.origin).parent / folder / name).is_file():
            return file
    return None


def gather(folder: Path) -> None:
    """Write the photos there, so small that they are indexed in a second."""
    folder.mkdir(parents=True)
    for name, taken in PHOTOS.items():
        source = source_of(name)
        if source is None:
            raise FileNotFoundError(f"{name} is in neither scikit-image nor scikit-learn: pip install 'pellucid[demo]'")
        with Image.open(source) as opened:
            photo = opened.convert("RGB")
        photo.thumbnail((SIDE, SIDE))
        photo.save(folder / f"{Path(name).stem}.jpg", quality=90, exif=exif_of(taken))
    with Image.open(str(source_of("china.jpg"))) as clear:
        Image.fromarray(add_haze(np.asarray(clear), 0.35, "china")).save(folder / HAZY, quality=98, exif=exif_of(PHOTOS["china.jpg"]))
    with Image.open(str(source_of("china.jpg"))) as scene, Image.open(folder / "chelsea.jpg") as cat:
        x1, y1, x2, y2 = CAT_BOX
        scene.paste(cat.resize((x2 - x1, y2 - y1), Image.Resampling.LANCZOS), (x1, y1))
        scene.save(folder / SMALL_CAT, quality=92, exif=exif_of(Taken("2022:10:10", "Canon EOS 5D")))
    shutil.copyfile(folder / "chelsea.jpg", folder / "chelsea again.jpg")


def exif_of(taken: Taken) -> Image.Exif:
    """As cameras write it."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = taken.camera.split(" ", 1)
    exif.get_ifd(0x8769)[0x9003] = f"{taken.day} 12:00:00"
    if taken.place is not None:
        places = exif.get_ifd(0x8825)
        for number, (value, names) in enumerate(zip(taken.place, ("NS", "EW"), strict=True)):
            places[1 + 2 * number], places[2 + 2 * number] = names[value < 0], _degrees(abs(value))
    return exif


def _degrees(value: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    return IFDRational(int(value), 1), IFDRational(int(value * 60) % 60, 1), IFDRational(round(value * 3_600_000) % 60_000, 1_000)


def fill(folder: Path, photos: Path) -> Library:
    """Index the photos with their regions, and tag them."""
    library, encoder = Library(folder, create=True), load_encoder()
    build(library, [photos], encoder, BuildOptions(regions="builtin+proposals"))
    with library.locked("tag"):
        run_tagging(Store(library), load_tagger(encoder, load_vocabulary("photo")), TagRequest("photo", "builtin"), TagOptions())
    return library
