from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import CompareOptions, build, compare_encoders
from indexer.compare import stratified
from preprocess import InputError
from search import Encoder, Library, Recipe, normalize

Paint = Callable[..., Path]
COLOURS = ("red", "green", "blue", "yellow", "cyan")


@pytest.fixture
def many(tmp_path: Path, paint: Paint) -> Path:
    """Sixty photos in three folders."""
    for at in range(60):
        paint(tmp_path / "many" / f"{at % 3}" / f"{at:02}.png", COLOURS[at % 5], seed=at)
    return tmp_path / "many"


@pytest.fixture
def indexed(library: Library, many: Path, encoder: Encoder) -> Library:
    build(library, [many], encoder)
    return library


@pytest.fixture
def blind(make_encoder: Callable[..., Any]) -> Any:
    """An encoder that sees noise: each photo by its pixels' hash."""

    class Blind(make_encoder):  # type: ignore[misc]
        def encode_images(self, prepared: Any) -> Any:
            seeds = [int.from_bytes(hashlib.sha256(photo.tobytes()).digest()[:4]) for photo in prepared]
            return normalize(np.stack([np.random.default_rng(seed).normal(size=self.recipe.dim) for seed in seeds]).astype(np.float32))

    return Blind("blind")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_the_same_neighbours_overlap_wholly_and_noise_hardly(
    indexed: Library, encoder: Encoder, make_encoder: Callable[..., Any], blind: Encoder
) -> None:
    before = contents(indexed.folder)
    seen: list[tuple[int, int]] = []
    alike = compare_encoders(indexed, encoder, make_encoder("twin"), on_progress=lambda done, total: seen.append((done, total)))
    assert (alike["overlap"], alike["differ_most"], alike["sample"], alike["left_out"]) == (1.0, [], 60, {})
    assert seen[-1] == (60, 60)
    unlike = compare_encoders(indexed, encoder, blind)
    assert unlike["overlap"] < 0.4
    assert [entry["overlap"] for entry in unlike["differ_most"]] == sorted(entry["overlap"] for entry in unlike["differ_most"])
    worst = unlike["differ_most"][0]
    assert Path(worst["photo"]).is_file()
    assert len(worst["first"]) == len(worst["second"]) == 3
    assert worst["photo"] not in worst["first"] + worst["second"]
    assert contents(indexed.folder) == before  # nothing is committed


def test_overlap_is_that_of_a_plain_count(indexed: Library, encoder: Encoder, blind: Encoder, many: Path) -> None:
    from preprocess import read_image

    files = sorted(many.rglob("*.png"))
    nearest = []
    for one in (encoder, blind):
        rows = (
            np.concatenate([one.encode_images([one.prepare(read_image(file).pixels)]) for file in files])
            .astype(np.float16)
            .astype(np.float32)
        )
        similarities = rows @ rows.T
        np.fill_diagonal(similarities, -2)
        nearest.append([set(np.argsort(-row)[:10].tolist()) for row in similarities])
    expected = np.mean([len(a & b) / 10 for a, b in zip(*nearest, strict=True)])
    assert compare_encoders(indexed, encoder, blind)["overlap"] == pytest.approx(expected, abs=0.01)


def test_speed_and_cost_of_what_is_not_stored(indexed: Library, encoder: Encoder, make_encoder: Callable[..., Any]) -> None:
    finer = make_encoder("finer")
    facts = compare_encoders(indexed, encoder, finer, CompareOptions(sample=20))
    speed = facts["speed"]
    assert (facts["photos"], facts["sample"], speed["embedded"], speed["left_to_embed"]) == (60, 20, 20, 60)
    assert speed["photos_per_s"] > 0
    assert speed["seconds_for_the_rest"] == pytest.approx(60 / speed["photos_per_s"], abs=0.2)
    first, second = facts["encoders"]
    assert (first["stored"], second["stored"]) == (60, 0)
    assert first["index_bytes"] == (indexed.cache_of() / "nearest.faiss").stat().st_size
    assert second["index_bytes"] == 60 * finer.recipe.dim * 2
    assert second["vectors_bytes"] == 60 * (finer.recipe.dim * 2 + 72)
    assert first["model_bytes"] == 0  # it has no files


def test_stored_vectors_are_not_made_again(indexed: Library, encoder: Encoder, make_encoder: Callable[..., Any], many: Path) -> None:
    class Counting(make_encoder):  # type: ignore[misc]
        seen = 0

        def encode_images(self, prepared: Any) -> Any:
            type(self).seen += len(prepared)
            return super().encode_images(prepared)

    finer = Counting("finer")
    build(indexed, [many], finer)
    Counting.seen = 0
    facts = compare_encoders(indexed, encoder, finer, CompareOptions(sample=30))
    assert facts["speed"]["left_to_embed"] == 0
    assert Counting.seen == 31  # only to measure the speed, and one to load
    assert facts["speed"]["embedded"] == 30
    Counting.seen = 0
    assert compare_encoders(indexed, finer, encoder, CompareOptions(sample=30))["overlap"] == facts["overlap"]
    assert Counting.seen == 0


