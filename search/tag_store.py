"""The tags of a store's photos: what runs of tagging wrote, and what people said of it.

A run is noted first, writes its tags in parts, and is finished last: only then do they count. So a killed run leaves nothing behind but what it may be resumed
from. Its rows stay when a later run covers them (see `tag_layers`), until it is retracted and the store is swept: retracting the later run brings them back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import pyarrow as pa

from preprocess import InputError

from ._lance import SCHEMAS, Tables, by_digest, quote
from .tag_diff import run_diff
from .tag_labels import TagLabels
from .tag_layers import TABLE, counted_rows, rows_of
from .tag_runs import Found, Labelled, RunDiff, StoredTag, TagRows, TagRun, ids_called, utc_now
from .vocabulary import tag_key

_COLUMNS = ("digest", "run", "tag", "precision", "similarity", "z", "region")
_RUNS = "tag_runs"


class TagStore:
    """The tables `tags`, `tag_runs` and `tag_labels`. Writers must hold the library's lock."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.people = TagLabels(tables)
        self._looked_at: dict[str, set[str]] = {}

    # Runs

    def begin(self, run: TagRun) -> None:
        """Note a run before its first tag is written.

        Raises:
            InputError: there is one with this id.
        """
        if any(run.id == other.id for other in self.runs()):
            raise InputError(f"There is a tagging run {run.id} already. Resume it, or begin one with another id.")
        self.tables.append(_RUNS, pa.Table.from_pylist([replace(run, state="running").row()], schema=SCHEMAS[_RUNS]))

    def put(self, run_id: str, rows: TagRows | Mapping[str, Iterable[Found]]) -> None:
        """Write the tags of some photos as one version. Every photo that was looked at must be among them, with no tags where none was found: what an earlier run
        wrote for it is covered then.

        Raises:
            InputError: the run does not run, or has been through one of these photos already.
        """
        rows = rows if isinstance(rows, TagRows) else TagRows.of(rows)
        if run_id not in self._looked_at:  # where it is, this object has begun to write the run
            self._in_state(run_id, "running", "written to")
            self._looked_at[run_id] = self.looked_at(run_id)
        if not self._looked_at[run_id].isdisjoint(rows.digests):
            raise InputError(f"The tagging run {run_id} has been through a photo already that is written again. Skip those in `looked_at`.")
        if len(rows.digests):
            self.tables.append(TABLE, rows.table(run_id).cast(SCHEMAS[TABLE]))
            self._looked_at[run_id].update(rows.digests)

    def looked_at(self, run_id: str) -> set[str]:
        """Digests of the photos that a run has been through, with and without tags."""
        return self.tables.distinct(TABLE, f"run = {quote(run_id)}")

    def finish(self, run_id: str) -> TagRun:
        """Make a run's tags count; the run as it is now. Nothing happens to one that is finished already."""
        run = self.run(run_id)
        if run.state != "running":
            return self._in_state(run_id, "written", "finished")
        found = self._count(run.id)
        done = replace(run, state="written", at=utc_now(), photos=len(self.looked_at(run.id)), tags=found)
        self._looked_at.pop(run.id, None)
        self._note(done)
        return done

    def runs(self) -> list[TagRun]:
        """All runs, the one that was finished last at the end."""
        return sorted(map(TagRun.of, self.tables.read(_RUNS).to_pylist()), key=lambda run: (run.at, run.id))

    def run(self, run_id: str) -> TagRun:
        """The run with this id, or the one whose id begins so; "latest" is the last that counts.

        Raises:
            InputError: there is none, or more than one.
        """
        runs = self.runs()
        if run_id == "latest":
            found = [run for run in runs if run.counts][-1:]
        else:
            called = ids_called([run.id for run in runs], run_id)
            found = [run for run in runs if run.id in called]
        if len(found) == 1:
            return found[0]
        known = f"The last are {', '.join(run.id for run in runs[-5:])}" if runs else "The library was not tagged yet: pellucid tag"
        raise InputError(f"{len(found) or 'No'} tagging runs are called {run_id!r}. {known}; all of them: pellucid tags runs")

    def retract(self, run_id: str) -> int:
        """Take a run's tags back, or give up one that was interrupted; how many tags it had. What it covered counts again; what people said stays.

        Raises:
            InputError: it was retracted before, or people took its tags over.
        """
        run = self.run(run_id)
        if run.state == "promoted":
            raise InputError(
                f"The tags of {run.id} were promoted: they are people's now. Reject them one by one: pellucid tags reject PATH TAG"
            )
        if run.state == "retracted":
            raise InputError(f"The tagging run {run.id} was retracted already. Those that count: pellucid tags runs")
        self._looked_at.pop(run.id, None)
        found = self._count(run.id)
        self._note(replace(run, state="retracted"))
        return found

    def promote(self, run_id: str) -> int:
        """Make all tags of a run people's: they are confirmed, but for those that somebody rejected. How many were confirmed that were not before.

        Raises:
            InputError: it is not finished, or was retracted.
        """
        run = self.run(run_id)
        if run.state == "promoted":
            return 0
        run = self._in_state(run.id, "written", "promoted")
        said = self.people.by_digest()  # with those of an earlier try that was killed
        count = 0
        for batch in rows_of(self.tables, ["digest", "tag"], [run.id]):
            pairs = zip(batch["digest"].to_pylist(), batch["tag"].to_pylist(), strict=True)
            fresh = [(digest, tag) for digest, tag in pairs if tag is not None and tag_key(tag) not in said.get(digest, {})]
            self.people.add([digest for digest, _ in fresh], [tag for _, tag in fresh])
            count += len(fresh)
        self._note(replace(run, state="promoted"))
        return count

    def diff(self, earlier: str, later: str) -> RunDiff:
        """What the later run changes of the earlier one, whatever people said of it.

        Raises:
            InputError: one of them is not there, or was retracted.
        """
        return run_diff(self.tables, self.run(earlier), self.run(later))

    # Tags

    def tags(self, digests: Collection[str] | None = None, run: str | None = None) -> dict[str, tuple[StoredTag, ...]]:
        """The tags that photos have now, by digest, the surest first: what runs wrote, without what people rejected, and what people confirmed. Of all photos where
        no digests are given; a photo without tags is not among them. With `run`, what that run wrote, whatever became of it.

        Some ten thousand digests at a time keep memory small, and the table is read once for each time.
        """
        among = None if digests is None else frozenset(digests)
        if run is not None:
            batches = rows_of(self.tables, _COLUMNS, [self.run(run).id], among)
            said = {}
        else:
            batches = counted_rows(self.tables, _COLUMNS, self.runs(), among)
            said = self.people.by_digest(among)
        found: dict[str, dict[str, StoredTag]] = {}
        keys: dict[str, str] = {}
        for batch in batches:
            for digest, writer, tag, precision, similarity, z, region in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                if tag is not None:
                    key = keys.get(tag) or keys.setdefault(tag, tag_key(tag))
                    of_photo = found.setdefault(digest, {})
                    if key not in of_photo or precision > of_photo[key].precision:
                        of_photo[key] = StoredTag(tag, precision, similarity, z, region, writer)
        for digest, verdicts in said.items():
            of_photo = found.setdefault(digest, {})
            for key, (tag, verdict) in verdicts.items():
                if verdict == "rejected":
                    of_photo.pop(key, None)
                else:
                    of_photo[key] = replace(of_photo.get(key, StoredTag(tag, 1.0)), precision=1.0, human=True)
        return {digest: tuple(sorted(tags.values(), key=_surest_first)) for digest, tags in found.items() if tags}

    def label(self, digest: str, tag: str, verdict: Labelled | None) -> None:
        """Note that a person confirmed or rejected a photo's tag; none takes back what was said.

        Raises:
            InputError: the verdict is neither, or the name is none for a tag.
        """
        if verdict is None:
            self.people.take_back(digest, tag)
        else:
            self.people.put([(digest, tag, verdict)])

    def label_all(self, rows: Iterable[tuple[str, str, Labelled]]) -> int:
        """As `label`, many as one version; how many there were."""
        return self.people.put(rows)

    def labels(self) -> dict[str, dict[str, Labelled]]:
        """What people said: tag -> digest -> verdict."""
        return self.people.by_tag()

    # Housekeeping

    def sweep(self, digests: Collection[str]) -> int:
        """Delete what runs wrote for photos that are not among the digests, and what retracted runs wrote; how many rows went. What people said stays: nobody else
        can say it again, and the photo may come back."""
        if TABLE not in self.tables.names():
            return 0
        before = self.tables.count(TABLE)
        gone = sorted(digest for digest in self.tables.distinct(TABLE) if digest not in digests)
        retracted = [run.id for run in self.runs() if run.state == "retracted"]
        self.tables.delete(TABLE, [*(f"run = {quote(run)}" for run in retracted), *by_digest(gone, 5_000)])
        return before - self.tables.count(TABLE)

    def absent(self, digests: Collection[str]) -> list[str]:
        """Digests of photos that are not among those given, and of whose tags people said something."""
        return sorted(digest for digest in self.people.digests() if digest not in digests)

    def without(self, digests: Collection[str]) -> None:
        """Erase what is known of the tags of these photos for good: tables are written anew, and older versions are dropped."""
        self._looked_at.clear()
        for name in (TABLE, "tag_labels"):
            self.tables.rewrite_without(name, digests)

    def left(self, digests: Collection[str]) -> set[str]:
        """Which of these digests some table still holds."""
        return {digest for digest in self.tables.distinct(TABLE) | self.people.digests() if digest in digests}

    def _count(self, run_id: str) -> int:
        """How many tags a run wrote."""
        return sum(int(batch.num_rows - batch["tag"].null_count) for batch in rows_of(self.tables, ["digest", "tag"], [run_id]))

    def _note(self, run: TagRun) -> None:
        self.tables.upsert(_RUNS, pa.Table.from_pylist([run.row()], schema=SCHEMAS[_RUNS]), ("run",))

    def _in_state(self, run_id: str, state: str, done: str) -> TagRun:
        run = self.run(run_id)
        if run.state != state:
            raise InputError(f"The tagging run {run.id} is {run.state}; it cannot be {done}. See: pellucid tags runs")
        return run


def _surest_first(tag: StoredTag) -> tuple[bool, float, str]:
    return not tag.human, -tag.precision, tag.tag
