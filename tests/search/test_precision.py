"""int8 is used where it was measured to be as good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import InputError, UnknownName, WeightsError
from search import EncoderOptions, Model, choose_precision, load_encoder, normalize, precision
from search.model import IMAGE, IMAGE_INT8
from search.precision import distinct, neighbour_overlap, neighbours_of

MakeModel = Callable[..., Path]


@pytest.fixture(scope="module")
def photos() -> list[Any]:
    """64 squares of light and colour, each another."""
    random = np.random.default_rng(3)
    return [np.kron(random.integers(0, 256, (4, 4, 3)), np.ones((6, 6, 1))).astype(np.uint8) for _ in range(64)]


@pytest.fixture
def any_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small towers are not faster in int8; what is tested with this is the overlap."""
    monkeypatch.setattr(precision, "LEAST_SPEEDUP", 0)


@pytest.mark.usefixtures("any_speed")
def test_int8_is_used_where_neighbours_stay(make_model: MakeModel, photos: list[Any]) -> None:
    folder = make_model()
    decision = choose_precision("small", photos, EncoderOptions(folder.parent, threads=1))
    assert (decision.precision, decision.photos, decision.neighbours) == ("int8", 64, 10)
    assert decision.overlap is not None
    assert decision.overlap >= 0.95
    assert decision.mean_cosine is not None
    assert 0.999 < decision.mean_cosine < 1
    assert decision.line.startswith("int8: mean cosine 0.99")
    assert "10 nearest neighbours overlap" in decision.line
    assert decision.line.endswith("times as fast; used.")
    assert load_encoder("small", EncoderOptions(folder.parent, decision.precision)).recipe.precision == "int8"
    assert IMAGE_INT8 in Model.read(folder).files


@pytest.mark.usefixtures("any_speed")
def test_fp32_is_kept_where_int8_breaks_neighbours(make_model: MakeModel, photos: list[Any]) -> None:
    folder = make_model(outlier=3000)
    decision = choose_precision("small", photos, EncoderOptions(folder.parent, threads=1))
    assert decision.precision == "fp32"
    assert decision.overlap is not None
    assert decision.overlap < 0.6
    assert decision.line.endswith("on 64 of your photos, less than 95%; fp32 kept.")


def test_fp32_is_kept_where_int8_is_not_faster(make_model: MakeModel, photos: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "LEAST_SPEEDUP", 1e6)
    decision = choose_precision("small", photos, EncoderOptions(make_model().parent, threads=1))
    assert decision.precision == "fp32"
    assert decision.overlap is not None
    assert decision.overlap >= 0.95
    assert decision.line.endswith("times fp32's speed on this machine; fp32 kept.")


