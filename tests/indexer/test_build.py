from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import BuildOptions, Report, WalkOptions, build, stages
from indexer import build as build_function
from preprocess import ImageError, ImageUnreadable, ImageVanished, InputError, LibraryBusy, Limits, StorageFull, WeightsError
from search import Encoder, Library, Query, Store, Term, answer, open_derived, search
from search._lance import Tables

Paint = Callable[..., Path]
builder = __import__("sys").modules[build_function.__module__]


def counts(report: Report) -> dict[str, int]:
    """What is not zero, without the number of photos found."""
    names = ("new", "changed", "touched", "moved", "copied", "same", "gone", "kept", "reembedded")
    found = {name: getattr(report, name) for name in names if getattr(report, name)}
    return found | ({"failed": len(report.failed)} if report.failed else {})


def paths(library: Library) -> list[str]:
    return sorted(Store(library).images(["path"])["path"].to_pylist())


def contents(library: Library) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Rows in order, and the vector of each digest: what two equal libraries share."""
    store = Store(library)
    rows = sorted(store.images().to_pylist(), key=lambda row: (row["root"], row["path"]))
    current = str(library.file.current)
    vectors = {
        f"{name}{digest}": vector.tobytes()
        for name, recipe in {"": current, **library.file.enhanced(current)}.items()
        for digest, vector in zip(*store.vectors(recipe), strict=True)
    }
    return rows, vectors


def assert_sound(library: Library) -> None:
    """Each photo once, each with one vector of each version that it should have, no vector too many, and a cache that agrees."""
    library = Library(library.folder)
    store = Store(library)
    rows = store.images().to_pylist()
    keys = [(row["root"], row["path"]) for row in rows]
    assert len(keys) == len(set(keys))
    for recipe in library.file.recipes:
        assert store.orphans(recipe) == []
    assert {row["digest"] for row in rows} == store.digests(str(library.file.current))
    enhanced = library.file.enhanced(str(library.file.current))
    assert {row["dehazed"] for row in rows} - {None} == set(enhanced)
    versions = 0
    for enhancer, recipe in enhanced.items():
        wanted = {row["digest"] for row in rows if row["dehazed"] == enhancer}
        assert store.digests(recipe) == wanted
        versions += len(wanted)
    derived = open_derived(library)
    assert len(derived.owners) == len(derived.makers) == versions
    assert derived.database.execute("SELECT count(*) FROM images").fetchone()[0] == len(rows)
    assert derived.photos == len({row["digest"] for row in rows})
    derived.close()


def later(file: Path, seconds: float = 5) -> None:
    facts = file.stat()
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + int(seconds * 1e9)))


def test_a_first_build(library: Library, photos: Path, encoder: Encoder) -> None:
    report = build(library, [photos], encoder)
    assert counts(report) == {"new": 10}
    assert (report.found, report.total, report.done) == (10, 10, 10)
    assert paths(library) == sorted(file.name for file in photos.iterdir())
    assert library.file.roots == (str(photos.resolve()),)
    assert library.file.current == encoder.recipe.id
    assert_sound(library)
    (row,) = [row for row in Store(library).images().to_pylist() if row["path"] == "red.png"]
    assert row["digest"] == hashlib.sha256((photos / "red.png").read_bytes()).hexdigest()
    assert (row["width"], row["height"], row["format"]) == (24, 16, "PNG")
    assert (row["byte_size"], row["modified_ns"]) == ((photos / "red.png").stat().st_size, (photos / "red.png").stat().st_mtime_ns)


def test_a_second_build_reads_nothing(library: Library, photos: Path, encoder: Encoder, no_decoding: Callable[[], None]) -> None:
    build(library, [photos], encoder)
    stamp = library.stamp()
    no_decoding()
    assert counts(build(library, [photos], encoder)) == {"same": 10}
    assert counts(build(library, [], encoder)) == {"same": 10}
    assert library.stamp() == stamp
    assert_sound(library)


def test_new_changed_touched_moved_copied_and_gone(library: Library, photos: Path, encoder: Encoder, paint: Paint) -> None:
    build(library, [photos], encoder)
    paint(photos / "sub" / "new.png", "grey", seed=1)
    paint(photos / "red.png", "green", seed=2)
    later(photos / "blue.png")
    (photos / "cyan.png").rename(photos / "sub" / "moved.png")
    shutil.copyfile(photos / "black.png", photos / "copy.png")
    (photos / "white.png").unlink()
    report = build(library, [photos], encoder)
    assert counts(report) == {"new": 1, "changed": 1, "touched": 1, "moved": 1, "copied": 1, "same": 6, "gone": 1}
    assert paths(library) == sorted(
        [
            "red.png",
            "green.png",
            "blue.png",
            "yellow.png",
            "magenta.png",
            "orange.png",
            "black.png",
            "grey.png",
            "copy.png",
            "sub/new.png",
            "sub/moved.png",
        ]
    )
    assert_sound(library)
    fresh = Library(library.folder.with_name("fresh"), create=True)
    build(fresh, [photos], encoder)
    assert contents(library) == contents(fresh)
    assert counts(build(library, [photos], encoder)) == {"same": 11}


def test_moves_touches_and_copies_decode_nothing(library: Library, photos: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    build(library, [photos], encoder)
    shutil.move(photos, photos.with_name("elsewhere"))
    photos.mkdir()
    shutil.move(photos.with_name("elsewhere"), photos / "elsewhere")
    shutil.copyfile(photos / "elsewhere" / "red.png", photos / "red.png")
    later(photos / "red.png")

    def explode(*_args: Any, **_options: Any) -> None:
        raise AssertionError("a photo was decoded")

    monkeypatch.setattr(stages, "decode", explode)
    assert counts(build(library, [photos], encoder)) == {"moved": 9, "touched": 1, "copied": 1}
    assert_sound(library)


def test_two_copies_of_a_lost_photo_are_one_move_and_one_copy(library: Library, photos: Path, encoder: Encoder) -> None:
    build(library, [photos], encoder)
    shutil.copyfile(photos / "red.png", photos / "z.png")
    (photos / "red.png").rename(photos / "y.png")
    assert counts(build(library, [photos], encoder)) == {"moved": 1, "copied": 1, "same": 9}


def test_copies_in_the_first_build_share_a_vector(library: Library, photos: Path, encoder: Encoder) -> None:
    for at in range(6):
        shutil.copyfile(photos / "red.png", photos / f"copy {at}.png")
    assert counts(build(library, [photos], encoder)) == {"new": 10, "copied": 6}
    assert len(Store(library).vectors(encoder.recipe.id)[0]) == 10
    hits = search(library, Query((Term("red"),), k=7), encoder)
    assert [hit.path for hit in hits] == [f"copy {at}.png" for at in range(6)] + ["red.png"]


def test_the_vectors_of_lost_photos_go(library: Library, photos: Path, encoder: Encoder) -> None:
    build(library, [photos], encoder)
    (photos / "red.png").unlink()
    assert counts(build(library, [photos], encoder)) == {"same": 9, "gone": 1}
    assert len(Store(library).vectors(encoder.recipe.id)[0]) == 9
    assert "red.png" not in [hit.path for hit in search(library, Query((Term("red"),)), encoder)]


# Roots


def test_several_roots(library: Library, photos: Path, encoder: Encoder, paint: Paint, tmp_path: Path) -> None:
    paint(tmp_path / "other" / "red.png", "red", seed=3)
    build(library, [photos], encoder)
    build(library, [tmp_path / "other"], encoder)
    assert len(paths(library)) == 11
    (photos / "blue.png").unlink()
    (tmp_path / "other" / "red.png").unlink()
    paint(tmp_path / "other" / "blue.png", "blue", seed=3)
    assert counts(build(library, [photos], encoder)) == {"same": 9, "gone": 1}  # the other root is left alone
    assert counts(build(library, [], encoder)) == {"same": 9, "new": 1, "gone": 1}
    assert_sound(library)


def test_a_move_from_root_to_root(library: Library, photos: Path, encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    build(library, [photos, tmp_path / "other"], encoder)
    (photos / "red.png").rename(tmp_path / "other" / "red.png")
    assert counts(build(library, [], encoder)) == {"moved": 1, "same": 9}


@pytest.mark.parametrize("loss", ["unmounted", "empty", "a file in its place"])
def test_a_lost_root_forgets_nothing(loss: str, library: Library, photos: Path, encoder: Encoder, paint: Paint, tmp_path: Path) -> None:
    paint(tmp_path / "other" / "x.png", "red", seed=4)
    build(library, [photos, tmp_path / "other"], encoder)
    before = contents(library)
    shutil.move(photos, tmp_path / "away")
    if loss == "empty":
        photos.mkdir()
        (photos / "notes.txt").write_text("no photos here")
    elif loss == "a file in its place":
        photos.write_text("odd")
    report = build(library, [], encoder)
    assert report.missing_roots == {str(photos): "has no photos now" if loss == "empty" else "is not there"}
    assert counts(report) == {"same": 1}
    if loss != "a file in its place":
        assert list(build(library, [photos], encoder).missing_roots) == [str(photos)]
    assert contents(library) == before
    shutil.rmtree(photos) if photos.is_dir() else photos.unlink(missing_ok=True)
    shutil.move(tmp_path / "away", photos)
    assert counts(build(library, [], encoder)) == {"same": 11}


def test_a_folder_inside_a_root_stands_for_the_root(library: Library, photos: Path, encoder: Encoder, paint: Paint) -> None:
    paint(photos / "sub" / "x.png", "red", seed=5)
    build(library, [photos], encoder)
    paint(photos / "sub" / "y.png", "red", seed=6)
    assert counts(build(library, [photos / "sub"], encoder)) == {"same": 11, "new": 1}
    assert library.file.roots == (str(photos),)


def test_a_root_around_a_root_takes_the_rest(library: Library, photos: Path, encoder: Encoder, paint: Paint, tmp_path: Path) -> None:
    build(library, [photos], encoder)
    paint(tmp_path / "x.png", "red", seed=5)
    assert counts(build(library, [tmp_path], encoder)) == {"same": 10, "new": 1}
    assert len(paths(library)) == 11
    assert_sound(library)


def test_the_library_may_lie_inside_the_root(photos: Path, encoder: Encoder) -> None:
    library = Library(photos / "library", create=True)
    shutil.copyfile(photos / "red.png", photos / "library" / "not mine.png")
    assert counts(build(library, [photos], encoder)) == {"new": 10}


def test_roots_that_are_refused(library: Library, photos: Path, encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no folder .*none"):
        build(library, [tmp_path / "none"], encoder)
    with pytest.raises(InputError, match=r"red\.png is a file; give the folder"):
        build(library, [photos / "red.png"], encoder)
    with pytest.raises(InputError, match="is the library itself"):
        build(library, [library.folder], encoder)
    with pytest.raises(InputError, match="Give a folder to index"):
        build(library, [], encoder)
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    with pytest.raises(InputError, match="is not UTF-8"):
        build(library, [odd], encoder)
    assert Library(library.folder).file.roots == ()


def test_what_is_excluded_later_is_kept(library: Library, photos: Path, encoder: Encoder) -> None:
    build(library, [photos], encoder)
    options = BuildOptions(walk=WalkOptions(exclude=("red.png", "b*")))
    assert counts(build(library, [photos], encoder, options)) == {"same": 7, "kept": 3}
    assert len(paths(library)) == 10


def test_a_folder_that_cannot_be_listed_forgets_nothing(
    library: Library, photos: Path, encoder: Encoder, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(photos / "locked" / "x.png", "red", seed=5)
    build(library, [photos], encoder)
    scandir, lstat = os.scandir, Path.lstat

    def refuse(folder: str | Path) -> Any:
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    def hidden(file: Path) -> os.stat_result:
        if file.parent.name == "locked":
            raise FileNotFoundError(2, "stale")  # as a network folder may answer
        return lstat(file)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(Path, "lstat", hidden)
    report = build(library, [photos], encoder)
    assert counts(report) == {"same": 10, "kept": 1}
    assert list(report.passed.unlisted) == [str(photos / "locked")]
    assert "locked/x.png" in paths(library)


# Failures


def test_a_failing_file_is_recorded_and_tried_again_only_when_it_changes(
    library: Library, photos: Path, encoder: Encoder, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "broken.png").write_bytes(b"not a photo")
    report = build(library, [photos], encoder)
    assert counts(report) == {"new": 10, "failed": 1}
    assert "broken.png is not a photo inside" in report.failed[str(photos / "broken.png")]
    (failure,) = Store(library).failures()
    assert (failure.path, failure.byte_size, failure.error) == ("broken.png", 11, "ImageCorrupt")
    with monkeypatch.context() as patch:
        patch.setattr(stages, "read_bytes", lambda *_args: pytest.fail("it was tried again"))
        again = build(library, [photos], encoder)
    assert counts(again) == {"same": 10}
    assert list(again.failed_before) == [str(photos / "broken.png")]
    later(photos / "broken.png")
    assert counts(build(library, [photos], encoder)) == {"same": 10, "failed": 1}
    paint(photos / "broken.png", "red", seed=1)
    assert counts(build(library, [photos], encoder)) == {"same": 10, "new": 1}
    assert Store(library).failures() == []
    assert_sound(library)


def test_a_failure_of_a_lost_file_is_forgotten(library: Library, photos: Path, encoder: Encoder) -> None:
    (photos / "broken.png").write_bytes(b"not a photo")
    build(library, [photos], encoder)
    (photos / "broken.png").unlink()
    assert counts(build(library, [photos], encoder)) == {"same": 10}
    assert Store(library).failures() == []


def test_a_file_that_becomes_corrupt_keeps_its_row_and_vector(library: Library, photos: Path, encoder: Encoder) -> None:
    build(library, [photos], encoder)
    before, good, facts = contents(library), (photos / "red.png").read_bytes(), (photos / "red.png").stat()
    (photos / "red.png").write_bytes(good[:40])
    assert counts(build(library, [photos], encoder)) == {"same": 9, "failed": 1}
    assert contents(library) == before
    assert search(library, Query((Term("red"),)), encoder)[0].path == "red.png"
    assert counts(build(library, [photos], encoder)) == {"same": 9}
    assert contents(library) == before
    (photos / "red.png").write_bytes(good)
    os.utime(photos / "red.png", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert counts(build(library, [photos], encoder)) == {"same": 10}
    assert Store(library).failures() == []


def test_a_raised_limit_is_taken_at_once(library: Library, photos: Path, encoder: Encoder) -> None:
    small = BuildOptions(limits=Limits(max_pixels=100))
    report = build(library, [photos], encoder, small)
    assert counts(report) == {"failed": 10}
    assert "Raise it with --max-megapixels" in next(iter(report.failed.values()))
    assert library.file.current == encoder.recipe.id
    assert search(library, Query((Term("red"),)), encoder) == []
    assert counts(build(library, [photos], encoder)) == {"new": 10}
    assert Store(library).failures() == []


def test_an_encoder_that_fails_on_one_photo_costs_one_photo(library: Library, photos: Path, make_encoder: Callable[..., Any]) -> None:
    class Picky(make_encoder):  # type: ignore[misc, valid-type]
        def encode_images(self, prepared: Any) -> Any:
            if any(photo.mean() > 240 for photo in prepared):
                raise MemoryError("too bright")
            return super().encode_images(prepared)

    report = build(library, [photos], Picky())
    assert counts(report) == {"new": 9, "failed": 1}
    assert "too bright" in report.failed[str(photos / "white.png")]
    assert_sound(library)


def test_a_reader_that_breaks_in_a_new_way_costs_one_photo(
    library: Library, photos: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = stages.decode

    def odd(data: bytes, name: str, *rest: Any) -> Any:
        if name.endswith("red.png"):
            raise RecursionError("never seen before")
        return decode(data, name, *rest)

    monkeypatch.setattr(stages, "decode", odd)
    report = build(library, [photos], encoder)
    assert counts(report) == {"new": 9, "failed": 1}
    assert "RecursionError: never seen before" in report.failed[str(photos / "red.png")]


def test_a_file_that_vanishes_midway(library: Library, photos: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    build(library, [photos], encoder)
    later(photos / "red.png")
    shutil.copyfile(photos / "blue.png", photos / "short-lived.png")
    read_bytes = stages.read_bytes

    def vanish(file: Path, *rest: Any) -> bytes:
        file.unlink()
        return read_bytes(file, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "read_bytes", vanish)
        report = build(library, [photos], encoder)
    assert counts(report) == {"same": 9, "failed": 2}
    assert "is not there any more" in report.failed[str(photos / "red.png")]
    assert "red.png" in paths(library)  # a failure is not an absence
    assert counts(build(library, [photos], encoder)) == {"same": 9, "gone": 1}
    assert Store(library).failures() == []
    assert_sound(library)


def test_broken_links_and_odd_names_are_failures_of_each_build(library: Library, photos: Path, encoder: Encoder) -> None:
    (photos / "link.png").symlink_to("nowhere.png")
    for _ in range(2):
        report = build(library, [photos], encoder)
        assert report.failed == {str(photos / "link.png"): f"{photos}/link.png is a broken link."}
        assert len(Store(library).failures()) == 1
    (photos / "link.png").unlink()
    build(library, [photos], encoder)
    assert Store(library).failures() == []


# What a build leaves alone


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns) for file in sorted(folder.rglob("*")) if file.is_file()
    }


def test_a_dry_run_writes_nothing(library: Library, photos: Path, encoder: Encoder, paint: Paint, no_decoding: Callable[[], None]) -> None:
    build(library, [photos], encoder)
    before = snapshot(library.folder)
    paint(photos / "new.png", "red", seed=1)
    paint(photos / "red.png", "red", seed=2)
    (photos / "blue.png").unlink()
    no_decoding()
    report = build(library, [photos], encoder, BuildOptions(dry_run=True))
    assert counts(report) == {"new": 1, "changed": 1, "same": 8, "gone": 1}
    assert report.as_dict()["dry_run"] is True
    assert snapshot(library.folder) == before


def test_originals_are_never_written_to(library: Library, photos: Path, encoder: Encoder) -> None:
    (photos / "broken.png").write_bytes(b"not a photo")
    before = snapshot(photos)
    build(library, [photos], encoder)
    build(library, [photos], encoder)
    assert snapshot(photos) == before


@pytest.mark.parametrize("jobs", [1, 4])
def test_the_number_of_threads_changes_nothing(jobs: int, photos: Path, encoder: Encoder, paint: Paint, tmp_path: Path) -> None:
    for at in range(30):
        paint(photos / f"{at % 3}" / f"{at}.png", "red", seed=at)
    (photos / "broken.png").write_bytes(b"not a photo")
    one, other = (Library(tmp_path / name, create=True) for name in ("one", "other"))
    build(one, [photos], encoder, BuildOptions(jobs=2))
    build(other, [photos], encoder, BuildOptions(jobs=jobs))
    assert contents(one) == contents(other)
    assert Store(one).images().to_pylist() == Store(other).images().to_pylist()  # in the same order, too


def test_progress_is_told(library: Library, photos: Path, encoder: Encoder) -> None:
    seen: list[tuple[int, int]] = []
    build(library, [photos], encoder, on_progress=lambda report: seen.append((report.done, report.total)))
    assert seen[-1] == (10, 10)
    assert seen == sorted(seen)
    assert len(seen) > 2


def test_the_second_of_two_builds_says_who_holds_the_library(library: Library, photos: Path, encoder: Encoder) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(_report: Report) -> None:
        inside.set()
        assert go_on.wait(30)

    thread = threading.Thread(target=lambda: build(library, [photos], encoder, on_progress=hold))
    thread.start()
    try:
        assert inside.wait(30)
        with pytest.raises(LibraryBusy, match=rf"is held by process {os.getpid()} on .*\(index, since .*Wait until it ends"):
            build(Library(library.folder), [photos], encoder)
    finally:
        go_on.set()
        thread.join()
    assert counts(build(Library(library.folder), [photos], encoder)) == {"same": 10}


# Another recipe


def test_making_vectors_anew_keeps_the_search_working(
    library: Library, photos: Path, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    build(library, [photos], encoder)
    other = make_encoder("finer", precision="int8")
    during: list[str] = []
    cache = library.cache_of()

    def look(_report: Report) -> None:
        during.append(search(Library(library.folder), Query((Term("red"),)), encoder)[0].path)
        assert Library(library.folder).cache_of() == cache  # what is written for the new one does not make the old one's stale

    report = build(library, [photos], other, on_progress=look)
    assert counts(report) == {"reembedded": 10}
    assert set(during) == {"red.png"}
    assert library.file.current == encoder.recipe.id  # nothing switches by itself
    assert (report.photos, report.without_vector, report.replaced) == (10, 0, [])
    assert (report.searches_use, report.switch) == ("mean-colour", f"pellucid models use finer --library {library.folder}")
    for one in (encoder, other):
        assert search(library, Query((Term("blue"),)), one)[0].path == "blue.png"
    assert_sound(library)


def test_making_vectors_anew_after_an_interrupt_goes_on(
    library: Library, photos: Path, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    build(library, [photos], encoder)

    def interrupt(report: Report) -> None:
        if report.done >= 4:
            raise KeyboardInterrupt

    report = build(library, [photos], make_encoder("finer"), on_progress=interrupt)
    assert report.interrupted
    assert Library(library.folder).file.current == encoder.recipe.id
    assert search(Library(library.folder), Query((Term("red"),)), encoder)[0].path == "red.png"
    done = 10 - counts(build(library, [photos], make_encoder("finer")))["reembedded"]
    assert done >= 4
    assert_sound(library)


# Interrupts and full disks


def test_an_interrupt_keeps_what_was_done(library: Library, photos: Path, encoder: Encoder) -> None:
    def interrupt(report: Report) -> None:
        if report.done >= 4:
            raise KeyboardInterrupt

    report = build(library, [photos], encoder, on_progress=interrupt)
    assert report.interrupted
    kept = len(paths(library))
    assert 4 <= kept < 10
    assert_sound(library)
    assert counts(build(library, [photos], encoder)) == {"same": kept, "new": 10 - kept}
    assert_sound(library)


class Disk:
    """Lets some writes through, then is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch, self.left = monkeypatch, 10**9
        table = Tables.table

        class Full:
            def __init__(self, inner: Any) -> None:
                self.inner = inner

            def __getattr__(self, name: str) -> Any:
                return getattr(self.inner, name)

            def add(inner_self, rows: Any) -> Any:
                self.write()
                return inner_self.inner.add(rows)

            def merge_insert(inner_self, keys: Any) -> Any:
                self.write()
                return inner_self.inner.merge_insert(keys)

        monkeypatch.setattr(Tables, "table", lambda tables, name, schema=None: Full(table(tables, name, schema)))

    def write(self) -> None:
        if self.left <= 0:
            raise OSError(28, "No space left on device")
        self.left -= 1


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 4, 5])
def test_a_full_disk_loses_nothing_that_was_written(
    writes: int, library: Library, photos: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, paint: Paint
) -> None:
    build(library, [photos], encoder)
    before = contents(library)
    for at in range(12):
        paint(photos / f"new {at:02}.png", "red", seed=at)
    (photos / "broken.png").write_bytes(b"not a photo")
    paint(photos / "green.png", "green", seed=50)
    with monkeypatch.context() as patch:
        patch.setattr(builder, "COMMIT_PHOTOS", 4)
        Disk(patch).left = writes
        with pytest.raises(StorageFull, match=r"is full\. What was written is kept"):
            build(library, [photos], encoder)
    rows, vectors = contents(Library(library.folder))
    assert len({(row["root"], row["path"]) for row in rows}) == len(rows)
    assert {row["digest"] for row in rows} <= set(vectors)
    assert {row["path"] for row in before[0]} <= {row["path"] for row in rows}
    assert search(Library(library.folder), Query((Term("blue"),)), encoder)[0].path == "blue.png"
    report = build(library, [photos], encoder)
    assert report.new + report.same + report.changed == 22
    assert len(paths(library)) == 22
    assert_sound(library)
    fresh = Library(library.folder.with_name("fresh"), create=True)
    build(fresh, [photos], encoder)
    assert contents(library) == contents(fresh)


