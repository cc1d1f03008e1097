"""A tiny real encoder, small real photos, and libraries of both."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from preprocess import squash
from search import ENCODERS, Encoder, Library, Recipe, Store, normalize

SHARED = (Path(__file__).parents[1].parent / "shared").resolve() / "data"  # the library keeps real names, without links

COLOURS = {
    "red": (220, 30, 30), "green": (30, 190, 40), "blue": (30, 50, 220), "yellow": (240, 220, 40), "cyan": (40, 210, 220),
    "magenta": (210, 40, 200), "orange": (245, 140, 20), "black": (8, 8, 8), "white": (248, 248, 248), "grey": (128, 128, 128),
}  # fmt: skip


class MeanColour:
    """Photos by the mean colours of a 4x4 grid, words by the colours they name: small, exact, and right about colours."""

    batch_size = 4
    side = 16
    grid = 4

    def __init__(self, name: str = "mean-colour", precision: str = "fp32") -> None:
        weights = hashlib.sha256(repr(sorted(COLOURS.items())).encode()).hexdigest()
        self.recipe = Recipe(name, weights, precision, "none", self.grid**2 * 3 + 1)

    def prepare(self, pixels: Any) -> Any:
        return squash(pixels, self.side)

    def encode_images(self, prepared: Sequence[Any]) -> Any:
        if not len(prepared):
            return np.zeros((0, self.recipe.dim), np.float32)
        step = self.side // self.grid
        cells = np.stack(prepared).reshape(-1, self.grid, step, self.grid, step, 3).mean((2, 4))
        return self._rows(cells.reshape(len(prepared), -1))

    def encode_texts(self, texts: Sequence[str]) -> Any:
        named = [[COLOURS[word] for word in text.lower().split() if word in COLOURS] for text in texts]
        means = np.array([np.mean(colours, 0) if colours else (128, 128, 128) for colours in named]).reshape(-1, 3)
        return self._rows(np.tile(means, self.grid**2))

    def _rows(self, colours: Any) -> Any:
        """Centred colours, and a constant so that grey is not nothing."""
        centred = np.asarray(colours, np.float32) / 127.5 - 1
        return normalize(np.concatenate([centred, np.full((len(centred), 1), 0.5, np.float32)], 1))


@pytest.fixture
def encoder() -> Encoder:
    return MeanColour()


@pytest.fixture
def make_encoder() -> Callable[..., MeanColour]:
    return MeanColour


@pytest.fixture
def mean_colour_listed(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which the command line finds the tiny encoder."""
    monkeypatch.setitem(ENCODERS, "mean-colour", lambda _threads: MeanColour())  # type: ignore[arg-type]
    return "mean-colour"


Paint = Callable[..., Path]


def paint_photo(
    file: Path, colour: str | tuple[int, int, int] = "red", *, seed: int | None = None, size: tuple[int, int] = (24, 16)
) -> Path:
    """A photo of one colour; with a seed, of that colour with grain, so that no two have the same bytes."""
    rgb = np.array(COLOURS[colour] if isinstance(colour, str) else colour, np.float64)
    pixels = np.broadcast_to(rgb, (size[1], size[0], 3))
    if seed is not None:
        pixels = pixels + np.random.default_rng(seed).normal(0, 12, pixels.shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file)
    return file


@pytest.fixture
def paint() -> Paint:
    return paint_photo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one photo of each colour, named by it."""
    for colour in COLOURS:
        paint_photo(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


@pytest.fixture(scope="session")
def skimage_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real photos that scikit-image carries."""
    skimage = pytest.importorskip("skimage", reason="the real photos of scikit-image are not installed")
    folder = tmp_path_factory.mktemp("skimage")
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "moon.png", "brick.png", "grass.png"):
        shutil.copyfile(Path(skimage.__file__).parent / "data" / name, folder / name)
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", create=True)


@pytest.fixture
def fill(library: Library, encoder: Encoder) -> Callable[..., Store]:
    """Put rows with vectors straight into the store, without any files: digest, path and vector of each."""

    def put(digests: Iterable[str], vectors: Any, paths: Iterable[str] | None = None, **columns: Any) -> Store:
        from search import image_row

        digests = list(digests)
        rows = normalize(np.asarray(vectors, np.float32))
        store = Store(library)
        recipe = Recipe("rows", "0" * 64, "fp32", "none", rows.shape[1])
        store.add_vectors(recipe, digests, rows)
        values = {name: list(column) for name, column in columns.items()}
        store.put_images(
            [
                image_row(root="/photos", path=path, digest=digest, **{name: column[at] for name, column in values.items()})
                for at, (digest, path) in enumerate(zip(digests, paths or [f"{d}.jpg" for d in digests], strict=True))
            ]
        )
        store.use(recipe)
        return store

    return put


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """A folder of the evaluation data; the test is skipped where it is missing."""

    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"the evaluation data {name} is not here")
        return SHARED / name

    return find
