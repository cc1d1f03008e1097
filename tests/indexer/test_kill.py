"""A build that is killed at any moment leaves a library that opens, holds no half photo, and is finished by the next build."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer import BuildOptions, build
from search import Encoder, Library, Query, Store, Term, open_derived, search

KILLS = 20
OPTIONS = BuildOptions(dehaze="dark-channel", regions="halves")  # each photo has two vectors then, and two regions
PHOTOS = 150
SEED = 20
COLOURS = ("red", "green", "blue", "yellow", "cyan", "magenta", "orange")

pytestmark = [
    pytest.mark.usefixtures("halves"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.timeout(900),
]


class Builds:
    """Starts builds in processes of their own."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self.server = server

    def start(self, library: Path, root: Path, encoder: str = "mean-colour") -> int:
        return int(self.ask(f"{library}\t{root}\t{encoder}"))

    def exit_code(self) -> int:
        """Of the build that was started, when it has ended."""
        return int(self.ask("end"))

    def ask(self, line: str) -> str:
        assert self.server.stdin
        self.server.stdin.write(f"{line}\n")
        self.server.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        assert self.server.stdout
        return self.server.stdout.readline().strip()

    def killed_after(self, seconds: float, library: Path, root: Path, encoder: str = "mean-colour") -> bool:
        """Whether the build was still running when it was killed."""
        child = self.start(library, root, encoder)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        return self.exit_code() == -signal.SIGKILL


