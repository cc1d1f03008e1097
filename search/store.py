"""The durable truth: images by (root, path), vectors by (digest, recipe), failures by (root, path)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from preprocess import LibraryDamaged

from ._lance import SCHEMAS, Tables, by_digest, by_keys, quote, vector_schema
from .encode import PLAIN, Recipe
from .failures import Failure
from .library import Library
from .region_store import RegionStore
from .schema import IMAGE_COLUMNS, SCHEMA_VERSION
from .score_store import ScoreStore
from .tag_store import TagStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encode import Vectors

    Row = Mapping[str, Any]

MIGRATIONS: dict[int, Callable[[Tables], None]] = {
    1: lambda tables: tables.add_columns("images", IMAGE_COLUMNS),  # 2: haze
    2: lambda tables: tables.add_columns("images", IMAGE_COLUMNS),  # 3: perceptual_hash, and tables that an older Pellucid would not sweep
}
"""From schema n to n + 1, each a function of the tables, run in order when an older library is opened by a writer. Each may run twice: a kill can come
between it and the note that it was done."""

Key = tuple[str, str]  # root, path


class Store:
    """One library's tables. Writers must hold `library.locked`."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.tables = Tables(library.store)
        self.regions = RegionStore(self.tables)
        self.scores = ScoreStore(self.tables)
        self.marks = TagStore(self.tables)
        if library.file.schema < SCHEMA_VERSION:
            self._migrate()

    def drop_recipe(self, recipe_id: str) -> None:
        """Remove a recipe with its vectors and its cache, and those of enhanced versions with it."""
        import shutil

        for enhanced in self.library.file.enhanced(recipe_id).values():
            self.drop_recipe(enhanced)
        self.tables.drop(self.vector_table(recipe_id))
        self.tables.drop(self.regions.vector_table(recipe_id))
        recipes = {name: recipe for name, recipe in self.library.file.recipes.items() if name != recipe_id}
        self.library.write(replace(self.library.file, recipes=recipes))
        for folder in self.library.cache.glob(f"{recipe_id}-*"):
            shutil.rmtree(folder, ignore_errors=True)
        for words in self.library.cache.glob(f"bank-{recipe_id}-*"):
            words.unlink(missing_ok=True)

    def _migrate(self) -> None:
        """Bring an older library up to date where it is held; who only reads it takes it as it is, and its missing columns as nulls."""
        for version in range(self.library.file.schema, SCHEMA_VERSION):
            if version not in MIGRATIONS:
                raise LibraryDamaged(
                    f"{self.library.folder} has schema {version}, which nothing can bring up to date. Index into a new library."
                )
        if self.library.held:
            for version in range(self.library.file.schema, SCHEMA_VERSION):
                MIGRATIONS[version](self.tables)
                self.library.write(replace(self.library.file, schema=version + 1))

    # Images

    def images(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All image rows."""
        return self.tables.read("images", columns)

    def put_images(self, rows: Sequence[Row], *, known: Container[Key] = ()) -> None:
        """Write image rows as one version; those whose key is in `known` replace their older row."""
        if not rows:
            return
        self.tables.add_columns("images", IMAGE_COLUMNS)  # a library that was made between two releases may lack one
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMAS["images"])
        if any((row["root"], row["path"]) in known for row in rows):
            self.tables.upsert("images", table, ("root", "path"))
        else:
            self.tables.append("images", table)

    def drop_images(self, keys: Iterable[Key]) -> None:
        """Remove image rows; vectors stay until `sweep`."""
        self.tables.delete("images", by_keys(keys))

    # Vectors

    def vector_table(self, recipe_id: str) -> str:
        """The table that holds a recipe's vectors."""
        return f"vectors-{recipe_id}"

    def add_vectors(self, recipe: Recipe, digests: Sequence[str], vectors: Vectors) -> None:
        """Append unit rows, Float32["digest dim"], stored as float16."""
        if not digests:
            return
        schema = vector_schema(recipe.dim)
        self.tables.table(self.vector_table(recipe.id), schema)
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float16).ravel())
        column = pa.FixedSizeListArray.from_arrays(flat, recipe.dim)
        self.tables.append(self.vector_table(recipe.id), pa.table({"digest": pa.array(list(digests)), "vector": column}, schema=schema))

    def digests(self, recipe_id: str) -> set[str]:
        """Digests that have a vector of this recipe."""
        name = self.vector_table(recipe_id)
        return set(self.tables.read(name, ["digest"])["digest"].to_pylist()) if name in self.tables.names() else set()

    def vectors(self, recipe_id: str) -> tuple[list[str], NDArray[np.float16]]:
        """Digests in ascending order, each once, with their rows, Float16["digest dim"]."""
        name = self.vector_table(recipe_id)
        numbers = {digest: at for at, digest in enumerate(sorted(self.digests(recipe_id)))}
        if not numbers:
            return [], np.zeros((0, 0), np.float16)
        dim = int(self.library.file.recipes[recipe_id]["dim"])
        rows = np.empty((len(numbers), dim), np.float16)
        for batch in self.tables.batches(name):
            places = [numbers[digest] for digest in batch["digest"].to_pylist()]
            rows[places] = batch["vector"].flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
        return list(numbers), rows

    def vectors_of(self, recipe_id: str, digests: Container[str]) -> dict[str, NDArray[np.float16]]:
        """The rows of some digests, as far as they have one; read in parts, so that only those are held."""
        name, found = self.vector_table(recipe_id), {}
        if name in self.tables.names():
            dim = int(self.library.file.recipes[recipe_id]["dim"])
            for batch in self.tables.batches(name):
                rows = batch["vector"].flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
                found.update({digest: rows[at].copy() for at, digest in enumerate(batch["digest"].to_pylist()) if digest in digests})
        return found

    def register(self, recipe: Recipe) -> None:
        """Note a recipe before its first vector is written, so that sweeping and forgetting reach vectors of an unfinished build too."""
        file = self.library.file
        if recipe.id not in file.recipes:
            self.library.write(replace(file, recipes={**file.recipes, recipe.id: dict(recipe.as_dict())}))

    def use(self, recipe: Recipe) -> None:
        """Make this the recipe that searches use by default."""
        self.register(recipe)
        self.library.write(replace(self.library.file, current=recipe.id))

    # Failures

    def failures(self) -> list[Failure]:
        """Files that failed, by root and path."""
        rows = [Failure(**row) for row in self.tables.read("failures").to_pylist()]
        return sorted(rows, key=lambda f: (f.root, f.path))

    def record_failures(self, failures: Sequence[Failure]) -> None:
        """Write failures, replacing older ones of the same files."""
        if failures:
            rows = [{name: getattr(f, name) for name in SCHEMAS["failures"].names} for f in failures]
            self.tables.upsert("failures", pa.Table.from_pylist(rows, schema=SCHEMAS["failures"]), ("root", "path"))

    def clear_failures(self, keys: Iterable[Key]) -> None:
        """Forget that files failed."""
        if self.tables.count("failures"):
            self.tables.delete("failures", by_keys(keys))

    # Housekeeping

    def orphans(self, recipe_id: str) -> list[str]:
        """Digests that have a vector of this recipe which no image row asks for."""
        enhancer = str(self.library.file.recipes.get(recipe_id, {}).get("enhancer", PLAIN))
        return sorted(self.digests(recipe_id) - self.wanting(enhancer))

    def wanting(self, enhancer: str) -> set[str]:
        """Digests of the photos that should have a vector through this enhancer; all of them where it is none."""
        if enhancer == PLAIN:
            return set(self.images(["digest"])["digest"].to_pylist())
        images = self.images(["digest", "dehazed"])
        pairs = zip(images["digest"].to_pylist(), images["dehazed"].to_pylist(), strict=True)
        return {digest for digest, dehazed in pairs if dehazed == enhancer}

    def forget_dehazed(self, rule_id: str) -> None:
        """Note for every photo whose haze is known that by this rule nothing is dehazed; the vectors stay until `sweep`."""
        other = f"haze IS NOT NULL AND (dehaze_rule IS NULL OR dehaze_rule <> {quote(rule_id)})"
        self.tables.update("images", other, {"dehazed": None, "dehaze_rule": rule_id})

    def sweep(self) -> int:
        """Delete vectors, regions, scores and machines' tags that no image row needs, and recipes of enhanced photos that have none left; how many photos'
        vectors went."""
        gone = 0
        for recipe_id, facts in list(self.library.file.recipes.items()):
            orphans = self.orphans(recipe_id)
            gone += len(orphans)
            if facts.get("enhancer", PLAIN) != PLAIN and len(orphans) == len(self.digests(recipe_id)):
                self.drop_recipe(recipe_id)
            else:
                self.tables.delete(self.vector_table(recipe_id), by_digest(orphans))
        wanted = self.wanting(PLAIN)
        for marks in (self.regions, self.scores, self.marks):
            marks.sweep(wanted)
        return gone

    def compact(self, keep: timedelta = timedelta(minutes=10)) -> None:
        """Merge small files; drop versions older than `keep`, which readers may still hold."""
        self.tables.clear()
        for name in self.tables.names():
            self.tables.compact(name, keep)

    def rewrite_without(self, keys: Iterable[Key], *, absent: bool = False) -> tuple[list[str], list[str]]:
        """Erase rows for good: every table is written anew and older versions are dropped. With `absent`, so is what people drew in photos that are gone, and what
        they said of their tags.

        Returns:
            The removed files' full names, and the digests whose vectors went with them.
        """
        drop = set(keys)
        images = self.images()
        found = list(zip(images["root"].to_pylist(), images["path"].to_pylist(), strict=True))
        keep = np.array([key not in drop for key in found], dtype=bool)
        before = set(images["digest"].to_pylist())
        kept = images.filter(pa.array(keep)) if len(keep) else images
        lost = before - set(kept["digest"].to_pylist())
        # Image rows last: a forget that is interrupted still finds them when it is run again.
        for recipe_id in self.library.file.recipes:
            name = self.vector_table(recipe_id)
            if name in self.tables.names():
                table = self.tables.read(name)
                stay = pa.array([digest not in lost for digest in table["digest"].to_pylist()], pa.bool_())
                self.tables.rewrite(name, table.filter(stay))
        left_over = {*self.regions.absent(before), *self.marks.absent(before)} if absent else set()
        for marks in (self.regions, self.scores, self.marks):
            marks.without(lost | left_over)
        if "failures" in self.tables.names():
            failures = self.tables.read("failures")
            keys_of = zip(failures["root"].to_pylist(), failures["path"].to_pylist(), strict=True)
            self.tables.rewrite("failures", failures.filter(pa.array([key not in drop for key in keys_of], pa.bool_())))
        self.tables.rewrite("images", kept)
        return sorted(f"{root}/{path}" for root, path in found if (root, path) in drop), sorted(lost)


def image_row(**values: Any) -> dict[str, Any]:
    """A row of the images table; columns that are not given are null."""
    return {column.name: values.get(column.name) for column in IMAGE_COLUMNS}
