"""Exact, near and burst groups, their best frames, and what is not taken for a duplicate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer import build
from preprocess import InputError, example_photos, real_photos
from search import DuplicateOptions, Duplicates, Library, find_duplicates, load_encoder, normalize, open_derived, spare_files
from search.duplicate_groups import Frame, best_frame, components
from search.near_pairs import TYPICAL_SIMILARITY, Pictures, mean_similarity, near_pairs


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Real photos with copies, and others without."""
    folder = tmp_path_factory.mktemp("copies")
    photos = folder / "photos"
    (photos / "edited").mkdir(parents=True)
    names = ("astronaut", "chelsea", "coffee", "rocket")
    for name, pixels in zip(names, real_photos(), strict=True):
        photo = Image.fromarray(pixels)
        photo.save(photos / f"{name}.png", compress_level=1)
        width, height = photo.size
        photo.resize((width // 2, height // 2)).save(photos / "edited" / f"{name} small.jpg", quality=60)
        photo.transpose(Image.Transpose.ROTATE_90).save(photos / "edited" / f"{name} turned.jpg", quality=85)
        photo.crop((width // 40, height // 40, width, height)).save(photos / "edited" / f"{name} cropped.png")
    (photos / "a copy of chelsea.png").write_bytes((photos / "chelsea.png").read_bytes())
    for at, pixels in enumerate(example_photos(6)):
        Image.fromarray(pixels).resize((160, 120)).save(photos / f"other {at}.png", compress_level=1)
    library = Library(folder / "library", create=True)
    build(library, [photos], load_encoder())
    return library


@contextmanager
def found_in(library: Library, options: DuplicateOptions | None = None) -> Iterator[Duplicates]:
    derived = open_derived(Library(library.folder))
    try:
        yield find_duplicates(derived, options)
    finally:
        derived.close()


def test_near_copies_come_with_their_photo_and_nothing_else(copies: Library) -> None:
    with found_in(copies, DuplicateOptions(("near",))) as found:
        groups = {Path(group.best.path).stem.split()[-1]: group for group in found.groups}
        assert (found.photos, found.unhashed) == (23, 0)
    assert set(groups) == {"astronaut", "chelsea", "coffee", "rocket"}
    for name, group in groups.items():
        assert group.best.path in (f"{name}.png", f"a copy of {name}.png")
        assert "small" in group.reason or "larger" in group.reason or "sharper" in group.reason
        turns = {frame.path: like.turn for frame, like in zip(group.frames, group.likeness, strict=True)}
        assert turns[f"edited/{name} turned.jpg"] == "turned by 90°"
        assert turns[f"edited/{name} small.jpg"] is None
        assert len(group.frames) == 4
    chelsea = groups["chelsea"]
    assert len(chelsea.likeness[0].copies) == 1  # the exact copy is not a frame of its own
    assert chelsea.spare_bytes == sum(f.byte_size for f in chelsea.frames)  # three others, and one more of the best


def test_exact_copies_are_grouped_by_digest(copies: Library) -> None:
    with found_in(copies, DuplicateOptions(("exact",))) as found:
        (group,) = found.groups
    assert (group.kind, group.best.path, [frame.path for frame in group.frames[1:]]) == ("exact", "chelsea.png", ["a copy of chelsea.png"])
    assert group.as_dict()["best"].endswith("/chelsea.png")
    assert sum(spare_files(found.groups).values()) == group.best.byte_size


def test_a_condition_leaves_photos_out(copies: Library) -> None:
    with found_in(copies, DuplicateOptions(where="path NOT LIKE 'edited/%'")) as found:
        assert ([group.kind for group in found.groups], found.photos) == (["exact"], 11)
    with found_in(copies, DuplicateOptions(where="path LIKE '%.jpg'")) as found:
        assert found.photos == 8
        assert {group.best.path for group in found.groups} == {
            f"edited/{name} turned.jpg" for name in ("astronaut", "chelsea", "coffee", "rocket")
        }


@pytest.fixture
def shots(fill: Callable[..., Any], library: Library) -> Callable[..., list[list[str]]]:
    """The paths of bursts among photos of these moments and cameras, whose vectors are drawn around the given scenes."""

    def bursts(
        moments: list[str | None], scenes: list[int], cameras: list[str | None] | None = None, seconds: float = 2.0
    ) -> list[list[str]]:
        random = np.random.default_rng(0)
        centres = normalize(random.normal(size=(5, 32)).astype(np.float32))
        far = random.normal(size=(60, 32))
        rows = np.concatenate([centres[scenes] + 0.02 * random.normal(size=(len(scenes), 32)), far])
        more = [None] * 60
        fill([f"{at:064x}" for at in range(len(rows))], rows, taken_at=[*moments, *more], camera=[*(cameras or ["K-1"] * len(scenes)), *more],
             width=[100] * len(rows), height=[100] * len(rows), byte_size=[1000 + at for at in range(len(rows))],
             perceptual_hash=[f"{int(random.integers(1, 2**62)):016x}" for _ in rows])  # fmt: skip
        with found_in(library, DuplicateOptions(("burst",), seconds)) as found:
            return sorted(sorted(str(int(frame.digest, 16)) for frame in group.frames) for group in found.groups)

    return bursts


def test_a_burst_follows_within_seconds_by_one_camera_and_is_alike(shots: Callable[..., list[list[str]]]) -> None:
    moments: list[str | None] = [
        "2024-05-01T10:00:00",
        "2024-05-01T10:00:01",
        "2024-05-01T10:00:03",
        "2024-05-01T10:00:06",
        "2024-05-01T10:00:07",
        None,
        "odd",
    ]
    assert shots(moments, [0, 0, 0, 0, 1, 0, 0]) == [["0", "1", "2"]]


def test_a_burst_is_of_one_camera_and_one_clock(shots: Callable[..., list[list[str]]]) -> None:
    moments: list[str | None] = [
        "2024-05-01T10:00:00",
        "2024-05-01T10:00:01",
        "2024-05-01T10:00:01+00:00",
        "2024-05-01T12:00:02+02:00",
        "2024-05-01T10:00:00",
    ]
    assert shots(moments, [0] * 5, ["K-1", "K-2", "K-1", "K-1", None]) == [["2", "3"]]


def test_a_burst_within_other_seconds(shots: Callable[..., list[list[str]]]) -> None:
    assert shots(["2024-05-01T10:00:00", "2024-05-01T10:00:05"], [0, 0], seconds=5) == [["0", "1"]]
    with pytest.raises(InputError, match="hour"):
        DuplicateOptions(seconds=-1)


def frame(
    path: str, wh: tuple[int, int] = (400, 300), size: int = 1000, sharpness: float | None = 0.6, exposure: float | None = 0.5
) -> Frame:
    return Frame(0, "/photos", path, "0", *wh, size, None, None, sharpness, exposure)


@pytest.mark.parametrize(
    ("frames", "best", "reason"),
    [
        ([frame("a"), frame("b", (800, 600), sharpness=0.2)], "b", "larger (800×600 against 400×300)"),
        ([frame("a", sharpness=0.61), frame("b", sharpness=0.7)], "b", "sharper (0.70 against 0.61)"),
        ([frame("a", exposure=0.2), frame("b")], "b", "better exposed (0.50 against 0.20)"),
        ([frame("a"), frame("b", size=5000)], "b", "the larger file (5 kB against 1 kB)"),
        ([frame("b"), frame("a")], "a", "as good as the others; its name comes first"),
        ([frame("a", sharpness=None), frame("b", sharpness=0.1, exposure=0.9)], "b", "better exposed (0.90 against 0.50)"),
        ([frame("a", (390, 300), sharpness=0.8), frame("b")], "a", "sharper (0.80 against 0.60)"),
        (
            [frame("a", (100, 100)), frame("b", sharpness=0.2), frame("c")],
            "c",
            "larger (400×300 against 100×100), sharper (0.60 against 0.20)",
        ),
    ],
)
def test_the_best_frame_and_why(frames: list[Frame], best: str, reason: str) -> None:
    kept, why = best_frame(frames, "near")
    assert (kept.path, why) == (best, reason)


def test_of_the_same_bytes_the_plainest_name_is_kept() -> None:
    assert best_frame([frame("old/a.jpg"), frame("a copy.jpg"), frame("a.jpg")], "exact")[0].path == "a.jpg"


def test_a_chain_is_one_component() -> None:
    assert components([(3, 4), (1, 3), (8, 9)]) == [[1, 3, 4], [8, 9]]


def pictures(hashes: list[int], rows: Any, alike: float = 0.0) -> Pictures:
    rows = normalize(np.asarray(rows, np.float32))
    return Pictures(np.array(hashes, np.uint64), lambda numbers: rows[numbers], rows.shape[1], alike)


BASE = 0x9D3A_51C7_60E8_2BF4


@pytest.mark.parametrize(
    ("other", "similarity", "agrees"),
    [(BASE, 0.1, True), (BASE, -0.1, False), (BASE ^ 0xFF, 0.3, False), (BASE ^ 0xFF, 0.4, True), (BASE ^ 0x3FFF, 0.84, False), (BASE ^ 0x3FFF, 0.87, True),
     (BASE ^ 0xFFFFFFFF, 0.999, False), (0, 0.999, False)],
)  # fmt: skip
def test_hash_and_vector_must_agree(other: int, similarity: float, agrees: bool) -> None:
    rows = [[1, 0], [similarity, np.sqrt(1 - similarity**2)]]
    found = near_pairs(pictures([BASE, other], rows))
    assert len(found) == int(agrees)


def test_flat_pictures_are_told_apart_by_their_vectors() -> None:
    found = near_pairs(pictures([0, 0, 0], [[1, 0], [1, 0.01], [0.9, 0.3]]))
    assert list(zip(found.first, found.second, strict=True)) == [(0, 1)]


def test_many_photos_of_one_hash_do_not_take_the_square_of_their_number() -> None:
    random = np.random.default_rng(0)
    rows = normalize(random.normal(size=(3000, 16)).astype(np.float32))
    compared = []
    scene = pictures([BASE] * 3000, rows)
    watched = Pictures(scene.hashes, lambda numbers: (compared.append(len(numbers)), rows[numbers])[1], 16, 0.0)
    near_pairs(watched)
    assert sum(compared) < 3000 * 60


def test_the_mean_similarity_of_few_photos_is_drawn_to_a_typical_one() -> None:
    assert mean_similarity(1, np.ones(4, np.float32)) == TYPICAL_SIMILARITY
    same = np.array([1, 0], np.float32)
    assert mean_similarity(3, same) < 0.15
    rows = normalize(np.random.default_rng(0).normal(0.3, 1, (2000, 8)).astype(np.float32))
    exact = float((rows @ rows.T)[~np.eye(2000, dtype=bool)].mean())
    assert mean_similarity(10_000_000, rows.mean(0)) == pytest.approx(exact, abs=0.01)


def test_an_inverted_file_finds_the_copies_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search._vector_pairs.EXACT_ROWS", 100)
    random = np.random.default_rng(0)
    rows = random.normal(size=(1000, 32))
    rows[500:] = rows[:500] + 0.02 * random.normal(size=(500, 32))
    hashes = random.integers(1, 2**62, 1000, dtype=np.uint64)
    hashes[500:] = hashes[:500] ^ np.uint64(0x1111_1111_1111_0000)  # 12 bits: further than the hash index looks
    found = near_pairs(pictures(hashes.tolist(), rows))
    assert sum(b - a == 500 for a, b in zip(found.first, found.second, strict=True)) >= 490
