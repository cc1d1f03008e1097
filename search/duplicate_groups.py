"""Groups of photos that are duplicates of each other, each with its best frame and why it is the best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["exact", "near", "burst"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LARGER, SHARPER, EXPOSED = 0.9, 0.03, 0.03
"""What is no difference: nine tenths of the pixels, and so much of sharpness and of exposure, both in [0, 1]. JPEG at quality 30 instead of 90 changes sharpness by less."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One photo as duplicates are compared: where it is, its full size in pixels, and what was measured of it, none where it was not.

    `number` is that of its vector in the cache; photos with the same bytes have the same.
    """

    number: int
    root: str
    path: str
    digest: str
    width: int
    height: int
    byte_size: int
    taken_at: str | None = None
    camera: str | None = None
    sharpness: float | None = None
    exposure: float | None = None

    @property
    def file(self) -> str:
        """Its full name."""
        return str(Path(self.root, self.path))

    @property
    def pixels(self) -> int:
        """How many pixels it has."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Likeness:
    """How a frame compares with the best of its group: bits in which the hashes differ, how it is turned, cosine similarity, and seconds after it; none where that was
    not compared. `copies` are the names of further files with its very bytes."""

    bits: int | None = None
    turn: str | None = None
    similarity: float | None = None
    seconds: float | None = None
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Photos that are duplicates, the best first, and how each compares with it; `reason` says in words why it is the best."""

    kind: Kind
    frames: tuple[Frame, ...]
    likeness: tuple[Likeness, ...]
    reason: str

    @property
    def best(self) -> Frame:
        """The frame to keep, if only one is kept."""
        return self.frames[0]

    @property
    def spare_bytes(self) -> int:
        """Bytes of all but the best, and of all further copies."""
        pairs = zip(self.frames, self.likeness, strict=True)
        return sum(frame.byte_size * ((at > 0) + len(like.copies)) for at, (frame, like) in enumerate(pairs))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        frames = [
            {
                "file": frame.file, "root": frame.root, "path": frame.path, "digest": frame.digest, "width": frame.width, "height": frame.height,
                "byte_size": frame.byte_size, "taken_at": frame.taken_at, "sharpness": frame.sharpness, "exposure": frame.exposure,
                "bits": like.bits, "turn": like.turn, "similarity": like.similarity, "seconds": like.seconds, "copies": list(like.copies),
            }
            for frame, like in zip(self.frames, self.likeness, strict=True)
        ]  # fmt: skip
        return {"kind": self.kind, "best": self.best.file, "reason": self.reason, "spare_bytes": self.spare_bytes, "photos": frames}


def best_frame(frames: Sequence[Frame], kind: Kind) -> tuple[Frame, str]:
    """The frame that is worth most, and why: the largest; among those that are as large, the sharpest; then the best exposed; then the largest file; then the first by
    name. Of files with the same bytes, the one with the plainest name (see `plainness`)."""
    if kind == "exact":
        return min(frames, key=plainness), "the same bytes; its name is the plainest"
    left, reasons = list(frames), []
    most = max(frame.pixels for frame in left)
    kept = [frame for frame in left if frame.pixels >= LARGER * most]
    if len(kept) < len(left):
        top, other = max(kept, key=lambda frame: frame.pixels), max((frame for frame in left if frame not in kept), key=lambda f: f.pixels)
        reasons.append(f"larger ({top.width}×{top.height} against {other.width}×{other.height})")
    left = kept
    for name, word, margin in (("sharpness", "sharper", SHARPER), ("exposure", "better exposed", EXPOSED)):
        values = {frame: value for frame in left if (value := getattr(frame, name)) is not None}
        if len(values) < len(left):
            continue  # an older library: not all were measured
        most_of_it = max(values.values())
        kept = [frame for frame in left if values[frame] >= most_of_it - margin]
        if len(kept) < len(left):
            reasons.append(f"{word} ({most_of_it:.2f} against {max(value for frame, value in values.items() if frame not in kept):.2f})")
        left = kept
    best = min(left, key=lambda frame: (-frame.byte_size, frame.root, frame.path))
    others = [frame.byte_size for frame in left if frame is not best]
    if not reasons and others and best.byte_size > max(others):
        reasons.append(f"the larger file ({best.byte_size / 1e3:,.0f} kB against {max(others) / 1e3:,.0f} kB)")
    return best, ", ".join(reasons) or "as good as the others; its name comes first"


def plainness(frame: Frame) -> tuple[int, int, str, str]:
    """Sorts names: those in the outermost folder come first, then the shortest: `a.jpg`, `a copy.jpg`, `old/a.jpg`."""
    return frame.path.count("/"), len(frame.path), frame.path, frame.root


def spare_files(groups: Sequence[DuplicateGroup]) -> dict[str, int]:
    """The files that are the best of no group, with their bytes. The best of files with the same bytes is among them where a near copy or a frame is better."""
    edited = [group for group in groups if group.kind != "exact"]
    best = {group.best.file for group in edited}
    beaten = {frame.file for group in edited for frame in group.frames} - best
    best |= {group.best.file for group in groups if group.kind == "exact"} - beaten
    files: dict[str, int] = {}
    for group in groups:
        for frame, like in zip(group.frames, group.likeness, strict=True):
            files |= dict.fromkeys((frame.file, *like.copies), frame.byte_size)
    return {name: size for name, size in files.items() if name not in best}


def components(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Numbers that are joined by pairs, directly or through others, each group ascending, by their first.

    >>> components([(1, 2), (7, 8), (2, 5)])
    [[1, 2, 5], [7, 8]]
    """
    parent: dict[int, int] = {}

    def root(number: int) -> int:
        parent.setdefault(number, number)
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for first, second in pairs:
        one, other = root(first), root(second)
        parent[max(one, other)] = min(one, other)
    groups: dict[int, list[int]] = {}
    for number in sorted(parent):
        groups.setdefault(root(number), []).append(number)
    return list(groups.values())
