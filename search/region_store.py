"""The regions of a store's photos: which maker's each photo has, the regions themselves, and their vectors by each encoder.

Rows are keyed by (digest, maker, number). An annotation is written after its regions and says which of them count, so a kill in between leaves no half
photo: rows of other makers are passed over, and go when the store is swept. Of what was written twice, the later one counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from annotate import Region, Rle

from ._lance import SCHEMAS, Tables, by_digest, quote, region_vector_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from annotate import Annotation

    from .encode import Recipe, Vectors

_HUMAN = re.compile("human-[^-+]+")
"""Makers of people's regions. The id of a segmenter that is called human-parsing, say, goes on with another hyphen; none can be called human."""

_KEYS = ("digest", "maker", "number")


@dataclass(frozen=True, slots=True)
class Annotated:
    """Whose regions a photo has, and how many they are."""

    maker: str
    regions: int

    @property
    def human(self) -> bool:
        """Whether a person drew them, so that no machine may replace them."""
        return _HUMAN.fullmatch(self.maker) is not None

    def counts(self, maker: str, number: int) -> bool:
        """Whether a row is one of these regions. Of the same maker there may be older rows with higher numbers, which a killed build has left."""
        return maker == self.maker and number < self.regions


RegionKey = tuple[str, str, int]  # digest, maker, number


