"""A library on disk: `library.json` (schema version, roots, recipes), the store, the derived cache, and the build lock."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from preprocess import LibraryBusy, LibraryDamaged, LibraryNotFound, LibraryTooNew, try_lock
from preprocess import storage_errors as storage_errors  # for derived.py too

from .encode import PLAIN
from .schema import IMAGE_COLUMNS, SCHEMA_VERSION, SCORE_COLUMNS

CACHE_LAYOUT = 2
"""Raised where a derived cache is written in another way: an older one is not found then, and made anew."""
_MARKS = (("scores", "tags", "tag_runs"), ("tag_labels",))


@dataclass(frozen=True, slots=True)
class LibraryFile:
    """What `library.json` says."""

    schema: int = SCHEMA_VERSION
    roots: tuple[str, ...] = ()
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)
    current: str | None = None  # the recipe that searches use
    dehaze: str | None = None  # the rule by which the last build dehazed: none, auto or a dehazer's name
    dehaze_rule: str | None = None  # its id, once a build by it has been through all roots
    regions: str | None = None  # what found regions in the last build: none, or makers of regions
    regions_maker: str | None = None  # its id, once a build with it has been through all roots

    def with_root(self, root: str) -> LibraryFile:
        """The same with one more root."""
        return self if root in self.roots else replace(self, roots=(*self.roots, root))

    @property
    def regions_to_find(self) -> str:
        """What to name where regions are to be found: the library's own makers, or the one that ships."""
        return self.regions if self.regions not in (None, "none") else "builtin"

    def plain_recipes(self) -> list[str]:
        """Recipes of photos as they are, by age: those that an encoder is known by."""
        return [recipe_id for recipe_id, facts in self.recipes.items() if facts.get("enhancer", PLAIN) == PLAIN]

    def enhanced(self, recipe_id: str) -> dict[str, str]:
        """Recipes that differ from this one in their enhancer alone: enhancer -> recipe."""
        own = self.recipes.get(recipe_id, {})
        others = {str(facts.get("enhancer", PLAIN)): other for other, facts in self.recipes.items() if {**facts, "enhancer": PLAIN} == own}
        return {enhancer: other for enhancer, other in others.items() if enhancer != PLAIN}


