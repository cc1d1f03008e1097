"""Figures of an encoder on folders with known answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess import InputError, Limits, decode, is_photo, read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Encoder, Vectors

TEMPLATE = "a photo of a {}"


def evaluate_retrieval(folder: Path, encoder: Encoder) -> dict[str, Any]:
    """Recall at 1, 5 and 10 of finding the photo by its caption, and one of its captions by the photo, in [0, 1].

    `folder` holds photos and `captions.jsonl`: a line a photo, `{"image": name, "captions": [...]}`.

    Raises:
        InputError: there is no such file, or a line of it is wrong.
    """
    names, captions = read_captions(folder)
    images = encode_files([folder / name for name in names], encoder)
    owners = np.array([at for at, texts in enumerate(captions) for _ in texts])
    texts = encoder.encode_texts([text for row in captions for text in row])
    similarities = texts @ images.T
    to_image = ranks_of(similarities, owners)
    by_image = similarities.T
    best = np.array([by_image[at][owners == at].max() for at in range(len(names))])
    foreign = owners[None, :] != np.arange(len(names))[:, None]
    to_text = (foreign & (by_image >= best[:, None])).sum(1)  # an equal foreign caption counts as beating, as in `ranks_of`
    return {"photos": len(names), "captions": len(owners), "encoder": encoder.recipe.encoder, "recipe": encoder.recipe.id,
            "text_to_image": _recalls(to_image), "image_to_text": _recalls(to_text)}  # fmt: skip


def read_captions(folder: Path) -> tuple[list[str], list[list[str]]]:
    """Names of photos and the captions of each, from the folder's `captions.jsonl`.

    Raises:
        InputError: there is no such file, or a line of it is wrong.
    """
    captions_file = folder / "captions.jsonl"
    try:
        rows = [json.loads(line) for line in captions_file.read_text(encoding="utf-8").splitlines() if line.strip()]
        names, captions = [str(row["image"]) for row in rows], [list(map(str, row["captions"])) for row in rows]
        if any(isinstance(row["captions"], str) for row in rows):
            raise TypeError("captions is a text, not a list of texts")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f'{captions_file} is missing: a line a photo, {{"image": "name.jpg", "captions": ["..."]}}.') from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{captions_file} has a line that is not {{"image": ..., "captions": [...]}}: {error}') from error
    if not rows or not all(captions):
        raise InputError(f"{captions_file} has a photo without captions, or no photos.")
    return names, captions


def evaluate_zeroshot(folder: Path, encoder: Encoder) -> dict[str, Any]:
    """Share of photos whose class is the first, or among the first five, by similarity with "a photo of a CLASS".

    `folder` is one of: a sub-folder a class; `photos.parquet` (columns image, label) with `labels.txt`; photos named `n01440764_tench.jpg`.

    Raises:
        InputError: the folder is none of these.
    """
    labels, wanted, images = labelled_photos(folder, encoder)
    texts = encoder.encode_texts([TEMPLATE.format(label) for label in labels])
    ranks = ranks_of(images @ texts.T, wanted)
    return {"photos": len(wanted), "classes": len(labels), "encoder": encoder.recipe.encoder, "recipe": encoder.recipe.id,
            "top_1": float((ranks < 1).mean()), "top_5": float((ranks < 5).mean())}  # fmt: skip


def ranks_of(similarities: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many columns beat the wanted one in each row; an equal one counts as beating, so that a constant encoder scores nothing."""
    right = similarities[np.arange(len(wanted)), wanted][:, None]
    return np.asarray((similarities >= right).sum(1) - 1, dtype=np.int64)


def _recalls(ranks: NDArray[np.int64]) -> dict[str, float]:
    return {f"recall_at_{k}": round(float((ranks < k).mean()), 4) for k in (1, 5, 10)}


def encode_files(files: Sequence[Path], encoder: Encoder) -> Vectors:
    """Unit rows of photos by their files, Float32["photo dim"]."""
    return _encode((lambda file=file: encoder.prepare(read_image(file, side=encoder.side).pixels) for file in files), encoder)


def _encode(readers: Iterable[Any], encoder: Encoder) -> Vectors:
    """Unit rows of photos, read ahead in threads, a few hundred in memory at a time."""
    with ThreadPoolExecutor() as pool:
        rows = [encoder.encode_images(list(pool.map(lambda reader: reader(), batch))) for batch in _batched(readers, 256)]
    return np.concatenate(rows)


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def labelled_photos(folder: Path, encoder: Encoder) -> tuple[list[str], NDArray[np.int64], Vectors]:
    """Class names, the class number of each photo, and the photos' rows."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    if (folder / "photos.parquet").is_file() and (folder / "labels.txt").is_file():
        import pyarrow.parquet

        labels = (folder / "labels.txt").read_text(encoding="utf-8").split("\n")
        labels = [label.strip() for label in labels if label.strip()]
        table = pyarrow.parquet.read_table(folder / "photos.parquet", columns=["image", "label"])
        names = table["label"].to_pylist()
        unknown = set(names) - set(labels)
        if unknown:
            raise InputError(f"{folder / 'labels.txt'} lacks the label {sorted(unknown)[0]!r}.")
        limits = Limits()
        readers = (lambda d=d: encoder.prepare(decode(d.as_py(), "photos.parquet", limits, encoder.side).pixels) for d in table["image"])
        return labels, np.array([labels.index(name) for name in names]), _encode(readers, encoder)
    named = [
        (file, match[1])
        for file in sorted(folder.iterdir())
        if (match := re.match(r"^n\d{8}_(.+)\.\w+$", file.name)) and is_photo(file.name)
    ]
    if not named:
        named = [(file, file.parent.name) for file in sorted(folder.glob("*/*")) if is_photo(file.name)]
    if not named:
        raise InputError(
            f"{folder} has no sub-folders of photos, no photos.parquet with labels.txt, and no photos named n01440764_tench.jpg."
        )
    labels = list(dict.fromkeys(name for _, name in named))
    wanted = np.array([labels.index(name) for _, name in named])
    vectors = encode_files([file for file, _ in named], encoder)
    return [label.replace("_", " ") for label in labels], wanted, vectors
