"""Scores of a library: what is scored, what is left alone, and what is kept when a run ends early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess import WeightsError
from search import Library, Pair, PixelScorer, Store, choose_pairs, load_axes, score_photos, score_vectors
from search.scorers import source_of

PAIRS = (Pair("quality", "Good photo.", "Bad photo."), Pair("warm", "red orange", "blue cyan"))


@pytest.fixture
def indexed(photos: Path, library: Library, encoder: Any) -> Iterator[Store]:
    """Photos of ten colours, and a copy of the red one."""
    from indexer import BuildOptions, build

    (photos / "also red.png").write_bytes((photos / "red.png").read_bytes())
    build(library, [photos], encoder, BuildOptions(dehaze="none"))
    with library.locked("test"):
        yield Store(library)


def names(store: Store) -> dict[str, str]:
    """Digests by colour."""
    rows = store.images(["path", "digest"])
    return {Path(path).stem: digest for path, digest in zip(rows["path"].to_pylist(), rows["digest"].to_pylist(), strict=True)}


def test_vectors_are_scored_without_a_photo(indexed: Store, encoder: Any, photos: Path) -> None:
    for file in photos.iterdir():
        file.unlink()
    steps: list[tuple[int, int]] = []
    report = score_vectors(indexed, encoder, PAIRS, on_progress=lambda done, total: steps.append((done, total)))
    assert (report.photos, report.scored, report.before, report.missing) == (10, 10, 0, 0)
    assert steps[-1] == (10, 10)
    known, warm = names(indexed), indexed.scores.values("warm")
    digests, vectors = indexed.vectors(encoder.recipe.id)
    wanted = load_axes(encoder, PAIRS).scores(vectors.astype(np.float32))
    np.testing.assert_allclose([warm[digest] for digest in digests], wanted[:, 1], atol=1e-6)
    assert min(warm[known["red"]], warm[known["orange"]]) > 0.5 > max(warm[known["blue"]], warm[known["cyan"]])
    assert len(indexed.scores.values("quality")) == 10


def test_what_was_scored_is_left_alone_and_another_text_is_another_score(indexed: Store, encoder: Any) -> None:
    score_vectors(indexed, encoder, PAIRS[:1])
    report = score_vectors(indexed, encoder, PAIRS)
    assert (report.scored, report.before) == (10, 0)  # the second axis was new
    report = score_vectors(indexed, encoder, PAIRS)
    assert (report.scored, report.before) == (0, 10)
    before = indexed.scores.values("warm")
    other = (Pair("warm", "blue", "red"),)
    assert score_vectors(indexed, encoder, other).scored == 10
    assert indexed.scores.values("warm") != before
    assert score_vectors(indexed, encoder, other, again=True).scored == 10


def test_only_some_photos(indexed: Store, encoder: Any) -> None:
    known = names(indexed)
    report = score_vectors(indexed, encoder, PAIRS, {known["red"], "0" * 64})
    assert (report.photos, report.scored) == (1, 1)
    assert set(indexed.scores.values("warm")) == {known["red"]}
    assert score_vectors(indexed, encoder, PAIRS, set()).photos == 0


def test_photos_without_a_vector_are_counted(indexed: Store, encoder: Any, make_encoder: Callable[..., Any]) -> None:
    known = names(indexed)
    indexed.tables.delete(indexed.vector_table(encoder.recipe.id), [f"digest = '{known['blue']}'"])
    report = score_vectors(indexed, encoder, PAIRS)
    assert (report.scored, report.missing) == (9, 1)
    other = make_encoder("another")
    assert score_vectors(indexed, other, PAIRS).missing == 10


def test_a_vector_that_was_written_twice_counts_once(indexed: Store, encoder: Any) -> None:
    digests, vectors = indexed.vectors(encoder.recipe.id)
    indexed.add_vectors(encoder.recipe, digests[:4], vectors[:4])
    assert score_vectors(indexed, encoder, PAIRS).scored == 10


def test_fast_scores_do_not_replace_those_of_whole_photos(indexed: Store, encoder: Any) -> None:
    known = names(indexed)
    indexed.scores.put({known["red"]: {"quality": 0.125}}, "paper-abc")
    indexed.scores.put({known["red"]: {"warm": 0.25}}, "paper-abc-ffffff")  # by other texts
    indexed.scores.put({known["blue"]: {"warm": 0.25}}, source_of("paper-abc", PAIRS[1]))
    report = score_vectors(indexed, encoder, PAIRS)
    assert report.scored == 10  # the red one's other axis too
    assert indexed.scores.values("warm")[known["red"]] != 0.25 == indexed.scores.values("warm")[known["blue"]]
    assert indexed.scores.values("quality")[known["red"]] == 0.125
    assert known["red"] in indexed.scores.values("warm")
    score_vectors(indexed, encoder, PAIRS, again=True)
    assert indexed.scores.values("quality")[known["red"]] != 0.125


def scorer(seen: list[Any] | None = None, source: str = "paper-1") -> PixelScorer:
    def score(pixels: Any) -> dict[str, float]:
        if seen is not None:
            seen.append(pixels.shape)
        return {"light": float(pixels.mean()) / 255}

    return PixelScorer(16, score, {"light": source})


def test_photos_are_read_once_each_and_not_again(indexed: Store) -> None:
    seen: list[Any] = []
    report = score_photos(indexed, [scorer(seen)])
    assert (report.photos, report.scored, len(seen), report.failed) == (10, 10, 10, {})
    known, light = names(indexed), indexed.scores.values("light")
    assert light[known["white"]] == pytest.approx(248 / 255, abs=1e-3)
    assert score_photos(indexed, [scorer(seen)]).before == len(seen) == 10
    assert score_photos(indexed, [scorer(seen, "paper-2")]).scored == 10
    assert score_photos(indexed, [scorer(seen)], {known["red"]}, again=True).scored == 1


def test_a_photo_that_fails_is_recorded_and_tried_again(indexed: Store, photos: Path) -> None:
    kept = (photos / "blue.png").read_bytes()
    (photos / "blue.png").write_bytes((photos / "green.png").read_bytes())
    (photos / "cyan.png").unlink()
    (photos / "also red.png").unlink()  # the red one itself is still there
    report = score_photos(indexed, [scorer()])
    assert report.scored == 8
    told = {Path(name).stem: str(error) for name, error in report.failed.items()}
    assert set(told) == {"blue", "cyan"}
    assert "another photo than the one that was indexed" in told["blue"]
    (photos / "blue.png").write_bytes(kept)
    report = score_photos(indexed, [scorer()])
    assert (report.scored, report.before, len(report.failed)) == (1, 8, 1)


def test_a_strange_error_costs_one_photo_and_a_model_that_does_not_load_all(indexed: Store) -> None:
    def strange(pixels: Any) -> dict[str, float]:
        if float(pixels.mean()) > 240:
            raise ZeroDivisionError("nought")
        return {"light": 0.5}

    report = score_photos(indexed, [PixelScorer(16, strange, {"light": "paper-3"})])
    assert report.scored == 9
    assert "could not be scored: ZeroDivisionError" in str(next(iter(report.failed.values())))

    def broken(_: Any) -> dict[str, float]:
        raise WeightsError("no weights")

    with pytest.raises(WeightsError):
        score_photos(indexed, [PixelScorer(16, broken, {"dark": "paper-3"})])


def test_what_was_done_is_kept_when_a_run_is_interrupted(indexed: Store) -> None:
    seen: list[Any] = []

    def score(pixels: Any) -> dict[str, float]:
        if len(seen) == 4:
            raise KeyboardInterrupt
        return scorer(seen).score(pixels)  # type: ignore[return-value]

    report = score_photos(indexed, [PixelScorer(16, score, {"light": "paper-1"})])
    assert report.interrupted
    assert report.scored == 4
    report = score_photos(indexed, [scorer(seen)])
    assert (report.scored, report.before, len(seen)) == (6, 4, 10)


def test_an_interrupt_while_vectors_are_scored(indexed: Store, encoder: Any) -> None:
    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    report = score_vectors(indexed, encoder, PAIRS, on_progress=stop)
    assert report.interrupted
    assert report.missing == 0
    assert score_vectors(indexed, encoder, PAIRS).before == 10  # it had been written


def test_sources_of_pairs() -> None:
    (quality,) = choose_pairs(["quality"])
    assert source_of("fast-1", quality) == "fast-1"
    assert source_of("fast-1", PAIRS[1]) != source_of("fast-1", Pair("warm", "red", "blue")) != "fast-1"