@pytest.fixture
def builds(tmp_path: Path, paint: Callable[..., Path]) -> Iterator[Builds]:
    photo = paint(tmp_path / "warm up.png")
    command = [sys.executable, str(Path(__file__).with_name("killed_build.py")), str(photo)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        builds = Builds(server)
        assert builds.answer() == "ready"
        yield builds
        assert server.stdin
        server.stdin.close()


@pytest.fixture
def changed(tmp_path: Path, paint: Callable[..., Path], encoder: Encoder) -> tuple[Path, Path]:
    """A folder of 150 photos, and a library of what it was before a third was added, some changed, moved, copied, broken and lost."""
    root = tmp_path / "photos"
    for at in range(PHOTOS * 2 // 3):
        paint(root / f"{at % 5}" / f"{at:03}.png", COLOURS[at % 7], seed=at)
    library = Library(tmp_path / "before", create=True)
    build(library, [root], encoder, OPTIONS)
    files = sorted(root.rglob("*.png"))
    for at, file in enumerate(files[:50]):
        if at % 5 == 0:
            file.unlink()
        elif at % 5 == 1:
            (root / "moved").mkdir(exist_ok=True)
            file.rename(root / "moved" / file.name)
        elif at % 5 == 2:
            paint(file, "grey", seed=1000 + at)
        elif at % 5 == 3:
            os.utime(file, (1e9, 1e9))
        else:
            shutil.copyfile(file, file.with_name(f"copy of {file.name}"))
    files[60].write_bytes(b"it broke")
    for at in range(PHOTOS // 3):
        paint(root / "new" / f"{at:03}.png", COLOURS[at % 7], seed=2000 + at)
    return root, library.folder


def regions_of(library: Library) -> dict[str, Any]:
    """Of each photo, its maker, its regions, and the vectors of these."""
    store = Store(library)
    kept, recipe = store.regions.annotations(), str(library.file.current)
    dim = int(library.file.recipes[recipe]["dim"])
    vectors: dict[str, dict[int, bytes]] = {}
    for digests, makers, numbers, rows in store.regions.vector_batches(recipe, dim):
        for digest, maker, number, row in zip(digests, makers, numbers.tolist(), rows, strict=True):
            if digest in kept and kept[digest].maker == maker:
                vectors.setdefault(digest, {})[number] = row.tobytes()
    regions = store.regions.regions()
    assert {digest: len(found) for digest, found in regions.items()} == {digest: k.regions for digest, k in kept.items() if k.regions}
    return {digest: (kept[digest], regions.get(digest), vectors.get(digest)) for digest in kept}


def contents(library: Library) -> tuple[list[dict[str, Any]], dict[str, bytes], list[Any], dict[str, Any]]:
    store = Store(library)
    rows = sorted(store.images().to_pylist(), key=lambda row: row["path"])
    current = str(library.file.current)
    vectors = {
        f"{name}{digest}": vector.tobytes()
        for name, recipe in {"": current, **library.file.enhanced(current)}.items()
        for digest, vector in zip(*store.vectors(recipe), strict=True)
    }
    return rows, vectors, store.failures(), regions_of(library)


def assert_whole(library: Library, encoder: Encoder, was: dict[str, str]) -> None:
    """It opens and answers; every row is complete, stands once, and has its vector; of the older rows none was lost for nothing."""
    rows, vectors, _failures, _regions = contents(library)
    places = [row["path"] for row in rows]
    assert len(places) == len(set(places))
    for row in rows:
        assert row["digest"] in vectors
        assert row["dehazed"] + row["digest"] in vectors
        assert all(row[name] is not None for name in ("root", "path", "digest", "format", "width", "height", "byte_size", "modified_ns"))
    assert all(len(vector) == 2 * encoder.recipe.dim for vector in vectors.values())
    root = library.file.roots[0]
    assert {path for path in was if Path(root, path).exists()} <= set(places)
    hits = search(library, Query((Term("red"),), k=500), encoder)
    assert len(hits) == len(rows)


def test_a_build_killed_at_any_moment(builds: Builds, changed: tuple[Path, Path], encoder: Encoder, tmp_path: Path) -> None:
    root, before = changed
    older = contents(Library(before))[0]
    was = {row["path"]: row["digest"] for row in older}
    plain = tmp_path / "uninterrupted"
    shutil.copytree(before, plain)
    start = time.monotonic()
    builds.start(plain, root)
    assert builds.exit_code() == 0
    whole = time.monotonic() - start
    expected = contents(Library(plain))
    assert len(expected[0]) == 150
    rng = random.Random(SEED)
    hit = progress = 0
    for at in range(KILLS):
        place = tmp_path / f"killed {at}"
        shutil.copytree(before, place)
        hit += builds.killed_after(whole * (at + rng.random()) / KILLS, place, root)
        library = Library(place)
        assert not library.busy()
        assert_whole(library, encoder, was)
        progress += contents(library)[0] not in (older, expected[0])
        build(library, [root], encoder, OPTIONS)
        for part, wanted in zip(contents(library), expected, strict=True):
            assert part == wanted, f"after kill {at}"
        derived = open_derived(library)
        assert len(derived.nearest) == len(expected[1])
        derived.close()
        shutil.rmtree(place)
    assert hit >= KILLS // 4  # that many were still at work
    assert progress >= 1  # and some were between their first commit and their last


def test_a_first_build_killed_again_and_again(builds: Builds, changed: tuple[Path, Path], encoder: Encoder, tmp_path: Path) -> None:
    """Each build gets a little further, from an empty folder on."""
    root, _ = changed
    rng = random.Random(SEED)
    seen = [0]
    for at in range(16):
        builds.killed_after((0.1 + 0.25 * rng.random()) * 1.3**at, tmp_path / "library", root)  # longer each time, for slow machines
        library = Library(tmp_path / "library", create=True)
        seen.append(len(contents(library)[0]))
        if library.file.current is not None:
            assert_whole(library, encoder, {})
        if at >= 5 and seen[-1] > 0:
            break
    assert seen == sorted(seen)
    assert seen[-1] > 0
    fresh = Library(tmp_path / "fresh", create=True)
    build(library, [root], encoder, OPTIONS)
    build(fresh, [root], encoder, OPTIONS)
    assert contents(library) == contents(fresh)


def test_another_encoder_killed_at_any_moment(
    builds: Builds, tmp_path: Path, encoder: Encoder, make_encoder: Callable[..., Any], paint: Callable[..., Path]
) -> None:
    """The one in use answers as before, what was made for the other is kept, and the next build finishes it."""
    root, finer = tmp_path / "photos", make_encoder("finer")
    for at in range(PHOTOS):
        paint(root / f"{at % 5}" / f"{at:03}.png", COLOURS[at % 7], seed=at)
    before = Library(tmp_path / "before", create=True)
    build(before, [root], encoder, OPTIONS)
    question = Query((Term("red"),), k=500)
    expected = search(before, question, encoder)
    start = time.monotonic()
    shutil.copytree(before.folder, tmp_path / "whole")
    builds.start(tmp_path / "whole", root, "finer")
    assert builds.exit_code() == 0
    whole = time.monotonic() - start
    digests, vectors = Store(Library(tmp_path / "whole")).vectors(finer.recipe.id)
    assert len(digests) == PHOTOS
    rng, hit, partly = random.Random(SEED), 0, 0
    for at in range(6):
        place = tmp_path / f"killed {at}"
        shutil.copytree(before.folder, place)
        hit += builds.killed_after(whole * (at + rng.random()) / 6, place, root, "finer")
        library = Library(place)
        assert library.file.current == encoder.recipe.id
        assert search(library, question, encoder) == expected
        store = Store(library)
        kept = len(store.digests(finer.recipe.id) & store.regions.embedded(finer.recipe.id))
        partly += 0 < kept < PHOTOS
        report = build(library, [root], finer)
        assert (report.reembedded, report.without_vector) == (PHOTOS - kept, 0)
        again, rows = Store(library).vectors(finer.recipe.id)
        assert (again, rows.tobytes()) == (digests, vectors.tobytes())
        assert search(library, question, encoder) == expected
    assert hit >= 2
    assert partly >= 1
