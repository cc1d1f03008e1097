"""What people said of tags, in the cache of scores and tags.

The table `said` holds each pair of photo and tag of which something was said, whether it was confirmed, and the precision that a machine gave it, null where none
did: `tagged` has the confirmed ones as people's and lacks the rejected ones. So what is said later, or taken back, can be brought in without looking at the rest.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import Store

_STATEMENTS = (
    # Photos and tags that no machine wrote of.
    "INSERT INTO {m}.photos (digest) SELECT DISTINCT digest FROM temp.given WHERE digest NOT IN (SELECT digest FROM {m}.photos)",
    "INSERT INTO {m}.names (key, name) SELECT key, min(name) FROM temp.given WHERE key NOT IN (SELECT key FROM {m}.names) GROUP BY key",
    "INSERT INTO temp.present SELECT photo, tag, confirmed FROM temp.given JOIN {m}.photos USING (digest) JOIN {m}.names USING (key)",
    # What is said no more, or otherwise: as the machine wrote it.
    "INSERT INTO temp.past SELECT photo, tag, machine FROM {m}.said AS said WHERE NOT EXISTS (SELECT 1 FROM temp.present AS now"
    " WHERE now.photo = said.photo AND now.tag = said.tag AND now.confirmed = said.confirmed)",
    "DELETE FROM {m}.said WHERE (photo, tag) IN (SELECT photo, tag FROM temp.past)",
    "DELETE FROM {m}.tagged WHERE (photo, tag) IN (SELECT photo, tag FROM temp.past)",
    "INSERT INTO {m}.tagged SELECT photo, tag, machine, 0 FROM temp.past WHERE machine IS NOT NULL",
    # What is new.
    "DELETE FROM temp.present WHERE (photo, tag) IN (SELECT photo, tag FROM {m}.said)",
    "INSERT INTO {m}.said SELECT now.photo, now.tag, now.confirmed, tagged.precision FROM temp.present AS now"
    " LEFT JOIN {m}.tagged AS tagged ON tagged.photo = now.photo AND tagged.tag = now.tag",
    "DELETE FROM {m}.tagged WHERE (photo, tag) IN (SELECT photo, tag FROM temp.present)",
    "INSERT INTO {m}.tagged SELECT photo, tag, 1.0, 1 FROM temp.present WHERE confirmed",
)


def write_labels(store: Store, database: sqlite3.Connection, schema: str) -> None:
    """Bring in what people say now, whatever the cache in this schema of a database holds of it."""
    labels = store.marks.people.by_digest()
    if not labels and database.execute(f"SELECT 1 FROM {schema}.said LIMIT 1").fetchone() is None:  # noqa: S608 (our names)
        return
    database.execute("CREATE TEMP TABLE given (digest TEXT, key TEXT, name TEXT, confirmed INTEGER)")
    database.execute("CREATE TEMP TABLE present (photo INTEGER, tag INTEGER, confirmed INTEGER, PRIMARY KEY (photo, tag))")
    database.execute("CREATE TEMP TABLE past (photo INTEGER, tag INTEGER, machine REAL)")
    database.executemany(
        "INSERT INTO temp.given VALUES (?, ?, ?, ?)",
        (
            (digest, key, tag, verdict == "confirmed")
            for digest, said in labels.items()
            for key, (tag, verdict) in said.items()
        ),
    )  # fmt: skip
    for statement in _STATEMENTS:
        database.execute(statement.replace("{m}", schema))
    for table in ("given", "present", "past"):
        database.execute(f"DROP TABLE temp.{table}")
