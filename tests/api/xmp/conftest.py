"""A library of four photos in two roots, whose tags are brought into sidecars by the command line."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search import FoundTag, Library, Store, TagRun, image_row, new_run_id, normalize

SIZE = (48, 32)
LIGHTROOM = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Rome</rdf:li>
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


@dataclass
class Place:
    """A library of photos in two roots: `one` has a.png, b.jpg and été/плаж 1.png, `two` has a copy of a.png."""

    folder: Path
    pellucid: Callable[..., Any]
    photos = frozenset({"one/a.png", "one/b.jpg", "one/été/плаж 1.png", "two/copy.png"})
    lightroom = LIGHTROOM
    size = SIZE

    def run(self, *arguments: object) -> Any:
        return self.pellucid(*arguments, "--library", self.folder / "library")

    def xmp(self, *arguments: object) -> Any:
        ran = self.run("xmp", *arguments)
        assert ran.code == 0, ran.err
        return ran

    def json(self, *arguments: object) -> Any:
        return self.xmp(*arguments, "--json").json

    def digest(self, name: str) -> str:
        rows = Store(Library(self.folder / "library")).images(["root", "path", "digest"]).to_pylist()
        return str(next(row["digest"] for row in rows if f"{Path(row['root']).name}/{row['path']}" == name))

    def tag(self, **tags: Iterable[str]) -> str:
        """One run by a machine; gives its id."""
        library = Library(self.folder / "library")
        with library.locked("test"):
            marks = Store(library).marks
            run = TagRun(new_run_id(), "r", "mean-colour", "photo", "0" * 12, "one")
            marks.begin(run)
            marks.put(run.id, {self.digest(name): [FoundTag(tag, 0.8, 0.3, 3.0) for tag in names] for name, names in tags.items()})
            marks.finish(run.id)
        return run.id

    def confirm(self, name: str, tag: str) -> None:
        library = Library(self.folder / "library")
        with library.locked("test"):
            Store(library).marks.label(self.digest(name), tag, "confirmed")

    def keywords(self) -> dict[str, str | None]:
        """What the library takes for people's, by photo."""
        rows = Store(Library(self.folder / "library")).images(["root", "path", "keywords"]).to_pylist()
        return {f"{Path(row['root']).name}/{row['path']}": row["keywords"] for row in rows}

    def files(self) -> set[str]:
        return {
            file.relative_to(self.folder).as_posix()
            for root in ("one", "two")
            for file in (self.folder / root).rglob("*")
            if file.is_file()
        }


@pytest.fixture
def place(tmp_path: Path, paint: Any, encoder: Any, mean_colour_listed: str, pellucid: Callable[..., Any]) -> Place:
    for at, name in enumerate(("one/a.png", "one/b.jpg", "one/été/плаж 1.png")):
        paint(tmp_path / name, seed=at, size=SIZE)
    (tmp_path / "two").mkdir()
    shutil.copyfile(tmp_path / "one/a.png", tmp_path / "two/copy.png")
    assert mean_colour_listed == encoder.recipe.encoder
    library = Library(tmp_path / "library", create=True)
    with library.locked("test"):
        store, rows = Store(library), [_row(tmp_path, file) for file in sorted(tmp_path.glob("[ot]*/**/*.*"))]
        library.write(library.file.with_root(str(tmp_path / "one")).with_root(str(tmp_path / "two")))
        digests = sorted({row["digest"] for row in rows})
        store.add_vectors(encoder.recipe, digests, normalize(np.eye(encoder.recipe.dim, dtype=np.float32)[: len(digests)]))
        store.put_images(rows)
        store.use(encoder.recipe)
    return Place(tmp_path, pellucid)


def _row(folder: Path, file: Path) -> dict[str, Any]:
    root = folder / file.relative_to(folder).parts[0]
    status, digest = file.stat(), hashlib.sha256(file.read_bytes()).hexdigest()
    facts = {"byte_size": status.st_size, "modified_ns": status.st_mtime_ns, "width": SIZE[0], "height": SIZE[1]}
    return image_row(root=str(root), path=file.relative_to(root).as_posix(), digest=digest, **facts)
