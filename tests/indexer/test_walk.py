from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer import Passed, WalkOptions, walk

Touch = Callable[..., None]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    def make(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"x")

    return make


def found(root: Path, *exclude: str, hidden: bool = False, skip: tuple[Path, ...] = ()) -> tuple[list[str], Passed]:
    passed = Passed()
    return [file.path for file in walk(root, WalkOptions(exclude, hidden), passed, skip)], passed


def test_photos_are_found_with_size_and_time(touch: Touch, tmp_path: Path) -> None:
    touch("b.jpg", "sub/deep/c.PNG", "a.heic", "notes.txt", "movie.mp4", "README")
    (only,) = [file for file in walk(tmp_path, WalkOptions(), Passed()) if file.path == "b.jpg"]
    facts = (tmp_path / "b.jpg").stat()
    assert (only.root, only.byte_size, only.modified_ns) == (str(tmp_path.resolve()), 1, facts.st_mtime_ns)
    assert only.file == tmp_path.resolve() / "b.jpg"
    paths, passed = found(tmp_path)
    assert paths == ["a.heic", "b.jpg", "sub/deep/c.PNG"]
    assert passed.suffixes == {".txt": 1, ".mp4": 1, "no suffix": 1}
    assert passed.names == {
        "notes.txt": "not a photo format (.txt)",
        "movie.mp4": "not a photo format (.mp4)",
        "README": "not a photo format (no suffix)",
    }


PASSED_OVER = [
    ".hidden.jpg", ".hidden/a.jpg", ".git/a.jpg", "@eaDir/a.jpg", "sub/@eaDir/a.jpg", "node_modules/x/a.jpg", "._a.jpg", "sub/._a.jpg",
    "__MACOSX/a.jpg", "$RECYCLE.BIN/a.jpg", "lost+found/a.jpg",
]  # fmt: skip


@pytest.mark.parametrize("name", PASSED_OVER)
def test_hidden_and_system_names_are_passed_over(name: str, touch: Touch, tmp_path: Path) -> None:
    touch(name, "kept.jpg", "not_hidden/.x/../y.jpg", "git/a.jpg", "eaDir/a.jpg")
    paths, passed = found(tmp_path)
    assert paths == ["kept.jpg", "eaDir/a.jpg", "git/a.jpg", "not_hidden/y.jpg"]
    assert passed.names == {}


def test_hidden_names_can_be_asked_for_but_not_the_others(touch: Touch, tmp_path: Path) -> None:
    touch(*PASSED_OVER)
    assert found(tmp_path, hidden=True)[0] == [".hidden.jpg", ".hidden/a.jpg"]


NAMES = ["a.jpg", "b.png", "raw/a.jpg", "raw/old/c.jpg", "trips/raw/d.jpg", "trips/été.jpg"]


@pytest.mark.parametrize(
    ("globs", "left"),
    [
        ([], NAMES),
        (["*.png"], ["a.jpg", "raw/a.jpg", "raw/old/c.jpg", "trips/raw/d.jpg", "trips/été.jpg"]),
        (["raw"], ["a.jpg", "b.png", "trips/été.jpg"]),
        (["a.jpg"], ["b.png", "raw/old/c.jpg", "trips/raw/d.jpg", "trips/été.jpg"]),
        (["raw/*"], ["a.jpg", "b.png", "trips/raw/d.jpg", "trips/été.jpg"]),
        (["trips/raw"], ["a.jpg", "b.png", "raw/a.jpg", "raw/old/c.jpg", "trips/été.jpg"]),
        (["raw/a.jpg"], ["a.jpg", "b.png", "raw/old/c.jpg", "trips/raw/d.jpg", "trips/été.jpg"]),
        (["*/raw/*"], ["a.jpg", "b.png", "raw/a.jpg", "raw/old/c.jpg", "trips/été.jpg"]),
        (["ét?.jpg"], ["a.jpg", "b.png", "raw/a.jpg", "raw/old/c.jpg", "trips/raw/d.jpg"]),
        (["*.png", "trips"], ["a.jpg", "raw/a.jpg", "raw/old/c.jpg"]),
        (["*"], []),
        (["none"], NAMES),
        (["raw/"], ["a.jpg", "b.png", "trips/été.jpg"]),
        (["/raw"], ["a.jpg", "b.png", "trips/raw/d.jpg", "trips/été.jpg"]),
    ],
    ids=lambda value: " ".join(value) or "nothing",
)
def test_excluded_by_glob(globs: list[str], left: list[str], touch: Touch, tmp_path: Path) -> None:
    touch(*NAMES)
    assert sorted(found(tmp_path, *globs)[0]) == left


