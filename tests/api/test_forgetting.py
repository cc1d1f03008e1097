from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.forgetting import run_forget
from preprocess import LibraryDamaged
from search import Library, ScoreStore, Store, StoredTag, TagRun


@pytest.fixture
def store(fill: Callable[..., Store]) -> Store:
    """Two photos with scores, tags and what people said, and a third of which only people's words are left."""
    made = fill(["aa", "bb"], [[1, 0], [0, 1]])
    made.scores.put({"aa": {"quality": 0.5}, "bb": {"quality": 0.25}}, "x")
    made.marks.begin(TagRun("one", "rows", "rows", "photo", "0", "one"))
    made.marks.put("one", {digest: [StoredTag("beach", 0.5, 0.25, 1.0)] for digest in ("aa", "bb")})
    made.marks.finish("one")
    made.marks.label_all([("aa", "sea", "confirmed"), ("aa", "beach", "rejected"), ("gone", "ship", "confirmed")])
    return made


def test_forgetting_a_photo_forgets_its_scores_and_tags(store: Store) -> None:
    outcome = run_forget([Path("/photos/aa.jpg")], store.library.folder)
    assert (outcome["vectors"], outcome["tags_by_people"]) == (["aa"], 2)
    after = Store(Library(store.library.folder))
    assert after.scores.values("quality") == {"bb": 0.25}
    assert set(after.marks.tags()) == {"bb", "gone"}
    assert after.marks.labels() == {"ship": {"gone": "confirmed"}}


def test_what_people_said_of_photos_that_are_gone_is_forgotten_on_purpose(store: Store) -> None:
    outcome = run_forget([], store.library.folder, absent=True)
    assert (outcome["photos"], outcome["tags_by_people"]) == ([], 1)
    assert set(Store(Library(store.library.folder)).marks.tags()) == {"aa", "bb"}


def test_a_score_that_is_left_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(_self: ScoreStore, _digests: Any) -> None:
        pass

    monkeypatch.setattr(ScoreStore, "without", keep)
    with pytest.raises(LibraryDamaged, match="still in"):
        run_forget([Path("/photos/aa.jpg")], store.library.folder)
