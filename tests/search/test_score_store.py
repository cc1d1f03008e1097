from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preprocess import InputError
from search import Library, ScoreStore, Store


@pytest.fixture
def scores(library: Library) -> ScoreStore:
    return Store(library).scores


def test_scores_come_back_by_axis(library: Library, scores: ScoreStore) -> None:
    scores.put({"aa": {"quality": 0.25, "it's": -3.5}, "bb": {"quality": 1.0}, "cc": {}}, "fast-1")
    again = Store(library).scores
    assert again.values("quality") == {"aa": 0.25, "bb": 1.0}
    assert again.values("it's") == {"aa": -3.5}
    assert again.values("nothing") == {}
    assert again.axes() == {"it's": 1, "quality": 2}
    assert again.scored("fast-1") == {"aa", "bb"}
    assert again.scored("fast-1", "it's") == {"aa"}
    assert again.scored("fast-2") == set()


def test_a_library_that_was_never_scored_answers(library: Library, scores: ScoreStore) -> None:
    assert (scores.axes(), scores.values("quality"), scores.scored("x"), scores.left({"aa"})) == ({}, {}, set(), set())
    assert (scores.drop(source="x"), scores.sweep(set())) == (0, 0)
    scores.without({"aa"})
    scores.put({}, "x")
    scores.put({"aa": {}}, "x")
    assert "scores" not in scores.tables.names()
    assert library.marks_stamp() is None


def test_a_later_score_replaces_the_earlier_one_whoever_gave_it(library: Library, scores: ScoreStore) -> None:
    scores.put({"aa": {"quality": 0.1, "happy": 0.5}, "bb": {"quality": 0.2}}, "fast-1")
    scores.put({"aa": {"quality": 0.3}}, "paper-1")
    scores.put({"cc": {"quality": 0.4}, "aa": {"measured_noise": 2.0}}, "fast-1")
    Store(library).scores.put({"bb": {"quality": 0.9}}, "fast-1")  # by an object that has yet to read what there is
    assert scores.tables.count("scores") == 5
    again = Store(library).scores
    assert again.values("quality") == {"aa": 0.3, "bb": 0.9, "cc": 0.4}
    assert again.scored("fast-1", "quality") == {"bb", "cc"}
    assert again.scored("paper-1") == {"aa"}


def test_columns_write_what_rows_write(library: Library, scores: ScoreStore) -> None:
    scores.put_columns(["aa", "bb"], {"quality": np.array([0.5, np.nan], np.float32), "new": np.array([0.0, 1.0])}, "x")
    assert scores.tables.count("scores") == 3
    assert scores.values("quality") == {"aa": 0.5}
    assert scores.values("new") == {"aa": 0.0, "bb": 1.0}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"aa": {"quality": float("nan")}}, "'quality' is not a finite number"),
        ({"aa": {"quality": float("inf")}}, "'quality' is not a finite number"),
        ({"aa": {"": 0.5}}, "or no name"),
        ({"aa": {"a\0b": 0.5}}, "or no name"),
    ],
)
def test_what_is_no_score_is_refused(scores: ScoreStore, rows: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scores.put(rows, "x")
    assert scores.axes() == {}


def test_columns_of_other_lengths_and_photos_that_are_there_twice_are_refused(scores: ScoreStore) -> None:
    with pytest.raises(InputError, match="has 1 values for 2 photos"):
        scores.put_columns(["aa", "bb"], {"quality": np.zeros(1)}, "x")
    with pytest.raises(InputError, match="twice"):
        scores.put_columns(["aa", "aa"], {"quality": np.zeros(2)}, "x")
    with pytest.raises(InputError, match="infinite"):
        scores.put_columns(["aa"], {"quality": np.array([np.inf])}, "x")


def test_scores_are_dropped_by_source_by_axis_or_by_both(scores: ScoreStore) -> None:
    scores.put({"aa": {"quality": 0.1, "happy": 0.2}}, "it's one")
    scores.put({"bb": {"quality": 0.3, "happy": 0.4}}, "two")
    assert scores.drop(source="it's one", axis="happy") == 1
    assert scores.axes() == {"happy": 1, "quality": 2}
    assert scores.drop(axis="quality") == 2
    assert scores.drop(source="two") == 1
    assert scores.axes() == {}
    scores.put({"aa": {"quality": 0.7}}, "two")
    assert scores.values("quality") == {"aa": 0.7}
    with pytest.raises(InputError, match="Say which"):
        scores.drop()


def test_sweeping_drops_what_is_of_no_photo(scores: ScoreStore) -> None:
    scores.put({"aa": {"quality": 0.1, "happy": 0.2}, "bb": {"quality": 0.3}}, "x")
    assert scores.sweep({"bb", "cc"}) == 2
    assert scores.sweep({"bb", "cc"}) == 0
    assert scores.values("quality") == {"bb": 0.3}
    scores.put({"aa": {"quality": 0.4}}, "x")
    assert scores.values("quality") == {"aa": 0.4, "bb": 0.3}


def test_an_erased_score_is_in_no_file(library: Library, scores: ScoreStore) -> None:
    secret = "5ec2e7" * 10
    scores.put({secret: {"quality": 0.125}, "bb": {"quality": 0.5}}, "x")
    assert files_with(library, secret)
    scores.without({secret})
    assert scores.left({secret, "bb"}) == {"bb"}
    assert files_with(library, secret) == []


def files_with(library: Library, text: str) -> list[Path]:
    return [file for file in library.store.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]