def test_links_are_followed_and_loops_end(touch: Touch, tmp_path: Path) -> None:
    touch("real/a.jpg", "other/b.jpg")
    (tmp_path / "real" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "real" / "self").symlink_to(".", target_is_directory=True)
    (tmp_path / "z link").symlink_to("other", target_is_directory=True)
    (tmp_path / "c.jpg").symlink_to("real/a.jpg")
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    paths, passed = found(tmp_path)
    assert paths == ["c.jpg", "other/b.jpg", "real/a.jpg"]
    assert passed.broken == {}


def test_a_link_out_of_the_root_is_followed(touch: Touch, tmp_path: Path) -> None:
    touch("outside/a.jpg", "root/b.jpg")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    assert found(tmp_path / "root")[0] == ["b.jpg", "link/a.jpg"]


def test_a_root_that_is_a_link_is_its_folder(touch: Touch, tmp_path: Path) -> None:
    touch("real/a.jpg")
    (tmp_path / "link").symlink_to("real")
    (file,) = walk(tmp_path / "link", WalkOptions(), Passed())
    assert file.root == str((tmp_path / "real").resolve())


def test_broken_links_are_named(touch: Touch, tmp_path: Path) -> None:
    touch("a.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    paths, passed = found(tmp_path)
    assert paths == ["a.jpg"]
    assert passed.broken == {
        (str(tmp_path.resolve()), "gone.jpg"): "is a broken link",
        (str(tmp_path.resolve()), "loop.jpg"): "is a broken link",
    }


def test_only_regular_files_are_photos(touch: Touch, tmp_path: Path) -> None:
    touch("a.jpg", "folder.jpg/b.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(tmp_path)  # the name of a socket must be short
    try:
        listener.bind("socket.jpg")
    finally:
        os.chdir(here)
        listener.close()
    paths, passed = found(tmp_path)
    assert paths == ["a.jpg", "folder.jpg/b.jpg"]
    assert passed.names == {"pipe.jpg": "not a regular file", "socket.jpg": "not a regular file"}


def test_names_in_any_script_are_found(touch: Touch, tmp_path: Path) -> None:
    names = [
        "été/海.jpg",
        "🐕.jpg",
        "new\nline.jpg",
        "tab\t.jpg",
        " space .jpg",
        "quote'\".jpg",
        "back\\slash.jpg",
        "e\u0301.jpg",
        "\u00e9.jpg",
    ]
    touch(*names)
    assert sorted(found(tmp_path)[0]) == sorted(names)


def test_names_that_are_not_utf8_are_reported(touch: Touch, tmp_path: Path) -> None:
    touch("a.jpg")
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
        (tmp_path / os.fsdecode(b"dir\xe9")).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (tmp_path / os.fsdecode(b"dir\xe9") / "b.jpg").write_bytes(b"x")
    paths, passed = found(tmp_path)
    assert paths == ["a.jpg"]
    assert {path for _root, path in passed.broken} == {"caf\\udce9.jpg", "dir\\udce9/b.jpg"}
    assert all("not UTF-8; rename it" in reason for reason in passed.broken.values())


def test_an_unlisted_folder_is_reported(touch: Touch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch("a.jpg", "locked/b.jpg", "other/c.jpg")
    scandir = os.scandir

    def refuse(folder: str | Path) -> object:
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    paths, passed = found(tmp_path)
    assert paths == ["a.jpg", "other/c.jpg"]
    assert passed.unlisted == {str(tmp_path.resolve() / "locked"): "Permission denied"}


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="the superuser may list every folder")
def test_a_folder_without_rights_is_reported(touch: Touch, tmp_path: Path) -> None:
    touch("locked/b.jpg")
    (tmp_path / "locked").chmod(0)
    try:
        assert list(found(tmp_path)[1].unlisted) == [str(tmp_path.resolve() / "locked")]
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_roots_inside_are_left_out(touch: Touch, tmp_path: Path) -> None:
    touch("a.jpg", "inner/b.jpg", "inner/deep/c.jpg")
    assert found(tmp_path, skip=(tmp_path / "inner", tmp_path / "none"))[0] == ["a.jpg"]
    assert found(tmp_path / "inner", skip=(tmp_path,))[0] == ["b.jpg", "deep/c.jpg"]
    assert found(tmp_path, skip=(tmp_path,))[0] == ["a.jpg", "inner/b.jpg", "inner/deep/c.jpg"]


def test_many_skipped_names_are_only_counted(touch: Touch, tmp_path: Path) -> None:
    touch(*(f"{at}.txt" for at in range(1010)))
    passed = found(tmp_path)[1]
    assert passed.suffixes == {".txt": 1010}
    assert len(passed.names) == 1000


def test_a_deep_tree_is_walked(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "a.jpg").write_bytes(b"x")
    assert found(tmp_path)[0] == ["/".join(["d"] * 300) + "/a.jpg"]
