"""Label sets of well-known data sets, and which words of different ones mean the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from preprocess import InputError, choose

from .labels import NOTHING, LabelSet

SAME: tuple[tuple[str, ...], ...] = (
    ("person", "pedestrian", "people"), ("pavement", "sidewalk"), ("tree", "vegetation", "trees"), ("sign", "traffic sign", "sign symbol"),
    ("bicyclist", "rider", "cyclist"), ("car", "automobile"), ("pole", "column pole"), ("motorcycle", "motorbike"), ("sofa", "couch"),
    ("tv monitor", "tv", "television"), ("aeroplane", "airplane"), ("dining table", "table"), ("potted plant", "plant"),
    ("bicycle", "bike"), ("building", "house"), ("road", "street"),
)  # fmt: skip
"""Words that data sets use for one thing."""
KINDS: Mapping[str, tuple[str, ...]] = {
    "flat": ("road", "pavement", "sidewalk", "parking", "lane marking"),
    "construction": ("building", "wall", "fence", "bridge", "tunnel", "guard rail"),
    "object": ("pole", "sign", "traffic sign", "traffic light", "sign symbol"),
    "nature": ("tree", "vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "pedestrian", "rider", "bicyclist"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "motorbike", "bicycle"),
}
"""The categories of Cityscapes (Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016, table 1). CamVid does not
part riders from their bicycles, so its bicyclists are human."""
IGNORED = frozenset({"void", "unlabelled", "unlabeled", "unlabel", "ignore", "ignored", "dontcare"})
"""Names in a list of labels that say that nothing is known there."""


@dataclass(frozen=True, slots=True)
class DataLabels:
    """What the numbers in masks mean. Pixels of the numbers in `ignored` count nowhere; `names` are all names by their number, of ignored ones too."""

    labels: LabelSet
    names: tuple[str, ...]
    ignored: frozenset[int] = frozenset({NOTHING})


def data_labels(names: Iterable[str]) -> DataLabels:
    """What names mean that stand in the order of their numbers, from 0 on; those of `IGNORED` are no labels, and other words for the rest are known.

    >>> found = data_labels(["road", "void", "pedestrian"])
    >>> found.labels.find("person").id, found.labels.category("pedestrian"), sorted(found.ignored)
    (2, 'human', [1, 255])

    Raises:
        InputError: a name is empty or comes twice, or there are more than 255.
    """
    rows = tuple(names)
    if len(rows) > NOTHING:
        raise InputError(f"There are {len(rows)} labels; a mask, of a byte a pixel, can tell {NOTHING} from what is ignored.")
    kept = {name: number for number, name in enumerate(rows) if _plain(name) not in IGNORED}
    if len(kept) + sum(_plain(name) in IGNORED for name in rows) != len(rows):
        raise InputError(f"A label comes twice: {next(name for name in rows if rows.count(name) > 1)!r}. Give each class its own name.")
    taken, claims = LabelSet.of(kept), Counter(group for name in kept if (group := _group(name)))
    aliases = {name: [word for word in group if taken.find(word) is None] for name in kept if claims[group := _group(name)] == 1}
    parents = {name: kind for name in kept for kind, words in KINDS.items() if _plain(name) in words and _plain(name) != kind}
    labels = LabelSet.of(kept, aliases=aliases, parents=parents)
    return DataLabels(
        LabelSet(tuple(replace(label, id=kept[label.name]) for label in labels)),
        rows,
        frozenset({NOTHING} | (set(range(len(rows))) - set(kept.values()))),
    )


def _group(name: str) -> tuple[str, ...]:
    """Words of the same meaning; none for most names."""
    return next((group for group in SAME if _plain(name) in group), ())


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


VOC_LABELS = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip
"""Those of Pascal VOC, in its order, as words."""
LABEL_SETS: Mapping[str, tuple[str, ...]] = {
    "voc": VOC_LABELS,
    "camvid": (
        "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist", "unlabelled",
    ),
    "cityscapes": (
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider",
        "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
}  # fmt: skip
"""Names in the order of their numbers: CamVid's 11 classes with what has none, Cityscapes' 19 training classes."""


def read_labels(given: str) -> DataLabels:
    """The labels of a name in `LABEL_SETS`, or of a file: one name a line in the order of their numbers, or JSON as `LabelSet.to_json` writes it.

    Raises:
        InputError: it is neither, or the file cannot be read.
    """
    file = Path(given).expanduser()
    if given in LABEL_SETS:
        return data_labels(LABEL_SETS[given])
    if not file.is_file():
        if not file.suffix and file.name == given:
            choose(LABEL_SETS, given, "label set")
        raise InputError(f"There is no file {file} of labels. Name one with a label a line, or one of {', '.join(LABEL_SETS)}.")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as text: {error}. Write one label a line, in UTF-8.") from error
    try:
        if file.suffix.lower() == ".json":
            labels = LabelSet.from_json(text)
            return DataLabels(labels, tuple(label.name for label in sorted(labels, key=lambda label: label.id)))
        return data_labels([line.strip() for line in text.splitlines() if line.strip()])
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