class RegionStore:
    """The tables `annotations`, `regions` and `region-vectors-<recipe>`. Writers must hold the library's lock."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def annotations(self) -> dict[str, Annotated]:
        """Of each digest that was looked at, whose regions it has and how many."""
        rows = self.tables.read("annotations", ["digest", "maker", "regions"])
        columns = (rows[name].to_pylist() for name in ("digest", "maker", "regions"))
        return {digest: Annotated(maker, count) for digest, maker, count in zip(*columns, strict=True)}

    def regions(
        self, digests: Collection[str] | None = None, *, current: Mapping[str, Annotated] | None = None
    ) -> dict[str, tuple[Region, ...]]:  # fmt: skip
        """The regions that photos have now, by digest, in the order of their numbers; of all photos where no digests are given.

        A digest without regions is not among them. `current` holds the `annotations`; read where not given, which takes 0.2 s of 100,000 photos.
        """
        current = self.annotations() if current is None else current
        wheres: list[str | None] = [None] if digests is None else list(by_digest(sorted(digests)))
        found: dict[str, dict[int, Region]] = {}
        for where in wheres:
            for batch in self.tables.batches("regions", where=where):
                for row in batch.to_pylist():
                    if row["digest"] in current and current[row["digest"]].counts(row["maker"], row["number"]):
                        found.setdefault(row["digest"], {})[row["number"]] = region_of(row)
        return {digest: tuple(regions[number] for number in sorted(regions)) for digest, regions in found.items()}

    def boxes(self, digests: Collection[str], current: Mapping[str, Annotated] | None = None) -> dict[str, NDArray[np.float64]]:
        """The boxes of the regions that photos have now, Float64["region 4"], without the rest, which takes far more memory."""
        if not digests:
            return {}
        current = self.annotations() if current is None else current
        found: dict[str, dict[int, tuple[float, ...]]] = {}
        rows = self.tables.read("regions", ["digest", "maker", "number", "x1", "y1", "x2", "y2"])
        for batch in rows.to_batches(4096):
            for digest, maker, number, *box in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if digest in digests and digest in current and current[digest].counts(maker, number):
                    found.setdefault(digest, {})[number] = tuple(box)
        return {digest: np.array([boxes[number] for number in sorted(boxes)], np.float64) for digest, boxes in found.items()}

    def put(self, annotations: Mapping[str, Annotation], *, known: Container[str] | None = None) -> None:
        """Give photos these regions, by digest, instead of those that they have. `known` holds the digests that have some; read where not given."""
        if not annotations:
            return
        rows = [
            region_row(digest, given.maker, at, region, given.size_wh)
            for digest, given in annotations.items()
            for at, region in enumerate(given.regions)
        ]
        before = self.annotations() if known is None else known
        if rows:
            self.tables.append("regions", pa.Table.from_pylist(rows, schema=SCHEMAS["regions"]))
        notes = [{"digest": digest, "maker": given.maker, "regions": len(given.regions)} for digest, given in annotations.items()]
        table = pa.Table.from_pylist(notes, schema=SCHEMAS["annotations"])
        if any(digest in before for digest in annotations):
            self.tables.upsert("annotations", table, ("digest",))
        else:
            self.tables.append("annotations", table)

    def drop_machine(self) -> int:
        """Forget which regions machines found; their rows go when the store is swept. How many regions these were."""
        machines = [annotated for annotated in self.annotations().values() if not annotated.human]
        self.tables.delete("annotations", [f"maker = {quote(maker)}" for maker in sorted({annotated.maker for annotated in machines})])
        return sum(annotated.regions for annotated in machines)

    # Vectors

    def vector_table(self, recipe_id: str) -> str:
        """The table that holds the vectors of regions by a recipe."""
        return f"region-vectors-{recipe_id}"

    def put_vectors(self, recipe: Recipe, keys: Sequence[RegionKey], vectors: Vectors) -> None:
        """Append unit rows, Float32["region dim"], stored as float16."""
        if not keys:
            return
        schema = region_vector_schema(recipe.dim)
        name = self.vector_table(recipe.id)
        self.tables.table(name, schema)
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float16).ravel())
        columns = dict(zip(_KEYS, map(list, zip(*keys, strict=True)), strict=True))
        rows = pa.FixedSizeListArray.from_arrays(flat, recipe.dim)
        self.tables.append(name, pa.table({**columns, "vector": rows}, schema=schema))

    def embedded(self, recipe_id: str, current: Mapping[str, Annotated] | None = None) -> set[str]:
        """Digests whose regions all have a vector of this recipe; those that have no regions too. `current` are the annotations, where they were read."""
        current = self.annotations() if current is None else current
        counts: dict[str, int] = {}
        name = self.vector_table(recipe_id)
        if name in self.tables.names():
            groups = self.tables.read(name, _KEYS).group_by(["digest", "maker"]).aggregate([("number", "count_distinct")])
            columns = (groups[column].to_pylist() for column in ("digest", "maker", "number_count_distinct"))
            counts = {d: n for d, maker, n in zip(*columns, strict=True) if d in current and current[d].maker == maker}
        return {digest for digest, annotated in current.items() if counts.get(digest, 0) >= annotated.regions}

    def vector_batches(self, recipe_id: str, dim: int) -> Iterator[tuple[list[str], list[str], NDArray[np.int64], NDArray[np.float16]]]:
        """Digests, makers, numbers and rows, Float16["region dim"], of a recipe, some at a time; in no order, and of earlier makers too."""
        for batch in self.tables.batches(self.vector_table(recipe_id)):
            rows = batch["vector"].flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
            yield batch["digest"].to_pylist(), batch["maker"].to_pylist(), batch["number"].to_numpy(zero_copy_only=False), rows

    def key_batches(self, recipe_id: str) -> Iterator[tuple[list[str], list[str], NDArray[np.int64]]]:
        """As `vector_batches`, without the rows."""
        for batch in self.tables.batches(self.vector_table(recipe_id), columns=_KEYS):
            yield batch["digest"].to_pylist(), batch["maker"].to_pylist(), batch["number"].to_numpy(zero_copy_only=False)

    # Housekeeping

    def sweep(self, digests: Collection[str]) -> int:
        """Delete regions and vectors that no longer count, or whose photos are not among the `digests`; how many rows went.

        What people drew stays, without its vectors, until it is forgotten on purpose: nobody but them can make it again, and the photo may come back.
        """
        gone = [digest for digest, kept in self.annotations().items() if digest not in digests and not kept.human]
        self.tables.delete("annotations", by_digest(gone))
        current = self.annotations()
        there = {digest: kept for digest, kept in current.items() if digest in digests}
        return sum(self._sweep(name, current if name == "regions" else there) for name in self._tables())

    def absent(self, digests: Collection[str]) -> list[str]:
        """Digests of photos that are not among those given, and in which people drew regions."""
        return sorted(digest for digest in self.annotations() if digest not in digests)

    def without(self, digests: Collection[str]) -> None:
        """Erase what is known of the regions of these photos for good: every table is written anew, and older versions are dropped."""
        for name in ("annotations", *self._tables()):
            if name in self.tables.names():
                table = self.tables.read(name)
                stay = pa.array([digest not in digests for digest in table["digest"].to_pylist()], pa.bool_())
                self.tables.rewrite(name, table.filter(stay))

    def left(self, digests: Collection[str]) -> set[str]:
        """Which of these digests some table still holds."""
        return {
            d for name in ("annotations", *self._tables()) for d in self.tables.read(name, ["digest"])["digest"].to_pylist() if d in digests
        }

    def _tables(self) -> list[str]:
        return [name for name in self.tables.names() if name == "regions" or name.startswith("region-vectors-")]

    def _sweep(self, name: str, current: Mapping[str, Annotated]) -> int:
        pairs = self.tables.read(name, ["digest", "maker"]).group_by(["digest", "maker"]).aggregate([([], "count_all")])
        stale: dict[str, list[str]] = {}
        gone = 0
        for digest, maker, count in zip(*(pairs[c].to_pylist() for c in ("digest", "maker", "count_all")), strict=True):
            if digest not in current or current[digest].maker != maker:
                stale.setdefault(maker, []).append(digest)
                gone += count
        for maker, digests in stale.items():
            self.tables.delete(name, (f"maker = {quote(maker)} AND {where}" for where in by_digest(digests)))
        return gone


def region_row(digest: str, maker: str, number: int, region: Region, size_wh: tuple[int, int]) -> dict[str, Any]:
    """A row of the regions table. Where nobody measured the area, it is that of the box."""
    x1, y1, x2, y2 = region.box_xyxy
    area = region.area if region.area is not None else min(1.0, (x2 - x1) * (y2 - y1) / max(1, size_wh[0] * size_wh[1]))
    mask = region.mask
    return {
        "digest": digest, "maker": maker, "number": number, "source": region.source, "label": region.label, "confidence": region.confidence,
        "x1": x1, "y1": y1, "x2": x2, "y2": y2, "area": area, "haze_depth": region.haze_depth,
        "colour": None if region.colour is None else "#{:02x}{:02x}{:02x}".format(*region.colour),
        "mask_height": mask and mask.size_hw[0], "mask_width": mask and mask.size_hw[1], "mask": mask and mask.counts.decode("ascii"),
    }  # fmt: skip


def region_of(row: Mapping[str, Any]) -> Region:
    """The region of a row."""
    red, green, blue = bytes.fromhex(row["colour"][1:]) if row["colour"] else (0, 0, 0)
    return Region(
        (row["x1"], row["y1"], row["x2"], row["y2"]), row["label"], row["confidence"],
        Rle((row["mask_height"], row["mask_width"]), row["mask"].encode("ascii")) if row["mask"] is not None else None,
        row["source"], row["area"], (red, green, blue) if row["colour"] else None, row["haze_depth"],
    )  # fmt: skip
