"""`pellucid tag` and `pellucid score`, killed at any of their writes: the library opens, what was there before counts, what was cut off does not, and the same command ends as if it
had not been killed. And two writers at once: the second is refused, and nothing is lost."""

from __future__ import annotations

import json
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

import numpy as np
import pytest

from preprocess import digest_of
from search import Library, LibraryVectors, Store, image_row, open_derived

PHOTOS, ON_DISK = 300, 24
COLOURS = ("red", "green", "blue", "yellow", "cyan", "magenta", "orange", "black", "white")
SEED = 6
pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"), pytest.mark.timeout(300)]


class Commands:
    """Runs commands in processes of their own."""

    def __init__(self, server: subprocess.Popen[str], place: Path) -> None:
        self.server, self.place = server, place

    def start(self, library: Path, *arguments: object, at: int = 0, when: str = "", slow: float = 0) -> int:
        """The number of the process."""
        words = [*map(str, arguments), "--library", str(library)]
        return int(self.ask(json.dumps({"arguments": words, "at": at, "when": when, "slow": slow, "out": str(self.place / "out.txt")})))

    def exit_code(self) -> int:
        """Of the command that was started, when it has ended."""
        return int(self.ask("end"))

    @property
    def said(self) -> str:
        return (self.place / "out.txt").read_text(encoding="utf-8")

    def run(self, library: Path, *arguments: object, at: int = 0, when: str = "") -> int:
        self.start(library, *arguments, at=at, when=when)
        return self.exit_code()

    def ask(self, line: str) -> str:
        assert self.server.stdin
        assert self.server.stdout
        self.server.stdin.write(f"{line}\n")
        self.server.stdin.flush()
        return self.server.stdout.readline().strip()


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    command = [sys.executable, str(Path(__file__).with_name("killed_command.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stdout.readline().strip() == "ready"
        yield Commands(server, tmp_path_factory.mktemp("said"))
        assert server.stdin
        server.stdin.close()


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "colours.txt"
    file.write_text("".join(f"{colour}\n" for colour in COLOURS), encoding="utf-8")
    return file


@pytest.fixture
def library(tmp_path: Path, encoder: Any, paint: Callable[..., Path]) -> Path:
    """Some hundred photos of a colour each, of which a few lie on disk, with the tags of a loose run."""
    made = Library(tmp_path / "library", create=True)
    grain = np.random.default_rng(SEED)
    rows = encoder.encode_texts([COLOURS[at % len(COLOURS)] for at in range(PHOTOS)]) + grain.normal(0, 0.05, (PHOTOS, encoder.recipe.dim))
    digests = [f"{at:064x}" for at in range(PHOTOS)]
    paths = [f"{at:03}.png" for at in range(PHOTOS)]
    sizes = [1] * PHOTOS
    for at in range(ON_DISK):
        file = paint(tmp_path / "photos" / paths[at], COLOURS[at % len(COLOURS)], seed=at)
        digests[at], sizes[at] = digest_of(file), file.stat().st_size
    with made.locked("test"):
        store = Store(made)
        store.add_vectors(encoder.recipe, digests, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
        store.put_images(
            [
                image_row(root=str(tmp_path / "photos"), path=path, digest=digest, format="PNG", width=24, height=16, byte_size=size, modified_ns=at)
                for at, (path, digest, size) in enumerate(zip(paths, digests, sizes, strict=True))
            ]
        )  # fmt: skip
        store.use(encoder.recipe)
        made.write(made.file.with_root(str(tmp_path / "photos")))
    return made.folder


def tags_of(library: Path) -> dict[str, Any]:
    """The tags that count in the store, whichever run wrote them."""
    tags = Store(Library(library)).marks.tags()
    return {digest: sorted((tag.tag, tag.precision, tag.similarity, tag.z) for tag in own) for digest, own in tags.items()}


def found_of(library: Path, tag: str) -> set[str]:
    """The photos that a search finds by a tag."""
    derived = open_derived(Library(library))
    try:
        vectors = LibraryVectors(derived, f"tag('{tag}')")
        return set(vectors.digests(vectors.numbers))
    finally:
        derived.close()


def scores_of(library: Path) -> dict[str, dict[str, float]]:
    scores = Store(Library(library)).scores
    return {axis: scores.values(axis) for axis in scores.axes()}


def tag_command(words: Path, *more: object) -> tuple[object, ...]:
    return ("tag", "--vocabulary", words, "--templates", "plain", "--json", *more)


def copied(library: Path, name: str) -> Path:
    shutil.rmtree(library.with_name(name), ignore_errors=True)
    return Path(shutil.copytree(library, library.with_name(name)))


@pytest.mark.parametrize("when", ["in", "after"])
@pytest.mark.parametrize("writes", [(1, 2), (3, 4)])  # the run is begun, written in two parts, and finished
def test_a_killed_run_of_tagging_does_not_count_and_the_next_one_ends_it(
    writes: tuple[int, ...], when: str, commands: Commands, library: Path, words: Path
) -> None:
    assert commands.run(library, *tag_command(words, "--precision", 0.02)) == 0, commands.said
    before = tags_of(library)
    strict = tag_command(words, "--precision", 0.05, "--most", 1)
    whole = copied(library, "whole")
    assert commands.run(whole, *strict) == 0, commands.said
    after = tags_of(whole)
    assert len(after) > 100
    assert after != before
    unfinished = 0
    for at in writes:
        place = copied(library, "killed")
        assert commands.run(place, *strict, at=at, when=when) == -signal.SIGKILL, commands.said
        done = [run.state for run in Store(Library(place)).marks.runs()] == ["written", "written"]
        unfinished += not done
        state = after if done else before
        assert tags_of(place) == state, at
        assert found_of(place, "red") == {digest for digest, own in state.items() if "red" in [tag[0] for tag in own]}
        assert commands.run(place, *strict) == 0, commands.said
        if not done and (at > 2 or (at == 2 and when == "after")):  # what was written is not looked at again
            assert json.loads(commands.said)["resumed"] >= PHOTOS / 2
        assert tags_of(place) == after, at
        assert {run.state for run in Store(Library(place)).marks.runs()} == {"written"}
    assert unfinished >= 1


@pytest.mark.parametrize("when", ["in", "after"])
@pytest.mark.parametrize(
    ("kind", "writes"), [("vectors", (1, 2)), ("vectors", (3, 4)), ("photos", (1, 2))]
)  # two parts of two sources; two parts
def test_a_killed_run_of_scoring_is_ended_by_the_next_one(
    kind: str, writes: tuple[int, ...], when: str, commands: Commands, library: Path, tmp_path: Path
) -> None:
    (tmp_path / "pairs.txt").write_text("warm: red photo | blue photo\n", encoding="utf-8")
    order: tuple[object, ...] = ("score", "--json", "--pairs", tmp_path / "pairs.txt", "--axes", "warm,brightness")
    if kind == "photos":
        order = ("score", "--json", "--mode", "paper", "--axes", "rating", "--where", f"path < '{ON_DISK:03}.png'")
    assert commands.run(library, "score", "--json", "--axes", "contrast") == 0, commands.said
    before = scores_of(library)
    whole = copied(library, "whole")
    assert commands.run(whole, *order) == 0, commands.said
    wanted = scores_of(whole)
    for at in writes:
        place = copied(library, "killed")
        assert commands.run(place, *order, at=at, when=when) == -signal.SIGKILL, commands.said
        left = scores_of(place)
        assert left["contrast"] == before["contrast"]
        assert all(wanted[axis][digest] == value for axis, values in left.items() for digest, value in values.items())
        assert commands.run(place, *order) == 0, commands.said
        if at > 2 or (at == 2 and when == "after") or (kind == "photos" and at == 2):
            assert json.loads(commands.said)["before"] > 0  # what was scored is left alone
        assert scores_of(place) == wanted, at


def test_kills_at_any_moment(commands: Commands, library: Path, words: Path) -> None:
    """Also between writes, and while the caches are written."""
    strict = tag_command(words, "--precision", 0.05)
    whole = copied(library, "whole")
    started = time.monotonic()
    assert commands.run(whole, *strict) == 0, commands.said
    lasted, moments = time.monotonic() - started, random.Random(SEED)
    place = copied(library, "killed")
    for _ in range(5):
        child = commands.start(place, *strict)
        time.sleep(lasted * moments.random())
        os.kill(child, signal.SIGKILL)
        assert commands.exit_code() in (0, -signal.SIGKILL)
        assert tags_of(place) in ({}, tags_of(whole))
    assert commands.run(place, *strict) == 0, commands.said
    assert tags_of(place) == tags_of(whole)
    assert found_of(place, "blue") == found_of(whole, "blue")


@pytest.mark.usefixtures("mean_colour_listed")
@pytest.mark.parametrize("other", ["tag", "score", "index", "retract"])
def test_a_second_writer_is_refused_while_a_run_goes_on(
    other: str, commands: Commands, library: Path, words: Path, pellucid: Callable[..., Any]
) -> None:
    assert commands.run(library, *tag_command(words, "--precision", 0.02)) == 0, commands.said
    before = tags_of(library)
    whole = copied(library, "whole")
    strict = tag_command(words, "--precision", 0.05)
    assert commands.run(whole, *strict) == 0
    child = commands.start(library, *strict, slow=0.4)
    while not Library(library).busy():
        time.sleep(0.01)
    orders = {
        "tag": strict,
        "score": ("score", "--axes", "contrast"),
        "index": ("index", library.parent / "photos"),
        "retract": ("tags", "retract", "latest"),
    }
    ran = pellucid(*orders[other], "--library", library)
    assert ran.code != 0
    assert f"is held by process {child}" in ran.err
    assert "(tag, since" in ran.err
    assert "Wait until it ends" in ran.err
    assert tags_of(library) == before  # who reads need not wait
    assert commands.exit_code() == 0, commands.said
    assert tags_of(library) == tags_of(whole)


@pytest.mark.usefixtures("mean_colour_listed")
def test_tagging_is_refused_while_an_index_runs_and_nothing_is_lost(
    commands: Commands, library: Path, words: Path, pellucid: Callable[..., Any], paint: Callable[..., Path]
) -> None:
    assert commands.run(library, *tag_command(words, "--precision", 0.02)) == 0, commands.said
    before = tags_of(library)
    paint(library.parent / "photos" / "new.png", "magenta", seed=1000)
    commands.start(library, "index", "--encoder", "mean-colour", slow=0.2)
    while not Library(library).busy():
        time.sleep(0.01)
    ran = pellucid(*tag_command(words, "--precision", 0.05), "--library", library)
    assert ran.code != 0
    assert "(index, since" in ran.err
    assert commands.exit_code() == 0, commands.said
    after = tags_of(library)
    kept = set(Store(Library(library)).images(["digest"])["digest"].to_pylist())
    assert len(kept) == ON_DISK + 1  # the others are gone from disk
    assert after == {digest: own for digest, own in before.items() if digest in kept}
    assert pellucid(*tag_command(words, "--precision", 0.05), "--library", library).json["photos"] == ON_DISK + 1