def test_the_speedup_is_that_of_the_encoders(photos: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    class Slow:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def encode_images(self, prepared: Any) -> Any:
            clock[0] += self.seconds * len(prepared)
            return normalize(np.stack([square.reshape(-1)[:5] for square in prepared]))

    first, second, speedup = precision.side_by_side(photos[:11], Slow(0.006), Slow(0.002))  # type: ignore[arg-type]
    np.testing.assert_array_equal(first, second)
    assert len(first) == 11
    assert speedup == pytest.approx(3)


@pytest.mark.parametrize("count", [0, 1, 10])
def test_few_photos_say_nothing(make_model: MakeModel, photos: list[Any], count: int) -> None:
    folder = make_model()
    decision = choose_precision("small", photos[:count] * 7, EncoderOptions(folder.parent))
    assert (decision.precision, decision.photos, decision.overlap) == ("fp32", count, None)
    assert f"here are {count} different photo" in decision.line
    assert not (folder / IMAGE_INT8).exists()  # nothing is made for nothing


@pytest.mark.usefixtures("any_speed")
def test_eleven_photos_are_enough_and_only_64_are_read(make_model: MakeModel, photos: list[Any]) -> None:
    options = EncoderOptions(make_model().parent, threads=1)
    few = choose_precision("small", photos[:11], options)
    assert (few.photos, few.neighbours) == (11, 2)
    assert "2 nearest neighbours" in few.line
    assert choose_precision("small", photos + [255 - photo for photo in photos], options).photos == 64


@pytest.mark.parametrize("asked", ["fp32", "int8"])
def test_what_is_asked_for_is_obeyed(make_model: MakeModel, asked: str) -> None:
    folder = make_model(outlier=3000)
    decision = choose_precision("small", [], EncoderOptions(folder.parent, asked))
    assert (decision.precision, decision.line, decision.overlap) == (asked, f"{asked}: as asked for.", None)
    assert (folder / IMAGE_INT8).exists() == (asked == "int8")


def test_int8_that_is_asked_for_and_cannot_be_made_is_an_error(make_model: MakeModel) -> None:
    folder = make_model()
    (folder / IMAGE).write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be made int8"):
        choose_precision("small", [], EncoderOptions(folder.parent, "int8"))


def test_int8_that_is_not_asked_for_and_cannot_be_made_is_no_error(
    make_model: MakeModel, photos: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model()

    def refused(_folder: Path) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("search._quantize._alone", refused)
    decision = choose_precision("small", photos, EncoderOptions(folder.parent))
    assert decision.precision == "fp32"
    assert decision.line.startswith("int8 could not be tried; fp32 kept. ")
    assert "Read-only file system" in decision.line


def test_one_precision_needs_no_choice(make_model: MakeModel, photos: list[Any]) -> None:
    builtin = load_encoder("builtin").recipe.precision
    for asked in (None, "auto", "fp32"):
        decision = choose_precision("builtin", photos, EncoderOptions(precision=asked))
        assert (decision.precision, decision.line) == (builtin, f"{builtin}: builtin has no other precision here.")
    folder = make_model("rough", precision="int8")
    for asked in (None, "auto", "int8"):
        assert choose_precision("rough", photos, EncoderOptions(folder.parent, asked)).precision == "int8"
    with pytest.raises(InputError, match="is int8 itself"):
        choose_precision("rough", photos, EncoderOptions(folder.parent, "fp32"))
    with pytest.raises(UnknownName, match="No encoder named 'smooth'"):
        choose_precision("smooth", photos, EncoderOptions(folder.parent))


def test_a_second_library_finds_the_graph_made(make_model: MakeModel, photos: list[Any]) -> None:
    folder = make_model()
    choose_precision("small", photos, EncoderOptions(folder.parent))
    made = (folder / IMAGE_INT8).stat().st_mtime_ns
    choose_precision("small", photos[:20], EncoderOptions(folder.parent))
    assert (folder / IMAGE_INT8).stat().st_mtime_ns == made


# Overlap


def test_overlap_of_equal_and_of_unrelated_rows() -> None:
    random = np.random.default_rng(0)
    rows, others = normalize(random.normal(size=(64, 32))), normalize(random.normal(size=(64, 32)))
    assert neighbour_overlap(rows, rows, 10) == 1
    assert neighbour_overlap(rows, others, 10) == pytest.approx(10 / 63, abs=0.05)  # by chance


def test_overlap_ignores_the_photo_itself() -> None:
    random = np.random.default_rng(0)
    rows, others = normalize(random.normal(size=(64, 32))), normalize(random.normal(size=(64, 32)))
    assert neighbour_overlap(rows, others, 1) < 0.2  # each is its own nearest in both


def test_rows_that_are_not_numbers_overlap_with_nothing() -> None:
    rows = normalize(np.random.default_rng(0).normal(size=(12, 4)))
    broken = rows.copy()
    broken[3] = np.nan
    assert neighbour_overlap(rows, broken, 2) == 0


@pytest.mark.parametrize(("photos", "count"), [(11, 2), (20, 4), (40, 9), (41, 10), (64, 10)])
def test_few_photos_are_compared_with_fewer_neighbours(photos: int, count: int) -> None:
    assert neighbours_of(photos) == count
    assert count / (photos - 1) <= 0.25  # what chance alone reaches


def test_copies_count_once() -> None:
    one, two = np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)
    kept = distinct([one, two, one.copy(), two, one])
    assert [int(square[0, 0, 0]) for square in kept] == [0, 1]
