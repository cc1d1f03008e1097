"""LanceDB, kept to the few calls that the store needs: append, upsert, delete, read, rewrite, compact."""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from preprocess import LibraryDamaged, StorageFull

from .schema import (
    ANNOTATION_COLUMNS,
    FAILURE_COLUMNS,
    IMAGE_COLUMNS,
    REGION_COLUMNS,
    SCORE_ROWS,
    TAG_COLUMNS,
    TAG_LABEL_COLUMNS,
    TAG_RUN_COLUMNS,
    Column,
)

if TYPE_CHECKING:
    from lancedb import DBConnection

_DROPPED = ".dropped"
_TYPES = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64()}


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """The Arrow schema of a table of plain columns."""
    return pa.schema([(c.name, _TYPES[c.kind]) for c in columns])


def vector_schema(dim: int) -> pa.Schema:
    """Digest and a float16 row: half the bytes, and recall@10 against float32 stays above 0.999."""
    return pa.schema([("digest", pa.string()), ("vector", pa.list_(pa.float16(), dim))])


def region_vector_schema(dim: int) -> pa.Schema:
    """Which region a row is of, and the row in float16."""
    keys = [("digest", pa.string()), ("maker", pa.string()), ("number", pa.int64())]
    return pa.schema([*keys, ("vector", pa.list_(pa.float16(), dim))])


SCHEMAS = {
    "images": arrow_schema(IMAGE_COLUMNS),
    "failures": arrow_schema(FAILURE_COLUMNS),
    "regions": arrow_schema(REGION_COLUMNS),
    "annotations": arrow_schema(ANNOTATION_COLUMNS),
    "scores": arrow_schema(SCORE_ROWS),
    "tags": arrow_schema(TAG_COLUMNS),
    "tag_runs": arrow_schema(TAG_RUN_COLUMNS),
    "tag_labels": arrow_schema(TAG_LABEL_COLUMNS),
}


@contextlib.contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn the backend's errors into ours."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        text = str(error)
        if "No space left" in text or "os error 28" in text or "Disk quota" in text or "File too large" in text:
            message = f"The disk of {folder} is full. What was written is kept; free some space and run the command again."
            raise StorageFull(message) from error
        first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
        raise LibraryDamaged(f"The store in {folder} does not answer: {first}. `pellucid doctor` says more.") from error


def quote(value: str) -> str:
    """A string literal of the backend's SQL."""
    return "'" + value.replace("'", "''") + "'"