class Library:
    """Paths and facts of one library. Making one reads `library.json` and nothing else."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        folder = folder.absolute()  # so that it stays the same folder when the process changes its own
        self.folder = folder
        self.store, self.cache = folder / "store", folder / "cache"
        self.held = False  # whether this object holds the lock
        if not (folder / "library.json").is_file():
            if not create:
                raise LibraryNotFound(f"Nothing is indexed in {folder} yet. Index a folder first: pellucid index FOLDER")
            if folder.exists() and not folder.is_dir():
                raise LibraryDamaged(f"{folder} is a file; a library is a folder. Name another with --library.")
            if folder.is_dir() and any(folder.iterdir()) and not (folder / "store").is_dir() and not (folder / "lock").is_file():
                raise LibraryDamaged(f"{folder} has files of something else in it. Name an empty or new folder with --library.")
            with storage_errors(folder):
                self.store.mkdir(parents=True, exist_ok=True)
            self.write(LibraryFile())
        self.file = self._read()

    def _read(self) -> LibraryFile:
        try:
            data = json.loads((self.folder / "library.json").read_text(encoding="utf-8"))
            file = LibraryFile(
                int(data["schema"]),
                tuple(data["roots"]),
                dict(data["recipes"]),
                data["current"],
                data.get("dehaze"),
                data.get("dehaze_rule"),
                data.get("regions"),
                data.get("regions_maker"),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LibraryDamaged(
                f"{self.folder / 'library.json'} cannot be read: {error}. Restore it, or index into a new library."
            ) from error
        if file.schema > SCHEMA_VERSION:
            raise LibraryTooNew(
                f"{self.folder} has schema {file.schema}; this Pellucid reads up to {SCHEMA_VERSION}. Upgrade: pip install -U pellucid"
            )
        return file

    def write(self, file: LibraryFile) -> None:
        """Replace `library.json` in one step: a reader sees the old one or the new one, never a part."""
        data = {"schema": file.schema, "roots": list(file.roots), "recipes": file.recipes, "current": file.current, "dehaze": file.dehaze,
                "dehaze_rule": file.dehaze_rule, "regions": file.regions, "regions_maker": file.regions_maker}  # fmt: skip
        fresh = self.folder / f"library.json.{os.getpid()}.new"
        with storage_errors(self.folder):
            with fresh.open("w", encoding="utf-8") as out:
                json.dump(data, out, indent=1)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(self.folder / "library.json")
        self.file = file

    def stamp(self, recipe_id: str | None = None) -> str:
        """Names the present state of what a search by this recipe needs, without opening it; by the current recipe where none is given.

        It changes with every write to the images, the failures, the regions, and this recipe's vectors, those of dehazed versions and regions among
        them, but not with those to another encoder's; and with the columns that there are.
        """
        import hashlib

        columns = " ".join(column.name for column in IMAGE_COLUMNS)
        parts, recipe = [f"schema {SCHEMA_VERSION} {CACHE_LAYOUT} {columns}"], str(recipe_id or self.file.current)
        enhanced = sorted(self.file.enhanced(recipe).values())
        own_tables = (f"region-vectors-{recipe}", *(f"vectors-{own}" for own in (recipe, *enhanced)))
        for table in ("failures", "images", "annotations", "regions", *own_tables):
            versions = self.store / f"{table}.lance" / "_versions"
            names = sorted(entry.name for entry in versions.iterdir() if entry.suffix == ".manifest") if versions.is_dir() else []
            # Both naming schemes of the backend: ascending numbers, and numbers counted down from 2^64.
            parts.append(f"{table}:{names[0]}:{names[-1]}:{len(names)}" if names else table)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def marks_stamp(self) -> tuple[str, str] | None:
        """Names the present state of what machines wrote of scores and tags, and of what people said of tags, as `stamp` does of the rest; none where there was
        never any.

        It is of the newest version of each table, so that dropping older ones changes nothing.
        """
        import hashlib

        columns = " ".join(column.name for column in SCORE_COLUMNS)
        written = [[newest for table in tables if (newest := self._newest(table))] for tables in _MARKS]
        if not any(written):
            return None
        machine, people = (hashlib.sha256("\n".join((f"{CACHE_LAYOUT} {columns}", *parts)).encode()).hexdigest()[:16] for parts in written)
        return machine, people

    def _newest(self, table: str) -> str:
        """The newest version of a table, with its time; empty where there is none."""
        versions = self.store / f"{table}.lance" / "_versions"
        with contextlib.suppress(FileNotFoundError):  # there is none, or a writer drops it for a newer one
            entry = max(
                (entry for entry in versions.iterdir() if entry.suffix == ".manifest"), key=lambda entry: _version(entry.name), default=None
            )
            return f"{table}:{entry.name}:{entry.stat().st_mtime_ns}" if entry is not None else ""
        return ""

    def cache_of(self, recipe_id: str | None = None) -> Path:
        """The folder of the derived cache of a recipe in the store's present state; it may not be there."""
        return self.cache / f"{recipe_id or self.file.current}-{self.stamp(recipe_id)}"

    def refresh(self) -> None:
        """Read `library.json` again: another process may have written it."""
        self.file = self._read()

    @contextlib.contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Hold the library for one writer; the lock goes with the process, however that ends.

        Raises:
            LibraryBusy: another process holds it; the message says which.
        """
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = (self.folder / "lock").open("a+", encoding="utf-8")
        with handle:
            if not try_lock(handle):
                handle.seek(0)
                holder = handle.read().strip() or "another process"
                raise LibraryBusy(f"{self.folder} is held by {holder}. Wait until it ends, or stop it, and run this again.")
            handle.seek(0)
            handle.truncate()
            host = os.uname().nodename if hasattr(os, "uname") else "this machine"
            handle.write(f"process {os.getpid()} on {host} ({purpose}, since {time.strftime('%Y-%m-%d %H:%M:%S')})")
            handle.flush()
            self.file = self._read() if (self.folder / "library.json").is_file() else LibraryFile()
            self.held = True
            try:
                yield
            finally:
                self.held = False
                handle.seek(0)
                handle.truncate()

    def busy(self) -> bool:
        """Whether a writer holds the library now."""
        try:
            with (self.folder / "lock").open("a+", encoding="utf-8") as handle:
                return not try_lock(handle)
        except OSError:
            return False


def _version(manifest: str) -> int:
    """The version that a manifest is of, by its name: the number itself, or 2^64 - 1 less it, in twenty digits."""
    digits = manifest.partition(".")[0]
    number = int(digits) if digits.isdecimal() else 0
    return (1 << 64) - 1 - number if number >> 63 else number