def test_a_disk_that_is_full_for_a_moment_gives_no_photo_twice(
    library: Library, photos: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "a broken one.png").write_bytes(b"not a photo")
    record = Store.record_failures
    turns = iter([True])

    def once(store: Store, failures: Any) -> None:
        if failures and next(turns, False):
            raise StorageFull("full")
        record(store, failures)

    monkeypatch.setattr(builder, "COMMIT_PHOTOS", 4)
    monkeypatch.setattr(Store, "record_failures", once)
    with pytest.raises(StorageFull):
        build(library, [photos], encoder)
    assert len(paths(library)) == len(set(paths(library))) > 0
    build(library, [photos], encoder)
    assert_sound(library)
    assert [f.path for f in Store(library).failures()] == ["a broken one.png"]


def test_the_vectors_are_those_of_the_encoder(library: Library, photos: Path, encoder: Encoder) -> None:
    from preprocess import read_image

    build(library, [photos], encoder)
    rows, vectors = contents(library)
    for row in rows:
        expected = encoder.encode_images([encoder.prepare(read_image(photos / row["path"]).pixels)])[0]
        np.testing.assert_array_equal(np.frombuffer(vectors[row["digest"]], np.float16), expected.astype(np.float16))


def test_another_encoder_takes_every_root_along(
    library: Library, photos: Path, tmp_path: Path, paint: Paint, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    paint(tmp_path / "second" / "teal.png", "cyan", seed=99)
    build(library, [photos, tmp_path / "second"], encoder)
    other = make_encoder("finer")
    assert counts(build(library, [photos], other))["reembedded"] == 11
    assert len(search(library, Query((Term("red"),), k=50), other)) == 11


def test_another_encoder_does_not_hide_what_it_cannot_reach(
    library: Library, photos: Path, tmp_path: Path, paint: Paint, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    paint(tmp_path / "second" / "teal.png", "cyan", seed=99)
    build(library, [photos, tmp_path / "second"], encoder)
    (tmp_path / "second").rename(tmp_path / "unmounted")
    report = build(library, [], make_encoder("finer"))
    assert report.without_vector == 1
    assert Library(library.folder).file.current == encoder.recipe.id
    assert len(search(Library(library.folder), Query((Term("red"),), k=50), encoder)) == 11
    (tmp_path / "unmounted").rename(tmp_path / "second")
    assert build(library, [], make_encoder("finer")).without_vector == 0
    assert len(search(Library(library.folder), Query((Term("red"),), k=50), make_encoder("finer"))) == 11


@pytest.mark.parametrize("change", [{"precision": "int8"}, {"weights": "1" * 64}])
def test_a_later_version_of_the_same_encoder_takes_over_once_it_is_complete(
    change: dict[str, str], library: Library, photos: Path, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    build(library, [photos], encoder)
    old, later = encoder.recipe.id, make_encoder()
    later.recipe = replace(later.recipe, **change)

    def interrupt(report: Report) -> None:
        if report.done >= 4:
            raise KeyboardInterrupt

    assert build(library, [photos], later, on_progress=interrupt).interrupted
    assert library.file.current == old
    assert search(library, Query((Term("red"),)), encoder)[0].path == "red.png"
    partly = answer(library, Query((Term("red"),), k=50), later)  # the older weights may be gone
    assert 4 <= len(partly.hits) < 10
    assert partly.coverage.missing == 10 - len(partly.hits)
    report = build(library, [], later)
    assert (report.replaced, report.without_vector, report.switch) == ([old], 0, None)
    assert (library.file.current, list(library.file.recipes)) == (later.recipe.id, [later.recipe.id])
    assert {folder.name for folder in library.cache.iterdir() if folder.is_dir()} == {library.cache_of().name}
    assert f"vectors-{old}" not in Store(library).tables.names()
    assert_sound(library)


def test_a_later_version_of_an_encoder_that_is_not_in_use_replaces_it_too(
    library: Library, photos: Path, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    build(library, [photos], encoder)
    for precision in ("fp32", "int8"):
        build(library, [photos], make_encoder("finer", precision=precision))
    assert [(r["encoder"], r["precision"]) for r in library.file.recipes.values()] == [("mean-colour", "fp32"), ("finer", "int8")]
    assert library.file.current == encoder.recipe.id


def test_an_older_version_brought_up_to_date_leaves_the_later_one(
    library: Library, photos: Path, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    build(library, [photos], encoder)

    def interrupt(report: Report) -> None:
        if report.done >= 4:
            raise KeyboardInterrupt

    later = make_encoder(precision="int8")
    build(library, [photos], later, on_progress=interrupt)
    build(library, [photos], encoder)
    assert set(library.file.recipes) == {encoder.recipe.id, later.recipe.id}
    assert counts(build(library, [photos], later))["reembedded"] < 10


def test_a_change_reaches_both_encoders_each_in_its_own_build(
    library: Library, photos: Path, encoder: Encoder, make_encoder: Callable[..., Any], paint: Paint
) -> None:
    finer = make_encoder("finer")
    for one in (encoder, finer):
        build(library, [photos], one)
    paint(photos / "new.png", "red", seed=1)
    (photos / "black.png").unlink()
    shutil.copyfile(photos / "blue.png", photos / "copy.png")
    (photos / "cyan.png").rename(photos / "moved.png")
    build(library, [photos], finer)
    part = answer(library, Query((Term("red"),), k=50), encoder)
    assert (part.coverage.photos, part.coverage.missing) == (10, 1)
    assert part.note is not None
    assert "1 of 10 photos have no vector by the encoder 'mean-colour' yet" in part.note
    assert f"pellucid index --library {library.folder} --encoder mean-colour" in part.note
    found = {hit.path for hit in part.hits}
    assert {"copy.png", "moved.png"} <= found
    assert not {"new.png", "black.png", "cyan.png"} & found
    assert counts(build(library, [photos], encoder)) == {"reembedded": 1, "same": 10}
    assert answer(library, Query((Term("red"),), k=50), encoder).note is None
    for recipe in library.file.recipes:
        assert len(Store(library).digests(recipe)) == 10


def test_a_photo_that_has_become_unreadable_does_not_hold_an_encoder_up(
    library: Library, photos: Path, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    build(library, [photos], encoder)
    (photos / "red.png").write_bytes(b"damaged")
    finer = make_encoder("finer")
    report = build(library, [photos], finer)
    assert (report.without_vector, len(report.failed), report.photos) == (0, 1, 10)
    got = answer(library, Query((Term("red"),), k=50), finer)
    assert (got.coverage.missing, got.coverage.unreadable, len(got.hits), got.note) == (0, 1, 9, None)


def test_a_version_whose_encoder_fails_does_not_cost_the_vectors_that_are_there(
    library: Library, photos: Path, encoder: Encoder, make_encoder: Callable[..., Any]
) -> None:
    build(library, [photos], encoder)

    class Failing(make_encoder):  # type: ignore[misc, valid-type]
        healthy = 0

        def encode_images(self, prepared: Any) -> Any:
            if len(prepared) != self.healthy:
                raise MemoryError("out of memory")
            return super().encode_images(prepared)

    later = Failing(precision="int8")
    with pytest.raises(
        WeightsError, match=r"'mean-colour' fails on every photo: MemoryError: out of memory\. What was done before is kept"
    ):
        build(library, [photos], later)
    assert (library.file.current, len(Store(library).digests(encoder.recipe.id))) == (encoder.recipe.id, 10)
    for photo in sorted(photos.iterdir())[1:]:
        photo.rename(photo.with_suffix(".away"))
    report = build(library, [photos], later)  # one photo alone may be to blame, until it is not
    assert (len(report.failed), report.without_vector, report.replaced) == (1, 1, [])
    later.healthy = 1
    report = build(library, [photos], later)
    assert (len(report.failed), report.without_vector, report.replaced) == (0, 0, [encoder.recipe.id])


@pytest.mark.parametrize("error", [ImageUnreadable, ImageVanished])
def test_photos_that_a_disk_does_not_give_keep_their_older_vectors(
    error: type[ImageError],
    library: Library,
    photos: Path,
    encoder: Encoder,
    make_encoder: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build(library, [photos], encoder)

    def refuse(file: Path, _limits: Limits) -> bytes:
        raise error(f"{file}: input/output error")

    later = make_encoder(precision="int8")
    with monkeypatch.context() as patch:
        patch.setattr(stages, "read_bytes", refuse)
        report = build(library, [photos], later)
    assert (len(report.failed), report.without_vector, report.replaced) == (10, 10, [])
    assert len(search(library, Query((Term("red"),), k=50), encoder)) == 10
    assert counts(build(library, [photos], later)) == {"reembedded": 10}
    assert library.file.current == later.recipe.id


# Links and sidecars


def test_a_linked_folder_whose_disk_is_away_is_not_forgotten(
    library: Library, photos: Path, tmp_path: Path, paint: Paint, encoder: Encoder
) -> None:
    paint(tmp_path / "disk" / "teal.png", "cyan", seed=99)
    (photos / "link").symlink_to(tmp_path / "disk")
    build(library, [photos], encoder)
    before = paths(library)
    assert "link/teal.png" in before
    (tmp_path / "disk").rename(tmp_path / "away")
    report = build(library, [photos], encoder)
    assert (report.gone, report.kept) == (0, 1)
    assert paths(library) == before


def test_a_folder_goes_by_its_own_name_where_a_link_names_it_too(library: Library, tmp_path: Path, paint: Paint, encoder: Encoder) -> None:
    paint(tmp_path / "photos" / "b" / "teal.png", "cyan", seed=99)
    (tmp_path / "photos" / "a").symlink_to("b")
    build(library, [tmp_path / "photos"], encoder)
    assert paths(library) == ["b/teal.png"]


def test_a_copy_does_not_take_the_sidecar_of_another(library: Library, tmp_path: Path, paint: Paint, encoder: Encoder) -> None:
    photo = paint(tmp_path / "photos" / "a.png", "red")
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    (tmp_path / "photos" / "a.png.xmp").write_text(
        f'<x xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:r="{rdf}"><dc:subject><r:Bag><r:li>mine</r:li></r:Bag></dc:subject></x>'
    )
    build(library, [tmp_path / "photos"], encoder)
    shutil.copyfile(photo, tmp_path / "photos" / "b.png")
    assert counts(build(library, [tmp_path / "photos"], encoder)) == {"copied": 1, "same": 1}
    keywords = {row["path"]: row["keywords"] for row in Store(library).images(["path", "keywords"]).to_pylist()}
    assert keywords == {"a.png": "mine", "b.png": None}
