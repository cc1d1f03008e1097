"""What a library holds when a build begins: rows, failures, vectors, and which photos lack nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from search import PLAIN, Failure, Store

from .plan import Known

if TYPE_CHECKING:
    from preprocess import DehazeRule
    from search import Key, Recipe

    from .regions import RegionStage
    from .stages import Loaded, Source


class Inventory:
    """Read once. Only `embedded`, the vectors that there are by enhancer and digest, grows while a build makes more."""

    def __init__(self, store: Store, recipe: Recipe, rule: DehazeRule, regions: RegionStage) -> None:
        self.rule, self.regions = rule, regions
        self.images = store.images()
        root, path, *rest = (self.images[name].to_pylist() for name in ("root", "path", "digest", "byte_size", "modified_ns"))
        self._keys: list[Key] = list(zip(root, path, strict=True))
        self.known: dict[Key, Known] = {key: Known(*row) for key, *row in zip(self._keys, *rest, strict=True)}
        self.failures: dict[Key, Failure] = {(failure.root, failure.path): failure for failure in store.failures()}
        self.embedded: set[Source] = {(PLAIN, digest) for digest in store.digests(recipe.id)}
        for enhancer, recipe_id in store.library.file.enhanced(recipe.id).items():
            self.embedded |= {(enhancer, digest) for digest in store.digests(recipe_id)}
        hashes = self.images["perceptual_hash"].to_pylist()
        self.unhashed: set[Key] = {key for key, text in zip(self._keys, hashes, strict=True) if text is None}
        self._row_of_digest = {digest: at for at, digest in enumerate(rest[0])}
        self._row_of_key: dict[Key, int] = {}

    def complete(self) -> set[Key]:
        """Photos that need not be read: judged by this rule, looked at for regions, with every vector that they should have, and with a perceptual hash,
        which is written after the photo's measures."""
        columns = (self.images[name].to_pylist() for name in ("digest", "haze", "dehazed", "dehaze_rule"))
        complete: set[Key] = set()
        for key, digest, haze, dehazed, rule in zip(self._keys, *columns, strict=True):
            if key in self.unhashed:
                continue
            # Nothing has to be seen again where nothing is to be dehazed: such rows are changed where they are.
            judged = rule == self.rule.id or (haze is not None and self.rule.dehazer is None)
            wanted = dehazed is None or self.rule.dehazer is None or (dehazed, digest) in self.embedded
            if judged and wanted and (PLAIN, digest) in self.embedded and self.regions.complete(digest):
                complete.add(key)
        return complete

    def judged(self, digest: str) -> tuple[dict[str, Any] | None, bool]:
        """The row of a photo with these bytes that was judged by this rule, and whether it has its vectors and its hash, so that it need not be decoded."""
        at = self._row_of_digest.get(digest)
        row = None if at is None else self._row(at)
        if row is None or row["dehaze_rule"] != self.rule.id:
            return None, False
        sources = {(PLAIN, digest)} | ({(row["dehazed"], digest)} if row["dehazed"] is not None else set())
        return row, sources <= self.embedded and row["perceptual_hash"] is not None

    def before(self, keys: Iterable[Key]) -> dict[Key, tuple[str, tuple[int, int]]]:
        """Digest and full size, width and height, that these files had."""
        wanted = set(keys)
        columns = (self.images[name].to_pylist() for name in ("digest", "width", "height")) if wanted else ((), (), ())
        return {
            key: (digest, (width, height))
            for key, digest, width, height in zip(self._keys if wanted else (), *columns, strict=True)
            if key in wanted
        }

    def watch(self, keys: Iterable[Key]) -> None:
        """Remember where the rows of these photos are, for `stands`."""
        wanted = set(keys)
        self._row_of_key = {key: at for at, key in enumerate(self._keys) if key in wanted} if wanted else {}

    def stands(self, item: Loaded) -> bool:
        """Whether this very row is in the store: it is not written again, so that the caches of other recipes stay fresh."""
        at = self._row_of_key.get(item.found.key)
        return at is not None and self._row(at) == item.row

    def _row(self, at: int) -> dict[str, Any]:
        return dict(self.images.slice(at, 1).to_pylist()[0])