class Tables:
    """The tables under one folder; each is opened when first used."""

    def __init__(self, folder: Path) -> None:
        import lancedb

        self.folder = folder
        with translated(folder):
            self._db: DBConnection = lancedb.connect(str(folder))
        self._open: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Names of the tables that exist."""
        return sorted(path.stem for path in self.folder.glob("*.lance") if (path / "_versions").is_dir())

    def table(self, name: str, schema: pa.Schema | None = None) -> Any:
        """The table called `name`; made from `schema` where it does not exist."""
        if name not in self._open:
            with translated(self.folder):
                if name in self.names():
                    self._open[name] = self._db.open_table(name)
                else:
                    self._open[name] = self._db.create_table(name, schema=schema if schema is not None else SCHEMAS[name])
        return self._open[name]

    def drop(self, name: str) -> None:
        """Remove a table with its files. It loses its name first, in one step: a kill leaves a table that is whole, or none."""
        self._open.pop(name, None)
        self.clear()
        if name in self.names():
            with translated(self.folder):
                (self.folder / f"{name}.lance").rename(self.folder / f"{name}{_DROPPED}")
        self.clear()

    def clear(self) -> None:
        """Remove what a killed `drop` has left."""
        for left in self.folder.glob(f"*{_DROPPED}"):
            shutil.rmtree(left, ignore_errors=True)

    def append(self, name: str, rows: pa.Table) -> None:
        """Add rows as one version."""
        with translated(self.folder):
            self.table(name).add(rows)

    def upsert(self, name: str, rows: pa.Table, keys: Sequence[str]) -> None:
        """Add rows, replacing those with the same keys, as one version."""
        with translated(self.folder):
            self.table(name).merge_insert(list(keys)).when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def delete(self, name: str, wheres: Iterable[str]) -> None:
        """Delete the rows of each condition."""
        with translated(self.folder):
            for where in wheres:
                self.table(name).delete(where)

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of some columns; an absent table has none, and a column that an older library lacks is null."""
        if name not in self.names():
            schema = SCHEMAS.get(name, pa.schema([]))
            return schema.empty_table().select(columns) if columns and len(schema) else schema.empty_table()
        with translated(self.folder):
            wanted = list(columns) if columns else None
            have = wanted and [column for column in wanted if column in self.table(name).schema.names]
            query = self.table(name).search()
            rows = _filled((query.select(have) if have else query).to_arrow(), name)
            return rows.select(wanted) if wanted else rows

    def batches(
        self, name: str, rows: int = 2048, where: str | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        """All rows, or those that meet a condition, some at a time; with the columns of `read`. An absent table has none."""
        if name not in self.names():
            return
        with translated(self.folder):
            query = self.table(name).search()
            if columns is not None:
                query = query.select([column for column in columns if column in self.table(name).schema.names])
            for batch in (query.where(where) if where is not None else query).to_batches(rows):
                filled = _filled(batch, name)
                yield filled if columns is None else filled.select(list(columns))

    def distinct(self, name: str, where: str | None = None) -> set[str]:
        """The digests in a table, or in its rows that meet a condition. They become Python's only once each: a table of scores has each of them twenty times."""
        found: set[str] = set()
        for batch in self.batches(name, 8_192, where, ["digest"]):  # larger ones take 11 MB more and no less time
            found.update(pc.unique(batch["digest"]).to_pylist())
        return found

    def add_columns(self, name: str, columns: Sequence[Column]) -> None:
        """Add columns of nulls that the table lacks."""
        if name in self.names():
            with translated(self.folder):
                table = self.table(name)
                lacking = [column for column in columns if column.name not in table.schema.names]
                if lacking:
                    table.add_columns(pa.schema([(column.name, _TYPES[column.kind]) for column in lacking]))

    def update(self, name: str, where: str, values: Mapping[str, Any]) -> None:
        """Set columns of the rows that meet a condition, as one version; where none does, nothing is written."""
        if name in self.names():
            with translated(self.folder):
                if self.table(name).count_rows(where):
                    self.table(name).update(where=where, values=dict(values))

    def count(self, name: str) -> int:
        """How many rows a table has."""
        return int(self.table(name).count_rows()) if name in self.names() else 0

    def rewrite(self, name: str, rows: pa.Table) -> None:
        """Write the rows anew and drop every older version, so that nothing else is left on disk."""
        with translated(self.folder):
            self._open[name] = self._db.create_table(name, data=rows, mode="overwrite")
        self.compact(name, timedelta(0))

    def rewrite_without(self, name: str, digests: Container[str]) -> None:
        """As `rewrite`, without the rows of these digests; some rows at a time, so that a table may be larger than memory."""
        if name not in self.names():
            return

        def kept() -> Iterator[pa.RecordBatch]:
            for batch in self.batches(name, 65_536):
                yield batch.filter(pa.array([digest not in digests for digest in batch["digest"].to_pylist()], pa.bool_()))

        rows = pa.RecordBatchReader.from_batches(self.table(name).schema, kept())
        with translated(self.folder):
            self._open[name] = self._db.create_table(name, data=rows, mode="overwrite")
        self.compact(name, timedelta(0))

    def compact(self, name: str, keep: timedelta = timedelta(0)) -> None:
        """Merge small files and drop versions older than `keep`."""
        if name in self.names():
            with translated(self.folder), warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "any reader of an older version will fail": that is what zero is for
                self.table(name).optimize(cleanup_older_than=keep, delete_unverified=True)


def _filled(rows: Any, name: str) -> Any:
    """The rows of a table or batch, with nulls in the columns that an older library lacks."""
    for field in SCHEMAS.get(name, pa.schema([])):
        if field.name not in rows.schema.names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows


def by_keys(keys: Iterable[tuple[str, str]], chunk: int = 500) -> Iterator[str]:
    """Conditions that match (root, path) keys, some hundred at a time."""
    roots: dict[str, list[str]] = {}
    for root, path in keys:
        roots.setdefault(root, []).append(path)
    for root, paths in roots.items():
        for at in range(0, len(paths), chunk):
            yield f"root = {quote(root)} AND path IN ({', '.join(map(quote, paths[at : at + chunk]))})"


def by_digest(digests: Sequence[str], chunk: int = 500) -> Iterator[str]:
    """Conditions that match digests, some hundred at a time."""
    for at in range(0, len(digests), chunk):
        yield f"digest IN ({', '.join(map(quote, digests[at : at + chunk]))})"
