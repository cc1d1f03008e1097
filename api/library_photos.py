"""The photos of a library as exports write them and imports find them: in one order, with names that no two share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotate import AnnotatedPhoto, Annotation, KnownPhoto, PhotoFacts

if TYPE_CHECKING:
    from search import Library, Store

_CHUNK = 500  # photos whose regions are in memory together: with 16 regions of 3 kB each, 24 MB
_FACTS = tuple(fact.name for fact in fields(PhotoFacts))
_COLUMNS = tuple(dict.fromkeys(("root", "path", "digest", "width", "height", *_FACTS)))

Key = tuple[str, str]  # root, path


class LibraryPhotos:
    """All photos of a store, by root and path. Copies of a photo are photos of their own, with the same digest.

    A photo's name is its path; where the library has photos of several roots, the name of its root goes before it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        table = store.images(_COLUMNS)
        found = list(zip(table["root"].to_pylist(), table["path"].to_pylist(), strict=True))
        known = [root for root in store.library.file.roots if root in {key[0] for key in found}]
        self.roots = known + sorted({root for root, _ in found} - set(known))
        places = {root: at for at, root in enumerate(self.roots)}
        order = sorted(range(len(found)), key=lambda at: (places[found[at][0]], found[at][1]))
        self.table = table.take(order)
        self.keys: list[Key] = [found[at] for at in order]
        self.digests: list[str] = self.table["digest"].to_pylist()
        labels = root_labels(self.roots)
        self.names = [path if len(self.roots) == 1 else f"{labels[root]}/{path}" for root, path in self.keys]

    def __len__(self) -> int:
        return len(self.keys)

    def known(self, within: Path | None = None) -> list[KnownPhoto]:
        """What an import may be about; with `within`, only the photos below that folder, whose names may be relative to it."""
        widths, heights = (self.table[name].to_pylist() for name in ("width", "height"))
        photos = []
        for at, (root, path) in enumerate(self.keys):
            file = Path(root, path)
            others = [path, file.as_posix()]
            if within is not None:
                if not file.is_relative_to(within):
                    continue
                others.append(file.relative_to(within).as_posix())
            if len(self.roots) == 1:
                others.append(f"{Path(root).name}/{path}")
            photos.append(KnownPhoto(self.names[at], self.digests[at], (int(widths[at]), int(heights[at])), tuple(others)))
        return photos

    def annotated(self, rows: Sequence[int]) -> Iterator[AnnotatedPhoto]:
        """These photos, by their places, with the regions that they have now; the regions of 500 are in memory at a time."""
        makers = self.store.regions.annotations()
        for at in range(0, len(rows), _CHUNK):
            some = list(rows[at : at + _CHUNK])
            regions = self.store.regions.regions({self.digests[row] for row in some}, current=makers)
            for row, facts in zip(some, self.table.take(some).to_pylist(), strict=True):
                digest = self.digests[row]
                maker = makers[digest].maker if digest in makers else ""
                annotation = Annotation((int(facts["width"]), int(facts["height"])), regions.get(digest, ()), maker)
                told = PhotoFacts(**{name: facts[name] for name in _FACTS})
                yield AnnotatedPhoto(self.names[row], annotation, Path(*self.keys[row]), told)

    def served(self) -> Path | None:
        """The folder just above all photos: what Label Studio is to serve files from, as it serves none of that folder itself."""
        import os

        try:
            common = Path(os.path.commonpath(self.roots))
        except ValueError:  # none, or on several drives
            return None
        return common.parent if str(common) in self.roots else common


def root_labels(roots: Sequence[str]) -> dict[str, str]:
    """A short name of each root, no two the same: the folder's own, with a number where it comes again."""
    labels: dict[str, str] = {}
    taken: set[str] = set()
    for root in roots:
        base = label = Path(root).name or "root"
        number = 2
        while label.casefold() in taken:
            label, number = f"{base}-{number}", number + 1
        labels[root] = label
        taken.add(label.casefold())
    return labels


def matching_keys(library: Library, where: str) -> set[Key]:
    """Root and path of the photos for which a condition holds.

    Raises:
        FilterError: the condition is wrong.
    """
    from search import matching_vectors, open_derived, row_statement

    derived = open_derived(library)
    try:
        numbers = matching_vectors(derived.database, where).tolist()
        statement = row_statement('"root", "path"', where)
        return {key for number in numbers for key in derived.database.execute(statement, (number,))}
    finally:
        derived.close()


def labels_of(store: Store, digests: Collection[str]) -> tuple[str, ...]:
    """All labels that regions of these photos have, in the order of the alphabet, so that exports of parts of a library number them alike."""
    current = store.regions.annotations()
    makers = {current[digest].maker for digest in digests if digest in current}
    pairs: Any = store.tables.read("regions", ["maker", "label"])
    pairs = pairs.group_by(["maker", "label"]).aggregate([])
    return tuple(sorted({row["label"] for row in pairs.to_pylist() if row["maker"] in makers}))
