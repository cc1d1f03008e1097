"""`pellucid xmp write` and `retract` that are killed at any of their file operations: no sidecar is half written, and each is taken back byte by byte."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotate import XmpJournal
from search import FoundTag, Library, Store, TagRun, image_row, new_run_id, normalize

PHOTOS, SEED = 200, 6
WORDS = ("dog", "cat", "beach", "sea", "sun")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
Command = Callable[..., tuple[int, int]]


@pytest.fixture
def library(tmp_path: Path, encoder: Any, place: Any) -> Path:
    """Of 200 photos with tags: a third have sidecars of a person's, no two alike."""
    root, folder = tmp_path / "many", tmp_path / "library of many"
    rows = []
    for at in range(PHOTOS):
        file = root / f"{at % 7}" / f"{at:03}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"photo {at}")
        if at % 3 == 0:
            file.with_suffix(".xmp").write_text(place.lightroom.replace("Rome", f"Rome {at}"))
        status, digest = file.stat(), hashlib.sha256(file.read_bytes()).hexdigest()
        facts = {"byte_size": status.st_size, "modified_ns": status.st_mtime_ns, "width": 48, "height": 32}
        rows.append(image_row(root=str(root), path=file.relative_to(root).as_posix(), digest=digest, **facts))
    library = Library(folder, create=True)
    digests = [row["digest"] for row in rows]
    with library.locked("test"):
        library.write(library.file.with_root(str(root)))
        store = Store(library)
        vectors = np.random.default_rng(SEED).normal(size=(PHOTOS, encoder.recipe.dim)).astype(np.float32)
        store.add_vectors(encoder.recipe, digests, normalize(vectors))
        store.put_images(rows)
        store.use(encoder.recipe)
        run = TagRun(new_run_id(), "r", "mean-colour", "photo", "0" * 12, "one")
        store.marks.begin(run)
        found = {digest: [FoundTag(WORDS[at % 5], 0.8, 0.3, 3.0)] for at, digest in enumerate(digests)}
        store.marks.put(run.id, found)
        store.marks.finish(run.id)
    return folder


@pytest.fixture
def command(library: Path) -> Iterator[Command]:
    """A command's exit code and how many file operations it made; killed `at` one of them."""
    line = [sys.executable, str(Path(__file__).with_name("killed_xmp.py"))]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        stdin, stdout = server.stdin, server.stdout
        assert stdout.readline().strip() == "ready"

        def run(*arguments: str, at: int = 0, how: str = "") -> tuple[int, int]:
            words = ["xmp", *arguments, "--library", str(library), "--json"]
            stdin.write(json.dumps({"arguments": words, "at": at, "how": how, "root": str(library.parent / "many")}) + "\n")
            stdin.flush()
            code, operations = stdout.readline().split()
            return int(code), int(operations)

        yield run
        stdin.close()


def files(root: Path) -> dict[str, bytes]:
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def check(root: Path, before: dict[str, bytes], after: dict[str, bytes]) -> int:
    """Each file is the old one or the new one, beside what is thrown away; how many are new."""
    there = {name: data for name, data in files(root).items() if not Path(name).name.startswith(".pellucid-")}
    assert before.keys() <= there.keys() <= after.keys()
    assert all(data in (before.get(name), after[name]) for name, data in there.items())
    return sum(there.get(name) == data != before.get(name) for name, data in after.items())


def test_killed_at_any_operation(library: Path, command: Command) -> None:
    root, chance = library.parent / "many", random.Random(SEED)
    before = files(root)
    code, writes = command("write")
    assert code == 0
    after = files(root)
    assert sum(before.get(name) != data for name, data in after.items()) == PHOTOS
    code, retracts = command("retract", "latest")
    assert (code, files(root)) == (0, before)
    assert min(writes, retracts) > PHOTOS

    later = writes - 4 - 3 * (PHOTOS // 3 + 1)  # the backups of a third are there now
    photos = sorted(name for name in before if name.endswith(".jpg"))
    theirs = [at for at, name in enumerate(photos, 1) if name.replace(".jpg", ".xmp") in before]
    counts = []
    for kill, how in enumerate(("half", "after", "before")):
        at = 4 + int((kill + chance.random()) / 3 * later) if how != "half" else theirs[len(theirs) // 4]
        assert command("write", at=at, how=how)[0] == -signal.SIGKILL
        counts.append(check(root, before, after))
        runs = list(XmpJournal(library, dry=True).runs())
        assert len(runs) <= 1
        assert command("retract", *runs, at=chance.randrange(1, 1 + counts[-1] // 4), how=how)[0] == -signal.SIGKILL
        assert check(root, before, after) <= counts[-1]
        for run in XmpJournal(library, dry=True).runs():
            assert command("retract", run)[0] == 0
        assert check(root, before, after) == 0
        assert not XmpJournal(library, dry=True).runs()
    assert max(counts) - min(counts) > PHOTOS // 4

    left = list(root.rglob(".pellucid-*"))
    assert left
    for file in left:
        os.utime(file, (time.time() - 100,) * 2)
    assert command("write")[0] == 0
    assert files(root) == after
