"""Find the photos under a root, and say what was passed over and why."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from preprocess import is_photo

PASSED_OVER = frozenset({"@eaDir", "node_modules", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
KEEP_SKIPPED = 1000  # names kept for the report; more are only counted


@dataclass(frozen=True, slots=True)
class Found:
    """A photo file as the walk saw it; `path` is relative to `root`, with forward slashes."""

    root: str
    path: str
    byte_size: int
    modified_ns: int

    @property
    def key(self) -> tuple[str, str]:
        """Root and path."""
        return self.root, self.path

    @property
    def file(self) -> Path:
        """The full name."""
        return Path(self.root, self.path)


@dataclass(slots=True)
class Passed:
    """What the walk did not take: other files by suffix, some of their names with reasons, and folders that could not be listed."""

    suffixes: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    unlisted: dict[str, str] = field(default_factory=dict)
    broken: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(self, name: str, reason: str) -> None:
        """Remember one name."""
        if len(self.names) < KEEP_SKIPPED:
            self.names[name] = reason


@dataclass(frozen=True, slots=True)
class WalkOptions:
    """Which files are taken. A glob without a slash matches a file or folder name anywhere; one with a slash the path from the root."""

    exclude: tuple[str, ...] = ()
    include_hidden: bool = False


def walk(root: Path, options: WalkOptions, passed: Passed, skip: Sequence[Path] = ()) -> Iterator[Found]:
    """Photos under `root`, sorted inside each folder; links are followed, each real folder once, so loops end.

    Folders in `skip` are left out: they are roots of their own.
    """
    start = root.resolve()
    others = {_identity(folder) for folder in skip} - {None}
    seen: set[tuple[int, int] | None] = set()
    stack, links = [start], deque[Path]()
    while stack or links:
        folder = stack.pop() if stack else links.popleft()  # links last: a folder goes by its own name where it has one
        identity = _identity(folder)
        if identity in seen or (identity in others and folder != start):
            continue
        seen.add(identity)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: e.name)
        except OSError as error:
            passed.unlisted[str(folder)] = error.strerror or str(error)
            continue
        folders: list[Path] = []
        for entry in entries:
            path = Path(entry.path).relative_to(start).as_posix()
            if _left_out(entry.name, path, options):
                continue
            try:
                facts = entry.stat()
            except OSError as error:
                if is_photo(entry.name):
                    reason = "is a broken link" if entry.is_symlink() else f"cannot be read: {error.strerror or error}"
                    passed.broken[str(start), path] = reason
                elif entry.is_symlink():  # to a folder on a disk that is not mounted now, perhaps
                    passed.unlisted[entry.path] = "is a broken link"
                continue
            if stat.S_ISDIR(facts.st_mode):
                (links if entry.is_symlink() else folders).append(Path(entry.path))
            elif not is_photo(entry.name):
                suffix = Path(entry.name).suffix.lower() or "no suffix"
                passed.suffixes[suffix] = passed.suffixes.get(suffix, 0) + 1
                passed.note(path, f"not a photo format ({suffix})")
            elif not stat.S_ISREG(facts.st_mode):
                passed.note(path, "not a regular file")
            elif not is_text(path):
                clean = path.encode("utf-8", "backslashreplace").decode()
                passed.broken[str(start), clean] = "has a name that is not UTF-8; rename it"
            else:
                yield Found(str(start), path, facts.st_size, facts.st_mtime_ns)
        stack.extend(reversed(folders))


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        facts = folder.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def is_text(path: str) -> bool:
    """Whether a name is UTF-8, as the store needs it."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _left_out(name: str, path: str, options: WalkOptions) -> bool:
    """Hidden and system names, AppleDouble twins, and what the globs exclude."""
    if name in PASSED_OVER or name.startswith("._") or name == ".git":
        return True
    if name.startswith(".") and not options.include_hidden:
        return True
    return any(_matches(name, path, glob.rstrip("/")) for glob in options.exclude)


def _matches(name: str, path: str, glob: str) -> bool:
    return fnmatch.fnmatch(path, glob.lstrip("/")) if "/" in glob else fnmatch.fnmatch(name, glob)
