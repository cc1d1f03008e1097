from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from search import Library, Store, make_derived, normalize, open_derived
from search.null_model import FILE, SAMPLE_PHOTOS, TOP, NullModel, Shift, level, lower_half, spread_numbers
from search.query_bank import bank_file, bank_hash, bank_queries
from search.verdict import HIT_PHOTOS
from search.verdict_evaluation import Held


def rows(count: int, dim: int = 16, seed: int = 0) -> NDArray[np.float32]:
    return normalize(np.random.default_rng(seed).normal(size=(count, dim)))


def test_it_is_what_the_bank_finds() -> None:
    bank, photos = rows(30), rows(500, seed=1)
    null = NullModel.measure(bank, Held(photos), len(photos))
    nearest = -np.sort(-(bank @ photos.T), axis=1)[:, :TOP]
    levels = (nearest[:, 0] + nearest.mean(1)) / 2
    assert null.count == 500
    assert null.top_mean == pytest.approx(levels.mean(), abs=1e-5)
    assert null.top_deviation == pytest.approx(levels.std(), abs=1e-5)
    similarities = bank @ photos.T
    scores = (levels - np.median(similarities, 1)) / ((np.quantile(similarities, 0.375, 1) - np.quantile(similarities, 0.125, 1)) / 0.8317)
    assert null.score_mean == pytest.approx(scores.mean(), rel=1e-4)


def test_pictures_do_not_find_themselves() -> None:
    photos = np.eye(8, dtype=np.float32)
    null = NullModel.measure(rows(3, 8), Held(photos), 8)
    assert null.picture_mean == pytest.approx(0, abs=1e-6)


def test_parts_of_a_large_library() -> None:
    """800 photos are three parts of some 267, whichever photos lie beside each other."""
    bank, photos = rows(30), rows(800, seed=1)
    null = NullModel.measure(bank, Held(photos), len(photos))
    parts = [NullModel.measure(bank, Held(photos[at::3]), len(photos[at::3])) for at in range(3)]
    assert null.part is not None
    assert null.part.count == 267
    assert null.part.top_mean == pytest.approx(np.mean([part.top_mean for part in parts]), abs=1e-5)
    assert null.part.top_deviation == pytest.approx(np.mean([part.top_deviation for part in parts]), abs=1e-5)
    assert null.part.top_mean < null.top_mean
    assert null.part.picture_mean < null.picture_mean < 0.95  # in no part does a photo find itself
    nearest = level(-np.sort(-(photos @ photos.T), axis=1)[:, 1 : TOP + 1])
    assert null.picture_mean == pytest.approx(nearest.mean(), abs=0.01)


@pytest.mark.parametrize(("count", "part"), [(HIT_PHOTOS, None), (374, None), (376, 188), (1000, 250)])
def test_a_part_has_about_so_many_photos(count: int, part: int | None) -> None:
    found = NullModel.measure(rows(3, 4), Held(rows(count, 4, seed=1)), count).part
    assert (found.count if found else None) == part


def test_rows_behind_the_photos_do_not_count() -> None:
    bank, photos = rows(5), rows(40, seed=1)
    assert NullModel.measure(bank, Held(np.concatenate([photos, bank])), 40) == NullModel.measure(bank, Held(photos), 40)


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_few_photos(count: int) -> None:
    null = NullModel.measure(rows(5), Held(rows(count, seed=1)), count)
    assert null.count == count
    assert np.isfinite([null.top_mean, null.top_deviation, null.score_mean, null.score_deviation, null.picture_mean]).all()


def test_the_lower_half_does_not_see_the_answers() -> None:
    random = np.random.default_rng(0)
    without = random.normal(0.1, 0.05, size=4000).astype(np.float32)
    middle, scale = lower_half(without)
    assert middle == pytest.approx(0.1, abs=0.005)
    assert scale == pytest.approx(0.05, rel=0.05)
    answers = without.copy()
    answers[:200] = 0.9
    assert lower_half(answers)[0] == pytest.approx(middle, abs=0.005)
    assert lower_half(answers)[1] == pytest.approx(scale, rel=0.1)
    assert answers.std() > 3 * scale  # what the plain deviation makes of them


def test_level_of_fewer_than_five() -> None:
    assert float(level(np.array([0.4], np.float32))) == pytest.approx(0.4)
    assert float(level(np.array([0.4, 0.2], np.float32))) == pytest.approx(0.35)


def test_spread_numbers() -> None:
    assert spread_numbers(3, 10).tolist() == [0, 1, 2]
    many = spread_numbers(10**6, SAMPLE_PHOTOS)
    assert len(many) == SAMPLE_PHOTOS
    assert (many[0], many[-1]) == (0, 10**6 - 1)


def test_kept_and_read(tmp_path: Path) -> None:
    null = NullModel.measure(rows(5), Held(rows(50, seed=1)), 50)
    assert NullModel.load(tmp_path) is None
    assert null.save(tmp_path)
    assert NullModel.load(tmp_path) == null
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    large = replace(null, shifts=(Shift(0.1, 1.1),) * 6, part=null)
    assert large.save(tmp_path)
    assert NullModel.load(tmp_path) == large
    assert replace(large, part=replace(null, top_mean=float("nan"))).save(tmp_path)
    assert NullModel.load(tmp_path) is None
    assert replace(null, shifts=(Shift(0.1, 1.1),) * 5).save(tmp_path)
    assert NullModel.load(tmp_path) is None
    np.savez(tmp_path / FILE, null=np.zeros(7), bank=np.array(bank_hash()))  # as it was before regions had their own
    assert NullModel.load(tmp_path) is None
    for content in (b"", b"damaged"):
        (tmp_path / FILE).write_bytes(content)
        assert NullModel.load(tmp_path) is None
    assert not null.save(tmp_path / "none")


def test_the_cache_is_made_with_it_where_the_bank_is_at_hand(library: Library, fill: Callable[..., Store]) -> None:
    store = fill(["aa", "bb", "cc"], [[1, 0], [0, 1], [1, 1]])
    assert not (make_derived(store) / FILE).is_file()
    recipe = str(library.file.current)
    bank = rows(len(bank_queries()), 2)
    np.save(bank_file(library.cache, recipe), bank)
    store.drop_images([("/photos", "cc.jpg")])
    folder = make_derived(store)
    derived = open_derived(library)
    assert NullModel.load(folder) == NullModel.measure(bank, derived.nearest, 2)
    derived.close()


def test_what_another_bank_has_measured_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    null = NullModel(3, *[0.5] * 6, shifts=(Shift(0.1, 1.1),) * 6)
    assert null.save(tmp_path)
    assert NullModel.load(tmp_path) == null
    monkeypatch.setattr("search.null_model.bank_hash", lambda: "another")
    assert NullModel.load(tmp_path) is None
