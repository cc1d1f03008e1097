"""Perceptual hashes and measures in a build: taken once, kept, healed, and filled in where an older library lacks them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import preprocess
from indexer import BuildOptions, build
from preprocess import MEASURED, MEASURES_SOURCE, hash_text, picture_hash, read_image
from search import Encoder, Library, Store

Paint = Callable[..., Path]


@pytest.fixture
def grainy(tmp_path: Path, paint: Paint) -> Path:
    for at, colour in enumerate(("red", "green", "blue", "grey")):
        paint(tmp_path / "grainy" / f"{colour}.png", colour, seed=at, size=(64, 48))
    return tmp_path / "grainy"


def hashes(library: Library) -> dict[str, str | None]:
    table = Store(library).images(["path", "perceptual_hash"])
    return dict(zip(table["path"].to_pylist(), table["perceptual_hash"].to_pylist(), strict=True))


def without_hashes(library: Library) -> None:
    """As an earlier Pellucid left it."""
    store = Store(library)
    store.tables.update("images", "true", {"perceptual_hash": None})
    store.scores.drop(source=MEASURES_SOURCE)


def assert_measured(library: Library, folder: Path) -> None:
    expected = {file.name: hash_text(picture_hash(read_image(file).pixels)) for file in folder.glob("*.png")}
    assert {Path(path).name: text for path, text in hashes(library).items()} == expected
    store = Store(library)
    digests = set(store.images(["digest"])["digest"].to_pylist())
    assert store.scores.scored(MEASURES_SOURCE) == digests
    assert {axis for axis in store.scores.axes() if axis.startswith("measured_")} == {f"measured_{name}" for name in MEASURED}


def test_a_build_takes_hashes_and_measures_once(
    library: Library, grainy: Path, encoder: Encoder, make_encoder: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = build(library, [grainy], encoder)
    assert (report.new, report.unhashed) == (4, 0)
    assert_measured(library, grainy)

    def explode(_pixels: Any) -> Any:
        raise AssertionError("measured again")

    monkeypatch.setattr(preprocess, "measure_for_build", explode)
    shutil.copyfile(grainy / "red.png", grainy / "copy.png")
    (grainy / "blue.png").rename(grainy / "moved.png")
    report = build(library, [], encoder)
    assert (report.copied, report.moved, report.failed) == (1, 1, {})
    report = build(library, [], make_encoder("finer"))
    assert (report.reembedded, report.failed) == (5, {})
    assert_measured(library, grainy)


def test_an_older_library_is_filled_once_in_every_root(
    library: Library, grainy: Path, tmp_path: Path, paint: Paint, encoder: Encoder, no_decoding: Callable[[], None]
) -> None:
    other = paint(tmp_path / "other" / "cyan.png", "cyan", seed=9).parent
    build(library, [grainy, other], encoder)
    with library.locked("test"):
        without_hashes(library)
    assert build(library, [grainy], encoder, BuildOptions(dry_run=True)).unhashed == 5
    report = build(library, [grainy], encoder)
    assert (report.unhashed, report.reembedded, report.as_dict()["unhashed"]) == (5, 5, 5)
    assert all(hashes(library).values())
    no_decoding()
    report = build(library, [grainy], encoder)
    assert (report.unhashed, report.same, report.found) == (0, 4, 4)  # the other root need not be looked at any more


def test_what_is_missing_in_a_root_that_nobody_named_is_kept(
    library: Library, grainy: Path, tmp_path: Path, paint: Paint, encoder: Encoder
) -> None:
    other = paint(tmp_path / "other" / "cyan.png", "cyan", seed=9).parent
    paint(other / "gone.png", "blue", seed=10)
    build(library, [grainy, other], encoder)
    with library.locked("test"):
        without_hashes(library)
    (other / "gone.png").unlink()
    report = build(library, [grainy], encoder)
    assert (report.unhashed, report.gone, report.kept) == (5, 0, 1)
    assert "gone.png" in hashes(library)
    assert build(library, [other], encoder).gone == 1


def test_a_root_that_is_out_of_reach_waits_in_silence(
    library: Library, grainy: Path, tmp_path: Path, paint: Paint, encoder: Encoder
) -> None:
    other = paint(tmp_path / "other" / "cyan.png", "cyan", seed=9).parent
    build(library, [grainy, other], encoder)
    with library.locked("test"):
        without_hashes(library)
    other.rename(tmp_path / "unplugged")
    report = build(library, [grainy], encoder)
    assert (report.unhashed, report.missing_roots) == (4, {})
    assert [path for path, text in hashes(library).items() if text is None] == ["cyan.png"]


def test_a_build_that_ends_between_measures_and_rows_is_healed(
    library: Library, grainy: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Store, "put_images", stop)
        assert build(library, [grainy], encoder).interrupted
    assert hashes(library) == {}
    assert len(Store(library).scores.scored(MEASURES_SOURCE)) == 4
    build(library, [grainy], encoder)
    assert_measured(library, grainy)
    (grainy / "red.png").unlink()
    build(library, [], encoder)
    assert_measured(library, grainy)  # what was measured of a photo that is gone went with it


def test_a_photo_that_cannot_be_measured_is_found_all_the_same(
    library: Library, grainy: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_pixels: Any) -> Any:
        raise ValueError("no light")

    with monkeypatch.context() as broken:
        broken.setattr(preprocess, "measure_for_build", fail)
        report = build(library, [grainy], encoder)
    assert (report.new, len(report.failed)) == (4, 4)
    assert all("could not be measured: ValueError: no light" in message for message in report.failed.values())
    assert build(library, [], encoder).unhashed == 4
    assert_measured(library, grainy)
