"""Photos with masks in one label set, and random views of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

cv2.setNumThreads(1)

CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "person", "bicyclist", "pet")
SCENE = 11  # the first so many are CamVid's
PERSON, PET = 9, 11
IGNORE = 255
NOT = 100  # NOT + c marks a pixel of which only this is known, that it is not class c
MERGED = {  # what a set's mask values become
    "camvid": dict(enumerate(range(SCENE))),
    "human": {0: NOT + PERSON, 1: PERSON},
    "pets": {1: PET, 2: NOT + PET},
}
PER_BATCH = {"camvid": 6, "human": 1, "pets": 1}
"""The same for every batch, because batch normalisation uses in the end what it saw on average."""
HELD_OUT = 10  # every tenth photo of people and of pets is only for measuring
SOUGHT = {2: 2, 4: 1, 6: 2, 7: 2, 8: 1, 9: 3, 10: 4}
"""How often crops are laid around a pixel of a class, relative to each other. Bicyclists are 0.3% of the pixels, people 0.6%, poles 1.0%."""
SOUGHT_SHARE = 0.6  # of CamVid's crops; the others lie anywhere
FEWEST = 60  # pixels of a class that make a photo one to look for it in
SCALES = {"camvid": (0.55, 2.0), "human": (0.5, 1.6), "pets": (0.5, 1.6)}


@dataclass(frozen=True, slots=True)
class Photo:
    """`pixels` is UInt8["h w 3"], RGB; `truth` UInt8["h w"] of class numbers, NOT + class, or IGNORE."""

    pixels: np.ndarray
    truth: np.ndarray


def read(folder: Path, merged: dict[int, int]) -> list[Photo]:
    """All photos of a set, by name. Raises ValueError for a photo without its mask or with one of another size."""
    table = np.full(256, IGNORE, np.uint8)
    for value, meaning in merged.items():
        table[value] = meaning
    photos = []
    for path in sorted((folder / "images").iterdir()):
        pixels, mask = cv2.imread(str(path)), cv2.imread(str(folder / "masks" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
        if pixels is None or mask is None or pixels.shape[:2] != mask.shape:
            raise ValueError(f"{path} cannot be read, or has no mask of its size in {folder / 'masks'}.")
        photos.append(Photo(np.ascontiguousarray(pixels[..., ::-1]), table[mask]))
    return photos


class Photos:
    """What is learnt from, and what is held out: CamVid's own split, and every tenth photo of the others."""

    def __init__(self, data: Path) -> None:
        root = data / "segmentation"
        self.train, self.held_out = {}, {}
        for name, merged in MERGED.items():
            if name == "camvid":
                self.train[name], self.held_out[name] = read(root / name / "train", merged), read(root / name / "val", merged)
            else:
                every = read(root / name, merged)
                self.held_out[name] = every[::HELD_OUT]
                self.train[name] = [photo for at, photo in enumerate(every) if at % HELD_OUT]
        self.counts = np.stack([np.bincount(p.truth.ravel(), minlength=256)[:SCENE] for p in self.train["camvid"]])

    def weights(self) -> np.ndarray:
        """Float["class"]: the root of median frequency balancing (Eigen and Fergus, 2015), at most 4. The root, because crops around rare
        classes balance too. `pet`, of which CamVid has none, gets 1."""
        shown = np.where(self.counts > 0, self.counts.sum(1, keepdims=True), 0).sum(0)
        frequency = self.counts.sum(0) / shown
        return np.append(np.sqrt(np.median(frequency) / frequency).clip(0.4, 4), 1.0).astype(np.float32)

    def batch(self, side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Float["photo 3 side side"] in [0, 1], and UInt8["photo side side"]; CamVid's first."""
        views = [self.view(name, side, random) for name, count in PER_BATCH.items() for _ in range(count)]
        return np.stack([pixels for pixels, _ in views]), np.stack([truth for _, truth in views])

    def view(self, name: str, side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A crop of a random photo of a set."""
        photos = self.train[name]
        if name != "camvid" or random.random() >= SOUGHT_SHARE:
            return crop(photos[random.integers(len(photos))], side, SCALES[name], None, random)
        share = np.array(list(SOUGHT.values())) / sum(SOUGHT.values())
        sought = random.choice(list(SOUGHT), p=share)
        photo = photos[random.choice(np.flatnonzero(self.counts[:, sought] >= FEWEST))]
        places = np.flatnonzero(photo.truth == sought)
        row, column = divmod(int(places[random.integers(len(places))]), photo.truth.shape[1])
        return crop(photo, side, SCALES[name], (column, row), random)


def crop(
    photo: Photo, side: int, scales: tuple[float, float], around: tuple[int, int] | None, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scaled, turned by a few degrees, mirrored, cut and recoloured; what lies outside the photo is mean grey and ignored.

    With `around`, that pixel (x, y) lies within the crop, towards its middle where the photo reaches.
    """
    height, width = photo.truth.shape
    scale = np.exp(random.uniform(*np.log(scales)))
    aspect = np.exp(random.uniform(-0.15, 0.15) / 2)
    scale_x, scale_y = scale * aspect, scale / aspect
    angle = np.deg2rad(random.uniform(-7, 7)) if random.random() < 0.4 else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror = -1.0 if random.random() < 0.5 else 1.0
    matrix = turn @ np.diag([mirror * scale_x, scale_y])
    slack = np.abs(np.array([width * scale_x - side, height * scale_y - side])) / 2
    middle = np.array([width, height]) / 2
    if around is None:
        target = side / 2 + random.uniform(-1, 1, 2) * slack
    else:
        target = side * random.uniform(0.15, 0.85, 2) + matrix @ (middle - np.array(around))
        target = target.clip(
            side / 2 - slack, side / 2 + slack
        )  # the crop stays within the photo where it fits, else the photo within the crop
    affine = np.column_stack([matrix, target - matrix @ middle])
    pixels = cv2.warpAffine(photo.pixels, affine, (side, side), flags=cv2.INTER_LINEAR, borderValue=(124, 116, 104))
    truth = cv2.warpAffine(photo.truth, affine, (side, side), flags=cv2.INTER_NEAREST, borderValue=IGNORE)
    return recoloured(pixels, random).transpose(2, 0, 1), truth


def recoloured(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Float["h w 3"] in [0, 1]: another light, contrast, saturation and tint; now and then soft or noisy."""
    if random.random() < 0.15:
        pixels = cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.4, 1.3))
    levels = (np.arange(256, dtype=np.float32) / 255) ** np.float32(np.exp(random.uniform(-0.35, 0.35)))
    view = levels[pixels]
    grey = view.mean(2, keepdims=True)
    view = grey + (view - grey) * np.float32(random.uniform(0.5, 1.4))
    middle = np.float32(view.mean())
    view = (view - middle) * np.float32(random.uniform(0.7, 1.3)) + middle
    view = view * random.uniform(0.93, 1.07, 3).astype(np.float32) + np.float32(random.uniform(-0.08, 0.08))
    if random.random() < 0.15:
        view = view + random.standard_normal(view.shape, np.float32) * np.float32(random.uniform(0.01, 0.04))
    return view.clip(0, 1)
