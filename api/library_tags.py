"""Photos of a library by the names that people give, and their tags."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from preprocess import InputError, PellucidError

if TYPE_CHECKING:
    from search import Library, Store, StoredTag, Vocabulary


@dataclass(frozen=True, slots=True)
class Doubt:
    """A tag that a machine gave a photo, about which nobody has said anything."""

    file: str
    digest: str
    tag: StoredTag

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"file": self.file, "digest": self.digest} | tag_dict(self.tag)


def tag_dict(tag: StoredTag) -> dict[str, Any]:
    """For JSON."""
    real = {name: None if value is None else round(value, 4) for name, value in (("similarity", tag.similarity), ("z", tag.z))}
    return {"tag": tag.tag, "precision": round(tag.precision, 4), **real, "region": tag.region, "run": tag.run, "human": tag.human}


def library_words(library: Path | None) -> str:
    """What a command that is to be copied needs at its end, where the library was named on the command line; nothing otherwise."""
    return "" if library is None else f" --library {shlex.quote(str(library.expanduser().absolute()))}"


def digest_of_photo(store: Store, path: Path) -> tuple[str, str]:
    """The digest of a photo of the library, and its full name there; the file need not be there any more.

    Raises:
        InputError: the library does not have it.
    """
    place = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 (a link must not be followed: it may be gone)
    names = {str(place), str(place.resolve())}
    for row in store.images(["root", "path", "digest"]).to_pylist():
        file = str(Path(row["root"], row["path"]))
        if file in names:
            return str(row["digest"]), file
    if place.is_dir():
        raise InputError(f"{path} is a folder. Name a photo.")
    raise InputError(f"{path} is not in {store.library.folder}. Index its folder first: pellucid index FOLDER")


def files_by_digest(store: Store) -> dict[str, str]:
    """A full name of each photo by its digest, of copies the first by name."""
    found: dict[str, str] = {}
    rows = store.images(["root", "path", "digest"])
    for root, path, digest in zip(*(rows[name].to_pylist() for name in ("root", "path", "digest")), strict=True):
        file = os.path.join(root, path)  # noqa: PTH118 (a Path of each of 100,000 photos takes a second)
        found[digest] = min(found.get(digest, file), file)
    return found


def doubts(library: Library, k: int, where: str | None = None, tag: str | None = None) -> tuple[list[Doubt], int]:
    """The k tags of machines that nobody has confirmed or rejected yet about which an answer tells most: the most uncertain first, words in turns; and how many
    there are in all. With a condition or a tag, only of those photos or of that tag.

    Raises:
        FilterError: the condition is wrong.
    """
    from search import Store, matching_vectors, open_derived, tag_key, uncertain

    derived = open_derived(library)
    try:
        database = derived.database
        among = "human = 0"
        values: list[str] = []
        if where is not None:
            numbers = matching_vectors(database, where).tolist()
            database.execute("CREATE TEMP TABLE chosen (digest TEXT)")
            database.executemany("INSERT INTO chosen SELECT digest FROM images WHERE vector = ?", ((number,) for number in numbers))
            among += " AND photo IN (SELECT photo FROM marks.photos WHERE digest IN (SELECT digest FROM chosen))"
        if tag is not None:
            among += " AND tag IN (SELECT tag FROM marks.names WHERE key = ?)"
            values.append(tag_key(tag))
        total = int(database.execute(f"SELECT count(*) FROM marks.tagged WHERE {among}", values).fetchone()[0])  # noqa: S608 (ours)
        nearest = f"""
            SELECT digest, name, precision FROM (
                SELECT photo, tag, precision, row_number() OVER (PARTITION BY tag ORDER BY abs(precision - 0.5), photo) AS place
                FROM marks.tagged WHERE {among}
            ) JOIN marks.photos USING (photo) JOIN marks.names USING (tag) WHERE place <= ?"""  # noqa: S608
        found = database.execute(nearest, (*values, k)).fetchall()
    finally:
        derived.close()
    store = Store(library)
    order = uncertain(found, store.marks.labels())[:k]
    files, tags = files_by_digest(store), store.marks.tags({digest for digest, _, _ in order})
    known = {(digest, tag_key(each.tag)): each for digest, some in tags.items() for each in some}
    keys = [(digest, tag_key(name)) for digest, name, _ in order]
    return [Doubt(files[key[0]], key[0], known[key]) for key in keys if key[0] in files and key in known], total


def run_vocabularies(store: Store) -> list[Vocabulary]:
    """The vocabularies that the library's runs were made with, the newest first, then the one that ships; those that are gone are passed over."""
    from search import load_vocabulary

    names = [run.vocabulary for run in reversed(store.marks.runs())]
    found = []
    for name in dict.fromkeys([*names, "photo"]):
        try:
            found.append(load_vocabulary(name))
        except PellucidError:
            continue
    return found


def known_tag(word: str, vocabularies: Iterable[Vocabulary], others: Iterable[str]) -> tuple[str, bool]:
    """A tag as it is called: one of `others`, which photos have, or one of the vocabularies by its name or a synonym; and whether there is one."""
    from search import tag_key

    key = tag_key(word)
    for other in others:
        if tag_key(other) == key:
            return other, True
    for vocabulary in vocabularies:
        if (tag := vocabulary.find(word)) is not None:
            return tag.name, True
    return " ".join(word.split()), False


def say_tags(store: Store, digest: str, words: Iterable[str], verdict: Literal["confirmed", "rejected"] | None) -> list[tuple[str, bool]]:
    """Note what a person says of a photo's tags, which are named by name or synonym, or take it back where the verdict is none; each tag as it is called, and
    whether photos or vocabularies have it. The library must be held.

    Raises:
        InputError: a name is none for a tag.
    """
    before = [tag.tag for tag in store.marks.tags([digest]).get(digest, ())]
    vocabularies = run_vocabularies(store)
    said = [known_tag(word, vocabularies, before) for word in words]
    names = list(dict.fromkeys(name for name, _ in said))
    if verdict is None:
        for name in names:
            store.marks.label(digest, name, None)
    else:
        store.marks.label_all([(digest, name, verdict) for name in names])
    return said


__all__ = [
    "Doubt",
    "digest_of_photo",
    "doubts",
    "files_by_digest",
    "known_tag",
    "library_words",
    "run_vocabularies",
    "say_tags",
    "tag_dict",
]