def test_photos_that_cannot_be_read_or_have_changed_are_left_out_and_counted(
    indexed: Library, encoder: Encoder, make_encoder: Callable[..., Any], many: Path, paint: Paint
) -> None:
    (many / "0" / "00.png").unlink()
    (many / "1" / "01.png").write_bytes(b"damaged")
    paint(many / "2" / "02.png", "red", seed=999)
    facts = compare_encoders(indexed, encoder, make_encoder("finer"))
    assert facts["sample"] == 57
    assert set(facts["left_out"]) == {str(many / "0" / "00.png"), str(many / "1" / "01.png"), str(many / "2" / "02.png")}
    assert "has changed since it was indexed" in facts["left_out"][str(many / "2" / "02.png")]
    assert facts["overlap"] == 1.0


def test_bad_input(indexed: Library, encoder: Encoder, make_encoder: Callable[..., Any], many: Path, tmp_path: Path, paint: Paint) -> None:
    other = make_encoder("other")
    with pytest.raises(InputError, match="are the same encoder"):
        compare_encoders(indexed, encoder, make_encoder())
    for sample in (10, 0, -5):
        with pytest.raises(InputError, match=f"A sample of {sample} is too small .*--sample 11"):
            compare_encoders(indexed, encoder, other, CompareOptions(sample=sample))
    few = Library(tmp_path / "few", create=True)
    with pytest.raises(InputError, match="has 0 different photos"):
        compare_encoders(few, encoder, other)
    for at in range(10):
        paint(tmp_path / "ten" / f"{at}.png", "red", seed=at)
        paint(tmp_path / "ten" / f"copy {at}.png", "red", seed=at)
    build(few, [tmp_path / "ten"], encoder)
    with pytest.raises(InputError, match="has 10 different photos"):
        compare_encoders(few, encoder, other)
    many.rename(tmp_path / "away")
    with pytest.raises(InputError, match="only 0 could be read"):
        compare_encoders(indexed, encoder, other)


def rows_in(folders: dict[str, int], root: str = "/r") -> list[dict[str, Any]]:
    names = [f"{folder}/{at}.jpg" for folder, count in folders.items() for at in range(count)]
    return [{"root": root, "path": name, "digest": hashlib.sha256((root + name).encode()).hexdigest()} for name in names]


def test_a_sample_has_every_folder_by_its_share_and_is_always_the_same() -> None:
    rows = rows_in({"a": 500, "b": 300, "c/d": 200}) + rows_in({"a": 1000}, root="/s")
    sample = stratified(rows, 100)
    shares = {
        key: sum((row["root"], row["path"].rpartition("/")[0]) == key for row in sample)
        for key in [("/r", "a"), ("/r", "b"), ("/r", "c/d"), ("/s", "a")]
    }
    assert [abs(share - wanted) <= 1 for share, wanted in zip(shares.values(), (25, 15, 10, 50), strict=True)] == [True] * 4
    assert len({row["digest"] for row in sample}) == 100
    assert stratified(rows[::-1], 100) == sample
    assert len(stratified(rows[:7], 100)) == 7
    assert stratified([], 100) == []
    copies = [{**row, "path": f"z/{row['path']}"} for row in rows]
    assert stratified(rows + copies, 100) == sample


def test_two_versions_of_one_encoder_can_be_compared(indexed: Library, encoder: Encoder, make_encoder: Callable[..., Any]) -> None:
    later = make_encoder()
    later.recipe = replace(later.recipe, precision="int8")
    assert isinstance(later.recipe, Recipe)
    assert compare_encoders(indexed, encoder, later)["overlap"] == 1.0


def test_the_model_counts_with_the_graphs_that_it_runs(
    indexed: Library, encoder: Encoder, make_encoder: Callable[..., Any], tmp_path: Path
) -> None:
    finer = make_encoder("finer")
    finer.folder, finer.graph = tmp_path / "model", "image.int8.onnx"
    finer.folder.mkdir()
    for name, size in {
        "image.onnx": 1000,
        "image.onnx.data": 10_000,
        "image.int8.onnx": 300,
        "text.onnx": 20,
        "text.onnx.data": 7,
        "x.json": 5,
    }.items():
        (finer.folder / name).write_bytes(b"x" * size)
    cost = compare_encoders(indexed, encoder, finer)["encoders"][1]
    assert (cost["model_bytes"], cost["memory_bytes"] - cost["index_bytes"]) == (11_332, 327)
